"""What others than operators of the lab get of a live feed: the campaign page by page, as its policy then says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Final

from sdl.fair._access_policy import Hidden, Role, may, role_of
from sdl.fair._private import Discretion
from sdl.fair._readable import KEPT, Standing, redacted, shown
from sdl.fair._seen import standing_of
from sdl.journal import kinds
from sdl.wire import Page, Views

if TYPE_CHECKING:
    from sdl.journal import Entry, Store

__all__ = ["feed_views"]

_NAMING: Final = kinds.KINDS - {kinds.DOCUMENT}
"""Kinds of entries that name people."""


def feed_views(store: Store, campaign: str) -> Views:
    """What `sdl.wire.Publisher` needs to serve others than operators: role, as in `shared:Hana` → what it sees.

    Args:
        store: an open store, used in the publisher's thread.
        campaign: id.
    """
    return lambda role: _Followed(store, campaign, role_of(role))


class _Followed:
    """What one role sees of a campaign that goes on."""

    def __init__(self, store: Store, campaign: str, role: Role) -> None:
        self._store, self._campaign, self._role = store, campaign, role
        self._standing = Standing()
        self._discretion, self._named = Discretion(), 0

    def page(self, after: int, limit: int) -> Page:
        """Entries above a number, as many as a page holds.

        The policy is read again for each page, and so is the day: an embargo may end and an amendment close what was
        open.

        Raises:
            Hidden: the role may see nothing.
        """
        before, self._standing = self._standing, standing_of(self._store, self._campaign, self._standing)
        if self._standing is not before:
            self._discretion, self._named = Discretion(self._standing.people), 0
        if not self._standing.seq:  # the campaign is about to begin
            return Page([], False, "")
        policy, day = self._standing.policy, _today()
        if not (seen := may(self._role, "metadata", policy, day)).allowed:
            raise Hidden(f"{self._role} may not know of this campaign: {seen.why}; ask whoever serves the feed")
        if may(self._role, "data", policy, day).allowed:
            return self._of_all(after, limit, day)
        return self._of_metadata(after, limit, day)

    def _of_all(self, after: int, limit: int, day: date) -> Page:
        self._learn(after)
        found = list(islice(self._store.entries(self._campaign, after=after), limit + 1))
        entries = [shown(seen, self._discretion, seen.seq) for seen in self._redacted(found[:limit], day)]
        self._named = max(self._named, found[len(entries) - 1].seq if entries else 0)
        return Page(entries, len(found) > limit, "data")

    def _of_metadata(self, after: int, limit: int, day: date) -> Page:
        told = self._redacted(self._store.entries(self._campaign, kinds=KEPT.keys()), day)
        numbered = [shown(entry, Discretion(), number) for number, entry in enumerate(told, 1)]
        rest = numbered[after:]
        return Page(rest[:limit], len(rest) > limit, "metadata")

    def _redacted(self, entries: Iterable[Entry], day: date) -> list[Entry]:
        return [seen for one in entries for seen in redacted(one, self._role, self._standing.policy, day)]

    def _learn(self, upto: int) -> None:
        """Meet those who are named up to an entry, so that whoever joins late calls them by the same names."""
        if upto > self._named:
            for entry in self._store.entries(self._campaign, after=self._named, kinds=_NAMING):
                if entry.seq > upto:
                    break
                self._discretion.clean(entry)
            self._named = upto


def _today() -> date:
    from sdl.campaign.inventory import today

    return today()
