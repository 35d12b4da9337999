"""A campaign that was taken up, and what campaigns share that run on one lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from sdl.journal import Entry, Store, Writer
from sdl.journal.state import CampaignState, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdl.campaign.board import Board
    from sdl.campaign.control import Control
    from sdl.campaign.files import LoadedCampaign
    from sdl.campaign.keeping import Keeping
    from sdl.campaign.safety import Safety
    from sdl.campaign.workers import Workers
    from sdl.lab.host import StationHost
    from sdl.lab.opening import OpenLab
    from sdl.protocols import Clock

__all__ = ["Shared", "Taken", "caught_up", "stations_of"]


@dataclass(frozen=True)
class Taken:
    """A campaign whose lease this process holds."""

    loaded: LoadedCampaign
    store: Store
    writer: Writer
    state: CampaignState
    on_event: Callable[[Entry, CampaignState], None]
    """Called after each entry but documents."""
    keeping: Keeping | None
    """Keeps samples and stock; None where the procedure has neither."""

    async def record(self, *entries: tuple[str, Mapping[str, Any]]) -> Taken:
        """Write entries one after another, and go on from there."""
        state = self.state
        for kind, body in entries:
            entry = await self.writer.aappend(kind, body)
            state = fold(state, entry)
            self.on_event(entry, state)
        return replace(self, state=state)


@dataclass(frozen=True)
class Shared:
    """What campaigns share that run on one lab."""

    lab: OpenLab
    workers: Workers
    """Has the stations that are in processes of their own."""
    stations: Mapping[str, StationHost]
    """All that one of the campaigns uses, by name."""
    clock: Clock
    safety: Safety
    control: Control
    board: Board | None
    """One schedule for campaigns that run together; None for one that runs alone."""


def caught_up(store: Store, state: CampaignState) -> CampaignState:
    """A campaign's state with the entries folded in that were written since it was read."""
    return reduce(fold, store.entries(state.id, after=state.seq), state)


def stations_of(loaded: Sequence[LoadedCampaign]) -> list[str]:
    """Stations that the procedures of campaigns use."""
    steps = [step for one in loaded for step in one.procedure.steps]
    return list(dict.fromkeys(name for step in steps for name in step.spec.every_station))
