"""The priority rule: one job after another is put into the timetable where it ends earliest.

This is the serial generation of schedules of R. Kolisch (European Journal of Operational Research 90, 1996), by whole
jobs, since a job blocks the place where its sample waits. Jobs whose film is waiting already come first, then the more
urgent, the earlier to arrive, the lower number. The result depends on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sdl.campaign.scheduling._insertion import Insertion, insert
from sdl.campaign.scheduling._retime import retimed
from sdl.campaign.scheduling._route import Route
from sdl.campaign.scheduling._timetable import Timetable, Window
from sdl.campaign.scheduling.problem import TOLERANCE, Job, Planned, Schedule, Situation, lateness, urgency
from sdl.campaign.scheduling.safety import Standings, always_safe, starts_safely

__all__ = ["plan_by_rule", "plan_one_by_one"]

REPAIRS = 4
"""Orders tried when a maximum wait that could be kept is not."""


def plan_by_rule(situation: Situation, previous: Schedule | None = None) -> Schedule:
    """A schedule by the priority rule.

    Args:
        situation: as things stand.
        previous: the schedule followed until now; what is left of it is used where the rule would exceed maximum waits
            that it keeps.

    Returns:
        Every task to come that can be done. Jobs that wait for a station that is not usable go as far as they can, and
        the note says so.
    """
    routes = {job.id: Route(job, situation.lab) for job in situation.jobs}
    check = not always_safe(situation)
    order = [job.id for job in sorted(situation.jobs, key=lambda job: _rank(job, situation.now))]
    best = _Builder(situation, routes, order, check).build()
    late = lateness(situation, best)
    for _ in range(REPAIRS):
        if late <= TOLERANCE:
            return best
        behind = _late_jobs(situation, best)
        order = [*behind, *(number for number in order if number not in behind)]
        other = _Builder(situation, routes, order, check).build()
        if lateness(situation, other) >= late - TOLERANCE:
            break
        best, late = other, lateness(situation, other)
    if late > TOLERANCE and previous is not None:
        kept = _what_is_left(situation, previous)
        if kept is not None and lateness(situation, kept) < late - TOLERANCE:
            return kept
    return best


def plan_one_by_one(situation: Situation) -> Schedule:
    """A schedule in which no job begins before the one before it has ended, by arrival; it is safe in any lab."""
    routes = {job.id: Route(job, situation.lab) for job in situation.jobs}
    able = Standings.of(situation).finishing()
    rest = sorted((j for j in situation.jobs if j.id not in able), key=lambda j: (j.arrived, j.id))
    builder = _Builder(situation, routes, [*able, *(job.id for job in rest)], False, apart=True)
    return builder.build()


def _rank(job: Job, now: float) -> tuple[float, ...]:
    if job.in_chain():
        return (0.0, job.free_from(now) + float(job.tasks[job.coming].max_wait or 0.0), job.arrived, job.id)
    return (1.0, -urgency(job, now), job.arrived, job.id)


def _late_jobs(situation: Situation, schedule: Schedule) -> list[int]:
    jobs = sorted({planned.job for planned in schedule.planned})
    late = {number: lateness(situation, _only(schedule, number)) for number in jobs}
    return sorted((number for number in jobs if late[number] > TOLERANCE), key=lambda number: (-late[number], number))


def _only(schedule: Schedule, job: int) -> Schedule:
    return Schedule(tuple(p for p in schedule.planned if p.job == job), schedule.by, schedule.makespan)


class _Builder:
    """One pass of the rule."""

    def __init__(
        self, situation: Situation, routes: dict[int, Route], order: Sequence[int], check: bool, apart: bool = False
    ) -> None:
        """Begin with what is under way."""
        self.situation, self.routes, self.check, self.apart = situation, routes, check, apart
        self.table = Timetable(situation)
        jobs = {job.id: job for job in situation.jobs}
        self.pending = [jobs[number] for number in order if routes[number].goal > jobs[number].coming]
        self.stuck = [number for number in order if not routes[number].whole]
        self.planned: list[Planned] = []
        self.unplanned: list[int] = []

    def build(self) -> Schedule:
        """Plan for all jobs that can be planned for."""
        while self.pending:
            if not (self._one(hard=True) or self._one(hard=False)):
                self.unplanned = sorted(job.id for job in self.pending)
                break
        planned = tuple(sorted(self.planned, key=lambda p: (p.start, p.end, p.job, p.index)))
        ends = [p.end for p in planned]
        ends += [job.running.end(self.situation.now) for job in self.situation.jobs if job.running is not None]
        return Schedule(planned, "rule", max(ends, default=self.situation.now), self._note())

    def _note(self) -> str:
        parts = []
        if self.stuck:
            parts.append(f"waiting for a station or place that cannot be used: trials {_list(self.stuck)}")
        if self.unplanned:
            parts.append(f"no time found for trials {_list(self.unplanned)}")
        return "; ".join(parts)

    def _one(self, hard: bool) -> bool:
        """Plan for the first job of the order that can be planned for."""
        for job in self.pending:
            self.table.let_go(job)
            relaxed = 0 if hard else self._relaxed(job)
            found = None if relaxed < 0 else self._insertion(job, relaxed)
            if found is not None:
                self._commit(job, found)
                self.pending.remove(job)
                return True
            self.table.hold(job)
        return False

    def _relaxed(self, job: Job) -> int:
        """Maximum waits of tasks before this index may be exceeded: those of a chain that has begun.

        Those of a chain yet to begin only when the job is alone, so that nothing but its own numbers is in the way.
        -1 when none may.
        """
        if not self.table.holding() and not any(other.in_flight for other in self.pending if other is not job):
            return len(job.tasks)
        index = job.coming
        if not job.in_chain():
            return -1
        while index < len(job.tasks) and job.tasks[index].max_wait is not None:
            index += 1
        return index

    def _insertion(self, job: Job, relaxed: int) -> Insertion | None:
        route = self.routes[job.id]
        if self.apart:
            after = max((p.end for p in self.planned), default=-math.inf)
            return insert(self.situation, self.table, route, relaxed, after)
        found = insert(self.situation, self.table, route, relaxed)
        if found is None or not self.check or self._safe(found):
            return found
        for not_before in self._later(found):
            found = insert(self.situation, self.table, route, relaxed, not_before)
            if found is not None and self._safe(found):
                return found
        return None

    def _later(self, found: Insertion) -> Iterable[float]:
        """Times from which to try again when a job would get into the way of others."""
        ends = sorted({p.end for p in self.planned if p.end > found.planned[0].start})
        picks = {len(ends) * part // 4 for part in (0, 1, 2, 3)} | {len(ends) - 1}
        return [ends[pick] for pick in sorted(picks) if 0 <= pick < len(ends)]

    def _safe(self, found: Insertion) -> bool:
        starts = sorted((*self.planned, *found.planned), key=lambda p: (p.start, p.end, p.job, p.index))
        return starts_safely(self.situation, [(p.job, p.index, p.station, p.place) for p in starts])

    def _commit(self, job: Job, found: Insertion) -> None:
        self.planned += found.planned
        ends = {p.index: p.end for p in found.planned}
        for planned, setup in zip(found.planned, found.setups, strict=True):
            task = job.tasks[planned.index]
            until = None if task.keep_until is None else ends.get(task.keep_until, math.inf)
            self.table.use(planned, task, setup, until)
        for station, until_index in job.kept_until().items():
            self.table.keep(station, ends.get(until_index, math.inf))
        lies, since = job.bound_for, -math.inf
        for planned in found.planned:
            task = job.tasks[planned.index]
            if planned.place is not None or task.frees:
                if lies is not None:
                    self.table.take(lies, Window(since, planned.end))
                lies, since = planned.place, planned.start
            if task.frees and lies is not None:
                if planned.place is not None:
                    self.table.take(lies, Window(since, planned.end))
                lies = None
        if lies is not None:
            self.table.take(lies, Window(since, math.inf))


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _what_is_left(situation: Situation, previous: Schedule) -> Schedule | None:
    """The previous schedule without what has begun, moved behind what is late; None when it does not fit any more."""
    jobs = {job.id: job for job in situation.jobs}
    left = [p for p in previous.planned if p.job in jobs and p.index >= jobs[p.job].coming]
    missing = [job for job in situation.jobs if not any(p.job == job.id for p in left) and job.coming < len(job.tasks)]
    if any(job.in_flight for job in missing):
        return None
    return retimed(situation, left, "rule", previous.note)
