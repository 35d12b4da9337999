"""The analysis of a recorded trial, ready to be called again: its code, its options, its input files as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sdl import plugins
from sdl.journal import canonical
from sdl.lab.code import load_object
from sdl.lab.tables import pool_from_table
from sdl.model import CampaignSpec, InputError, Outcome
from sdl.protocols import RunRecord

__all__ = ["Analyses", "input_file", "lab_folder", "with_pool"]


def lab_folder(created: Mapping[str, Any], store: Path, lab: Path | None) -> Path | None:
    """The folder with the code that a lab file names.

    Args:
        created: body of the entry that created the campaign.
        store: path of the store.
        lab: the lab file, where a person says which it is.

    Returns:
        None where the lab file is not where it was.
    """
    if lab is not None:
        if not lab.is_file():
            raise InputError(f"there is no lab file {lab}")
        return lab.resolve().parent
    named = Path(str(created.get("lab", {}).get("file") or "lab.yaml"))
    for place in (named, store.parent / named, store.parent / named.name):
        if place.is_file():
            return place.resolve().parent
    return None


class Analyses:
    """Calls recorded analyses again, with the content of their input files that the journal has."""

    def __init__(self, folder: Path | None, inputs: Path) -> None:
        """Args:
        folder: with the code that the lab file names; None where it is not at hand.
        inputs: an empty folder for input files.
        """
        self._folder, self._inputs = folder, inputs
        self._loaded: dict[str, Callable[..., Any]] = {}
        self._filled: dict[str, Any] = {}

    def __call__(
        self, analysis: Mapping[str, Any], created: Mapping[str, Any], runs: Sequence[RunRecord]
    ) -> dict[str, Outcome]:
        """Outcomes of a trial, as its analysis gives them now.

        Args:
            analysis: name, steps and options (`with`, or `options`), as recorded or as the lab file has them.
            created: body of the entry in force that created or amended the campaign, for the inputs.
            runs: of the trial.

        Raises:
            InputError: its code or one of its inputs is not at hand.
            Infeasible: as the analysis says.
        """
        function = self._function(str(analysis["name"]))
        options = analysis.get("with") or analysis.get("options") or {}
        wanted = analysis.get("steps") or ()
        key = canonical([options, created.get("inputs", {})])
        if key not in self._filled:
            self._filled[key] = self._fill(options, created.get("inputs", {}))
        return dict(function([run for run in runs if not wanted or run.step in wanted], **self._filled[key]))

    def _function(self, name: str) -> Callable[..., Any]:
        if name not in self._loaded:
            if ":" not in name:
                self._loaded[name] = plugins.load("sdl.analyses", name)
            elif self._folder is None and ".py:" in name:
                raise InputError(f"the code of analysis {name} is not at hand; say where with --lab LAB.yaml")
            else:
                self._loaded[name] = load_object(name, self._folder or Path())
        return self._loaded[name]

    def _fill(self, value: Any, inputs: Mapping[str, Any]) -> Any:
        if isinstance(value, Mapping):
            return {key: self._fill(item, inputs) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item, inputs) for item in value]
        if not isinstance(value, str):
            return value
        for name, item in inputs.items():
            for form in (f"${{{name}}}", str(item["path"])):
                if form in value:
                    value = value.replace(form, str(input_file(name, item, self._inputs)))
        return value


def input_file(name: str, item: Mapping[str, Any], folder: Path) -> Path:
    """An input as it was: from the journal, or where it was if it is the same still.

    Args:
        name: of the input.
        item: what the journal has of it.
        folder: where its content from the journal is put.

    Raises:
        InputError: it is too large for the journal, and is not where it was or has changed.
    """
    path = Path(str(item["path"]))
    if item.get("text") is None:
        try:
            same = hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"]
        except OSError:
            same = False
        if not same:
            raise InputError(f"input {name!r} is too large for the journal, and {path.name} is gone or has changed")
        return path
    plain = PureWindowsPath(str(path)) if "\\" in str(path) else PurePosixPath(str(path))
    kept = folder / f"{str(item['sha256'])[:16]}{plain.suffix}"
    if not kept.exists():
        kept.write_bytes(item["text"].encode())
    return kept


def with_pool(spec: CampaignSpec, created: Mapping[str, Any], folder: Path) -> CampaignSpec:
    """The specification with the rows of its pool, where the journal has only their hash.

    Args:
        spec: as recorded.
        created: body of the entry in force that created or amended the campaign, for the inputs.
        folder: for files with the content of inputs.

    Raises:
        InputError: the table is not at hand, or gives other rows.
    """
    pool, source = spec.problem.pool, spec.pool
    if pool is None or pool.loaded or pool.reference is None or source is None:
        return spec
    item = created.get("inputs", {}).get(source.input)
    if item is None:
        raise InputError(f"the journal has no input {source.input!r}, the table of the pool")
    rows = pool_from_table(input_file(source.input, item, folder), spec.problem, source.columns)
    if rows.digest() != pool.reference.sha256:
        raise InputError(f"the table of input {source.input!r} gives other rows than it did: the pool's hash differs")
    problem = spec.problem.model_copy(update={"pool": rows})
    return spec.model_copy(update={"problem": problem})
