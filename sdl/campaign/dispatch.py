"""One campaign at the board of its lab: its trials as jobs, what it learns of durations, and what it is granted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdl.campaign.board import Board, Stand, Wish
from sdl.campaign.jobs import declared, measured, set_up_for, tasks_of, units_of
from sdl.campaign.scheduling.durations import Durations
from sdl.campaign.scheduling.problem import Job, Schedule, Task
from sdl.campaign.scheduling.ready import Mode, slack
from sdl.campaign.turns import Claim
from sdl.journal import kinds
from sdl.lab.procedure import Procedure

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Dispatcher"]

_ELSEWHERE = 30.0
"""Lab seconds after which a trial that waits for something else is taken to be ready for its next step."""
_APART = 1_000_000
"""Between the jobs of two campaigns; more than a campaign has trials."""


class Dispatcher:
    """Satisfies `sdl.campaign.turns.Turns` with a schedule, and `sdl.campaign.board.Party`.

    Args:
        campaign: whose trials it serves.
        procedure: their recipe.
        board: of the lab; campaigns that run on it together have one.
        rank: of the campaign among those: 0, 1, 2 …
    """

    shares = True

    def __init__(self, campaign: Coordinator, procedure: Procedure, board: Board, rank: int = 0) -> None:
        self._campaign, self._procedure, self._board = campaign, procedure, board
        self._first = rank * _APART
        self._units = units_of(campaign.spec)
        self.stands: dict[int, Stand] = {}
        self.wishes: dict[int, Wish] = {}
        self.waiting = 0
        board.setup.update(set_up_for(campaign.state, procedure))
        self._attempts = measured(campaign.state, procedure, self._units, campaign.clock.speed)
        self._durations = Durations(self._attempts)

    # ── what trials call ──

    def try_claim(self, number: int) -> Claim | None:
        """A new trial waits for its turn like all others."""
        return None

    async def claim(self, number: int, index: int, only: str | None) -> Claim | None:
        """See `Turns`."""
        job = self._first + number
        stand = self._stand(number)
        stand.next = index
        stand.place, stand.also = self._whereabouts(number)
        stand.tasks = self._restricted(number, index, only)
        wish = Wish(index, only, asyncio.get_running_loop().create_future())
        self.wishes[job] = wish
        if self._board.error is not None:
            raise self._board.error
        self._board.look()
        try:
            return await wish.granted
        finally:
            if self.wishes.get(job) is wish:
                del self.wishes[job]

    def over(self, number: int, index: int, done: bool) -> None:
        """See `Turns`."""
        stand = self.stands.get(self._first + number)
        if stand is None or stand.running is None:
            return
        now, running = self._campaign.clock.now(), stand.running
        task = stand.tasks[index]
        stand.running, stand.ready = None, now
        early = slack(running.expected_end - running.started) if self._board.ahead else 0.0
        if not done or now < running.expected_end - early:
            self._board.surprised = True
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
        self._board.look()

    def foreseen(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        """See `Turns`. Times are lab seconds of the campaign."""
        schedule, job = self._board.schedule, self._first + number
        if schedule is None or job not in self.stands:
            return []
        campaign = self._campaign
        zero = campaign.clock.now() - campaign.lab_seconds
        planned = {p.index: p for p in schedule.planned if p.job == job}
        steps = [
            {"step": p.step, "station": p.station, "start": p.start - zero, "end": p.end - zero}
            for _, p in sorted(planned.items())
        ]
        body = {"trial": number, "now": campaign.lab_seconds, "by": schedule.by, "steps": steps}
        return [(kinds.TRIAL_SCHEDULED, body)] if steps else []

    def leave(self, number: int) -> None:
        """See `Turns`."""
        if self.stands.pop(self._first + number, None) is not None:
            self._board.look()

    @property
    def room(self) -> bool:
        """See `Turns`: the planner is asked when a trial could begin, and so knows the most."""
        if self.mode == "one_by_one" and self.stands:
            return False
        return all(wish.index > 0 for wish in self.wishes.values())

    def look(self) -> None:
        """See `Turns` and `Party`."""
        self._board.look()

    def begin(self) -> None:
        """See `Turns`."""
        self._board.begin(self)

    async def end(self) -> None:
        """See `Turns`."""
        await self._board.end(self)

    # ── what the board asks ──

    @property
    def schedule(self) -> Schedule | None:
        """The schedule in force; times are those of the lab's clock."""
        return self._board.schedule

    @property
    def mode(self) -> Mode:
        """See `Party`."""
        return self._campaign.spec.schedule

    @property
    def stopping(self) -> bool:
        """See `Party`."""
        return self._campaign.stopping

    @property
    def settling(self) -> int:
        """See `Party`."""
        return self._campaign.settling.waiting

    @property
    def station_names(self) -> Collection[str]:
        """See `Party`."""
        return self._campaign.stations

    def stops(self, wish: Wish) -> bool:
        """See `Party`."""
        return self._campaign.stops(self._procedure.steps[wish.index])

    def stuck(self) -> None:
        """See `Party`."""
        self._campaign.look()

    def job(self, number: int, stand: Stand, now: float) -> Job:
        """See `Party`."""
        elsewhere = stand.running is None and number not in self.wishes
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

    def usable(self, station: str) -> bool:
        """See `Party`."""
        host = self._campaign.stations[station]
        devices = {d for step in self._procedure.steps for d in step.devices_on(station)}
        if station in self._campaign.out or station in self._campaign.tripped:
            return False
        return host.blocked(tuple(sorted(devices))) is None

    def held(self) -> Iterable[tuple[str, int]]:
        """See `Party`."""
        return [(self._campaign.state.id, job - self._first) for job in self.stands]

    def taken(self, mine: Collection[tuple[str, int]]) -> Mapping[str, int]:
        """See `Party`."""
        keeping = self._campaign.keeping
        return {} if keeping is None else keeping.taken_by_others(mine)

    def source(self, job: int) -> str:
        """See `Party`."""
        keeping = self._campaign.keeping
        return keeping.source(job - self._first) if keeping is not None else ""

    # ── trials ──

    def _stand(self, number: int) -> Stand:
        stand = self.stands.get(self._first + number)
        if stand is None:
            trial = self._campaign.state.trials[number]
            now = self._campaign.clock.now()
            ended = [step.ended_at for step in trial.steps if step.ended_at is not None]
            ready = now if not ended else now - self._since(max(ended))
            arrived = now - self._since(trial.proposed_at)
            stand = self.stands[self._first + number] = Stand(self._tasks(number), arrived, 0, ready)
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
        stand = self.stands[self._first + number]
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

    def _keeps(self, stand: Stand, station: str, index: int) -> bool:
        """Whether a trial still keeps a station after the step of an index."""
        return any(
            station in task.stations and task.keep_until is not None and i <= index < task.keep_until
            for i, task in enumerate(stand.tasks)
        )
