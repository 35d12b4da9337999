"""What a store tells about its campaigns."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["CampaignHead", "CampaignRow", "Damage", "Lease", "Request"]


class CampaignHead(NamedTuple):
    """A campaign and the end of its chain."""

    id: str
    name: str
    created_at: int
    """UTC, ns."""
    seq: int
    """Number of its last entry; 0 when it has none."""
    hash: str
    """Hash of its last entry."""


class CampaignRow(NamedTuple):
    """One line of the list of campaigns, from the derived tables."""

    id: str
    name: str
    status: str
    trials: int
    """Trials proposed."""
    best: float | None
    """Best value so far of the first objective."""
    unit: str
    """Unit of `best`."""
    created: int
    """UTC, ns."""
    updated: int
    """UTC, ns."""


class Lease(NamedTuple):
    """Who may write a campaign."""

    campaign: str
    holder: str
    host: str
    pid: int
    epoch: int
    """Grows by one whenever the lease is taken."""
    since: int
    """UTC, ns."""
    heartbeat: int
    """Last sign of life; UTC, ns."""
    address: str
    """Address of the live feed; empty when there is none."""
    alive: bool
    """False when the holder's process has ended or its heartbeat is overdue."""


class Damage(NamedTuple):
    """Something in a store that is not as it was written."""

    campaign: str
    """Id of the campaign; empty when the damage is not within one."""
    seq: int
    """Number of the entry; 0 when the damage is not within one."""
    message: str


class Request(NamedTuple):
    """What a person asks of the session that holds a campaign."""

    id: int
    """Grows with each request of the store."""
    campaign: str
    at: int
    """UTC, ns."""
    kind: str
    """`resolve`: settle an action in doubt; `entry`: put a correction, a note or a withdrawal on record."""
    body: dict[str, Any]
    """Plain JSON; of `resolve`: `action`, `verdict`, `by`, `note`."""
    taken_at: int | None
    """When a session began with it, or it was given up: UTC, ns; None while it waits."""
    answer: str
    """What became of it, for people; empty until it is answered."""
