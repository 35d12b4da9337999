"""The schedule of a lab, made anew when things change, for every campaign that runs on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from sdl.campaign.scheduling.cpsat import plan_ahead
from sdl.campaign.scheduling.problem import (
    Job,
    Lab,
    PlaceNow,
    Planned,
    Running,
    Schedule,
    Situation,
    StationNow,
    Task,
)
from sdl.campaign.scheduling.ready import Mode, astray, due, wake_at
from sdl.campaign.scheduling.rule import plan_by_rule
from sdl.campaign.turns import Claim
from sdl.lab.spec import LabSpec
from sdl.protocols import Clock
from sdl.virtual import on_virtual_time

__all__ = ["Board", "Party", "Stand", "Wish"]

_HURRIED, _UNHURRIED = 0.12, 10.0
"""Wall seconds for a look ahead."""
_LEAST_WAIT, _VIRTUAL_WAIT = 0.05, 1.0
"""Lab seconds between two looks at a schedule that nothing has changed, with a clock that ticks and on virtual time."""


@dataclass
class Wish:
    """A trial waits for the turn of one of its steps."""

    index: int
    only: str | None
    granted: asyncio.Future[Claim | None]


@dataclass
class Stand:
    """Where a trial stands, for the scheduler."""

    tasks: tuple[Task, ...]
    arrived: float
    next: int
    ready: float
    place: str | None = None
    """Where the sample is, or where a step that came to no good end may have brought it, and is to bring it again."""
    also: tuple[str, ...] = ()
    """Other places that the sample may still be in."""
    running: Running | None = None
    kept: tuple[str, ...] = ()
    setup: float = 0.0
    """Lab seconds of set-up that the step under way was planned with."""


class Party(Protocol):
    """A campaign at the board. Jobs are numbered over all campaigns."""

    stands: dict[int, Stand]
    """By number of the job."""
    wishes: dict[int, Wish]
    """By number of the job."""
    waiting: int
    """Trials that wait although nothing that is under way can help them."""

    @property
    def mode(self) -> Mode:
        """How the campaign file wants steps to share the stations."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether no further step should begin."""
        ...

    @property
    def settling(self) -> int:
        """Trials that wait for somebody to settle a doubt."""
        ...

    @property
    def station_names(self) -> Collection[str]:
        """Stations of its procedure."""
        ...

    def stops(self, wish: Wish) -> bool:
        """Whether what a trial waits for should not begin any more."""
        ...

    def usable(self, station: str) -> bool:
        """Whether its steps could begin on a station."""
        ...

    def job(self, number: int, stand: Stand, now: float) -> Job:
        """A trial as the scheduler sees it."""
        ...

    def held(self) -> Iterable[tuple[str, int]]:
        """Campaign and trial of every job."""
        ...

    def taken(self, mine: Collection[tuple[str, int]]) -> Mapping[str, int]:
        """Place → slots taken by anything but jobs at the board, or perhaps by those."""
        ...

    def source(self, number: int) -> str:
        """Place where a job's sample is; empty when it has none."""
        ...

    def stuck(self) -> None:
        """Trials wait in vain; the campaign has to see to it."""
        ...


