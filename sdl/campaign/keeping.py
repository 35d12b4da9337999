"""What a running campaign does about samples and stock: reserves, chooses slots, and records what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.campaign.inventory import Inventory
from sdl.campaign.keeper import Keeper
from sdl.campaign.labbook import LabBook
from sdl.campaign.stockkeeper import Shortage
from sdl.journal.samples import claims, where
from sdl.virtual import on_virtual_time

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator
    from sdl.campaign.files import LoadedCampaign
    from sdl.journal import Store
    from sdl.journal.state import CampaignState

__all__ = ["Keeping", "NoSlot", "Short", "keeping_of"]

Entries = list[tuple[str, dict[str, Any]]]


class Short(Exception):
    """There is not enough stock for a trial or a step."""


class NoSlot(Exception):
    """There is no free slot for the sample, or a person has taken it out of use."""

    def __init__(self, message: str, waits: bool = False) -> None:
        self.waits = waits
        """Whether a trial that goes on will free one."""
        super().__init__(message)


class Keeping:
    """Keeps the samples and the stock of one campaign that runs.

    Args:
        loaded: the campaign and its lab.
        store: with all campaigns of the lab.
    """

    def __init__(self, loaded: LoadedCampaign, store: Store) -> None:
        self.keeper = Keeper.of(loaded)
        self._lab = loaded.lab.spec
        self._book = LabBook(store, loaded.lab.spec.name)
        self._campaign: Coordinator | None = None
        self._looked = False
        self._seen: tuple[tuple[CampaignState, ...], Inventory] | None = None
        """The inventory of some states, so that it is not taken twice."""
        self._partners: tuple[Keeping, ...] = (self,)
        """Of the campaigns that run in this process on the same lab, this one among them."""
        self.order = asyncio.Lock()
        """Held from the look at what is free until what was chosen is on record."""

    def share(self, partners: Iterable[Keeping]) -> None:
        """Serve campaigns that run on one lab together: what one of them does the others know at once."""
        self._partners = tuple(partners)
        self.order = self._partners[0].order

    def begin(self, campaign: Coordinator) -> None:
        """Serve a coordinator."""
        self._campaign = campaign

    async def look(self) -> Inventory:
        """The lab's inventory as it is now; this campaign's part of it from the coordinator's own state."""
        campaign = self._campaign
        assert campaign is not None
        if not (self._looked and on_virtual_time()):  # a rehearsal has its store for itself
            await asyncio.to_thread(self._book.refresh, {state.id for state in self._live()})
            self._looked, self._seen = True, None
        return self._now()

    def _now(self) -> Inventory:
        """The inventory as of the last look, and of the coordinators' own states as they are."""
        states = self._live()
        # Compared by identity: a state is never changed, and two of them are costly to compare.
        if self._seen is None or list(map(id, self._seen[0])) != list(map(id, states)):
            self._seen = (states, self._book.inventory(self._lab.stock, *states))
        return self._seen[1]

    def _live(self) -> tuple[CampaignState, ...]:
        """States of the campaigns that run in this process."""
        return tuple(p._campaign.state for p in self._partners if p._campaign is not None)

    def taken_by_others(self, mine: Collection[tuple[str, int]]) -> dict[str, int]:
        """Place → slots that are taken for reasons other than trials under way here, as of the last look.

        Args:
            mine: campaign (id) and number of trials under way.
        """
        taken: dict[str, int] = {}
        for (place, _), holders in self._now().taken.items():
            if any((holder.campaign, holder.trial) not in mine for holder in holders):
                taken[place] = taken.get(place, 0) + 1
        return taken

    def complete(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Entries:
        """Entries about to be recorded, and what follows from them."""
        assert self._campaign is not None
        return self.keeper.complete(self._campaign.state, entries)

    async def reserve(self, number: int, parameters: Mapping[str, Any], step: str = "") -> Entries:
        """Entries that set stock aside for a trial, or for one more try of a step.

        Raises:
            Short: there is not enough.
        """
        assert self._campaign is not None
        found = self.keeper.stock.reserve(self._campaign.state, number, parameters, await self.look(), step=step)
        if isinstance(found, Shortage):
            raise Short(str(found))
        return found

    def slot(self, number: int, step: str, place: str) -> dict[str, Any] | None:
        """Where a step that is about to begin puts the trial's sample: `into` of its entry; None when it moves none.

        By the inventory of the last look, which `reserve` takes.

        Args:
            number: the trial.
            step: name of the step.
            place: the place that was chosen for it; empty for any.

        Raises:
            NoSlot: none is free, or a person has taken the sample out of use.
        """
        campaign = self._campaign
        assert campaign is not None
        inventory = self._now()
        samples = self.keeper.samples
        if objection := samples.objection(number, inventory, campaign.state.id):
            raise NoSlot(objection)
        found = samples.target(campaign.state, number, step, inventory, place or None)
        if found is None:
            return None
        if not isinstance(found, tuple):
            raise NoSlot(str(found), found.waits)
        return {"place": found[0], "slot": found[1]}

    def spots(self, number: int) -> tuple[str, ...]:
        """Places that a trial's sample takes: where it is, and where it may have come to or is being made.

        More than one where a step that moves it came to no good end.
        """
        assert self._campaign is not None
        state = self._campaign.state
        trial = state.trials.get(number)
        sample = next((sample for sample in state.samples.values() if sample.trial == number), None)
        made = claims(trial) if trial is not None else ()
        found = made if sample is None else where(sample, trial).spots
        return tuple(dict.fromkeys(place for place, _ in found))

    def source(self, number: int) -> str:
        """Place where a trial's sample is; empty when it has none, or nobody knows."""
        assert self._campaign is not None
        samples = self._campaign.state.samples.values()
        return next((sample.place for sample in samples if sample.trial == number), "")


def keeping_of(loaded: LoadedCampaign, store: Store) -> Keeping | None:
    """Who keeps samples and stock of a campaign; None where its procedure has neither.

    Raises:
        InputError: a step's use of stock cannot be; all such faults at once.
    """
    steps = loaded.lab.spec.procedures[loaded.procedure.name].steps
    if loaded.procedure.sample is None and not any(step.uses for step in steps):
        return None
    return Keeping(loaded, store)
