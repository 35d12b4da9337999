"""The audit: every byte of the record is compared with what it should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from sdl.journal._chains import is_text, parts_of
from sdl.journal._database import Database
from sdl.journal._errors import JournalError
from sdl.journal._layout import PACKED, Layout, layout_in
from sdl.journal._rows import Damage
from sdl.journal._schema import campaigns, heads, leases, meta
from sdl.journal._share import Shares
from sdl.journal._views import derived_for

__all__ = ["verify"]

_LARGE: Final = 60_000
"""Entries from which on several processes share the work."""


def verify(engine: sa.Engine, database: Database, campaign: str | None) -> list[Damage]:
    """All damage to the record of one campaign, or of all; the file itself is examined in both cases."""
    damage: list[Damage] = []
    try:
        with database.translated(), engine.connect() as connection:
            database.lenient(connection)
            try:
                for found in _examine(connection, database, campaign):
                    damage.append(found)  # one by one: what was found before an error stays found
            finally:
                connection.invalidate()  # its way of reading texts is for damaged ones only
    except JournalError as error:
        damage.append(Damage("", 0, str(error)))
    return damage


def _examine(connection: sa.Connection, database: Database, campaign: str | None) -> Iterator[Damage]:
    rows: dict[str, dict[Any, Any]] = {
        table.name: {row[0]: row for row in connection.execute(sa.select(table))}
        for table in (campaigns, heads, leases)
    }
    layout = layout_in(connection)
    chains = layout.with_entries(connection)
    known = set().union(*rows.values()) | chains
    chosen = known if campaign is None else {campaign}
    sound = sorted(filter(is_text, chosen))
    views = [one for one in derived_for(connection) if campaign in (None, one)]
    parts = [part for one in sound for part in parts_of(one, getattr(rows["heads"].get(one), "seq", 0))]
    large = sum(row.seq for row in rows["heads"].values() if isinstance(row.seq, int)) > _LARGE
    processes = (os.cpu_count() or 1) if large and len(parts) > 1 else 0
    with Shares(database, parts, views, processes) as shares:
        yield from (Damage("", 0, f"{database.product}: {fault}") for fault in database.faults(connection))
        yield from _settings(connection)
        yield from _shapes(connection, database, layout)
        yield from (Damage("", 0, stray) for stray in layout.strays(connection))
        for one in sorted(chosen - set(sound), key=repr):
            yield Damage("", 0, f"{one!a} is no campaign's id: an id was changed")
        for one in sound:
            yield from _campaign(one, *(rows[name].get(one) for name in ("campaigns", "heads", "leases")))
            if one not in chains and layout is PACKED:
                yield Damage(one, 0, f"campaign {one} has no chain")
        yield from shares.damage(lambda share: share.damage(connection))


def _shapes(connection: sa.Connection, database: Database, layout: Layout) -> Iterator[Damage]:
    """Tables that are not declared as they were made; a column's type decides how values are stored from now on."""
    for table in layout.metadata.sorted_tables:
        found, made = database.shape(connection, table), database.made_shape(table)
        if found != made:
            yield Damage("", 0, f"the declaration of the table {table.name} was changed")
    if layout is PACKED and not database.has_view(connection):
        yield Damage("", 0, "the view entries is missing, or was changed")


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
