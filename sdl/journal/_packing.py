"""Entries put into a store as they were written elsewhere, and stores of the first format brought up to date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

from sdl.journal import _lease
from sdl.journal._database import exclude_others
from sdl.journal._entry import GENESIS, gives_its_hash
from sdl.journal._errors import StoreError
from sdl.journal._layout import FIRST, Line, layout_in, number_of, packer_for
from sdl.journal._schema import (
    PLACES,
    campaigns,
    chains,
    drop_first_entries,
    forms,
    heads,
    leases,
    make_packed,
    meta,
    packed,
)

if TYPE_CHECKING:
    from sdl.journal._database import Database
    from sdl.journal._forms import Form

__all__ = ["add_chain", "batches", "bring_up_to_date", "first_lines", "put", "values_of"]

_AT_ONCE: Final = 1000
_PAGE: Final = 4000
_T = TypeVar("_T")


def add_chain(connection: sa.Connection, campaign: str) -> None:
    """Give a campaign a chain without entries, unless it has one."""
    if number_of(connection, campaign) is None:
        connection.execute(chains.insert().values(campaign=campaign))


def values_of(chain: int, form: Form) -> dict[str, Any]:
    """A row of `forms`."""
    return {"chain": chain, "number": form.number, "kind": form.kind, "pieces": form.pieces}


def put(connection: sa.Connection, campaign: str, lines: Iterable[Line], previous: str = GENESIS) -> str:
    """Put entries at the end of a chain, within the caller's transaction; return the hash of the last.

    Args:
        connection: in a writing transaction.
        campaign: its id; it has a chain.
        lines: of the entries, in order, from the first that is missing.
        previous: hash of the entry before.

    Raises:
        StoreError: an entry does not follow the one before, or was changed.
    """
    packer = packer_for(connection, campaign)
    base = packer.chain * PLACES
    for batch in batches(lines):
        fresh: list[Form] = []
        rows = []
        for line in batch:
            _, seq, at, kind, body, prev_hash, own = line
            if prev_hash != previous or not gives_its_hash(line):
                raise StoreError(f"entry {seq!r} of campaign {campaign} does not follow the one before, or was changed")
            form, values = packer.pack(kind, body, fresh)
            rows.append({"place": base + seq, "form": form, "at": at, "body": values, "hash": bytes.fromhex(own)})
            previous = own
        if fresh:
            connection.execute(forms.insert(), [values_of(packer.chain, form) for form in fresh])
        connection.execute(packed.insert(), rows)
    return previous


def batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    """Some at a time."""
    rest = iter(items)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


def bring_up_to_date(connection: sa.Connection, database: Database) -> None:
    """Bring a store of the first format to this one, within the caller's writing transaction.

    Every hash is compared on the way. Another process that has come first has done it.

    Raises:
        LeaseHeld: a campaign is being written.
        StoreError: the store is damaged.
    """
    exclude_others(connection)
    connection.execute(sa.select(meta.c.value).where(meta.c.key == "format").with_for_update())
    if layout_in(connection) is not FIRST:
        return
    make_packed(connection)
    ends = {row.campaign: row for row in connection.execute(sa.select(heads))}
    known = set(connection.execute(sa.select(campaigns.c.id)).scalars())
    holders = set(connection.execute(sa.select(leases.c.campaign)).scalars())
    if not known == set(ends) == holders or not FIRST.with_entries(connection) <= known:
        raise _damaged(database, "its campaigns, heads, leases and entries do not belong together")
    for campaign in sorted(known):
        _lease.lock(connection, campaign)
        _lease.refuse_if_held(connection, campaign)
        add_chain(connection, campaign)
        try:
            last = put(connection, campaign, first_lines(connection, campaign))
        except StoreError as error:
            raise _damaged(database, str(error)) from error
        if last != ends[campaign].hash:
            raise _damaged(database, f"campaign {campaign} does not end as its head says")
    database.hasten_drop(connection)
    drop_first_entries(connection)


def first_lines(connection: sa.Connection, campaign: str) -> Iterator[Line]:
    """All entries of a chain of the first format, in order."""
    after = 0
    while True:
        page = list(FIRST.page(connection, campaign, after, _PAGE, None))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][1]


def _damaged(database: Database, what: str) -> StoreError:
    return StoreError(
        f"{database.name} is a store of an earlier release and damaged ({what}). It can be read, and is not written: "
        "list the damage with `sdl verify`, and go on in another store"
    )
