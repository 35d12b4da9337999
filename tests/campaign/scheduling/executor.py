"""A small discrete-event lab that follows schedules, for tests: what a dispatcher does, without instruments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sdl.campaign.scheduling.problem import (
    TOLERANCE,
    Job,
    Lab,
    Planned,
    Running,
    Schedule,
    Situation,
)
from sdl.campaign.scheduling.ready import Mode, due, wake_at
from sdl.campaign.scheduling.rule import plan_by_rule

Planner = Callable[[Situation, Schedule | None], Schedule]


@dataclass
class Done:
    """A task that has ended."""

    job: int
    index: int
    station: str
    start: float
    end: float
    wait: float


@dataclass
class Executor:
    """Runs jobs to their ends, and raises AssertionError as soon as something is done that must not be."""

    lab: Lab
    mode: Mode = "lookahead"
    planner: Planner = plan_by_rule
    noise: Callable[[], float] = lambda: 1.0
    in_flight: int | None = None
    """Jobs here at a time; None for as many as arrive."""
    now: float = 0.0
    jobs: dict[int, Job] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    _ends: dict[int, float] = field(default_factory=dict)
    _values: dict[str, float | None] = field(default_factory=dict)
    _schedule: Schedule | None = None
    _lost: dict[str, float] = field(default_factory=dict)
    """Station → when it is usable again."""

    def run(self, arriving: Iterable[Job], lost: Mapping[str, tuple[float, float]] | None = None) -> float:
        """Until all jobs have ended; the lab time at which the last one did."""
        waiting = sorted(arriving, key=lambda job: (job.arrived, job.id))
        lost = dict(lost or {})
        steps = 0
        while waiting or self.jobs:
            steps += 1
            assert steps < 20_000, "it goes round in circles"
            self._lost = {s: until for s, (since, until) in lost.items() if since <= self.now < until}
            while waiting and waiting[0].arrived <= self.now and self._has_room():
                job = waiting.pop(0)
                self.jobs[job.id] = replace(job, arrived=max(job.arrived, 0.0), ready=self.now)
            wake = self._dispatch()
            times = [*self._ends.values(), wake if wake is not None else math.inf]
            times += [time for window in lost.values() for time in window if time > self.now]
            if waiting and self._has_room():
                times.append(max(waiting[0].arrived, self.now))
            later = min(times, default=math.inf)
            assert later < math.inf, f"deadlock at {self.now}: {self.jobs}"
            assert later > self.now or self._ends, "no time passes"
            self.now = max(self.now, later)
            for number in [n for n, end in self._ends.items() if end <= self.now]:
                self._end(number)
        return max((done.end for done in self.done), default=0.0)

    def _has_room(self) -> bool:
        return self.in_flight is None or len(self.jobs) < self.in_flight

    def situation(self) -> Situation:
        """As things stand."""
        stations = {
            name: replace(
                station, setup_value=self._values.get(name, station.setup_value), usable=name not in self._lost
            )
            for name, station in self.lab.stations.items()
        }
        return Situation(self.now, tuple(self.jobs.values()), replace(self.lab, stations=stations))

    def _dispatch(self) -> float | None:
        while True:
            situation = self.situation()
            if not situation.jobs:
                return None
            self._schedule = self.planner(situation, self._schedule)
            chosen = due(situation, self._schedule, self.mode)
            for planned in chosen:
                self._start(planned)
            if not chosen:
                return wake_at(situation, self._schedule, self.mode)

    def _start(self, planned: Planned) -> None:
        job = self.jobs[planned.job]
        task = job.tasks[planned.index]
        where = f"{planned} at {self.now} with {self.jobs}"
        assert job.running is None, where
        assert planned.index == job.next, where
        assert planned.station in task.stations, where
        assert planned.station not in self._lost, where
        others = [other for other in self.jobs.values() if other is not job]
        assert all(other.running is None or other.running.station != planned.station for other in others), where
        assert all(planned.station not in other.kept for other in others), where
        if job.place is not None:
            here = self.lab.places[job.place].station
            assert here not in task.stations or planned.station == here, where
        if job.next > 0:
            assert job.ready + task.min_wait <= self.now + TOLERANCE, where
        entered = planned.place if planned.place != job.place else None
        if entered is not None:
            assert entered in task.into, where
            lie = sum(o.place == entered or (o.running is not None and o.running.place == entered) for o in others)
            assert lie < self.lab.places[entered].slots, where
        expected = task.durations[planned.station] + task.setup(self._values.get(planned.station))
        assert math.isclose(expected, planned.end - planned.start, abs_tol=1e-3), (expected, where)
        self.done.append(Done(job.id, planned.index, planned.station, self.now, math.nan, self.now - job.ready))
        self._ends[job.id] = self.now + expected * self.noise()
        if task.setup_value is not None:
            self._values[planned.station] = task.setup_value
        running = Running(planned.index, planned.station, entered, self.now, self.now + expected)
        kept = job.kept if task.keep_until is None else (*job.kept, planned.station)
        self.jobs[job.id] = replace(job, running=running, kept=kept)

    def _end(self, number: int) -> None:
        job, end = self.jobs[number], self._ends.pop(number)
        next(d for d in self.done if d.job == number and math.isnan(d.end)).end = end
        after = replace(
            job,
            next=job.coming,
            place=job.bound_for,
            ready=end,
            running=None,
            kept=tuple(job.kept_until()),
        )
        if after.next == len(job.tasks):
            del self.jobs[number]
        else:
            self.jobs[number] = after
