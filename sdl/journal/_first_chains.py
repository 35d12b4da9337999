"""The audit of chains in a store of the first format, whose rows hold each column as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from sdl.journal._canonical import is_canonical
from sdl.journal._entry import GENESIS, digest, hasher
from sdl.journal._layout import Line
from sdl.journal._rows import Damage
from sdl.journal._schema import entries, heads
from sdl.journal._select import raw_rows

if TYPE_CHECKING:
    from sdl.journal._chains import Part

__all__ = ["examine"]

_TYPES: Final = {"campaign": str, "seq": int, "at": int, "kind": str, "body": str, "prev_hash": str, "hash": str}


class _Row(NamedTuple):
    """An entry as it is stored; after damage of any type."""

    campaign: Any
    seq: Any
    at: Any
    kind: Any
    body: Any
    prev_hash: Any
    hash: Any


def examine(connection: sa.Connection, part: Part) -> Iterator[Damage]:
    """All damage within a part, and between it and what is before it."""
    name = part.campaign
    own = entries.c.campaign == name
    head = connection.execute(sa.select(heads.c.seq, heads.c.hash).where(heads.c.campaign == name)).one_or_none()
    expected, previous = part.after, GENESIS if not part.after else _hash_of(connection, name, part.after)
    query = sa.select(entries).where(own, entries.c.seq > part.after).order_by(entries.c.seq)
    if part.upto is not None:
        query = query.where(entries.c.seq <= part.upto)
    elif not part.after:
        query = sa.select(entries).where(own).order_by(entries.c.seq)
    gives = hasher(name)
    for row in raw_rows(connection, query):
        expected += 1
        if not _sound(row, expected, previous, gives):
            yield from _told(_Row(*row), name, expected, previous)
            expected = row[1] if isinstance(row[1], int) else expected
        previous = row[-1]
    if part.upto is not None:
        if expected != part.upto:
            yield Damage(name, expected + 1, f"entry {expected + 1} is missing")
    elif head is not None and (head.seq, head.hash) != (expected, previous):
        text = f"the chain ends with entry {expected}, but the head says {head.seq!r}, or another hash"
        yield Damage(name, expected, text)


def _hash_of(connection: sa.Connection, campaign: str, seq: int) -> str | None:
    where = (entries.c.campaign == campaign, entries.c.seq == seq)
    return connection.execute(sa.select(entries.c.hash).where(*where)).scalar_one_or_none()


def _sound(row: Line, expected: int, previous: str | None, gives: Callable[[Line], bool]) -> bool:
    """Whether nothing at all is wrong with an entry, whose campaign is the one that `gives` is for."""
    _, seq, _, _, body, prev_hash, _ = row
    if type(seq) is not int or seq != expected or prev_hash != previous or not gives(row):
        return False
    try:
        return is_canonical(body)
    except ValueError:
        return False


def _told(row: _Row, name: str, expected: int, previous: str | None) -> Iterator[Damage]:
    """What is wrong with an entry that is not sound."""
    if row.seq != expected:
        yield Damage(name, expected, f"entry {expected} is missing: the next is {row.seq!r}")
    seq = row.seq if isinstance(row.seq, int) else expected
    if previous is not None and row.prev_hash != previous:
        yield Damage(name, seq, "it does not follow the entry before: its prev_hash is another")
    fault = _fault(row)
    if fault:
        yield Damage(name, seq, fault)


def _fault(row: _Row) -> str:
    """What is wrong within one entry; empty when nothing is."""
    wrong = [column for column, kind in _TYPES.items() if type(getattr(row, column)) is not kind]
    if wrong:
        return f"{', '.join(wrong)}: stored as another type than it was written"
    try:
        if digest(row.prev_hash, row.campaign, row.seq, row.at, row.kind, row.body) != row.hash:
            return "its contents do not give its hash: something in it was changed"
        if not is_canonical(row.body):
            return "its body is not canonical JSON, so no release of sdl wrote it"
    except (ValueError, TypeError) as error:
        return f"it cannot be read: {error}"
    return ""
