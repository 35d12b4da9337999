"""What can go wrong with the record, told to the person who has to act on it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sdl.model import SdlError

if TYPE_CHECKING:
    from sdl.journal._rows import Lease

__all__ = ["JournalError", "LeaseHeld", "LeaseLost", "StoreError"]


class JournalError(SdlError):
    """An entry cannot be recorded."""


class StoreError(JournalError):
    """The store's file cannot be used: not ours, damaged, read-only, full, on a network filesystem."""


class LeaseHeld(JournalError):
    """Another writer holds the campaign."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        """The lease that is in force."""
        since = datetime.fromtimestamp(lease.since / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        silent = max(0.0, (time.time_ns() - lease.heartbeat) / 1e9)
        super().__init__(
            f"campaign {lease.campaign} is being written by {lease.holder} (host {lease.host}, pid {lease.pid}) "
            f"since {since}, last heartbeat {silent:.0f} s ago. Follow it with `sdl watch`, or end that process first"
        )


class LeaseLost(JournalError):
    """Another writer has taken the campaign over; nothing of this writer's is recorded any more."""

    def __init__(self, campaign: str, epoch: int) -> None:
        super().__init__(
            f"campaign {campaign}: another process has taken the campaign over from this one (epoch {epoch}); "
            "nothing was written. Stop here, and see who holds it with `sdl list`"
        )
