"""The lease: one writer per campaign.

The holder renews a heartbeat every 2 s. Its lease is over when its process is known to have ended, or, where that
cannot be known (another host, another container), when the heartbeat is 15 s old. Each taking raises the epoch; the
head of the chain carries the epoch too, so a writer whose lease was taken cannot move it.

A clock that is set makes the heartbeat of a living holder look overdue for a moment. So whoever finds an overdue one of
a holder that it cannot look up first listens for longer than a beat, by the clock that nobody sets.
"""

from __future__ import annotations

import time
from typing import Any, Final

import sqlalchemy as sa

from sdl.journal._errors import JournalError, LeaseHeld
from sdl.journal._process import ProcessId, is_running, this_process
from sdl.journal._rows import Lease
from sdl.journal._schema import heads, leases

__all__ = [
    "ABANDONED",
    "BEAT_S",
    "LISTEN_S",
    "TTL_S",
    "free_row",
    "listen_for",
    "lock",
    "read",
    "refuse_if_held",
    "take",
]

BEAT_S: Final = 2.0
"""Seconds between heartbeats."""
TTL_S: Final = 15.0
"""Seconds after the last heartbeat at which a lease is over."""
LISTEN_S: Final = 2.5
"""Seconds in which a living holder beats."""
ABANDONED: Final = set[tuple[str, int, int]]()
"""Campaign, epoch and `since` of leases that this process no longer holds and could not give up: the disk was full."""
_SET_AT_MOST_S: Final = 86_400.0
"""Seconds by which a clock may be set; a heartbeat that is further off is nobody's."""


def read(connection: sa.Connection, campaign: str) -> Lease | None:
    """The lease of a campaign; None when nobody holds it."""
    row = _row(connection, campaign)
    return None if row is None or not row["holder"] else _lease(row)


def _row(connection: sa.Connection, campaign: str) -> Any:
    return connection.execute(sa.select(leases).where(leases.c.campaign == campaign)).mappings().one_or_none()


def _running(row: Any) -> bool | None:
    """Whether the holder lives; None when that cannot be known from here."""
    if (row["campaign"], row["epoch"], row["since"]) in ABANDONED:
        return False
    return is_running(ProcessId(row["host"], row["machine"], row["pid"], row["started"]))


def listen_for(connection: sa.Connection, campaign: str) -> int | None:
    """The heartbeat that the clock alone calls overdue: listen `LISTEN_S` for another before the lease is taken.

    None where the holder can be looked up, is not overdue, or has been silent for longer than clocks are set by.
    """
    row = _row(connection, campaign)
    if row is None or not row["holder"] or _running(row) is not None:
        return None
    off = abs(time.time_ns() - row["heartbeat"]) / 1e9
    return int(row["heartbeat"]) if TTL_S <= off < _SET_AT_MOST_S else None


def _lease(row: Any) -> Lease:
    running = _running(row)
    # A heartbeat from the far future (the clock was set back) is as stale as an old one.
    fresh = abs(time.time_ns() - row["heartbeat"]) < TTL_S * 1e9
    return Lease(
        row["campaign"], row["holder"], row["host"], row["pid"], row["epoch"], row["since"], row["heartbeat"],
        row["address"], fresh if running is None else running,
    )  # fmt: skip


def refuse_if_held(connection: sa.Connection, campaign: str, heard: int | None = None) -> None:
    """Refuse where another writer lives. Needs no write lock, which a holder that was stopped may keep.

    Raises:
        LeaseHeld: another writer lives, or has beaten since `heard`.
    """
    held = read(connection, campaign)
    if held is not None and (held.alive or (heard is not None and held.heartbeat != heard)):
        raise LeaseHeld(held)


def lock(connection: sa.Connection, campaign: str) -> None:
    """Let whoever else would take the lease wait until the caller's writing transaction has ended."""
    connection.execute(sa.select(leases.c.epoch).where(leases.c.campaign == campaign).with_for_update())


def free_row(campaign: str, epoch: int) -> dict[str, Any]:
    """The row of a lease that nobody holds."""
    return {
        "campaign": campaign, "epoch": epoch, "holder": "", "host": "", "machine": "", "pid": 0, "started": "",
        "since": 0, "heartbeat": 0, "address": "",
    }  # fmt: skip


def take(connection: sa.Connection, campaign: str, holder: str, address: str, heard: int | None = None) -> int:
    """Take the lease within the caller's writing transaction; return its epoch.

    Args:
        connection: in a writing transaction.
        campaign: its id.
        holder: who writes.
        address: of the live feed.
        heard: the heartbeat that `listen_for` gave, where the caller has listened since.

    Raises:
        LeaseHeld: another writer lives.
        JournalError: there is no such campaign.
    """
    lock(connection, campaign)
    refuse_if_held(connection, campaign, heard)
    old = connection.execute(sa.select(leases.c.epoch).where(leases.c.campaign == campaign)).scalar_one_or_none()
    if old is None:
        raise JournalError(f"there is no campaign {campaign!r} in the store")
    me, now = this_process(), time.time_ns()
    taken = connection.execute(
        leases.update()
        .where(leases.c.campaign == campaign, leases.c.epoch == old)
        .values(
            epoch=old + 1, holder=holder, host=me.host, machine=me.machine, pid=me.pid, started=me.started,
            since=now, heartbeat=now, address=address,
        )
    )  # fmt: skip
    moved = connection.execute(heads.update().where(heads.c.campaign == campaign).values(epoch=old + 1))
    if (taken.rowcount, moved.rowcount) != (1, 1):
        raise JournalError(f"campaign {campaign}: its lease or head is damaged; list the damage with `sdl verify`")
    return int(old) + 1
