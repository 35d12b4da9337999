"""Tables of experiments: CSV files whose columns are the inputs and the outcomes of measurements."""

from __future__ import annotations

import csv
import difflib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from sdl.model import (
    CategoricalParameter,
    FileFault,
    InputError,
    IntegerParameter,
    Parameter,
    Pool,
    Problem,
    Record,
    Scalar,
    Unit,
)

__all__ = ["ColumnSpec", "Table", "column_specs", "pool_from_table", "read_table"]

TOLERANCE = 1e-6
"""Inputs are the same when they differ by less than this part of their column's range."""
_MOST_FAULTS = 20


class ColumnSpec(Record):
    """A column of the table."""

    column: str
    """Its heading, as the file has it: blanks, `%` and parentheses included."""
    unit: Unit = "1"
    text: bool = False
    """Read its cells as text even when they look like numbers."""


@dataclass(frozen=True)
class Table:
    """Measured rows, in the order of the file. A column of inputs holds numbers, or text if any cell is none."""

    path: str
    inputs: dict[str, tuple[Scalar, ...]]
    """Name of the input → its value in each row."""
    outcomes: dict[str, tuple[float, ...]]
    """Name of the outcome → its value in each row."""

    def __len__(self) -> int:
        return len(next(iter({**self.inputs, **self.outcomes}.values()), ()))

    @cached_property
    def _spans(self) -> dict[str, float]:
        """Range of each numeric input; 1 when all its values are equal, or too close to be told apart."""
        return {
            name: span if TOLERANCE * (span := max(numbers) - min(numbers)) >= sys.float_info.min else 1.0
            for name, column in self.inputs.items()
            if (numbers := [v for v in column if not isinstance(v, str)])
        }

    @cached_property
    def groups(self) -> dict[tuple[Scalar, ...], tuple[int, ...]]:
        """Inputs → the rows that were measured with them (its replicates), by first appearance."""
        keys: dict[tuple[Scalar, ...], list[int]] = {}
        first: dict[tuple[Scalar, ...], tuple[Scalar, ...]] = {}
        for row in range(len(self)):
            values = tuple(column[row] for column in self.inputs.values())
            known = first.setdefault(self._key(values), values)
            keys.setdefault(known, []).append(row)
        return {values: tuple(rows) for values, rows in keys.items()}

    def _key(self, values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        """Values rounded to the tolerance, so that rounding errors in the file do not part replicates."""
        return tuple(
            value if isinstance(value, str) else round(value / (TOLERANCE * self._spans[name]))
            for name, value in zip(self.inputs, values, strict=True)
        )

    def distinct_inputs(self) -> list[dict[str, Scalar]]:
        """Each set of inputs once, by first appearance."""
        return [dict(zip(self.inputs, values, strict=True)) for values in self.groups]

    def find(self, inputs: Mapping[str, Scalar]) -> tuple[Scalar, ...] | None:
        """The key in `groups` that has these inputs: text equal, numbers within `TOLERANCE` of the range."""
        best = self.nearest(inputs)
        same = all(self._distance(n, inputs[n], v) <= TOLERANCE for n, v in zip(self.inputs, best, strict=True))
        return best if same else None

    def nearest(self, inputs: Mapping[str, Scalar]) -> tuple[Scalar, ...]:
        """The key in `groups` nearest to these inputs, each number measured in ranges of its column."""
        names = tuple(self.inputs)
        return min(
            self.groups,
            key=lambda values: sum(self._distance(n, inputs[n], v) ** 2 for n, v in zip(names, values, strict=True)),
        )

    def _distance(self, name: str, wanted: Scalar, value: Scalar) -> float:
        if isinstance(wanted, str) or isinstance(value, str):
            return 0.0 if wanted == value else 1.0
        return abs(wanted - value) / self._spans[name]


def column_specs(columns: Mapping[str, object]) -> dict[str, ColumnSpec]:
    """Read `{name: {column, unit}}`; `column` defaults to the name, and plain text is taken for the column.

    Raises:
        InputError: unknown keys or units, all of them.
    """
    specs, faults = {}, []
    for name, given in columns.items():
        if isinstance(given, ColumnSpec):
            specs[name] = given
            continue
        fields = {"column": given} if isinstance(given, str) else given or {}
        try:
            specs[name] = ColumnSpec.model_validate({"column": name, **fields})  # type: ignore[dict-item]
        except (ValidationError, TypeError) as error:
            details = error.errors() if isinstance(error, ValidationError) else [{"loc": (), "msg": str(error)}]
            faults += [FileFault(str(d["msg"]), path=".".join(map(str, (name, *d["loc"])))) for d in details]
    if faults:
        raise InputError(faults)
    return specs


def read_table(path: str | Path, inputs: Mapping[str, ColumnSpec], outcomes: Mapping[str, ColumnSpec]) -> Table:
    """Read a CSV file with a line of headings.

    Args:
        path: the file, UTF-8.
        inputs: what was set, by name. A column in which each cell is a number is numeric, any other is text.
        outcomes: what was measured, by name; finite numbers.

    Raises:
        InputError: the file cannot be read; every missing column with the nearest there is, every cell that is no
            number with its line.
    """
    headings, rows = _read(path)
    wanted = {**inputs, **outcomes}
    faults = [
        FileFault(_missing(name, spec.column, headings), str(path), 1)
        for name, spec in wanted.items()
        if spec.column not in headings
    ]
    faults += [
        FileFault(f"{len(row)} cells under {len(headings)} headings", str(path), line)
        for line, row in rows
        if len(row) != len(headings)
    ]
    if not rows:
        faults.append(FileFault("no rows under the headings", str(path)))
    _raise(faults)
    index = {name: headings.index(spec.column) for name, spec in wanted.items()}
    cells = {name: [(line, row[i].strip()) for line, row in rows] for name, i in index.items()}
    values = {name: _outcome(str(path), wanted[name].column, cells[name], faults) for name in outcomes}
    settings = {name: _input(str(path), wanted[name], cells[name], faults) for name in inputs}
    _raise(faults)
    return Table(str(path), settings, values)


def pool_from_table(path: str | Path, problem: Problem, columns: Mapping[str, str] | None = None) -> Pool:
    """Candidates of a problem: the distinct settings of its parameters in a table, in their order of appearance.

    Args:
        path: the CSV file.
        problem: its parameters say how cells are read: real as float, integer as int, categorical as text.
        columns: parameter name → column, where they differ.

    Raises:
        InputError: the file cannot be read, a column is missing, or a cell is no value of its parameter; all at once.
    """
    specs = {
        p.name: ColumnSpec(column=(columns or {}).get(p.name, p.name), text=isinstance(p, CategoricalParameter))
        for p in problem.parameters
    }
    unknown = sorted(set(columns or {}) - set(specs))
    _raise([FileFault(f"columns names {name!r}, which is no parameter", str(path)) for name in unknown])
    table = read_table(path, specs, {})
    faults: list[FileFault] = []
    rows = table.distinct_inputs()
    typed = {p.name: _typed(p, [row[p.name] for row in rows], str(path), faults) for p in problem.parameters}
    _raise(faults)
    return Pool(columns=typed)


def _typed(parameter: Parameter, values: Sequence[Scalar], path: str, faults: list[FileFault]) -> tuple[Scalar, ...]:
    for value in dict.fromkeys(values):
        try:
            parameter.check(value)
        except ValueError as error:
            faults.append(FileFault(str(error), path))
    kind = int if isinstance(parameter, IntegerParameter) else float
    return tuple(value if isinstance(value, str) else kind(value) for value in values)


def _read(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"cannot read the table {str(path)!r}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} is no CSV file in UTF-8: {error}") from error
    if not lines:
        raise InputError([FileFault("the table is empty", str(path))])
    return [heading.strip() for heading in lines[0][1]], lines[1:]


def _missing(name: str, column: str, headings: list[str]) -> str:
    near = difflib.get_close_matches(column, headings, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(map(repr, headings))}"
    return f"no column {column!r} for {name}; {hint}"


def _outcome(path: str, column: str, cells: list[tuple[int, str]], faults: list[FileFault]) -> tuple[float, ...]:
    values = []
    for line, cell in cells:
        value = _float(cell)
        if value is None:
            faults.append(FileFault(f"column {column!r}: {cell!r} is no finite number", path, line))
        else:
            values.append(value)
    return tuple(values)


def _input(path: str, spec: ColumnSpec, cells: list[tuple[int, str]], faults: list[FileFault]) -> tuple[Scalar, ...]:
    numbers = [None if spec.text else _float(cell) for _, cell in cells]
    strays = [(line, cell) for (line, cell), n in zip(cells, numbers, strict=True) if n is None]
    if not strays:
        return tuple(n for n in numbers if n is not None)
    # a column that is numbers but for a few cells is meant to be numbers
    few = len(strays) * 2 < len(cells)
    what = "is no finite number; give `text: true` if the column holds names" if few else "is empty"
    faults += [FileFault(f"column {spec.column!r}: {cell!r} {what}", path, n) for n, cell in strays if few or not cell]
    return tuple(cell for _, cell in cells)


def _float(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _raise(faults: list[FileFault]) -> None:
    if len(faults) > _MOST_FAULTS:
        more = len(faults) - _MOST_FAULTS
        faults = [*faults[:_MOST_FAULTS], FileFault(f"and {more} more", faults[0].file)]
    if faults:
        raise InputError(faults)
