"""Who may see what of a campaign: one policy function, and the views of a campaign that it allows.

`may` decides; nothing else does. Whoever works on the machine that has the store is its owner. `--as public` and
`--as shared:NAME` show what others would see, and a release for the public holds no more than that.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sdl.fair._access_policy import (
    OWNER,
    PUBLIC,
    Hidden,
    Part,
    Role,
    Verdict,
    may,
    policy_in,
    role_of,
    shared,
)
from sdl.fair._readable import described, readable
from sdl.journal import kinds
from sdl.model.project import AccessPolicy

if TYPE_CHECKING:
    from sdl.journal import CampaignHead, Store

__all__ = [
    "OWNER", "PUBLIC", "Hidden", "Part", "Role", "Verdict", "data_verdict", "described", "may", "policy_in",
    "policy_of", "readable", "require_data", "role_of", "shared", "visible",
]  # fmt: skip


def policy_of(store: Store, campaign: str) -> AccessPolicy:
    """The policy of a campaign, from its project in the journal; closed where there is none.

    Args:
        store: an open store.
        campaign: id.
    """
    policy = AccessPolicy()
    for entry in store.entries(campaign, kinds={kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED}):
        policy = policy_in(entry.body)
    return policy


def visible(store: Store, role: Role, today: date, what: Part = "metadata") -> list[CampaignHead]:
    """The campaigns of which a role may see something, the oldest first.

    Args:
        store: an open store.
        role: who looks.
        today: day of the look, UTC.
        what: whether metadata or data are looked at.
    """
    heads = store.campaigns()
    if role.kind == "owner":
        return heads
    return [head for head in heads if may(role, what, policy_of(store, head.id), today).allowed]


def require_data(store: Store, campaign: str, role: Role, today: date) -> None:
    """Let nobody have data that may not be seen.

    Args:
        store: an open store.
        campaign: id.
        role: who looks.
        today: day of the look, UTC.

    Raises:
        Hidden: the role may not see the data of the campaign.
    """
    verdict = data_verdict(store, campaign, role, today)
    if not verdict.allowed:
        raise Hidden(f"{role} may not see the data of this campaign: {verdict.why}")


def data_verdict(store: Store, campaign: str, role: Role, today: date) -> Verdict:
    """Whether a role may see the data of a campaign (id), by its policy in the journal."""
    if role.kind == "owner":
        return Verdict(True, "the owner sees everything")
    return may(role, "data", policy_of(store, campaign), today)
