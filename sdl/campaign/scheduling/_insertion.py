"""Put one job into a timetable so that it ends as early as it can, with all of its waits kept.

The search goes over *stretches*: a task on one station in one gap, moving the sample into one place in one window, with
the interval of times at which it may start. A wait between a least and a most carries an interval over to an interval,
so intervals lose nothing; best first, by the earliest end of the job, the first complete one found is the best.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise

from sdl.campaign.scheduling._route import Route
from sdl.campaign.scheduling._timetable import Gap, Timetable, Window
from sdl.campaign.scheduling.problem import TOLERANCE, Job, Lab, Planned, Situation

__all__ = ["Insertion", "insert"]

SLACK = 0.25
"""Part of a maximum wait by which a chain is begun before it has to be, so that small delays idle nobody."""
LIMIT = 4000
"""Stretches looked at before a search is given up."""

_Kept = tuple[tuple[str, int, float], ...]
"""Stations that stay with the job: name, index of the task until whose end, and the end of the gap."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    index: int
    earliest: float
    latest: float
    length: float
    station: str
    entered: str | None
    place: str | None
    window: float
    """Lab time until which the place is free for the sample."""
    kept: _Kept
    setup: float
    before: _Stretch | None

    def end(self) -> float:
        return self.earliest + self.length


@dataclass(frozen=True)
class Insertion:
    """A job with times."""

    planned: tuple[Planned, ...]
    setups: tuple[float, ...]


@dataclass(frozen=True)
class _Search:
    situation: Situation
    table: Timetable
    route: Route
    relaxed: int
    """Maximum waits of tasks before this index are not kept."""
    not_before: float

    @property
    def job(self) -> Job:
        return self.route.job

    @property
    def lab(self) -> Lab:
        return self.situation.lab


def insert(
    situation: Situation, table: Timetable, route: Route, relaxed: int = 0, not_before: float = -math.inf
) -> Insertion | None:
    """Times for all tasks to come of a job, up to the goal of its route; None when there are none.

    Args:
        situation: as things stand.
        table: what is planned already; what the job itself holds on to is not in it.
        route: the job and where it can go.
        relaxed: maximum waits of tasks before this index may be exceeded.
        not_before: earliest start of its first task, lab seconds.
    """
    search = _Search(situation, table, route, relaxed, not_before)
    last = _best(search, _origin(search))
    return None if last is None else _timed(search, last)


def _origin(search: _Search) -> _Stretch:
    job, now = search.job, search.situation.now
    place, window = job.bound_for, math.inf
    if place is not None:
        window = next((w.end for w in search.table.windows(place) if w.begin <= now < w.end), math.inf)
    kept = tuple(
        (station, until, next((g.end for g in search.table.gaps(station) if g.end > now), math.inf))
        for station, until in sorted(job.kept_until().items())
    )
    from_ = job.free_from(now)
    return _Stretch(job.coming - 1, from_, from_, 0.0, "", None, place, window, kept, 0.0, None)


def _best(search: _Search, origin: _Stretch) -> _Stretch | None:
    goal, job = search.route.goal, search.job
    tail = [0.0] * (goal + 1)
    for index in range(goal - 1, -1, -1):
        tail[index] = tail[index + 1] + job.tasks[index].shortest() + (job.tasks[index].min_wait if index else 0.0)
    number = count()
    heap = [(0.0, 0, origin)]
    seen: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    while heap and next(number) < LIMIT:
        _, _, stretch = heapq.heappop(heap)
        if stretch.index + 1 >= goal:
            return stretch
        for key, following in _followers(search, stretch):
            known = seen.setdefault(key, [])
            if any(a <= following.earliest and following.latest <= b for a, b in known):
                continue
            known.append((following.earliest, following.latest))
            promise = following.end() + tail[following.index + 1]
            heapq.heappush(heap, (promise, next(number), following))
    return None


