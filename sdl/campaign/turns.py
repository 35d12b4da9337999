"""Whose turn it is at a station, where nothing but the station is shared: first come, first served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sdl.lab.procedure import BoundStep, Procedure

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Claim", "StationTurns", "Turns"]


@dataclass(frozen=True)
class Claim:
    """What a trial has for one step."""

    station: str
    source: str = ""
    """Place where the sample is; empty without samples."""
    target: str = ""
    """Place into which the step moves it; empty when it stays."""

    def bind(self, step: BoundStep) -> BoundStep:
        """The step with its station and its places."""
        step = step.on(self.station)
        return step.handing(self.source, self.target) if step.spec.into else step


class Turns(Protocol):
    """Gives steps what they need, in some order. Every call in the coordinator's loop."""

    waiting: int
    """Trials that wait although nothing that is under way can help them."""
    shares: bool
    """Whether trials go on while one of them waits for a person: they need not have the same stations."""

    @property
    def room(self) -> bool:
        """Whether a new trial would not only wait behind others that have not begun."""
        ...

    def try_claim(self, number: int) -> Claim | None:
        """What a new trial needs for its first step, if it is there at this moment."""
        ...

    async def claim(self, number: int, index: int, only: str | None) -> Claim | None:
        """Wait until it is the turn of a trial's step. None when the campaign stops first.

        Args:
            number: the trial.
            index: of the step.
            only: the station that it has to be; None for a choice.
        """
        ...

    def over(self, number: int, index: int, done: bool) -> None:
        """A step for which there was a claim has ended."""
        ...

    def foreseen(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """An entry that says when a trial's steps are planned, where there is a schedule."""
        ...

    def leave(self, number: int) -> None:
        """The trial has ended, or goes no further in this session. Harmless when it has left."""
        ...

    def look(self) -> None:
        """Something has changed that steps may wait for."""
        ...

    def begin(self) -> None:
        """The campaign runs."""
        ...

    async def end(self) -> None:
        """The campaign runs no more."""
        ...


class StationTurns:
    """A trial holds a station as long as its steps stay there."""

    shares = False

    def __init__(self, campaign: Coordinator, procedure: Procedure) -> None:
        self._campaign, self._procedure = campaign, procedure
        self._held: dict[int, str] = {}
        self.waiting = 0

    @property
    def room(self) -> bool:
        """See `Turns`."""
        return True

    def try_claim(self, number: int) -> Claim | None:
        """See `Turns`."""
        name = self._procedure.steps[0].spec.station
        if not self._campaign.stations[name].busy.try_acquire():
            return None
        self._held[number] = name
        return Claim(name)

    async def claim(self, number: int, index: int, only: str | None) -> Claim | None:
        """See `Turns`."""
        name = only or self._procedure.steps[index].spec.station
        if self._held.get(number) != name:
            self.leave(number)
            await self._campaign.stations[name].busy.acquire()
            self._held[number] = name
        return Claim(name)

    def over(self, number: int, index: int, done: bool) -> None:
        """The station stays with the trial."""

    def foreseen(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """There is no schedule."""
        return []

    def leave(self, number: int) -> None:
        """Let the trial's station go."""
        name = self._held.pop(number, None)
        if name is not None:
            self._campaign.stations[name].busy.release()

    def look(self) -> None:
        """Nothing but stations is waited for."""

    def begin(self) -> None:
        """Nothing has to be begun."""

    async def end(self) -> None:
        """Nothing has to be ended."""
