"""Exact times for tasks whose stations, places and order are known: as early as that order allows."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from sdl.campaign.scheduling.problem import Job, Planned, Schedule, Situation, lateness

__all__ = ["retimed"]

SLACKS = (0.25, 0.25, 0.0)
"""Part of each maximum wait by which a chain begins before it has to, pass by pass."""

_Key = tuple[int, int]


def retimed(
    situation: Situation,
    planned: Iterable[Planned],
    by: Literal["lookahead", "rule"],
    note: str,
    whole: bool = False,
) -> Schedule | None:
    """The same tasks in the same order on each station and place, each as early as that allows.

    A task that a maximum wait follows begins later than it could, so that the wait is kept with some slack. With
    `whole`, times are whole numbers where durations and waits are.

    Returns:
        The times with the least lateness found; None when the order does not fit the situation.
    """
    order = sorted(planned, key=lambda p: (p.start, p.end, p.job, p.index))
    timed = _Pass(situation, {}).times(order)
    if timed is None:
        return None
    best = _schedule(situation, timed, by, note)
    least = math.inf
    for slack in SLACKS:
        timed = _Pass(situation, _bounds(situation, timed, slack, whole)).times(order)
        if timed is None:
            break
        schedule = _schedule(situation, timed, by, note)
        late = lateness(situation, schedule)
        if late < least:
            best, least = schedule, late
        if late == 0.0:
            break
    return best


def _schedule(
    situation: Situation, planned: Sequence[Planned], by: Literal["lookahead", "rule"], note: str
) -> Schedule:
    ends = [p.end for p in planned]
    ends += [job.running.end(situation.now) for job in situation.jobs if job.running is not None]
    ordered = tuple(sorted(planned, key=lambda p: (p.start, p.end, p.job, p.index)))
    return Schedule(ordered, by, max(ends, default=situation.now), note)


def _bounds(situation: Situation, timed: Sequence[Planned], slack: float, whole: bool) -> dict[_Key, float]:
    """The earliest time at which tasks may begin that a maximum wait follows."""
    jobs = {job.id: job for job in situation.jobs}
    at = {(p.job, p.index): p for p in timed}
    bounds: dict[_Key, float] = {}
    for number, index in sorted(at, reverse=True):
        following = at.get((number, index + 1))
        if following is None:
            continue
        task = jobs[number].tasks[index + 1]
        if task.max_wait is None:
            continue
        start = max(following.start, bounds.get((number, index + 1), -math.inf))
        length = at[number, index].end - at[number, index].start
        spare = slack * max(task.max_wait - task.min_wait, 0.0)
        bounds[number, index] = start - length - task.min_wait - (math.floor(spare) if whole else spare)
    return bounds


class _Pass:
    """Tasks started one after the other in a given order."""

    def __init__(self, situation: Situation, bounds: Mapping[_Key, float]) -> None:
        """Begin with what is under way."""
        self.now, self.lab, self.bounds = situation.now, situation.lab, bounds
        self.jobs = {job.id: job for job in situation.jobs}
        self.free = {name: max(station.free_at, self.now) for name, station in self.lab.stations.items()}
        self.value = {name: station.setup_value for name, station in self.lab.stations.items()}
        self.kept: dict[str, tuple[int, int]] = {}
        self.ends: dict[int, float] = {}
        self.lies: dict[int, str | None] = {}
        slots = {name: place.slots for name, place in self.lab.places.items()}
        self.slots: dict[str, list[float]] = {}
        leaving: list[tuple[str, float]] = []
        for job in situation.jobs:
            self._enter(job, slots, leaving)
        for name, count in slots.items():
            self.slots[name] = [-math.inf] * min(max(count, 0), len(self.jobs) * 8)
        for name, end in leaving:
            heapq.heappush(self.slots[name], end)

    def _enter(self, job: Job, slots: dict[str, int], leaving: list[tuple[str, float]]) -> None:
        self.ends[job.id] = job.free_from(self.now)
        self.lies[job.id] = job.bound_for
        if job.bound_for is not None:
            slots[job.bound_for] -= 1
        for station, until in job.kept_until().items():
            self.kept[station] = (job.id, until)
        running = job.running
        if running is None:
            return
        task, end = job.tasks[running.task], running.end(self.now)
        self.free[running.station] = max(self.free[running.station], end)
        for station in job.let_go_soon():
            self.free[station] = max(self.free[station], end)
        if task.setup_value is not None:
            self.value[running.station] = task.setup_value
        for place in {job.place, running.place} - {job.bound_for, None}:
            slots[str(place)] -= 1
            leaving.append((str(place), end))

    def times(self, order: Sequence[Planned]) -> list[Planned] | None:
        """Times for all tasks, or None when one of them cannot start in this order."""
        timed = []
        for planned in order:
            found = self._start(planned)
            if found is None:
                return None
            timed.append(found)
        return timed

    def _start(self, planned: Planned) -> Planned | None:
        job = self.jobs[planned.job]
        task, number, station = job.tasks[planned.index], planned.job, planned.station
        lies = self.lies[number]
        owner = self.kept.get(station)
        fits = lies is None or station in self.lab.choices(task, lies)
        if not fits or not self.lab.stations[station].usable or (owner is not None and owner[0] != number):
            return None
        wait = task.min_wait if planned.index > 0 else 0.0
        start = max(self.ends[number] + wait, self.free[station], self.bounds.get((number, planned.index), -math.inf))
        entered = planned.place if planned.place != lies else None
        if entered is not None:
            if not self.slots[entered]:
                return None
            start = max(start, heapq.heappop(self.slots[entered]))
        end = start + task.durations[station] + task.setup(self.value[station])
        self.free[station] = self.ends[number] = end
        if task.setup_value is not None:
            self.value[station] = task.setup_value
        if entered is not None or task.frees:
            if lies is not None:
                heapq.heappush(self.slots[lies], end)
            if task.frees and entered is not None:
                heapq.heappush(self.slots[entered], end)
            self.lies[number] = None if task.frees else entered
        if task.keep_until is not None and task.keep_until > planned.index:
            known = owner[1] if owner is not None else 0
            self.kept[station] = (number, max(task.keep_until, known))
        for name in [s for s, (who, until) in self.kept.items() if who == number and until <= planned.index]:
            del self.kept[name]
            self.free[name] = max(self.free[name], end)
        return replace(planned, place=entered, start=start, end=end)
