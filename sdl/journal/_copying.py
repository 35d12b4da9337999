"""Copies of a store: a backup while campaigns are written, and the journals of two stores put into one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from sdl.journal import _lease, _requests
from sdl.journal._entry import GENESIS
from sdl.journal._errors import JournalError, StoreError
from sdl.journal._filesystem import check_place
from sdl.journal._layout import FIRST, PACKED, layout_in
from sdl.journal._packing import add_chain, batches, first_lines, put
from sdl.journal._rows import CampaignHead
from sdl.journal._schema import campaigns, chains, forms, heads, leases, packed
from sdl.journal._sqlite import SQLite, publish
from sdl.journal.labs import is_lab

if TYPE_CHECKING:
    from sdl.journal._store import Store

__all__ = ["Merged", "backup", "merge"]

_AT_ONCE: Final = 1000
_NEW, _LONGER, _HERE = "taken", "lengthened", "here already"


class Merged(NamedTuple):
    """What became of a chain of the other store."""

    campaign: str
    name: str
    what: str
    """taken, lengthened, here already, or left out."""
    entries: int
    """How many entries came with it."""


# ── backup ──


def backup(store: Store, out: Path) -> None:
    """Copy a store into a new SQLite file, as it is at one moment, while campaigns go on.

    The file appears under its name when the copy is complete, on the disk, and every hash in it fits. Leases are copied
    as they are: whoever opens the copy while their holders live is refused as with the original.

    Raises:
        StoreError: `out` is there already, cannot be made, or the store is damaged.
    """
    out = out.absolute()
    check_place(out)
    if out.exists():
        raise StoreError(f"{out} is there already, and nothing is written over; name another file for the backup")
    draft = out.with_name(f".{out.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with SQLite(out).translated():
            _copy(store, draft)
        _refuse_damage(draft, f"the backup of {store.name}")
        if not publish(draft, out):
            raise StoreError(f"{out} was made by somebody else meanwhile; name another file for the backup")
    except OSError as error:
        raise StoreError(f"{out}: the backup cannot be made: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _copy(store: Store, draft: Path) -> None:
    if store.path is None:
        SQLite(draft).create()
        _copy_rows(store, draft)
        return
    # In one step: a log lets one reader see one state while others write on (sqlite.org/backup.html).
    with store._read() as connection, closing(sqlite3.connect(draft)) as target:
        driver: Any = connection.connection.driver_connection
        driver.backup(target)


def _copy_rows(store: Store, draft: Path) -> None:
    from sdl.journal._store import Store as Stores

    with Stores.open(draft, create=False) as copy, store._read() as source, copy._write() as target:
        first = layout_in(source) is FIRST
        tables = [campaigns, heads, leases] if first else [campaigns, chains, forms, packed, heads, leases]
        if sa.inspect(source).has_table(_requests.requests.name):
            _requests.requests.create(target)
            tables.append(_requests.requests)
        for table in tables:
            found = source.execute(sa.select(table).execution_options(yield_per=_AT_ONCE)).mappings()
            for rows in batches(found):
                target.execute(table.insert(), [dict(row) for row in rows])
        for campaign in source.execute(sa.select(heads.c.campaign)).scalars().all() if first else ():
            add_chain(target, campaign)
            put(target, campaign, first_lines(source, campaign))


def _refuse_damage(place: Path, what: str) -> None:
    from sdl.journal._store import Store as Stores

    with Stores.open(place, create=False) as copy:
        damage = copy.verify()
    if damage:
        first = damage[0]
        where = f"entry {first.seq} of campaign {first.campaign}" if first.seq else first.campaign or "the store"
        raise StoreError(f"{what} would be damaged ({where}: {first.message}); list all damage with `sdl verify`")


# ── merge ──


def merge(store: Store, other: Store, leave: Collection[str] = ()) -> list[Merged]:
    """Take the campaigns of another store into this one. The other is only read.

    A chain that is in both is lengthened where one is the beginning of the other. Where they differ, nothing at all is
    changed: an entry's hash covers the id of its campaign, so neither can be kept under another id.

    Args:
        store: takes.
        other: gives.
        leave: ids or names of campaigns, and names of labs, of the other store that are left out.

    Raises:
        JournalError: chains that differ, by name, with what to do; what is left out is not there.
        StoreError: the other store is damaged, or either cannot be used.
        LeaseHeld: a chain that would be lengthened here has a writer.
    """
    if store.location == other.location:
        raise JournalError(f"{other.name} is the store itself; name the other one")
    damage = other.verify()
    if damage:
        raise StoreError(f"{other.name} is damaged ({damage[0].message}); nothing was taken. See `sdl verify`")
    theirs = [*other.campaigns(), *other.labs()]
    left = _left_out(theirs, leave, other.name)
    store.bring_up_to_date()
    with store._write() as connection:
        plans = [(head, _plan(connection, store, other, head)) for head in theirs if head.id not in left]
        _refuse_differing(store, other, [head for head, known in plans if known is None])
        told = [_take(connection, other, head, known or 0) for head, known in plans]
    return told + [Merged(head.id, head.name, "left out", 0) for head in theirs if head.id in left]


def _left_out(heads_: Collection[CampaignHead], leave: Collection[str], name: str) -> set[str]:
    found = {text: [h.id for h in heads_ if text in (h.id, h.name, h.id.removeprefix("lab-"))] for text in leave}
    missing = sorted(text for text, ids in found.items() if not ids)
    if missing:
        raise JournalError(f"{name} has no campaign or lab {', '.join(missing)} to leave out; nothing was taken")
    return {one for ids in found.values() for one in ids}


def _plan(connection: sa.Connection, store: Store, other: Store, theirs: CampaignHead) -> int | None:
    """Number of the last entry that both have: 0 for a chain that is not here; None where they differ."""
    own = connection.execute(
        sa.select(campaigns.c.name, campaigns.c.created_at, heads.c.seq, heads.c.hash)
        .join(heads, heads.c.campaign == campaigns.c.id)
        .where(campaigns.c.id == theirs.id)
    ).one_or_none()
    if own is None:
        return 0
    if (own.name, own.created_at) != (theirs.name, theirs.created_at):
        return None
    shorter = min(int(own.seq), theirs.seq)
    if shorter:
        here = own.hash if own.seq == shorter else _hash(connection, theirs.id, shorter)
        there = theirs.hash if theirs.seq == shorter else other.entry(theirs.id, shorter).hash
        if here != there:
            return None
    if theirs.seq > own.seq:
        _lease.lock(connection, theirs.id)
        _lease.refuse_if_held(connection, theirs.id)
    return shorter


def _hash(connection: sa.Connection, campaign: str, seq: int) -> str | None:
    found = PACKED.entry(connection, campaign, seq)
    return None if found is None else found[-1]


def _refuse_differing(store: Store, other: Store, differing: Collection[CampaignHead]) -> None:
    if not differing:
        return
    lines = []
    for head in differing:
        flag = f"--leave {head.id.removeprefix('lab-')}"
        if is_lab(head.id):
            lines.append(
                f"two labs are called {head.name}, each with a record of its own of stock and samples. Leave this one "
                f"out ({flag}), and give one of the labs another name in its lab file before it goes on"
            )
        else:
            lines.append(
                f"campaign {head.name} ({head.id}) went on in both stores in different ways. Keep both stores, or "
                f"leave it out ({flag})"
            )
    raise JournalError(f"nothing was taken from {other.name} into {store.name}: " + "; ".join(lines))


def _take(connection: sa.Connection, other: Store, theirs: CampaignHead, known: int) -> Merged:
    """Write what is missing here, within the caller's transaction."""
    there = connection.execute(sa.select(campaigns.c.id).where(campaigns.c.id == theirs.id)).first() is not None
    row, epoch = _their_row(other, theirs.id)
    if not there:
        connection.execute(campaigns.insert().values(row))
        connection.execute(heads.insert().values(campaign=theirs.id, seq=0, hash=GENESIS, epoch=epoch))
        connection.execute(leases.insert().values(_lease.free_row(theirs.id, epoch)))
        add_chain(connection, theirs.id)
    own = connection.execute(sa.select(heads.c.seq, heads.c.hash).where(heads.c.campaign == theirs.id)).one()
    if own.seq >= theirs.seq:
        return Merged(theirs.id, theirs.name, _HERE if there else _NEW, 0)
    rows = (row for row in other._rows(theirs.id, own.seq, None, _AT_ONCE) if row[1] <= theirs.seq)
    if put(connection, theirs.id, rows, own.hash) != theirs.hash:
        raise StoreError(f"{other.name}: campaign {theirs.id} does not end as its head says; nothing was taken")
    # Instruments know the epochs of both stores, and refuse what is older than the newest.
    where = (heads.c.campaign == theirs.id, heads.c.seq == own.seq)
    ours = connection.execute(sa.select(heads.c.epoch).where(*where)).scalar_one()
    newest = max(ours, epoch)
    connection.execute(heads.update().where(*where).values(seq=theirs.seq, hash=theirs.hash, epoch=newest))
    connection.execute(leases.update().where(leases.c.campaign == theirs.id).values(epoch=newest))
    return Merged(theirs.id, theirs.name, _LONGER if there else _NEW, theirs.seq - own.seq)


def _their_row(other: Store, campaign: str) -> tuple[dict[str, Any], int]:
    with other._read() as connection:
        row = connection.execute(sa.select(campaigns).where(campaigns.c.id == campaign)).mappings().one()
        epoch = connection.execute(sa.select(heads.c.epoch).where(heads.c.campaign == campaign)).scalar_one()
    return dict(row), int(epoch)
