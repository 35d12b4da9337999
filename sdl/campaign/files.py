"""Load a campaign file together with its lab: one checked whole, or every fault of both files at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sdl import plugins
from sdl.campaign._planner_worker import build_planner
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.procedure import Procedure
from sdl.lab.yamlfile import YamlFile, faults_of, read_yaml
from sdl.model import CampaignSpec, FileFault, InputError, Pool, Problem

__all__ = ["LoadedCampaign", "load_campaign"]

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedCampaign:
    """A campaign ready to run."""

    spec: CampaignSpec
    """Its problem holds the pool, when there is one."""
    lab: Lab
    procedure: Procedure

    def created_body(self) -> dict[str, Any]:
        """Body of the entry that creates the campaign."""
        return {
            "spec": self.spec.model_dump(mode="json"),
            "lab": self.lab.as_json(),
            "inputs": {name: item.as_json() for name, item in self.lab.inputs.items()},
            "procedure": {"name": self.procedure.name, **self.procedure.raw},
        }


def load_campaign(
    path: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    trials: int | None = None,
) -> LoadedCampaign:
    """Read a campaign file and its lab file, apply settings, and check everything.

    Args:
        path: the campaign file.
        settings: dotted field or lab input → value; replaces what the file says.
        seed: replaces the file's seed.
        trials: replaces the budget of trials.

    Raises:
        InputError: every fault of the files and settings.
    """
    from sdl.campaign.settings import apply_settings

    file = read_yaml(path)
    lab_file = _lab_file(file, settings or {})
    given: dict[str, Any] = dict(settings or {})
    if seed is not None:
        given["seed"] = seed
    if trials is not None:
        given["budget.trials"] = trials
    there = _is_file(lab_file)
    declared = read_yaml(lab_file).data.get("inputs") if there else None
    declared = declared if isinstance(declared, dict) else {}
    data = apply_settings(file.data, given, list(declared))
    faults: list[FileFault] = []
    spec = _tried(faults, lambda: _validated(YamlFile(file.name, data, file.text, file.lines)))
    lab = None
    if there:
        lab = _tried(faults, lambda: load_lab(lab_file, {**_own_inputs(file), **_named(given, declared)}))
    elif isinstance(data.get("lab"), str):
        faults.append(file.fault(("lab",), f"no such file: {lab_file}"))
    if spec is None or lab is None:
        raise InputError(faults)
    return _fitted(spec, lab, file)


def _fitted(spec: CampaignSpec, lab: Lab, file: YamlFile) -> LoadedCampaign:
    """Bind a campaign to its lab: the pool, the planner and the procedure."""
    faults: list[FileFault] = []
    whole = _tried(faults, lambda: _with_pool(spec, lab, file))
    _tried(faults, lambda: build_planner(spec.planner.name, spec.planner.options), file, "planner")
    names = spec.problem.parameter_names
    procedure = _tried(faults, lambda: lab.procedure(spec.procedure, names), file, "procedure")
    if whole is None or procedure is None or faults:
        raise InputError(faults)
    return LoadedCampaign(whole, lab, procedure)


def _tried(faults: list[FileFault], check: Callable[[], T], file: YamlFile | None = None, key: str = "") -> T | None:
    """What `check` returns, or None and its faults in the list; those without a file are at a key of `file`."""
    try:
        return check()
    except InputError as error:
        faults += [
            file.fault((key,), fault.message) if file is not None and not fault.file else fault
            for fault in error.faults
        ]
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _own_inputs(file: YamlFile) -> dict[str, str]:
    """Inputs that the campaign file gives; their paths are relative to it.

    Raises:
        InputError: a path leads out of the file's folder. A campaign may come from anyone, and what an input holds
            goes into the journal: no stranger's file may choose which of the user's files that is.
    """
    given = file.data.get("inputs")
    if not isinstance(given, dict):
        return {}
    folder = Path(file.name).absolute().parent.resolve()
    faults = [
        file.fault(("inputs", name), f"{value} is outside the campaign's folder; give it with --set {name}={value}")
        for name, value in given.items()
        if not (folder / str(value)).resolve().is_relative_to(folder)
    ]
    if faults:
        raise InputError(faults)
    return {name: str(folder / str(value)) for name, value in given.items()}


def _named(given: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, str]:
    """Inputs that settings give; their paths are relative to the user's own folder."""
    names = {key: key.removeprefix("inputs.") for key in given}
    return {name: str(given[key]) for key, name in names.items() if name in declared}


def _lab_file(file: YamlFile, settings: Mapping[str, Any]) -> Path:
    if "lab" in settings:
        return Path(str(settings["lab"]))
    lab = file.data.get("lab")
    return Path(file.name).parent / lab if isinstance(lab, str) else Path("/nonexistent")


def _validated(file: YamlFile) -> CampaignSpec:
    try:
        return CampaignSpec.model_validate(file.data)
    except ValidationError as error:
        raise InputError(faults_of(error, CampaignSpec, file)) from None


def _with_pool(spec: CampaignSpec, lab: Lab, file: YamlFile) -> CampaignSpec:
    if spec.pool is None:
        return spec
    name = spec.pool.input
    if name not in lab.inputs:
        hint = plugins.suggest(name, list(lab.inputs))
        raise InputError([file.fault(("pool",), f"the lab declares no input {name!r}{hint}")])
    pool = _read_pool(lab, spec, name)
    try:
        problem = Problem.model_validate({**spec.problem.model_dump(), "pool": pool})
    except ValidationError as error:
        messages = [str(e["msg"]).removeprefix("Value error, ") for e in error.errors()]
        raise InputError([FileFault(f"table {lab.inputs[name].path}: {message}") for message in messages]) from None
    return spec.model_copy(update={"problem": problem})


def _read_pool(lab: Lab, spec: CampaignSpec, name: str) -> Pool:
    from sdl.lab.tables import pool_from_table

    columns = spec.pool.columns if spec.pool is not None else {}
    return pool_from_table(lab.inputs[name].path, spec.problem, columns)
