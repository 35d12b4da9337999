"""A store as others than its owner see it: every campaign as its policy allows, and nothing that no policy opens."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from sdl.fair._access_policy import Hidden, Role, may
from sdl.fair._private import Discretion
from sdl.fair._readable import KEPT, STATING, Standing, readable
from sdl.journal import kinds as _kinds
from sdl.journal._store import Store
from sdl.journal.labs import is_lab

if TYPE_CHECKING:
    from sdl.journal import CampaignHead, CampaignRow, Damage, Entry, Lease, Request
    from sdl.journal.state import CampaignState

__all__ = ["SeenStore", "standing_of", "whole_of"]

_FEW: Final = _kinds.KINDS - {_kinds.DOCUMENT}
"""Documents are many, and name nobody who decided something."""
_OF_SAMPLES: Final = frozenset({_kinds.SAMPLE_LOCATED, _kinds.SAMPLE_QUARANTINED})


def standing_of(store: Store, campaign: str, before: Standing | None = None) -> Standing:
    """What the project of a campaign says of access now; closed where it says nothing.

    Args:
        store: an open store.
        campaign: id.
        before: what was found earlier, so that only what was written since is read.
    """
    if isinstance(store, SeenStore):
        return store.standing(campaign)
    known = before if before is not None else Standing()
    for entry in store.entries(campaign, after=known.seq, kinds=STATING):
        known = Standing.of(entry)
    return known


def whole_of(store: Store) -> Store:
    """The store with its derived tables, whoever looks; of what they say only what `store.campaigns()` has counts."""
    return store._whole if isinstance(store, SeenStore) else store


class SeenStore(Store):
    """What one role sees of a store on one day. It reads; whatever is not made for others is refused.

    Belongs to the store that it was made of, and is closed with it. The campaigns and
    their policies are those of the first look.
    """

    def __init__(self, whole: Store, role: Role, today: date, *, data: bool = False) -> None:
        """Look at a store.

        Args:
            whole: the open store.
            role: who looks, not the owner.
            today: day of the look, UTC.
            data: whether only campaigns count whose data may be seen.
        """
        # Nothing of the owner's is set here: a method of `Store` that is not made anew below finds no connection.
        self._whole, self._data_only = whole, data
        self.role, self.today = role, today
        self._standings: dict[str, Standing] = {}
        self._campaigns: list[CampaignHead] | None = None

    def only_data(self) -> SeenStore:
        """The same with only those campaigns whose data may be seen."""
        narrower = SeenStore(self._whole, self.role, self.today, data=True)
        narrower._standings = self._standings
        return narrower

    @property
    def name(self) -> str:
        """Of the store, for people."""
        return self._whole.name

    def close(self) -> None:
        """Nothing: whoever opened the store closes it."""

    def _read(self) -> Any:
        raise self._refused("be read in this way")

    def _write(self) -> Any:
        raise self._refused("be written")

    def _refused(self, what: str) -> Hidden:
        return Hidden(f"the store {self.name} can {what} by its owner alone, not by {self.role}")

    # ── what the policies say ──

    def standing(self, campaign: str) -> Standing:
        """The policy of a campaign, as of the first look at it."""
        if campaign not in self._standings:
            self._standings[campaign] = standing_of(self._whole, campaign)
        return self._standings[campaign]

    def shows_data(self, campaign: str) -> bool:
        """Whether the role may see the data of a campaign."""
        return may(self.role, "data", self.standing(campaign).policy, self.today).allowed

    def _knows(self, campaign: str) -> bool:
        if is_lab(campaign):
            return False
        part = "data" if self._data_only else "metadata"
        return may(self.role, part, self.standing(campaign).policy, self.today).allowed  # type: ignore[arg-type]

    # ── campaigns ──

    def campaigns(self) -> list[CampaignHead]:
        """Campaigns of which the role may know, the oldest first; how long the record is, is data."""
        if self._campaigns is None:
            known = [head for head in self._whole.campaigns() if self._knows(head.id)]
            self._campaigns = [head._replace(seq=self._length(head), hash="") for head in known]
        return self._campaigns

    def _length(self, head: CampaignHead) -> int:
        if self.shows_data(head.id):
            return head.seq
        return sum(1 for _ in self._whole.entries(head.id, kinds=KEPT.keys()))

    def labs(self) -> list[CampaignHead]:
        """Chains of labs, of which only what is said of samples of such campaigns is seen."""
        return [head._replace(hash="") for head in self._whole.labs()]

    def _heads(self) -> list[CampaignHead]:
        return sorted([*self.campaigns(), *self.labs()], key=lambda head: (head.created_at, head.id))

    def list_campaigns(self) -> list[CampaignRow]:
        """Lines of the list; the best value and how many trials there were are data."""
        rows = [row for row in self._whole.list_campaigns() if self._knows(row.id)]
        return [row if self.shows_data(row.id) else self._described(row) for row in rows]

    def _described(self, row: CampaignRow) -> CampaignRow:
        last = max((entry.at for entry in self.entries(row.id)), default=row.created)
        return row._replace(best=None, unit="", trials=0, updated=last)

    # ── entries ──

    def entries(self, campaign: str, *, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Entry]:
        """Entries that the role may see, as it may see them."""
        if is_lab(campaign):
            yield from self._said(campaign, after, kinds)
            return
        if not self._knows(campaign):
            return
        wanted = None if kinds is None or _kinds.DOCUMENT in kinds else _FEW
        whole = self._whole.entries(campaign, kinds=wanted)
        for entry in readable(whole, self.role, self.today, self.standing(campaign)):
            if entry.seq > after and (kinds is None or entry.kind in kinds):
                yield entry

    def _said(self, lab: str, after: int, kinds: Collection[str] | None) -> Iterator[Entry]:
        """What people say of samples of campaigns whose data may be seen; the rest belongs to the lab."""
        heads = self._whole.campaigns()
        own = {_mark(head.id) for head in heads if self.shows_data(head.id)}
        own -= {_mark(head.id) for head in heads if not self.shows_data(head.id)}
        discretion = Discretion([person for head in self.campaigns() for person in self.standing(head.id).people])
        for entry in self._whole.entries(lab, after=after, kinds=_OF_SAMPLES if kinds is None else kinds):
            if entry.kind in _OF_SAMPLES and str(entry.body.get("sample", "")).rpartition("-")[0] in own:
                yield discretion.clean(entry)[0]._replace(hash="", prev_hash="")

    def entry(self, campaign: str, seq: int) -> Entry:
        """One entry by the number under which it is shown."""
        for entry in self.entries(campaign, after=seq - 1):
            if entry.seq == seq:
                return entry
        raise Hidden(f"{self.role} may not see entry {seq} of campaign {campaign}")

    def state(self, campaign: str) -> CampaignState:
        """The fold over the entries that may be seen."""
        from sdl.journal.state import fold_all

        return fold_all(campaign, self.for_the_fold(campaign))

    def for_the_fold(self, campaign: str, *, upto: int | None = None) -> Iterator[Entry]:
        """Entries for the fold."""
        for entry in self.entries(campaign):
            if upto is not None and entry.seq > upto:
                return
            yield entry

    # ── who writes, and what is asked of them ──

    def lease(self, campaign: str) -> Lease | None:
        """Whether somebody writes the campaign, and nothing of who or where."""
        lease = self._whole.lease(campaign) if self._knows(campaign) else None
        return lease._replace(holder="", host="", pid=0, address="") if lease is not None else None

    def requests(self, campaign: str, *, open_only: bool = True) -> list[Request]:
        """Nothing: what people ask of a session is no record yet, and names them."""
        return []

    def verify(self, campaign: str | None = None) -> list[Damage]:
        """Damage of campaigns whose data may be seen: it quotes what it finds."""
        chosen = [campaign] if campaign is not None else [head.id for head in self.campaigns()]
        seen = [id_ for id_ in chosen if self._knows(id_) and self.shows_data(id_)]
        found = [item for id_ in seen for item in self._whole.verify(id_)]
        return [item for item in found if item.campaign in seen]


def _mark(campaign: str) -> str:
    """What the ids of a campaign's samples begin with."""
    return campaign.rpartition("-")[2]
