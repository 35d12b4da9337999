"""Whether a start can lead into a deadlock: the banker's algorithm on places and kept stations.

A situation is *safe* when there is an order in which every job in flight can run to its end one after the other, while
those that have not had their turn stay where they are (E. W. Dijkstra, EWD 623; A. N. Habermann, CACM 12, 1969). From
a safe situation some start is always safe as well, so jobs that make only safe starts never end up waiting for each
other, whatever their procedures are. Tasks under way end by themselves, so they count as ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sdl.campaign.scheduling.problem import Job, Lab, Situation

__all__ = ["Move", "Standing", "Standings", "always_safe", "first_to_finish", "safe", "takes"]

Move = tuple[int, int, str, str | None]
"""A start: job, index of its task, station, place into which the sample goes (None when it stays)."""


@dataclass(frozen=True)
class Standing:
    """A job once its task under way has ended."""

    job: Job
    index: int
    """First task not done."""
    place: str | None
    kept: Mapping[str, int]
    """Station → index of the task until whose end it is kept."""

    def after(self, index: int, station: str, place: str | None) -> Standing:
        """Once task `index` has ended on that station, with the sample moved into that place."""
        task = self.job.tasks[index]
        kept = dict(self.kept)
        if task.keep_until is not None:
            kept[station] = max(task.keep_until, kept.get(station, 0))
        where = None if task.frees else (place if place is not None else self.place)
        return Standing(self.job, index + 1, where, {s: k for s, k in kept.items() if k > index})


class Standings:
    """All jobs in flight, and what remains for others."""

    def __init__(self, lab: Lab, jobs: Iterable[Standing]) -> None:
        """Count what is taken."""
        self.lab = lab
        self.jobs = {standing.job.id: standing for standing in jobs}

    @classmethod
    def of(cls, situation: Situation) -> Standings:
        """The jobs in flight, their tasks under way ended."""
        return cls(
            situation.lab,
            (Standing(job, job.coming, job.bound_for, job.kept_until()) for job in situation.jobs if job.in_flight),
        )

    def finishing(self) -> list[int]:
        """Jobs that can run to their ends one after the other, in such an order."""
        slots = {name: place.slots for name, place in self.lab.places.items()}
        kept: dict[str, int] = {}
        for number, standing in self.jobs.items():
            if standing.place is not None:
                slots[standing.place] -= 1
            kept.update(dict.fromkeys(standing.kept, number))
        # Those that leave nothing behind go first: they can only make room.
        waiting = sorted(self.jobs.values(), key=lambda s: (not s.job.tasks[-1].frees, s.job.arrived, s.job.id))
        order: list[int] = []
        progress = True
        while progress and waiting:
            progress = False
            for standing in list(waiting):
                end = self._alone(standing, slots, kept)
                if end is _STUCK:
                    continue
                if standing.place is not None:
                    slots[standing.place] += 1
                if end is not None:
                    slots[end] -= 1
                for station in standing.kept:
                    kept.pop(station, None)
                waiting.remove(standing)
                order.append(standing.job.id)
                progress = True
        return order

    def _alone(self, standing: Standing, slots: Mapping[str, int], kept: Mapping[str, int]) -> str | None:
        """Where the sample of a job is at the end when it runs alone from here; `_STUCK` when it cannot."""
        tasks, own = standing.job.tasks, standing.job.id
        dead: set[tuple[int, str | None]] = set()

        def end(index: int, place: str | None) -> str | None:
            if index == len(tasks):
                return place
            if (index, place) in dead:
                return _STUCK
            task = tasks[index]
            if any(kept.get(station, own) == own for station in self.lab.choices(task, place)):
                for target in task.into or (None,):
                    own_slot = 1 if target == standing.place else 0
                    if target is not None and target != place and slots[target] + own_slot < 1:
                        continue
                    after = None if task.frees else (target if target is not None else place)
                    found = end(index + 1, after)
                    if found is not _STUCK:
                        return found
            dead.add((index, place))
            return _STUCK

        return end(standing.index, standing.place)


_STUCK = "\0stuck"


def takes(job: Job, index: int, place: str | None) -> bool:
    """Whether the start of a task takes a place or keeps a station, so that it has to be safe."""
    task = job.tasks[index]
    return (place is not None and place != job.place) or task.keep_until is not None


def safe(situation: Situation, move: Move | None = None) -> bool:
    """Whether no deadlock can arise.

    Args:
        situation: as things stand.
        move: a start to judge; None to judge the situation itself.

    Returns:
        For None, whether every job in flight can run to its end. For a start, whether every job that can run to its
        end without it, and the one that starts if it can at all, still can after it.
    """
    before = Standings.of(situation)
    if move is None:
        return len(before.finishing()) == len(before.jobs)
    number, index, station, place = move
    job = situation.job(number)
    if not takes(job, index, place):
        return True
    return keeps_safe(before, job, index, station, place)


def keeps_safe(before: Standings, job: Job, index: int, station: str, place: str | None) -> bool:
    """Whether a start leaves every job able to finish that is able to now."""
    after = advance(before, job, index, station, place)
    must = set(before.finishing())
    if job.id not in before.jobs:
        must.add(job.id)
    return must & after.jobs.keys() <= set(after.finishing())


def advance(before: Standings, job: Job, index: int, station: str, place: str | None) -> Standings:
    """How things stand once that task has ended."""
    standing = before.jobs.get(job.id) or Standing(job, index, job.place, {})
    after = standing.after(index, station, place)
    jobs = {**before.jobs, job.id: after}
    if after.index == len(job.tasks) and after.place is None:
        del jobs[job.id]
    return Standings(before.lab, jobs.values())


def first_to_finish(situation: Situation) -> int | None:
    """The job that can run to its end while all others in flight stay where they are, or None."""
    order = Standings.of(situation).finishing()
    waiting = [number for number in order if situation.job(number).running is None]
    return waiting[0] if waiting else None


def always_safe(situation: Situation) -> bool:
    """Whether no start can lead into a deadlock, so that none needs to be judged.

    That is so when all samples go through the places in one direction, nothing is kept and every station is usable:
    the sample that is furthest can always go on.
    """
    lab = situation.lab
    edges: dict[str, set[str]] = {}
    for job in situation.jobs:
        coming = job.tasks[job.coming :]
        if job.kept or any(task.keep_until is not None for task in job.tasks[job.next :]):
            return False
        if any(not lab.stations[station].usable for task in coming for station in task.stations):
            return False
        here = {job.bound_for} if job.bound_for is not None else set()
        for task in coming:
            for place in here:
                edges.setdefault(place, set()).update(set(task.into) - {place})
            here = set() if task.frees else (set(task.into) or here)
        if any(lab.places[place].slots < len(situation.jobs) for place in here):
            return False
        if any(lab.places[place].slots == 0 for task in coming for place in task.into):
            return False
    return _acyclic(edges)


def _acyclic(edges: Mapping[str, set[str]]) -> bool:
    left = {place: set(targets) for place, targets in edges.items()}
    while left:
        ends = [place for place, targets in left.items() if not targets & left.keys()]
        if not ends:
            return False
        for place in ends:
            del left[place]
    return True


def starts_safely(situation: Situation, starts: Sequence[Move]) -> bool:
    """Whether these starts, one after the other, are all safe; tasks under way count as ended."""
    standings = Standings.of(situation)
    jobs = {job.id: job for job in situation.jobs}
    for number, index, station, place in starts:
        job = jobs[number]
        standing = standings.jobs.get(number)
        moved = place is not None and (standing is None or place != standing.place)
        keeps = job.tasks[index].keep_until is not None
        if (moved or keeps) and not keeps_safe(standings, job, index, station, place):
            return False
        standings = advance(standings, job, index, station, place)
    return True
