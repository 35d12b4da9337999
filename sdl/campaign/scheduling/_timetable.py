"""When stations and places are free, given what is under way and what has been planned."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sdl.campaign.scheduling.problem import Job, Planned, Situation, Task

__all__ = ["Gap", "Timetable", "Window"]


class Gap(NamedTuple):
    """A time in which a station is free."""

    begin: float
    end: float
    value: float | None
    """What the station is set to."""
    following: _Busy | None
    """The task after it whose set-up depends on what happens in the gap."""


class Window(NamedTuple):
    """A time in which a place has a free slot."""

    begin: float
    end: float


class _Busy(NamedTuple):
    begin: float
    end: float
    value: float | None
    setup_per: float
    setup: float


_FOR_EVER = Window(-math.inf, math.inf)


def _by_time(busy: _Busy) -> tuple[float, float]:
    return busy.begin, busy.end


@dataclass
class _Line:
    """One station."""

    value: float | None
    free_at: float
    usable: bool
    busy: list[_Busy] = field(default_factory=list)
    gaps: list[Gap] | None = None


class Timetable:
    """Stations and places over time. A sample that nobody has planned for stays where it is for ever."""

    def __init__(self, situation: Situation) -> None:
        """Enter all tasks under way, and all that jobs in flight hold on to."""
        self.now = situation.now
        self._lines = {
            name: _Line(station.setup_value, max(station.free_at, self.now), station.usable)
            for name, station in situation.lab.stations.items()
        }
        self._slots = {name: place.slots for name, place in situation.lab.places.items()}
        self._taken: dict[str, list[Window]] = {name: [] for name in self._slots}
        self._windows: dict[str, list[Window]] = {}
        self._holding: set[int] = set()
        for job in situation.jobs:
            self._enter(job)

    def _enter(self, job: Job) -> None:
        if job.running is not None:
            task, end = job.tasks[job.running.task], job.running.end(self.now)
            busy = _Busy(-math.inf, end, task.setup_value, 0.0, 0.0)
            insort(self._lines[job.running.station].busy, busy, key=_by_time)
            for station in job.let_go_soon():
                self.keep(station, end)
            if job.place is not None and job.place != job.bound_for:
                self.take(job.place, Window(-math.inf, end))
            if task.frees and job.running.place is not None and job.running.place != job.place:
                self.take(job.running.place, Window(-math.inf, end))
        self.hold(job)

    def hold(self, job: Job) -> None:
        """A job holds on to its place and its stations for ever, until something is planned for it."""
        for station in job.kept_until():
            self.keep(station, math.inf)
        if job.bound_for is not None:
            self.take(job.bound_for, _FOR_EVER)
        if job.kept_until() or job.bound_for is not None:
            self._holding.add(job.id)

    def let_go(self, job: Job) -> None:
        """Take out what a job holds on to, to plan for it."""
        if job.id not in self._holding:
            return
        self._holding.remove(job.id)
        for station in job.kept_until():
            self._lines[station].busy.remove(_Busy(self.now, math.inf, None, 0.0, 0.0))
            self._lines[station].gaps = None
        if job.bound_for is not None:
            self._taken[job.bound_for].remove(_FOR_EVER)
            self._windows.pop(job.bound_for, None)

    def keep(self, station: str, until: float) -> None:
        """A station stays with a job from now until then."""
        line = self._lines[station]
        insort(line.busy, _Busy(self.now, until, None, 0.0, 0.0), key=_by_time)
        line.gaps = None

    def holding(self) -> bool:
        """Whether something is held for a job that nothing has been planned for."""
        return bool(self._holding)

    def take(self, place: str, window: Window) -> None:
        """A sample lies there for that time."""
        insort(self._taken[place], window)
        self._windows.pop(place, None)

    def use(self, planned: Planned, task: Task, setup: float, until: float | None = None) -> None:
        """A station does a task, and is kept until then where that is later."""
        line = self._lines[planned.station]
        end = planned.end if until is None else max(until, planned.end)
        insort(line.busy, _Busy(planned.start, end, task.setup_value, task.setup_per, setup), key=_by_time)
        line.gaps = None

    def gaps(self, station: str) -> Sequence[Gap]:
        """When a station is free, in order."""
        line = self._lines[station]
        if line.gaps is None:
            line.gaps = _gaps(line) if line.usable else []
        return line.gaps

    def windows(self, place: str) -> Sequence[Window]:
        """When a place has a free slot, in order."""
        if place not in self._windows:
            self._windows[place] = _free(self._taken[place], self._slots[place])
        return self._windows[place]


def _gaps(line: _Line) -> list[Gap]:
    found: list[tuple[float, float, float | None, int]] = []
    begin, value = line.free_at, line.value
    for position, busy in enumerate(line.busy):
        if busy.begin > begin:
            found.append((begin, busy.begin, value, position))
        begin = max(begin, busy.end)
        value = busy.value if busy.value is not None else value
    if begin < math.inf:
        found.append((begin, math.inf, value, len(line.busy)))
    return [
        Gap(start, end, before, next((b for b in line.busy[position:] if b.value is not None), None))
        for start, end, before, position in found
    ]


def _free(taken: Sequence[Window], slots: int) -> list[Window]:
    if len(taken) < slots:
        return [Window(-math.inf, math.inf)]
    # At equal times slots are given back before they are taken.
    changes = sorted([(w.begin, 1) for w in taken] + [(w.end, -1) for w in taken if w.end < math.inf])
    free, count, begin = [], 0, -math.inf
    for time, change in changes:
        if count < slots <= count + change:
            if time > begin:
                free.append(Window(begin, time))
        elif count >= slots > count + change:
            begin = time
        count += change
    if count < slots:
        free.append(Window(begin, math.inf))
    return free
