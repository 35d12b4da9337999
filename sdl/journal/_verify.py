"""The audit: every byte of the record is compared with what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from sdl.journal import _sqlite
from sdl.journal._canonical import canonical
from sdl.journal._entry import GENESIS, digest
from sdl.journal._errors import JournalError
from sdl.journal._rows import Damage
from sdl.journal._schema import campaigns, entries, heads, leases, meta, metadata
from sdl.journal._views import changed

__all__ = ["verify"]

_TYPES = {"campaign": str, "seq": int, "at": int, "kind": str, "body": str, "prev_hash": str, "hash": str}


def verify(engine: sa.Engine, path: Path, campaign: str | None) -> list[Damage]:
    """All damage to the record of one campaign, or of all; the file itself is examined in both cases."""
    damage: list[Damage] = []
    try:
        with _sqlite.translated(path), engine.connect() as connection:
            _sqlite.lenient(connection)
            try:
                damage += [Damage("", 0, f"SQLite: {fault}") for fault in _sqlite.faults(connection)]
                for found in _examine(connection, campaign):
                    damage.append(found)  # one by one: what was found before an error stays found
            finally:
                connection.invalidate()  # its way of reading texts is for damaged ones only
    except JournalError as error:
        damage.append(Damage("", 0, str(error)))
    return damage


def _examine(connection: sa.Connection, campaign: str | None) -> Iterator[Damage]:
    rows: dict[str, dict[Any, Any]] = {
        table.name: {row[0]: row for row in connection.execute(sa.select(table))}
        for table in (campaigns, heads, leases)
    }
    yield from _settings(connection)
    yield from _shapes(connection)
    known = set().union(*rows.values())
    known |= set(connection.execute(sa.select(entries.c.campaign).distinct()).scalars())
    chosen = known if campaign is None else {campaign}
    for one in sorted(chosen, key=repr):
        if not _is_text(one):
            yield Damage("", 0, f"{one!a} is no campaign's id: an id was changed")
            continue
        yield from _campaign(one, *(rows[name].get(one) for name in ("campaigns", "heads", "leases")))
        yield from _chain(connection, one, rows["heads"].get(one))
    for one in changed(connection):
        if campaign in (None, one):
            yield Damage(
                one if _is_text(one) else "", 0,
                "what was derived from its journal, for lists, was changed; drop the tables whose names begin with "
                "`view_`, and they are derived again",
            )  # fmt: skip


def _shapes(connection: sa.Connection) -> Iterator[Damage]:
    """Tables that are not declared as they were made; a column's type decides how values are stored from now on."""
    for table in metadata.sorted_tables:
        found, made = _sqlite.shape(connection, table), _sqlite.made_shape(table)
        if found != made:
            yield Damage("", 0, f"the declaration of the table {table.name} was changed")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _settings(connection: sa.Connection) -> Iterator[Damage]:
    found = {row.key: row.value for row in connection.execute(sa.select(meta))}
    if set(found) != {"format"}:
        yield Damage("", 0, f"the store's settings should be `format` alone, and are {sorted(map(ascii, found))}")


def _campaign(name: str, row: Any, head: Any, lease: Any) -> Iterator[Damage]:
    for part, there in (("row in the list of campaigns", row), ("head", head), ("lease", lease)):
        if there is None:
            yield Damage(name, 0, f"campaign {name} has no {part}")
    if row is not None and not _sealed(row):
        yield Damage(name, 0, "its id, name or time of creation was changed")
    if head is not None and lease is not None and head.epoch != lease.epoch:
        yield Damage(name, 0, f"its head has epoch {head.epoch!r}, its lease {lease.epoch!r}")


def _sealed(row: Any) -> bool:
    from sdl.journal._store import seal

    try:
        return bool(row.hash == seal(row.id, row.name, row.created_at))
    except JournalError:
        return False


def _chain(connection: sa.Connection, name: str, head: Any) -> Iterator[Damage]:
    seq, previous = 0, GENESIS
    query = sa.select(entries).where(entries.c.campaign == name).order_by(entries.c.seq)
    for row in connection.execute(query.execution_options(yield_per=500)):
        expected = seq + 1
        if row.seq != expected:
            yield Damage(name, expected, f"entry {expected} is missing: the next is {row.seq!r}")
        seq = row.seq if isinstance(row.seq, int) else expected
        if row.prev_hash != previous:
            yield Damage(name, seq, "it does not follow the entry before: its prev_hash is another")
        fault = _fault(row)
        if fault:
            yield Damage(name, seq, fault)
        previous = row.hash
    if head is not None and (head.seq, head.hash) != (seq, previous):
        yield Damage(name, seq, f"the chain ends with entry {seq}, but the head says {head.seq!r}, or another hash")


def _fault(row: Any) -> str:
    """What is wrong within one entry; empty when nothing is."""
    wrong = [column for column, kind in _TYPES.items() if type(getattr(row, column)) is not kind]
    if wrong:
        return f"{', '.join(wrong)}: stored as another type than it was written"
    try:
        if digest(row.prev_hash, row.campaign, row.seq, row.at, row.kind, row.body) != row.hash:
            return "its contents do not give its hash: something in it was changed"
        if canonical(orjson.loads(row.body)) != row.body:
            return "its body is not canonical JSON, so no release of sdl wrote it"
    except (ValueError, JournalError) as error:
        return f"it cannot be read: {error}"
    return ""