def _followers(search: _Search, stretch: _Stretch) -> Iterator[tuple[tuple[object, ...], _Stretch]]:
    index = stretch.index + 1
    task, now = search.job.tasks[index], search.situation.now
    low, high = max(stretch.end(), now), math.inf
    if index > 0:
        low = max(stretch.end() + task.min_wait, now)
        if task.max_wait is not None and index >= search.relaxed:
            high = stretch.latest + stretch.length + max(task.max_wait, task.min_wait)
    if index == search.job.coming:
        low = max(low, search.not_before)
    if low > high + TOLERANCE:
        return
    high = max(low, high)
    targets = list(search.route.targets(index, stretch.place))
    for station in search.lab.choices(task, stretch.place):
        kept = next((end for name, _, end in stretch.kept if name == station), None)
        for gap in _open(search, station, low, high, kept):
            setup = task.setup(_value(search, stretch, station, gap))
            if _upsets(gap, task.setup_value):
                continue
            length = setup + task.durations[station]
            first, last = max(low, gap.begin), min(high, gap.end - length)
            for entered, place in targets:
                for window in _room(search, entered, first, last):
                    times = (first, last, length, setup)
                    found = _stretch(search, stretch, gap, times, station, entered, place, window)
                    if found is not None:
                        yield (index, station, gap.begin, entered, window.begin, found.window, found.kept), found


def _open(search: _Search, station: str, low: float, high: float, kept: float | None) -> Iterator[Gap]:
    for gap in search.table.gaps(station):
        if gap.begin > high:
            return
        if gap.end > low and (kept is None or gap.end == kept):
            yield gap


def _room(search: _Search, entered: str | None, first: float, last: float) -> Iterator[Window]:
    if entered is None:
        yield Window(-math.inf, math.inf)
        return
    for window in search.table.windows(entered):
        if window.begin > last:
            return
        if window.end > first:
            yield window


def _stretch(
    search: _Search,
    before: _Stretch,
    gap: Gap,
    times: tuple[float, float, float, float],
    station: str,
    entered: str | None,
    place: str | None,
    window: Window,
) -> _Stretch | None:
    """The stretch of a task in that gap and window, or None when they are too short."""
    first, last, length, setup = times
    index, task = before.index + 1, search.job.tasks[before.index + 1]
    if before.place is not None:
        last = min(last, before.window - length)
    if entered is not None:
        first, last = max(first, window.begin), min(last, window.end - length)
    for _, _, end in before.kept:
        last = min(last, end - length)
    if first > last + TOLERANCE or first == math.inf:
        return None
    kept = before.kept
    if task.keep_until is not None:
        longer = max(task.keep_until, *(until for name, until, _ in kept if name == station), 0)
        kept = (*(entry for entry in kept if entry[0] != station), (station, longer, gap.end))
    kept = tuple(entry for entry in kept if entry[1] > index)
    free_until = window.end if entered is not None else before.window
    if place is None:
        free_until = math.inf
    ends = index + 1 >= search.route.goal
    if ends and (free_until < math.inf or any(end < math.inf for _, _, end in kept)):
        return None
    return _Stretch(index, first, max(first, last), length, station, entered, place, free_until, kept, setup, before)


def _value(search: _Search, stretch: _Stretch, station: str, gap: Gap) -> float | None:
    """What the station is set to before the task: what the job itself last set it to in that gap, else the gap's."""
    own: _Stretch | None = stretch
    while own is not None and own.before is not None:
        value = search.job.tasks[own.index].setup_value
        if own.station == station and own.earliest >= gap.begin and value is not None:
            return value
        own = own.before
    return gap.value


def _upsets(gap: Gap, value: float | None) -> bool:
    """Whether the task after the gap, which has its time already, would need a longer set-up."""
    following = gap.following
    if value is None or following is None or following.value is None:
        return False
    return following.setup_per * abs(following.value - value) > following.setup + TOLERANCE


def _timed(search: _Search, last: _Stretch) -> Insertion:
    """Times within the stretches: as early as can be, a chain of maximum waits as late as it may with some slack."""
    chain: list[_Stretch] = []
    stretch: _Stretch | None = last
    while stretch is not None and stretch.before is not None:
        chain.append(stretch)
        stretch = stretch.before
    start = last.earliest
    starts = [start]
    for stretch, earlier in pairwise(chain):
        task = search.job.tasks[stretch.index]
        latest = min(earlier.latest, start - task.min_wait - earlier.length)
        if task.max_wait is None or stretch.index < search.relaxed:
            start = earlier.earliest
        else:
            most = max(task.max_wait, task.min_wait)
            slack = SLACK * (most - task.min_wait)
            start = max(earlier.earliest, latest - slack, start - earlier.length - most)
        starts.append(start)
    planned = [
        Planned(search.job.id, s.index, search.job.tasks[s.index].step, s.station, s.entered, begin, begin + s.length)
        for s, begin in zip(chain, starts, strict=True)
    ]
    return Insertion(tuple(reversed(planned)), tuple(s.setup for s in reversed(chain)))
