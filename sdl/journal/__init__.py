"""The journal: the append-only, hash-chained record of everything that was decided or done.

`Store` and `Writer` load SQLAlchemy, so they are imported on first use; `kinds`, `state` and the rest stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdl.journal._canonical import canonical, normalise
from sdl.journal._entry import GENESIS, Entry, digest
from sdl.journal._errors import JournalError, LeaseHeld, LeaseLost, StoreError
from sdl.journal._rows import CampaignHead, CampaignRow, Damage, Lease, Request

if TYPE_CHECKING:
    from sdl.journal._store import Store
    from sdl.journal._writer import Writer

__all__ = [
    "GENESIS",
    "CampaignHead",
    "CampaignRow",
    "Damage",
    "Entry",
    "JournalError",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "Request",
    "Store",
    "StoreError",
    "Writer",
    "canonical",
    "digest",
    "normalise",
]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from sdl.journal._store import Store

        return Store
    if name == "Writer":
        from sdl.journal._writer import Writer

        return Writer
    raise AttributeError(f"module 'sdl.journal' has no attribute {name!r}")
