"""Who may see what of a campaign: one policy function, and the views of a campaign that it allows.

`may` decides; nothing else does. Whoever works on the machine that has the store is its owner. `--as public` and
`--as shared:NAME` show what others would see, and a release for the public holds no more than that. Commands read
through `seen_by`, the store as a role sees it; `sdl.wire` serves those who are no operators through `feed_views`.
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
from sdl.fair._readable import Standing, described, readable

if TYPE_CHECKING:
    from sdl.journal import CampaignHead, Store
    from sdl.model.project import AccessPolicy
    from sdl.wire import Views

__all__ = [
    "OWNER", "PUBLIC", "Hidden", "Part", "Role", "Standing", "Verdict", "data_verdict", "described", "feed_views",
    "may", "policy_in", "policy_of", "readable", "require_data", "role_of", "seen_by", "shared", "standing_of",
    "visible",
]  # fmt: skip


def seen_by(store: Store, role: Role, today: date) -> Store:
    """The store as a role sees it: all of it for the owner, else a `SeenStore`, which only reads.

    Args:
        store: an open store; what is returned is closed with it.
        role: who looks.
        today: day of the look, UTC.
    """
    from sdl.fair._seen import SeenStore

    return store if role.kind == "owner" or isinstance(store, SeenStore) else SeenStore(store, role, today)


def feed_views(store: Store, campaign: str) -> Views:
    """What others than operators get of a campaign's live feed; goes to `sdl.campaign.Feed`.

    Args:
        store: an open store, used in the publisher's thread.
        campaign: id.
    """
    from sdl.fair._followed import feed_views as views

    return views(store, campaign)


def standing_of(store: Store, campaign: str) -> Standing:
    """What the project of a campaign says of access now: policy, project, and the entry that says so.

    Args:
        store: an open store.
        campaign: id.
    """
    from sdl.fair._seen import standing_of as standing

    return standing(store, campaign)


def policy_of(store: Store, campaign: str) -> AccessPolicy:
    """The policy of a campaign, from its project in the journal; closed where there is none.

    Args:
        store: an open store.
        campaign: id.
    """
    return standing_of(store, campaign).policy


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


def require_data(store: Store, campaign: str, role: Role, today: date, path: str = "") -> None:
    """Let nobody have data that may not be seen.

    Args:
        store: an open store.
        campaign: id.
        role: who looks.
        today: day of the look, UTC.
        path: of a file, as it is called in a release; empty for no file in particular.

    Raises:
        Hidden: the role may not see the data of the campaign; the message says by which policy, until when where that
            has an end, and who may be asked.
    """
    verdict = data_verdict(store, campaign, role, today, path)
    if not verdict.allowed:
        raise Hidden(f"{role} may not see the data of this campaign: {verdict.why}")


def data_verdict(store: Store, campaign: str, role: Role, today: date, path: str = "") -> Verdict:
    """Whether a role may see the data of a campaign (id), by its policy in the journal, and who may be asked."""
    if role.kind == "owner":
        return Verdict(True, "the owner sees everything")
    standing = standing_of(store, campaign)
    verdict = may(role, "data", standing.policy, today)
    if verdict.allowed and path:
        verdict = may(role, "data", standing.policy, today, path)
    if verdict.allowed or not may(role, "metadata", standing.policy, today).allowed:
        return verdict
    name = str(standing.project.get("name", ""))
    by = f", by the policy of project {name}" if name else ", because no project opens them"
    return Verdict(False, f"{verdict.why}{by}; ask {_asked(standing)}")


def _asked(standing: Standing) -> str:
    """Who answers for the data, as the project says; addresses are for the owner."""
    for role in ("contact", "manager", "creator"):
        if names := [person.name for person in standing.people if role in person.roles]:
            return " or ".join(names)
    return str(standing.project.get("contact") or standing.project.get("publisher") or "the owner of the store")
