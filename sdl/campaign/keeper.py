"""What a campaign keeps of the lab's stock and of its samples: what the coordinator asks.

Pure functions of the record. `complete` adds to entries that are about to be written what follows from them, so that
both are on the disk together; `missing` finds what follows from the record and is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.campaign.samplekeeper import SampleKeeper
from sdl.campaign.stockkeeper import StockKeeper
from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, fold

if TYPE_CHECKING:
    from sdl.campaign.files import LoadedCampaign

__all__ = ["Keeper"]

Entries = list[tuple[str, dict[str, Any]]]

_FOLLOWED = frozenset(
    {
        kinds.STEP_STARTED, kinds.STEP_DONE, kinds.STEP_FAILED, kinds.ACTION_RESOLVED, kinds.TRIAL_OBSERVED,
        kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED, kinds.TRIAL_REJECTED,
    }
)  # fmt: skip
"""Kinds from which entries about samples and stock may follow."""


class Keeper:
    """Keeps stock and samples of one campaign: what the coordinator asks."""

    def __init__(self, stock: StockKeeper, samples: SampleKeeper) -> None:
        self.stock = stock
        self.samples = samples

    @classmethod
    def of(cls, loaded: LoadedCampaign) -> Keeper:
        """For a campaign that was loaded.

        Raises:
            InputError: a step's use of stock cannot be; all such faults at once.
        """
        return cls(StockKeeper.of(loaded), SampleKeeper(loaded.lab.spec, loaded.procedure.name))

    def due(self, state: CampaignState, number: int) -> Entries:
        """Entries of a trial that follow from the record and are not in it."""
        return [*self.samples.due(state, number), *self.stock.release(state, number)]

    def missing(self, state: CampaignState) -> Entries:
        """Entries of all trials that follow from the record and are not in it, because a process ended in between."""
        return [entry for number in state.trials for entry in self.due(state, number)]

    def complete(self, state: CampaignState, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Entries:
        """Entries that are about to be recorded, and those about samples and stock that follow from them.

        Args:
            state: of the campaign before them.
            entries: what is about to be recorded.
        """
        given = [(kind, dict(body)) for kind, body in entries]
        numbers = list(dict.fromkeys(body["trial"] for kind, body in given if kind in _FOLLOWED))
        if not numbers:
            return given
        after = state
        for entry in _as_if(state, given):
            after = fold(after, entry)
        return [*given, *(entry for number in numbers for entry in self.due(after, number))]


def _as_if(state: CampaignState, entries: Entries) -> Iterator[Entry]:
    """Entries as they may come to be recorded."""
    for offset, (kind, body) in enumerate(entries, 1):
        yield Entry(state.id, state.seq + offset, state.updated_at + offset, kind, body, "", "")
