"""The examination of a store: the audit, the indexes, and whether what is derived is what the fold gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from sdl.journal import _views
from sdl.journal._errors import JournalError
from sdl.journal._rows import Damage

if TYPE_CHECKING:
    from sdl.journal._store import Store

__all__ = ["check"]

_REBUILD = "run `sdl store rebuild`"


def check(store: Store, engine: sa.Engine) -> tuple[list[Damage], list[str]]:
    """All damage there is, and advice that is no damage."""
    damage = store.verify()
    known = {item.campaign for item in damage}
    advice: list[str] = []
    try:
        with store.database.translated(), engine.connect() as connection:
            advice += store.database.advice(connection)
            there = _views.derived_for(connection)
            if there:
                damage += _indexes(connection)
        behind = 0
        for head in store.campaigns() if there else ():
            if head.id in known:
                continue  # it has been told, and its journal may not be readable
            stored, derived = _views.compare(store, engine, head)
            if stored != head.seq:
                behind += 1
            elif not derived:
                text = f"what was derived from its journal is not what the journal says; {_REBUILD}"
                damage.append(Damage(head.id, 0, text))
    except JournalError as error:
        return [*damage, Damage("", 0, str(error))], advice
    if behind or not there:
        which = f"of {behind} campaigns" if there else "of no campaign"
        advice.append(f"lists and queries are up to date {'except ' if there else ''}{which}, until somebody asks")
    return damage, advice


def _indexes(connection: sa.Connection) -> Iterator[Damage]:
    """Indexes of the derived tables that are missing, without which queries are slow."""
    inspector = sa.inspect(connection)
    for table in _views.tables:
        found = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in found:
                yield Damage("", 0, f"the index {index.name} of the table {table.name} is missing; {_REBUILD}")
