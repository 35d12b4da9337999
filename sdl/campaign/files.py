"""Load a campaign file together with its lab: one checked whole, or every fault of both files at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sdl import plugins
from sdl.campaign._knowledge import source_from_table, with_tables
from sdl.campaign._planner_worker import build_planner
from sdl.campaign._poolfile import LARGE_POOL, read_pool
from sdl.campaign.costing import priced
from sdl.campaign.initial import quantities
from sdl.campaign.projectfile import project_in
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.procedure import Procedure
from sdl.lab.yamlfile import YamlFile, faults_of, read_yaml
from sdl.model import CampaignSpec, Exhausted, FileFault, InputError, Problem, ProblemFaults
from sdl.model.project import Project

__all__ = ["LoadedCampaign", "load_campaign"]

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedCampaign:
    """A campaign ready to run."""

    spec: CampaignSpec
    """Its problem holds the pool, when there is one."""
    lab: Lab
    procedure: Procedure
    folder: Path = Path()
    """Of the campaign file."""
    project: Project | None = None
    """Who answers for the data, where the file says so."""

    def recorded_spec(self) -> dict[str, Any]:
        """The specification as the journal has it: of a large pool the hash of its rows in place of them."""
        problem, source = self.spec.problem, self.spec.pool
        if problem.pool is None or source is None or len(problem.pool) <= LARGE_POOL:
            return self.spec.model_dump(mode="json")
        small = problem.model_copy(update={"pool": problem.pool.referenced(source.input)})
        return self.spec.model_copy(update={"problem": small}).model_dump(mode="json")

    def created_body(self) -> dict[str, Any]:
        """Body of the entry that creates the campaign."""
        return {
            "spec": self.recorded_spec(),
            "lab": self.lab.as_json(),
            "inputs": {name: item.as_json() for name, item in self.lab.inputs.items()},
            "procedure": {"name": self.procedure.name, **self.procedure.raw},
            **({} if self.project is None else {"project": self.project.model_dump(mode="json")}),
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
    lab_faults: list[FileFault] = []
    lab = None
    if there:
        lab = _tried(lab_faults, lambda: load_lab(lab_file, {**_own_inputs(file), **_named(given, declared)}))
    elif isinstance(data.get("lab"), str):
        lab_faults.append(file.fault(("lab",), f"no such file: {lab_file}"))
    stated = data.pop("project", None)
    project = None if stated is None else _tried(faults, lambda: project_in(stated, file))
    data, table_faults = with_tables(data, lab, file)
    spec = _tried(faults, lambda: _validated(YamlFile(file.name, data, file.text, file.lines)))
    if spec is None or lab is None or table_faults or faults:
        raise InputError([*faults, *table_faults, *lab_faults])
    return replace(_fitted(spec, lab, file), project=project)


def _fitted(spec: CampaignSpec, lab: Lab, file: YamlFile) -> LoadedCampaign:
    """Bind a campaign to its lab: the pool, the planner and the procedure."""
    faults: list[FileFault] = []
    whole = _tried(faults, lambda: _with_pool(spec, lab, file))
    if whole is not None:
        whole = _with_prior_tables(whole, lab, file, faults)
        whole = _with_initial(whole, file, faults)
        faults += (impossible := [file.fault(("problem", *at), text) for at, text in whole.problem.contradictions()])
        if not impossible:
            _tried(faults, lambda: _check_room(whole.problem), file, "problem")
    _tried(faults, lambda: build_planner(spec.planner.name, spec.planner.options), file, "planner")
    if spec.budget.cost is not None and not priced(lab.spec):
        message = f"nothing in {lab.file.name} has a cost, so a budget of money would never be used up"
        faults.append(file.fault(("budget", "cost"), f"{message}; give stations or stock a `cost`"))
    names = spec.problem.parameter_names
    optional = set(names) - {p.name for p in spec.problem.searched}
    procedure = _tried(faults, lambda: lab.procedure(spec.procedure, names, optional), file, "procedure")
    if whole is None or procedure is None or faults:
        raise InputError(faults)
    return LoadedCampaign(whole, lab, procedure, Path(file.name).absolute().parent)


def _with_prior_tables(spec: CampaignSpec, lab: Lab, file: YamlFile, faults: list[FileFault]) -> CampaignSpec:
    """The specification with the tables of prior knowledge in its problem; campaigns follow once there is a store."""
    sources = list(spec.problem.sources)
    for index, given in enumerate(spec.learn_from):
        if given.input is not None:
            try:
                sources.append(source_from_table(lab, spec.problem, given))
            except InputError as error:
                faults += [f if f.file else file.fault(("learn_from", index), f.message) for f in error.faults]
            except ValidationError as error:
                faults += [file.fault(("learn_from", index), str(e["msg"])) for e in error.errors()]
    names = [source.name for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        faults.append(file.fault(("learn_from",), f"named twice: {', '.join(twice)}"))
    return spec.model_copy(update={"problem": spec.problem.model_copy(update={"sources": tuple(sources)})})


def _with_initial(spec: CampaignSpec, file: YamlFile, faults: list[FileFault]) -> CampaignSpec:
    """The specification with its first trials checked, completed, and in the units of their parameters."""
    found = []
    pool = spec.problem.pool
    rows = set(zip(*pool.columns.values(), strict=True)) if pool is not None and spec.initial else set()
    for index, given in enumerate(spec.initial):
        try:
            values = quantities(spec.problem, given)
        except ValueError as error:
            faults.append(file.fault(("initial", index), str(error)))
            continue
        if pool is not None and tuple(values[name] for name in pool.columns) not in rows:
            faults.append(file.fault(("initial", index), "is no row of the pool"))
        if values in found:
            faults.append(file.fault(("initial", index), "is the same trial as an earlier one"))
        found.append(values)
    if spec.budget.trials is not None and len(spec.initial) > spec.budget.trials:
        message = f"{len(spec.initial)} trials to begin with, but a budget of {spec.budget.trials}"
        faults.append(file.fault(("initial",), message))
    return spec.model_copy(update={"initial": tuple(found)})


def _check_room(problem: Problem) -> None:
    """Whether there is a point to begin with.

    Raises:
        InputError: no point, or none that many draws can find, satisfies the constraints.
    """
    if not (problem.constraints or problem.mixtures or problem.derived):
        return
    with contextlib.suppress(Exhausted):
        build_planner("random", {}).propose(problem, [], 1, 0)


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
        raise InputError(_validation_faults(error, file)) from None


def _validation_faults(error: ValidationError, file: YamlFile) -> list[FileFault]:
    """The faults of a file, those of a problem whose parts do not go together each at its own line."""
    found = faults_of(error, CampaignSpec, file)
    for index, item in enumerate(error.errors(include_url=False)):
        inner = item.get("ctx", {}).get("error")
        if isinstance(inner, ProblemFaults):
            each = [file.fault((*item["loc"], *path), message) for path, message in inner.faults]
            return [*found[:index], *each, *found[index + 1 :]]
    return found


def _with_pool(spec: CampaignSpec, lab: Lab, file: YamlFile) -> CampaignSpec:
    if spec.pool is None:
        return spec
    name = spec.pool.input
    if name not in lab.inputs:
        hint = plugins.suggest(name, list(lab.inputs))
        raise InputError([file.fault(("pool",), f"the lab declares no input {name!r}{hint}")])
    pool = read_pool(lab, spec, name)
    try:
        problem = Problem.model_validate({**dict(spec.problem), "pool": pool})
    except ValidationError as error:
        messages = [str(e["msg"]).removeprefix("Value error, ") for e in error.errors()]
        raise InputError([FileFault(f"table {lab.inputs[name].path}: {message}") for message in messages]) from None
    return spec.model_copy(update={"problem": problem})
