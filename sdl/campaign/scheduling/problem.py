"""What there is to schedule: jobs with their tasks, stations, places, and how things stand now.

A *job* is a trial in flight or waiting to begin, a *task* one step of it. All times are lab seconds. The records are
plain values: the campaign makes a `Situation` of what it knows, and everything in this package is a function of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "TOLERANCE",
    "Job",
    "Lab",
    "PlaceNow",
    "Planned",
    "Running",
    "Schedule",
    "Situation",
    "StationNow",
    "Task",
    "cost",
    "lateness",
    "urgency",
]

TOLERANCE = 1e-6
"""Lab seconds by which two times may differ and still be the same."""
OVERRUN = 0.1
"""A task that takes longer than expected is expected to take this part of what it has taken until now once more."""
AGEING = 10.0
"""A job that has waited for this many times its own work counts as one priority higher."""


@dataclass(frozen=True)
class Task:
    """One step of a job."""

    step: str
    stations: tuple[str, ...]
    """Any of which can do it, the preferred one first."""
    durations: Mapping[str, float]
    """Lab seconds by station, set-up left out."""
    min_wait: float = 0.0
    """Least lab seconds since the end of the task before; without meaning for the first task."""
    max_wait: float | None = None
    """Most lab seconds since the end of the task before; without meaning for the first task."""
    into: tuple[str, ...] = ()
    """Places into any of which it moves the sample; empty when the sample stays where it is."""
    frees: bool = False
    """Whether the sample no longer takes a place after its end: archived or consumed."""
    keep_until: int | None = None
    """Index of the task until whose end the station stays with the job."""
    setup_value: float | None = None
    """What the station is set to, as a temperature; None when it does not matter."""
    setup_per: float = 0.0
    """Lab seconds of set-up for each unit by which that differs from the station's last value."""

    def setup(self, before: float | None) -> float:
        """Lab seconds of set-up on a station whose last value was `before`; none when that is not known."""
        if self.setup_value is None or before is None:
            return 0.0
        return self.setup_per * abs(self.setup_value - before)

    def shortest(self) -> float:
        """Lab seconds on the quickest of its stations."""
        return min(self.durations[station] for station in self.stations)


@dataclass(frozen=True)
class Running:
    """A task under way. It holds its station, the place it moves the sample into, and the place it takes it from."""

    task: int
    """Index in the job's tasks."""
    station: str
    place: str | None
    """Where it moves the sample; None when the sample stays where it is."""
    started: float
    expected_end: float

    def end(self, now: float) -> float:
        """Lab time at which it is expected to end, seen from now: later than said when that has passed."""
        if now <= self.expected_end + TOLERANCE:
            return max(self.expected_end, now)
        return now + OVERRUN * (now - self.started)


@dataclass(frozen=True)
class Job:
    """A trial, in flight or waiting to begin."""

    id: int
    """Number of the trial."""
    priority: int
    """The higher, the sooner."""
    arrived: float
    tasks: tuple[Task, ...]
    """All of the procedure."""
    next: int = 0
    """Index of the first task that is not done; the one under way while it runs."""
    place: str | None = None
    """Where its sample is; while a task moves it, where it is taken from."""
    ready: float = 0.0
    """Lab time at which its previous task ended, or at which it arrived."""
    running: Running | None = None
    kept: tuple[str, ...] = ()
    """Stations that stay with it between tasks."""

    @property
    def in_flight(self) -> bool:
        """Whether it has begun."""
        return self.next > 0 or self.place is not None or self.running is not None or bool(self.kept)

    @property
    def coming(self) -> int:
        """Index of the first task that has not started."""
        return self.next if self.running is None else self.running.task + 1

    @property
    def bound_for(self) -> str | None:
        """Where its sample is once the task under way has ended."""
        if self.running is None:
            return self.place
        if self.tasks[self.running.task].frees:
            return None
        return self.running.place if self.running.place is not None else self.place

    def kept_until(self) -> dict[str, int]:
        """Stations that stay with it once the task under way has ended → index of the task until whose end."""
        coming, until = self.coming, {}
        for station in self.kept:
            ends = [
                task.keep_until
                for task in self.tasks[:coming]
                if task.keep_until is not None and station in task.stations
            ]
            until[station] = max(ends, default=len(self.tasks) - 1)
        if self.running is not None:
            keep = self.tasks[self.running.task].keep_until
            if keep is not None:
                until[self.running.station] = max(keep, until.get(self.running.station, 0))
        return {station: index for station, index in until.items() if index >= coming}

    def let_go_soon(self) -> tuple[str, ...]:
        """Stations that stay with it until the task under way ends, and no longer; its own left out."""
        if self.running is None:
            return ()
        until = self.kept_until()
        return tuple(name for name in self.kept if name not in until and name != self.running.station)

    def in_chain(self) -> bool:
        """Whether a maximum wait is running or will when the task under way ends: it may not be kept waiting."""
        coming = self.coming
        return 0 < coming < len(self.tasks) and self.tasks[coming].max_wait is not None

    def free_from(self, now: float) -> float:
        """Lab time from which its next task can follow, waits left out."""
        return self.ready if self.running is None else self.running.end(now)

    def work(self) -> float:
        """Lab seconds of all its tasks."""
        return sum(task.shortest() for task in self.tasks)


