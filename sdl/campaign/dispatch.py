"""Gives steps of several trials their stations and places, as a schedule says that is made anew when things change."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdl.campaign.jobs import declared, measured, set_up_for, tasks_of, units_of
from sdl.campaign.scheduling.cpsat import plan_ahead
from sdl.campaign.scheduling.durations import Durations
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
from sdl.campaign.scheduling.ready import due, wake_at
from sdl.campaign.scheduling.rule import plan_by_rule
from sdl.campaign.turns import Claim
from sdl.journal import kinds
from sdl.lab.procedure import Procedure
from sdl.lab.spec import LabSpec
from sdl.virtual import on_virtual_time

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Dispatcher"]

_ELSEWHERE = 30.0
"""Lab seconds after which a trial that waits for something else is taken to be ready for its next step."""
_SLACK = 0.05
"""Part of a step's duration by which it may end early before the schedule is made anew."""
_LEAST_SLACK = 2.0
"""The same in lab seconds, at least."""

_HURRIED, _UNHURRIED = 0.12, 10.0
"""Wall seconds for a look ahead."""
_LEAST_WAIT = 1.0
"""Lab seconds between two looks at a schedule that nothing has changed."""


@dataclass
class _Wish:
    index: int
    only: str | None
    granted: asyncio.Future[Claim | None]


@dataclass
class _Place:
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


