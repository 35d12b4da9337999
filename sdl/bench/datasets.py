"""Folders of measured tables: which columns are inputs, which one is sought, and in which units.

A folder is a data set when it holds `pool.csv`. What its columns mean is read from `bench.yaml` beside it:

    parameters:             # a heading, or a name with `column:`; limits and levels default to what the table holds
      theta: {unit: deg}
      struts: {column: n, kind: integer}
      glue: {kind: categorical}
    objective: {column: toughness, kind: maximize, unit: J}
    mixtures: {alloy: {components: [ni, fe, co]}}

Tables of the shared collection are known by their folder's name and columns; of a folder without `bench.yaml` the
README is read, where it says "Objective: `loss`, direction **min**" and "Ranges in pool.csv: a 0..1; b ['x', 'y']".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from sdl.bench._known import KNOWN
from sdl.bench.tasks import PoolTask
from sdl.lab.tables import ColumnSpec, Table, read_table
from sdl.lab.yamlfile import faults_of, read_yaml
from sdl.model import InputError, Pool, Problem, Record, Scalar
from sdl.model.units import check_unit

__all__ = ["Description", "ObjectiveColumn", "ParameterColumn", "find_tasks", "read_task"]

TABLE, DESCRIPTION, README = "pool.csv", "bench.yaml", "README.md"
_EVEN = 1e-6
"""Numeric inputs that add up to 1 or 100 within this part in every row are a mixture."""


class ParameterColumn(Record):
    """A column that planners vary."""

    column: str = ""
    """Its heading; default: the parameter's name."""
    kind: Literal["real", "integer", "ordinal", "categorical", ""] = ""
    """Default: real for a column of numbers, categorical for text."""
    unit: str = "1"
    log: bool = False
    low: float | None = None
    """Default: the least value of the column."""
    high: float | None = None
    """Default: its greatest value."""


class ObjectiveColumn(Record):
    """The column that is sought."""

    column: str
    kind: Literal["maximize", "minimize", "match"]
    unit: str = "1"
    target: float | None = None
    """Value sought, for `match`."""


class Description(Record):
    """What the columns of a table mean."""

    parameters: Annotated[dict[str, ParameterColumn], Field(min_length=1)]
    objective: ObjectiveColumn
    mixtures: dict[str, dict[str, Any]] = {}
    """Name → `components`, `total`, `max_components`, as in a campaign file."""
    title: str = ""


def find_tasks(folder: Path, only: Sequence[str] = ()) -> list[PoolTask]:
    """The data sets of a folder, by name: the folder itself when it holds a table, else its sub-folders that do.

    Args:
        folder: where to look.
        only: names of those wanted; default all.

    Raises:
        InputError: no table is there, a name is unknown, or a description cannot be used.
    """
    found = {folder.resolve().name: folder} if (folder / TABLE).is_file() else {}
    if not found and folder.is_dir():
        found = {path.name: path for path in sorted(folder.iterdir()) if (path / TABLE).is_file()}
    if not found:
        raise InputError(f"no {TABLE} in {folder} or in a folder of it; give the folder that holds your data sets")
    unknown = sorted(set(only) - set(found))
    if unknown:
        raise InputError(f"no data set {', '.join(unknown)} in {folder}; there are {', '.join(found)}")
    return [read_task(path) for name, path in found.items() if not only or name in only]


def read_task(folder: Path) -> PoolTask:
    """Read the data set of one folder. Rows with equal inputs are one candidate, its outcome the mean of theirs.

    Raises:
        InputError: the table or what is said of it cannot be used; every fault at once.
    """
    name = folder.resolve().name
    described = _described(folder, name)
    inputs = {
        parameter: ColumnSpec(column=spec.column or parameter, text=spec.kind == "categorical")
        for parameter, spec in described.parameters.items()
    }
    wanted = ColumnSpec(column=described.objective.column)
    table = read_table(folder / TABLE, inputs, {"outcome": wanted})
    groups = table.groups
    values = tuple(sum(table.outcomes["outcome"][i] for i in rows) / len(rows) for rows in groups.values())
    try:
        return PoolTask(name, _problem(described, table), values)
    except ValidationError as error:
        texts = "; ".join(str(detail["msg"]).removeprefix("Value error, ") for detail in error.errors())
        raise InputError(f"data set {name!r}: {texts}; say it otherwise in {folder / DESCRIPTION}") from None


def _problem(described: Description, table: Table) -> Problem:
    objective = described.objective
    sought: dict[str, Any] = {"name": _name(objective.column), "kind": objective.kind, "unit": objective.unit}
    if objective.target is not None:
        sought["target"] = objective.target
    columns: dict[str, tuple[Scalar, ...]] = {}
    for position, name in enumerate(described.parameters):
        cells = [values[position] for values in table.groups]
        whole = described.parameters[name].kind == "integer"
        columns[name] = tuple(int(v) if whole and not isinstance(v, str) else v for v in cells)
    fields: dict[str, Any] = {
        "parameters": [_parameter(name, spec, columns[name]) for name, spec in described.parameters.items()],
        "objectives": [sought],
        "mixtures": described.mixtures,
    }
    return Problem.model_validate(fields | {"pool": Pool(columns=columns)})