class Board:
    """Gives steps of several trials, of one campaign or several, their stations and places.

    Args:
        lab: places and stations.
        clock: of the lab.
        ahead: whether a look ahead can gain anything; where nothing but stations is shared, the rule is as good.
    """

    def __init__(self, lab: LabSpec, clock: Clock, ahead: bool = True) -> None:
        self._lab, self._clock, self.ahead = lab, clock, ahead
        self._parties: list[Party] = []
        self.setup: dict[str, float] = {}
        """Station → what it was last set up for."""
        self.schedule: Schedule | None = None
        """In force; times are those of the lab's clock."""
        self.surprised = False
        """A step has ended earlier than the schedule has it."""
        self.error: BaseException | None = None
        """What ended the service."""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, party: Party) -> None:
        """Serve a campaign from now on."""
        self._parties.append(party)
        if self._task is None:
            self._task = asyncio.ensure_future(self._serve())
            self._task.add_done_callback(self._served)
        self.look()

    async def end(self, party: Party) -> None:
        """Serve a campaign no longer; its trials that wait get nothing."""
        self._refuse(party, everyone=True)
        if party in self._parties:
            self._parties.remove(party)
        self.look()
        if not self._parties and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def look(self) -> None:
        """Something has changed that steps may wait for."""
        self._changed.set()

    def _served(self, task: asyncio.Task[None]) -> None:
        """Nobody serves any more; when that is through an error, whoever waits gets it rather than waiting for ever."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.error = error
        for party in self._parties:
            for wish in party.wishes.values():
                if not wish.granted.done():
                    wish.granted.set_exception(error)

    @property
    def _mode(self) -> Mode:
        modes = {party.mode for party in self._parties}
        return modes.pop() if len(modes) == 1 else "lookahead"

    def _stands(self) -> Iterator[Stand]:
        for party in self._parties:
            yield from party.stands.values()

    def _find(self, job: int) -> tuple[Party, Stand] | None:
        return next(((p, p.stands[job]) for p in self._parties if job in p.stands), None)

    async def _serve(self) -> None:
        while True:
            self._changed.clear()
            for party in self._parties:
                if party.stopping:
                    self._refuse(party)
            if all(party.stopping and not party.wishes for party in self._parties):
                await self._changed.wait()
                continue
            wake = await self._turn()
            if wake is None and not any(stand.running for stand in self._stands()):
                for party in self._parties:
                    if party.stopping:
                        self._refuse(party, everyone=True)  # nothing that is under way can help them
            if self._changed.is_set():
                continue
            await self._wait(wake)

    async def _wait(self, wake: float | None) -> None:
        if wake is None:
            await self._changed.wait()
            return
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(max(0.0, wake - self._clock.now())))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (changed, timer):
                task.cancel()
            await asyncio.gather(changed, timer, return_exceptions=True)

    async def _turn(self) -> float | None:
        """Grant what is due; returns the lab time of the next look."""
        situation = self.situation()
        surprised, self.surprised = self.surprised, False
        if astray(situation, None if surprised else self.schedule):
            self.schedule = await self._plan(situation)
            situation = self.situation()
        schedule = self.schedule
        if schedule is None:
            for party in self._parties:
                party.waiting = 0
            return None
        granted = False
        for planned in due(situation, schedule, self._mode):
            found = self._find(planned.job)
            wish = found[0].wishes.get(planned.job) if found is not None else None
            if found is not None and wish is not None and wish.index == planned.index and not wish.granted.done():
                self._grant(planned, wish, *found)
                granted = True
                situation = self.situation()
        if granted:
            self.look()
        wake = wake_at(situation, schedule, self._mode)
        elsewhere = sum(len(p.stands) - len(p.wishes) - p.settling for p in self._parties)
        busy = any(stand.running for stand in self._stands()) or elsewhere > 0
        for party in self._parties:
            party.waiting = 0 if busy or granted or wake is not None else len(party.wishes)
            if party.waiting:
                party.stuck()
        if wake is None:
            return None
        least = _VIRTUAL_WAIT if on_virtual_time() else max(_LEAST_WAIT, 0.02 * self._clock.speed)
        return max(wake, situation.now + least)

    def _grant(self, planned: Planned, wish: Wish, party: Party, stand: Stand) -> None:
        task = stand.tasks[planned.index]
        now = self._clock.now()
        target = planned.place or (stand.place if task.into else None)
        stand.running = Running(
            task=planned.index,
            station=planned.station,
            place=planned.place,
            started=now,
            expected_end=now + (planned.end - planned.start),
        )
        stand.setup = task.setup(self.setup.get(planned.station))
        if task.setup_value is not None:
            self.setup[planned.station] = task.setup_value
        wish.granted.set_result(Claim(planned.station, party.source(planned.job), target or ""))

    def _refuse(self, party: Party, everyone: bool = False) -> None:
        """Tell those who wait that nothing begins any more; what must not be kept waiting goes on in a pause."""
        for number, wish in list(party.wishes.items()):
            if everyone or party.stops(wish):
                del party.wishes[number]
                if not wish.granted.done():
                    wish.granted.set_result(None)

    async def _plan(self, situation: Situation) -> Schedule:
        by_rule = plan_by_rule(situation, self.schedule)
        if not self.ahead or self._mode != "lookahead" or len(situation.jobs) < 2:
            return by_rule
        # On virtual time the effort alone bounds it, so that two runs of one seed are equal.
        limit = _UNHURRIED if on_virtual_time() else _HURRIED
        ahead = await asyncio.to_thread(plan_ahead, situation, hint=by_rule, time_limit=limit)
        return ahead or by_rule

    def situation(self) -> Situation:
        """What the scheduler has to know, as it is at this moment."""
        now = self._clock.now()
        jobs = tuple(p.job(number, stand, now) for p in self._parties for number, stand in sorted(p.stands.items()))
        names = dict.fromkeys(name for party in self._parties for name in party.station_names)
        stations = {
            name: StationNow(
                usable=all(party.usable(name) for party in self._parties if name in party.station_names),
                setup_value=self.setup.get(name),
            )
            for name in names
        }
        taken = self._taken()
        places = {
            name: PlaceNow(capacity=spec.slots, taken=taken.get(name, 0), station=spec.station)
            for name, spec in self._lab.places.items()
        }
        return Situation(now=now, jobs=jobs, lab=Lab(stations=stations, places=places))

    def _taken(self) -> dict[str, int]:
        """Place → slots taken by samples of trials that are not under way here, or perhaps by those that are."""
        mine = {item for party in self._parties for item in party.held()}
        taken: Counter[str] = Counter()
        for party in self._parties:
            taken |= Counter(party.taken(mine))  # every campaign looks at the whole lab
        taken.update(place for stand in self._stands() for place in stand.also)
        return taken