@dataclass(frozen=True)
class StationNow:
    """How a station stands."""

    free_at: float = 0.0
    """Lab time before which nothing can start on it, for reasons other than the jobs here."""
    usable: bool = True
    """False while it is lost, in doubt or tripped."""
    setup_value: float | None = None
    """What it was last set to."""


@dataclass(frozen=True)
class PlaceNow:
    """How a place stands."""

    capacity: int = 1
    taken: int = 0
    """Slots taken by samples of no job here."""
    station: str | None = None
    """Station at which it is."""

    @property
    def slots(self) -> int:
        """Slots that the jobs here can use."""
        return max(self.capacity - self.taken, 0)


@dataclass(frozen=True)
class Lab:
    """Stations and places as they are now."""

    stations: Mapping[str, StationNow]
    places: Mapping[str, PlaceNow] = field(default_factory=dict)

    def choices(self, task: Task, place: str | None) -> tuple[str, ...]:
        """Stations that can do a task on a sample that lies in `place`: the one it lies at, if that is a choice."""
        here = self.places[place].station if place is not None else None
        stations = (here,) if here is not None and here in task.stations else task.stations
        return tuple(station for station in stations if self.stations[station].usable)


@dataclass(frozen=True)
class Situation:
    """All that the schedule follows from."""

    now: float
    jobs: tuple[Job, ...]
    lab: Lab

    def job(self, number: int) -> Job:
        """The job of a trial."""
        return next(job for job in self.jobs if job.id == number)


@dataclass(frozen=True)
class Planned:
    """A task with its time, its station and the place it moves the sample into."""

    job: int
    index: int
    step: str
    station: str
    place: str | None
    start: float
    end: float
    """Set-up included."""


@dataclass(frozen=True)
class Schedule:
    """What is to come; tasks under way are not in it."""

    planned: tuple[Planned, ...]
    """By start."""
    by: Literal["lookahead", "rule"]
    makespan: float
    """Lab time at which the last task ends."""
    note: str = ""
    """What a person should know about it; empty when there is nothing."""

    def of(self, job: int, index: int) -> Planned | None:
        """When a task is planned, or None when it is not."""
        return next((p for p in self.planned if p.job == job and p.index == index), None)


def urgency(job: Job, now: float) -> float:
    """Priority of a job, one more for each `AGEING` times its own work that it has been there: nobody starves."""
    work = job.work()
    return job.priority + (math.floor((now - job.arrived) / (AGEING * work)) if work > 0 else 0)


def lateness(situation: Situation, schedule: Schedule) -> float:
    """Lab seconds by which a schedule exceeds maximum waits, in all; what can no longer be kept is left out."""
    late = 0.0
    ends = {(p.job, p.index): p.end for p in schedule.planned}
    jobs = {job.id: job for job in situation.jobs}
    for planned in schedule.planned:
        job = jobs[planned.job]
        wait = job.tasks[planned.index].max_wait
        if wait is None or planned.index == 0:
            continue
        before = ends.get((planned.job, planned.index - 1), job.free_from(situation.now))
        excess = planned.start - max(before + wait, situation.now) - TOLERANCE
        late += max(excess, 0.0)
    return late


def cost(situation: Situation, schedule: Schedule) -> float:
    """What a schedule is judged by, in lab seconds; less is better, between schedules of the same tasks.

    The end of each job, weighted by its urgency, and the makespan as much as all of those together; a second of
    lateness weighs as much as a thousand of waiting.
    """
    ends: dict[int, float] = {}
    for planned in schedule.planned:
        ends[planned.job] = max(planned.end, ends.get(planned.job, 0.0))
    weights = weigh(situation)
    total = sum(weights[job] * (end - situation.now) for job, end in ends.items())
    total += sum(weights[job] for job in ends) * (max(ends.values(), default=situation.now) - situation.now)
    return total + 1000.0 * sum(weights.values()) * lateness(situation, schedule)


def weigh(situation: Situation) -> dict[int, int]:
    """Weight of each job's end: 1 for the least urgent, one more for each step of urgency."""
    steps = {job.id: urgency(job, situation.now) for job in situation.jobs}
    least = min(steps.values(), default=0)
    return {number: 1 + int(min(value - least, 20)) for number, value in steps.items()}