def _parameter(name: str, spec: ParameterColumn, cells: Sequence[Scalar]) -> dict[str, Any]:
    text = any(isinstance(cell, str) for cell in cells)
    kind = spec.kind or ("categorical" if text else "real")
    if kind == "categorical":
        return {"name": name, "kind": kind, "levels": sorted({str(cell) for cell in cells})}
    numbers = [float(cell) for cell in cells if not isinstance(cell, str)]
    if kind == "ordinal":
        return {"name": name, "kind": kind, "levels": sorted(set(numbers)), "unit": spec.unit}
    low = min(numbers) if spec.low is None else spec.low
    high = max(numbers) if spec.high is None else spec.high
    more = {"log": spec.log} if kind == "real" else {}
    return {"name": name, "kind": kind, "low": low, "high": high, "unit": spec.unit, **more}


# -- what is said of a table -----------------------------------------------------------------------------------------


def _described(folder: Path, name: str) -> Description:
    if (folder / DESCRIPTION).is_file():
        file = read_yaml(folder / DESCRIPTION)
        try:
            return Description.model_validate(file.data)
        except ValidationError as error:
            raise InputError(faults_of(error, Description, file)) from None
    headings = _headings(folder / TABLE)
    if name in KNOWN:
        known = Description.model_validate(KNOWN[name])
        named = [spec.column or parameter for parameter, spec in known.parameters.items()]
        if {*named, known.objective.column} <= set(headings):
            return known
    if (folder / README).is_file():
        return _from_readme(folder, headings)
    raise InputError(
        f"{folder} has a {TABLE} and nothing that says what its columns mean; write {folder / DESCRIPTION}, as in "
        "parameters: {temperature: {unit: degC}} and objective: {column: yield, kind: maximize, unit: percent}"
    )


def _headings(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [heading.strip() for heading in next(csv.reader(file), [])]


def _from_readme(folder: Path, headings: Sequence[str]) -> Description:
    text = (folder / README).read_text(encoding="utf-8")
    sought = re.search(r"Objective: `([^`]+)`, direction \*\*(min|max)\*\*", text)
    ranges = re.search(r"^\W*Ranges in pool\.csv: (.*)$", text, re.MULTILINE)
    if sought is None or sought[1] not in headings:
        raise InputError(
            f"{folder / README} does not name the objective among the columns {', '.join(headings)}; write "
            f"{folder / DESCRIPTION}, or in the README: Objective: `{headings[-1]}`, direction **max**"
        )
    listed = [h for h in headings if ranges and re.search(rf"(^|; ){re.escape(h)} (-?[\d.]|\[)", ranges[1])]
    inputs = listed or [heading for heading in headings if heading != sought[1]]
    specs = {_name(heading): ParameterColumn(column=heading, unit=_unit(heading)) for heading in inputs}
    kind: Literal["maximize", "minimize"] = "maximize" if sought[2] == "max" else "minimize"
    return Description(
        parameters=specs,
        objective=ObjectiveColumn(column=sought[1], kind=kind, unit=_unit(sought[1])),
        mixtures=_mixtures(folder / TABLE, specs),
    )


def _name(heading: str) -> str:
    """A heading as a name: `QAgNO3(%)` is `QAgNO3`."""
    bare = re.sub(r"\([^()]*\)$", "", heading).strip() or heading
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", bare).strip("_-") or "x"
    return (name if name[0].isalpha() else f"x{name}")[:80]


def _unit(heading: str) -> str:
    """The unit in brackets at the end of a heading; `1` where there is none that is known."""
    found = re.search(r"\(([^()]+)\)$", heading.strip())
    if found is None:
        return "1"
    try:
        return check_unit("percent" if found[1].strip() == "%" else found[1].strip())
    except ValueError:
        return "1"


def _mixtures(path: Path, specs: Mapping[str, ParameterColumn]) -> dict[str, dict[str, Any]]:
    table = read_table(path, {name: ColumnSpec(column=spec.column) for name, spec in specs.items()}, {})
    numeric = {name: column for name, column in table.inputs.items() if not isinstance(column[0], str)}
    units = {specs[name].unit for name in numeric}
    if len(numeric) < 2 or len(units) > 1:
        return {}
    sums = [sum(float(value) for value in row) for row in zip(*numeric.values(), strict=True)]
    for total in (1.0, 100.0):
        if all(abs(value - total) <= _EVEN * total for value in sums):
            return {"mixture": {"components": list(numeric), "total": total, "unit": units.pop()}}
    return {}
