"""Tables that a campaign file refers to by the name of an input: descriptors, target curves, prior knowledge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sdl import plugins
from sdl.lab.labfile import Lab
from sdl.lab.tables import ColumnSpec, read_table
from sdl.lab.yamlfile import YamlFile
from sdl.model import (
    CategoricalParameter,
    FileFault,
    InputError,
    PriorSource,
    Problem,
    Scalar,
    Source,
)
from sdl.model.measured import sem_in
from sdl.model.units import convert

__all__ = ["source_from_table", "with_tables"]

_DESCRIPTORS = {"input", "key", "columns"}
_CURVE = {"input", "column"}


def with_tables(data: Mapping[str, Any], lab: Lab | None, file: YamlFile) -> tuple[dict[str, Any], list[FileFault]]:
    """A campaign file's content with the tables that descriptors and target curves come from read in.

    Args:
        data: content of the file, settings applied.
        lab: declares the inputs; without one the references are left out.
        file: for the lines of faults.

    Returns:
        The content, and what is wrong with the references.
    """
    faults: list[FileFault] = []
    problem = data.get("problem")
    if not isinstance(problem, Mapping):
        return dict(data), faults
    changed = dict(problem)
    for group, key, known in (("parameters", "descriptors", _DESCRIPTORS), ("objectives", "target", _CURVE)):
        items = problem.get(group)
        for name, item in _named(items):
            given = item.get(key) if isinstance(item, Mapping) else None
            if not isinstance(given, Mapping) or "input" not in given or not isinstance(given["input"], str):
                continue
            at = ("problem", group, name, key)
            read = {}
            try:
                read = {key: _read(given, known, key, item, lab)} if lab is not None else {}
            except InputError as error:
                faults += [fault if fault.file else file.fault(at, fault.message) for fault in error.faults]
            changed[group] = _replaced(changed[group], name, {**_without(item, key), **read})
    return {**data, "problem": changed}, faults


def _named(items: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(items, Mapping):
        yield from items.items()
    elif isinstance(items, list):
        yield from enumerate(items)


def _without(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != key}


def _replaced(items: Any, name: str | int, item: dict[str, Any]) -> Any:
    if isinstance(items, Mapping):
        return {key: item if key == name else value for key, value in items.items()}
    return [item if index == name else value for index, value in enumerate(items)]


def _read(given: Mapping[str, Any], known: set[str], what: str, item: Mapping[str, Any], lab: Lab) -> Any:
    strange = sorted(set(map(str, given)) - known)
    lacking = sorted(known - set(map(str, given)))
    if strange or lacking:
        said = [f"unknown key {name!r}" for name in strange] + [f"{name} is missing" for name in lacking]
        raise InputError(f"{what} from a table: {', '.join(said)}; known keys: {', '.join(sorted(known))}")
    path = input_path(lab, str(given["input"]))
    if what == "target":
        table = read_table(path, {}, {"target": ColumnSpec(column=str(given["column"]))})
        return list(table.outcomes["target"])
    columns = given["columns"]
    if not isinstance(columns, list) or not columns:
        raise InputError("descriptors from a table: columns is a list of headings")
    table = read_table(
        path,
        {"level": ColumnSpec(column=str(given["key"]), text=True)},
        {str(name): ColumnSpec(column=str(name)) for name in columns},
    )
    levels = [str(level) for level in table.inputs["level"]]
    twice = sorted({level for level in levels if levels.count(level) > 1})
    if twice:
        raise InputError([FileFault(f"level given twice: {', '.join(twice)}", str(path))])
    wanted = item.get("levels")
    chosen = [str(level) for level in wanted] if isinstance(wanted, list) else levels
    lacks = [level for level in chosen if level not in levels]
    if lacks:
        raise InputError([FileFault(f"no row for level {', '.join(map(repr, lacks))}", str(path))])
    rows = {level: i for i, level in enumerate(levels)}
    return {level: {name: table.outcomes[name][rows[level]] for name in table.outcomes} for level in chosen}


def input_path(lab: Lab, name: str) -> str:
    """File of an input of the lab.

    Raises:
        InputError: the lab declares none of that name.
    """
    if name not in lab.inputs:
        raise InputError(f"the lab declares no input {name!r}{plugins.suggest(name, list(lab.inputs))}")
    return str(lab.inputs[name].path)


# ── prior knowledge ──


def source_from_table(lab: Lab, problem: Problem, given: PriorSource) -> Source:
    """Prior knowledge from a table.

    Columns are found by the names of parameters and outcomes (`rename` says where they differ); those that the table
    does not have are noted.

    Raises:
        InputError: no such input, none of its columns is of use, or a cell cannot be used.
    """
    assert given.input is not None
    path = input_path(lab, given.input)
    headings = _headings(path)
    searched = {p.name: p for p in problem.searched}
    outcomes = {o.name: o.unit for o in (*problem.objectives, *problem.outcome_constraints)}
    column = {name: given.rename.get(name, name) for name in (*searched, *outcomes)}
    strange = sorted({*given.rename, *given.units} - set(column))
    if strange:
        raise InputError(f"{', '.join(strange)}: no parameter or outcome of this campaign")
    named = [name for name in given.rename if column[name] not in headings]
    if named:
        raise InputError(
            [
                FileFault(f"no column {column[name]!r} for {name}{plugins.suggest(column[name], headings)}", path)
                for name in named
            ]
        )
    here = {name: parameter for name, parameter in searched.items() if column[name] in headings}
    told = {name: unit for name, unit in outcomes.items() if column[name] in headings}
    if not here or not told:
        what = "parameters" if not here else "outcomes"
        raise InputError([FileFault(f"none of its columns is one of the {what}; columns: {', '.join(headings)}", path)])
    inputs = {
        name: ColumnSpec(column=column[name], text=isinstance(p, CategoricalParameter)) for name, p in here.items()
    }
    sems = {f"{name}_sem": name for name in told if f"{column[name]}_sem" in headings}
    table = read_table(
        path,
        inputs,
        {
            **{name: ColumnSpec(column=column[name]) for name in told},
            **{key: ColumnSpec(column=f"{column[name]}_sem") for key, name in sems.items()},
        },
    )
    units = {**{name: p.unit for name, p in here.items()}, **told}
    given_in = given.units.get
    return Source(
        name=given.input,
        kind=given.kind,
        parameters={
            name: _in_unit(values, given.units.get(name), units[name]) for name, values in table.inputs.items()
        },
        outcomes={name: _in_unit(table.outcomes[name], given.units.get(name), units[name]) for name in told},
        sems={name: _differences(table.outcomes[key], given_in(name), units[name]) for key, name in sems.items()},
        cost=given.cost,
        notes=notes_on(problem, here, told),
    )


def notes_on(problem: Problem, parameters: Mapping[str, Any], outcomes: Mapping[str, Any]) -> tuple[str, ...]:
    """What a source lacks, for people."""
    lacks = [p.name for p in problem.searched if p.name not in parameters]
    silent = [o.name for o in problem.objectives if o.name not in outcomes]
    notes = [f"has no parameter {', '.join(lacks)}"] if lacks else []
    return (*notes, *([f"says nothing of {', '.join(silent)}"] if silent else []))


def _headings(path: str) -> list[str]:
    import csv

    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [heading.strip() for heading in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError([FileFault(f"cannot read the table: {error}", path)]) from None


def _in_unit(values: Sequence[Scalar], unit: str | None, to: str) -> tuple[Any, ...]:
    if unit is None or unit == to:
        return tuple(values)
    try:
        return tuple(value if isinstance(value, str) else convert(value, unit, to) for value in values)
    except ValueError as error:
        raise InputError(str(error)) from None


def _differences(values: Sequence[float], unit: str | None, to: str) -> tuple[float, ...]:
    """Standard errors in another unit: as differences, so that 0.5 degC of them are 0.5 K."""
    if any(value < 0 or math.isnan(value) for value in values):
        raise InputError("a standard error is not below 0")
    if unit is None or unit == to:
        return tuple(values)
    return tuple(sem_in(value, unit, to) for value in values)
