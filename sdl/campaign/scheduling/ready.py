"""Which tasks to start now, and when to look again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from sdl.campaign.scheduling._route import Route
from sdl.campaign.scheduling.problem import (
    TOLERANCE,
    Job,
    Planned,
    Running,
    Schedule,
    Situation,
)
from sdl.campaign.scheduling.rule import plan_by_rule
from sdl.campaign.scheduling.safety import first_to_finish, safe

__all__ = ["Mode", "astray", "due", "legal", "slack", "started", "wake_at"]

Mode = Literal["lookahead", "first_come", "one_by_one"]


_SLACK = 0.05
"""A step may begin or end this part of its length off the schedule before that is made anew,"""
_LEAST_SLACK = 2.0
"""and by so many lab seconds at least."""


def slack(seconds: float) -> float:
    """Lab seconds by which a step of some length may be off before that matters."""
    return max(_LEAST_SLACK, _SLACK * seconds)


def astray(situation: Situation, schedule: Schedule | None) -> bool:
    """Whether what has happened is not what a schedule foresaw; without one, whether there is anything to schedule."""
    if schedule is None:
        return bool(situation.jobs)
    planned = {(item.job, item.index): item for item in schedule.planned}
    for job in situation.jobs:
        if job.coming == len(job.tasks):
            continue
        item = planned.get((job.id, job.coming))
        if item is None or not situation.lab.stations[item.station].usable:
            return True
        if situation.now > item.start + slack(item.end - item.start):
            return True
    return False


def legal(situation: Situation, planned: Planned) -> bool:
    """Whether a task can start now: it is its job's turn, and nobody else has the station or the last free slot.

    That is the same in all modes. Maximum waits are a matter of the schedule: nothing but time stands in their way.
    """
    job, now, lab = situation.job(planned.job), situation.now, situation.lab
    task = job.tasks[planned.index]
    if job.running is not None or planned.index != job.next:
        return False
    if job.next > 0 and job.ready + task.min_wait > now + TOLERANCE:
        return False
    if planned.station not in lab.choices(task, job.place) or not _station_free(situation, job, planned.station):
        return False
    entered = planned.place if planned.place != job.place else None
    if entered is not None and (entered not in task.into or not _slot_free(situation, entered)):
        return False
    if task.into and planned.place is None and job.place not in task.into:
        return False
    return safe(situation, (job.id, planned.index, planned.station, entered))


def _station_free(situation: Situation, job: Job, station: str) -> bool:
    if situation.lab.stations[station].free_at > situation.now + TOLERANCE:
        return False
    return not any(
        (other.running is not None and other.running.station == station)
        or (other is not job and (station in other.kept_until() or station in other.let_go_soon()))
        for other in situation.jobs
    )


def _slot_free(situation: Situation, place: str) -> bool:
    return _taken(situation, place) < situation.lab.places[place].slots


def _taken(situation: Situation, place: str) -> int:
    """Slots of a place that samples of the jobs here take, those under way to it and from it included."""
    return sum(job.place == place or (job.running is not None and job.running.place == place) for job in situation.jobs)


def started(situation: Situation, planned: Planned) -> Situation:
    """The situation once that task has started."""
    end = situation.now + planned.end - planned.start
    jobs = tuple(
        replace(
            job,
            next=planned.index,
            running=Running(planned.index, planned.station, planned.place, situation.now, end),
        )
        if job.id == planned.job
        else job
        for job in situation.jobs
    )
    return replace(situation, jobs=jobs)


def due(situation: Situation, schedule: Schedule, mode: Mode = "lookahead") -> tuple[Planned, ...]:
    """Tasks to start now, in this order; all of them can.

    Args:
        situation: as things stand.
        schedule: of this situation, or of an earlier one.
        mode: `lookahead` starts what the schedule has for now, in its order. `first_come` starts whatever can start,
            by arrival of the jobs; what may exceed a maximum wait of any job only when the schedule has it for now.
            `one_by_one` works on one job at a time.

    Returns:
        The tasks, with the time now as their start. When nothing is under way and nothing is to come, the start that
        leads on: a schedule never leaves the lab waiting for nothing.
    """
    if mode == "one_by_one":
        chosen = _one_by_one(situation)
    elif mode == "first_come":
        chosen = _first_come(situation, schedule)
    else:
        chosen = _lookahead(situation, schedule)
    if not chosen and _idle(situation) and wake_at(situation, schedule, mode) is None:
        chosen = _way_on(situation)
    return tuple(chosen)


def _now(situation: Situation, planned: Planned) -> Planned:
    task, station = situation.job(planned.job).tasks[planned.index], situation.lab.stations[planned.station]
    length = task.durations[planned.station] + task.setup(station.setup_value)
    return replace(planned, start=situation.now, end=situation.now + length)


def _lookahead(situation: Situation, schedule: Schedule) -> list[Planned]:
    chosen: list[Planned] = []
    stations: set[str] = set()
    claimed: dict[str, int] = {}
    for planned in _coming(situation, schedule):
        if planned.start > situation.now + TOLERANCE:
            break
        job = situation.job(planned.job)
        if planned.index != job.next or job.running is not None:
            continue
        if planned.station in stations:
            continue
        if _room_left(situation, planned, claimed) and legal(situation, planned):
            chosen.append(_now(situation, planned))
            situation = started(situation, planned)
        elif _claims(situation, planned):
            stations.add(planned.station)
            if planned.place is not None:
                claimed[planned.place] = claimed.get(planned.place, 0) + 1
    return chosen


def _coming(situation: Situation, schedule: Schedule) -> Iterator[Planned]:
    jobs = {job.id for job in situation.jobs}
    return (planned for planned in schedule.planned if planned.job in jobs)


def _room_left(situation: Situation, planned: Planned, claimed: dict[str, int]) -> bool:
    """Whether those that come earlier in the schedule leave a slot."""
    place = planned.place
    if place is None or place not in claimed:
        return True
    return _taken(situation, place) + claimed[place] < situation.lab.places[place].slots


def _claims(situation: Situation, planned: Planned) -> bool:
    """Whether a task that cannot start yet keeps its turn: only when it waits for what is under way."""
    job = situation.job(planned.job)
    entered = planned.place if planned.place != job.place else None
    waits_for_place = entered is not None and not _slot_free(situation, entered)
    coming_free = any(
        other.running is not None and other.place == entered and other.bound_for != entered for other in situation.jobs
    )
    if waits_for_place and not coming_free:
        return False
    return waits_for_place or safe(situation, (job.id, planned.index, planned.station, entered))


def _first_come(situation: Situation, schedule: Schedule) -> list[Planned]:
    chosen: list[Planned] = []
    strayed = False
    for number in [job.id for job in sorted(situation.jobs, key=lambda job: (job.arrived, job.id))]:
        job = situation.job(number)
        planned = schedule.of(job.id, job.next)
        if job.running is not None or planned is None or (strayed and not _untimed(situation, job)):
            continue
        options: list[Planned] = []
        if planned.start <= situation.now + TOLERANCE:
            options = [planned]
        elif _untimed(situation, job):
            options = [planned, *_options(situation, job)]
        found = next((option for option in options if legal(situation, option)), None)
        if found is not None:
            # What starts earlier than planned undoes the schedule; waits that it promised have to be planned anew.
            strayed = strayed or planned.start > situation.now + TOLERANCE or found is not planned
            chosen.append(_now(situation, found))
            situation = started(situation, found)
    return chosen


def _untimed(situation: Situation, job: Job) -> bool:
    """Whether no maximum wait depends on when the next task of a job starts: none of its own, none of others."""
    follows = job.next + 1 < len(job.tasks) and job.tasks[job.next + 1].max_wait is not None
    return not follows and not any(other.in_chain() for other in situation.jobs)


def _options(situation: Situation, job: Job) -> Iterator[Planned]:
    """All ways to start the next task of a job, the preferred one first."""
    route = Route(job, situation.lab)
    if job.next >= route.goal:
        return
    task, index, now = job.tasks[job.next], job.next, situation.now
    for entered, _ in route.targets(index, job.place):
        for station in situation.lab.choices(task, job.place):
            length = task.durations[station] + task.setup(situation.lab.stations[station].setup_value)
            yield Planned(job.id, index, task.step, station, entered, now, now + length)


def _one_by_one(situation: Situation) -> list[Planned]:
    if not _idle(situation):
        return []
    job = _turn(situation)
    if job is None:
        return []
    planned = _alone(situation, job).of(job.id, job.next)
    if planned is None or planned.start > situation.now + TOLERANCE or not legal(situation, planned):
        return []
    return [_now(situation, planned)]


def _turn(situation: Situation) -> Job | None:
    """The job to work on alone: one that has begun and can end, else the first to have arrived that can be done."""
    begun = first_to_finish(situation)
    if begun is not None:
        return situation.job(begun)
    able = [job for job in situation.jobs if not job.in_flight and Route(job, situation.lab).goal > job.next]
    return min(able, key=lambda job: (job.arrived, job.id), default=None)


def _alone(situation: Situation, job: Job) -> Schedule:
    """A schedule for one job, with all others where they are."""
    places = {
        name: replace(place, taken=place.taken + _taken(situation, name) - (job.place == name))
        for name, place in situation.lab.places.items()
    }
    stations = {
        name: replace(station, usable=station.usable and _kept_by_nobody_else(situation, job, name))
        for name, station in situation.lab.stations.items()
    }
    lab = replace(situation.lab, stations=stations, places=places)
    return plan_by_rule(Situation(situation.now, (job,), lab))


def _kept_by_nobody_else(situation: Situation, job: Job, station: str) -> bool:
    return not any(other is not job and station in other.kept_until() for other in situation.jobs)


def _idle(situation: Situation) -> bool:
    return not any(job.running is not None for job in situation.jobs)


def _way_on(situation: Situation) -> list[Planned]:
    """A start by which a job goes on that can run to its end while the others stay where they are."""
    job = _turn(situation)
    if job is None:
        return []
    planned = _alone(situation, job).of(job.id, job.next)
    options = [*([planned] if planned is not None else []), *_options(situation, job)]
    return [_now(situation, option) for option in options if legal(situation, option)][:1]


def wake_at(situation: Situation, schedule: Schedule, mode: Mode = "lookahead") -> float | None:
    """The next lab time at which something may become due without anything ending before; None when there is none."""
    now, times = situation.now, [math.inf]
    if mode == "one_by_one":
        job = _turn(situation) if _idle(situation) else None
        planned = _alone(situation, job).of(job.id, job.next) if job is not None else None
        times += [planned.start] if planned is not None else []
    else:
        times += [planned.start for planned in _coming(situation, schedule)]
        times += [
            job.ready + job.tasks[job.next].min_wait
            for job in situation.jobs
            if job.running is None and 0 < job.next < len(job.tasks)
        ]
    times += [station.free_at for station in situation.lab.stations.values()]
    soonest = min(time for time in times if time > now + TOLERANCE)
    return None if soonest == math.inf else soonest
