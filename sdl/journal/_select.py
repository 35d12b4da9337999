"""Queries that more than one module puts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

__all__ = ["distinct", "raw_rows"]

_AT_ONCE: Final = 2000


def distinct(connection: sa.Connection, column: sa.Column[Any]) -> set[Any]:
    """The different values of a column that an index begins with: a search for each, in place of reading everything."""
    found, last = set[Any](), None
    least = sa.select(sa.func.min(column))
    try:
        while True:
            last = connection.execute(least if not found else least.where(column > last)).scalar_one()
            if last is None or last in found:
                return found
            found.add(last)
    except UnicodeEncodeError:  # a damaged text, which cannot be asked for
        return set(connection.execute(sa.select(column).distinct()).scalars())


def raw_rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows as the driver hands them out, at half the cost. For columns of texts and numbers only."""
    compiled: Any = query.compile(dialect=connection.dialect)
    values = compiled.params
    given = [values[name] for name in compiled.positiontup] if compiled.positional else values
    if not connection.in_transaction():
        connection.begin()  # of several queries of one connection all see one state
    cursor = connection.connection.cursor()
    try:
        cursor.execute(str(compiled), given)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows
    finally:
        cursor.close()