class Dispatcher:
    """Satisfies `sdl.campaign.turns.Turns` with a schedule.

    Args:
        campaign: whose trials it serves.
        procedure: their recipe.
        lab: places and stations.
    """

    shares = True

    def __init__(self, campaign: Coordinator, procedure: Procedure, lab: LabSpec) -> None:
        self._campaign, self._procedure, self._lab = campaign, procedure, lab
        self._units = units_of(campaign.spec)
        self._mode = campaign.spec.schedule
        self._stands: dict[int, _Place] = {}
        self._wishes: dict[int, _Wish] = {}
        self._setup = set_up_for(campaign.state, procedure)
        """Station → what it was last set up for."""
        self._schedule: Schedule | None = None
        self._surprised = False
        """A step has ended earlier than the schedule has it."""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        """What ended `_serve`."""
        self._attempts = measured(campaign.state, procedure, self._units, campaign.clock.speed)
        self._durations = Durations(self._attempts)
        self.waiting = 0

    # ── what trials call ──

    def try_claim(self, number: int) -> Claim | None:
        """A new trial waits for its turn like all others."""
        return None

    async def claim(self, number: int, index: int, only: str | None) -> Claim | None:
        """See `Turns`."""
        stand = self._stand(number)
        stand.next = index
        stand.place, stand.also = self._whereabouts(number)
        stand.tasks = self._restricted(number, index, only)
        wish = _Wish(index, only, asyncio.get_running_loop().create_future())
        self._wishes[number] = wish
        if self._error is not None:
            raise self._error
        self.look()
        try:
            return await wish.granted
        finally:
            if self._wishes.get(number) is wish:
                del self._wishes[number]

    def over(self, number: int, index: int, done: bool) -> None:
        """See `Turns`."""
        stand = self._stands.get(number)
        if stand is None or stand.running is None:
            return
        now, running = self._campaign.clock.now(), stand.running
        task = stand.tasks[index]
        stand.running, stand.ready = None, now
        length = running.expected_end - running.started
        self._surprised = self._surprised or not done or now < running.expected_end - _slack(length)
        if done:
            self._learn(number, index, running.station, now - running.started - stand.setup)
            stand.next = index + 1
            stand.place, stand.also = None if task.frees else running.place or stand.place, ()
        else:
            stand.place, stand.also = self._whereabouts(number)
        if done and task.keep_until is not None and task.keep_until > index:
            stand.kept = tuple(dict.fromkeys((*stand.kept, running.station)))
        elif done:
            stand.kept = tuple(s for s in stand.kept if self._keeps(stand, s, index))
        self.look()

    def foreseen(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """See `Turns`. Times are lab seconds of the campaign."""
        schedule, stand = self._schedule, self._stands.get(number)
        if schedule is None or stand is None:
            return []
        campaign = self._campaign
        zero = campaign.clock.now() - campaign.lab_seconds
        planned = {p.index: p for p in schedule.planned if p.job == number}
        steps = [
            {"step": p.step, "station": p.station, "start": p.start - zero, "end": p.end - zero}
            for _, p in sorted(planned.items())
        ]
        body = {"trial": number, "now": campaign.lab_seconds, "by": schedule.by, "steps": steps}
        return [(kinds.TRIAL_SCHEDULED, body)] if steps else []

    def leave(self, number: int) -> None:
        """See `Turns`."""
        if self._stands.pop(number, None) is not None:
            self.look()

    @property
    def room(self) -> bool:
        """See `Turns`: the planner is asked when a trial could begin, and so knows the most."""
        if self._mode == "one_by_one" and self._stands:
            return False
        return all(wish.index > 0 for wish in self._wishes.values())

    def look(self) -> None:
        """See `Turns`."""
        self._changed.set()

    def begin(self) -> None:
        """Serve from now on."""
        self._task = asyncio.ensure_future(self._serve())
        self._task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        """Nobody serves any more; when that is through an error, whoever waits gets it rather than waiting for ever."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._error = error
        for wish in self._wishes.values():
            if not wish.granted.done():
                wish.granted.set_exception(error)

    async def end(self) -> None:
        """Serve no longer; whoever waits gets nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._refuse(everyone=True)

    # ── the schedule ──

    @property
    def schedule(self) -> Schedule | None:
        """The schedule in force; times are those of the campaign's clock."""
        return self._schedule

    async def _serve(self) -> None:
        while True:
            self._changed.clear()
            if self._campaign.stopping:
                self._refuse()
            if self._campaign.stopping and not self._wishes:
                await self._changed.wait()
                continue
            wake = await self._turn()
            if self._campaign.stopping and wake is None and not any(s.running for s in self._stands.values()):
                self._refuse(everyone=True)  # nothing that is under way can help them
            if self._changed.is_set():
                continue
            await self._wait(wake)

    async def _wait(self, wake: float | None) -> None:
        if wake is None:
            await self._changed.wait()
            return
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._campaign.clock.sleep(max(0.0, wake - self._campaign.clock.now())))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (changed, timer):
                task.cancel()
            await asyncio.gather(changed, timer, return_exceptions=True)

    async def _turn(self) -> float | None:
        """Grant what is due; returns the lab time of the next look."""
        situation = self.situation()
        if self._is_stale(situation):
            self._schedule = await self._plan(situation)
            situation = self.situation()
        schedule = self._schedule
        if schedule is None:
            self.waiting = 0
            return None
        granted = False
        for planned in due(situation, schedule, self._mode):
            wish = self._wishes.get(planned.job)
            if wish is not None and wish.index == planned.index and not wish.granted.done():
                self._grant(planned, wish)
                granted = True
                situation = self.situation()
        if granted:
            self.look()
        wake = wake_at(situation, schedule, self._mode)
        elsewhere = len(self._stands) - len(self._wishes) - self._campaign.settling.waiting
        busy = any(stand.running for stand in self._stands.values()) or elsewhere > 0
        self.waiting = 0 if busy or granted or wake is not None else len(self._wishes)
        if self.waiting:
            self._campaign.look()
        return None if wake is None else max(wake, situation.now + max(_LEAST_WAIT, 0.02 * self._campaign.clock.speed))

    def _grant(self, planned: Planned, wish: _Wish) -> None:
        stand = self._stands[planned.job]
        task = stand.tasks[planned.index]
        now = self._campaign.clock.now()
        keeping = self._campaign.keeping
        source = keeping.source(planned.job) if keeping is not None else ""
        target = planned.place or (stand.place if task.into else None)
        stand.running = Running(
            task=planned.index,
            station=planned.station,
            place=planned.place,
            started=now,
            expected_end=now + (planned.end - planned.start),
        )
        stand.setup = task.setup(self._setup.get(planned.station))
        if task.setup_value is not None:
            self._setup[planned.station] = task.setup_value
        wish.granted.set_result(Claim(planned.station, source, target or ""))

    def _refuse(self, everyone: bool = False) -> None:
        """Tell those who wait that nothing begins any more; what must not be kept waiting goes on in a pause."""
        for number, wish in list(self._wishes.items()):
            if everyone or self._campaign.stops(self._procedure.steps[wish.index]):
                del self._wishes[number]
                if not wish.granted.done():
                    wish.granted.set_result(None)

    async def _plan(self, situation: Situation) -> Schedule:
        by_rule = plan_by_rule(situation, self._schedule)
        if self._mode != "lookahead" or len(situation.jobs) < 2:
            return by_rule
        # On virtual time the effort alone bounds it, so that two runs of one seed are equal.
        limit = _UNHURRIED if on_virtual_time() else _HURRIED
        ahead = await asyncio.to_thread(plan_ahead, situation, hint=by_rule, time_limit=limit)
        return ahead or by_rule

    def _is_stale(self, situation: Situation) -> bool:
        """Whether what has happened is not what the schedule foresaw."""
        schedule, surprised = self._schedule, self._surprised
        self._surprised = False
        if schedule is None or surprised:
            return bool(situation.jobs)
        planned = {(item.job, item.index): item for item in schedule.planned}
        for job in situation.jobs:
            if job.coming == len(job.tasks):
                continue
            item = planned.get((job.id, job.coming))
            if item is None or not situation.lab.stations[item.station].usable:
                return True
            if situation.now > item.start + _slack(item.end - item.start):
                return True
        return False

    def situation(self) -> Situation:
        """What the scheduler has to know, as it is at this moment."""
        now = self._campaign.clock.now()
        jobs = tuple(self._job(number, stand, now) for number, stand in sorted(self._stands.items()))
        stations = {
            name: StationNow(usable=self._usable(name), setup_value=self._setup.get(name))
            for name in self._campaign.stations
        }
        taken = self._taken()
        places = {
            name: PlaceNow(capacity=spec.slots, taken=taken.get(name, 0), station=spec.station)
            for name, spec in self._lab.places.items()
        }
        return Situation(now=now, jobs=jobs, lab=Lab(stations=stations, places=places))

    def _job(self, number: int, stand: _Place, now: float) -> Job:
        elsewhere = stand.running is None and number not in self._wishes
        return Job(
            id=number,
            priority=self._campaign.spec.priority,
            arrived=stand.arrived,
            tasks=stand.tasks,
            next=stand.next,
            place=stand.place,
            ready=max(stand.ready, now + _ELSEWHERE) if elsewhere else stand.ready,
            running=stand.running,
            kept=stand.kept,
        )

    def _usable(self, name: str) -> bool:
        host = self._campaign.stations[name]
        devices = {d for step in self._procedure.steps for d in step.devices_on(name)}
        if name in self._campaign.out:
            return False
        return name not in self._campaign.tripped and host.blocked(tuple(sorted(devices))) is None

    def _taken(self) -> dict[str, int]:
        """Place → slots taken by samples of trials that are not under way here, or perhaps by those that are."""
        keeping = self._campaign.keeping
        if keeping is None:
            return {}
        taken = Counter(keeping.taken_by_others(self._stands))
        taken.update(place for stand in self._stands.values() for place in stand.also)
        return taken

    # ── trials ──

    def _stand(self, number: int) -> _Place:
        stand = self._stands.get(number)
        if stand is None:
            trial = self._campaign.state.trials[number]
            now = self._campaign.clock.now()
            ended = [step.ended_at for step in trial.steps if step.ended_at is not None]
            ready = now if not ended else now - self._since(max(ended))
            arrived = now - self._since(trial.proposed_at)
            stand = self._stands[number] = _Place(self._tasks(number), arrived, 0, ready)
        return stand

    def _whereabouts(self, number: int) -> tuple[str | None, tuple[str, ...]]:
        """Where a trial's sample is taken to be, and the other places that it may be in, by the record."""
        keeping = self._campaign.keeping
        spots = keeping.spots(number) if keeping is not None else ()
        return (spots[-1], spots[:-1]) if spots else (None, ())

    def _since(self, at: int) -> float:
        """Lab seconds since a moment of the journal, Unix ns."""
        clock = self._campaign.clock
        wall_ns: Any = getattr(clock, "wall_ns", time.time_ns)
        return max(0.0, float(wall_ns() - at) / 1e9 * clock.speed)

    def _tasks(self, number: int) -> tuple[Task, ...]:
        parameters = self._campaign.state.trials[number].parameters
        return tasks_of(self._procedure, parameters, self._units, self._durations)

    def _learn(self, number: int, index: int, station: str, seconds: float) -> None:
        step, parameters = self._procedure.steps[index], self._campaign.state.trials[number].parameters
        self._attempts.append((step.name, station, declared(step, parameters, self._units), seconds))
        self._durations = Durations(self._attempts)

    def _restricted(self, number: int, index: int, only: str | None) -> tuple[Task, ...]:
        """A step that has been begun before is done again where it was, and so is one that has to go elsewhere."""
        tasks = self._tasks(number)
        stand = self._stands[number]
        if stand.also and stand.place in tasks[index].into:
            begun = replace(tasks[index], into=(stand.place,))
            tasks = (*tasks[:index], begun, *tasks[index + 1 :])
        steps = [s for s in self._campaign.state.trials[number].steps if s.name == tasks[index].step]
        if steps and only is None and steps[-1].station in self._procedure.steps[index].spec.every_station:
            only = steps[-1].station
        if only is None:
            return tasks
        task = tasks[index]
        seconds = task.durations.get(only, next(iter(task.durations.values())))
        task = replace(task, stations=(only,), durations={only: seconds})
        return (*tasks[:index], task, *tasks[index + 1 :])

    def _keeps(self, stand: _Place, station: str, index: int) -> bool:
        """Whether a trial still keeps a station after the step of an index."""
        return any(
            station in task.stations and task.keep_until is not None and i <= index < task.keep_until
            for i, task in enumerate(stand.tasks)
        )


def _slack(seconds: float) -> float:
    """Lab seconds by which a step of some length may be off before that matters."""
    return max(_LEAST_SLACK, _SLACK * seconds)
