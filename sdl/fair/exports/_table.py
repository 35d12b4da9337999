"""Columns and tables, and the cells that tell a reading exactly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["VALUES", "Column", "Table", "value_columns"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    """integer, number, boolean, text, time (UTC ns), numbers or integers (lists)."""
    description: str
    unit: str = ""
    """As pint writes it; empty where the column is no quantity or its unit differs from row to row."""
    repeats: bool = False
    """A number that comes again in many rows."""


@dataclass
class Table:
    """A table; its rows are tuples in the order of the columns."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def values(self, column: Column) -> list[Any]:
        """The cells of a column."""
        index = self.columns.index(column)
        return [row[index] for row in self.rows]


VALUES = (
    Column("number", "number", "The value, where it is a number that a 64-bit float can tell"),
    Column("integer", "integer", "The same, where it was recorded as a whole number"),
    Column("boolean", "boolean", "The value, where it is true or false"),
    Column("text", "text", "The value, where it is a text"),
    Column("array", "numbers", "The value, where it is an array: its numbers, row by row"),
    Column("shape", "integers", "Shape of the array, where it has more than one dimension"),
    Column("whole", "boolean", "Whether the array was recorded as whole numbers"),
    Column("json", "text", "The value as JSON, where it is none of these"),
)
"""A value is in one of these; in none, where nothing was measured."""


def value_columns(value: Any) -> tuple[Any, ...]:
    """The cells of `VALUES` for a value."""
    number = integer = boolean = text = other = None
    array: tuple[Any, Any, Any] = (None, None, None)
    if isinstance(value, bool):
        boolean = value
    elif isinstance(value, float):
        number = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        number, integer = float(value) if abs(value) <= _EXACT else None, value
    elif isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple) and (flat := _flat(value)) is not None:
        array = flat
    elif value is not None:
        other = json.dumps(value, ensure_ascii=False)
    return number, integer, boolean, text, *array, other


_EXACT = 2**53
"""Whole numbers up to this are exact as 64-bit floats."""


def _flat(value: Sequence[Any]) -> tuple[list[float | None], list[int] | None, bool | None] | None:
    """Numbers of an array, its shape beyond one dimension, and whether they are whole.

    None where it is ragged, or holds something other than numbers, or whole numbers beside others.
    """
    shape, layer = [len(value)], list(value)
    while layer and all(isinstance(item, list | tuple) for item in layer):
        lengths = {len(item) for item in layer}
        if len(lengths) != 1:
            return None
        shape.append(lengths.pop())
        layer = [part for item in layer for part in item]
    kinds = {type(item) for item in layer} - {type(None)}
    more = shape if len(shape) > 1 else None
    if not layer:
        return None
    if kinds <= {float}:
        return layer, more, None
    if kinds == {int} and all(item is None or abs(item) <= _EXACT for item in layer):
        return [None if item is None else float(item) for item in layer], more, True
    return None
