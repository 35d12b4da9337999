"""The model of a situation for CP-SAT. Times are whole numbers of units since now, rounded to the careful side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from sdl.campaign.scheduling._retime import retimed
from sdl.campaign.scheduling._route import Route
from sdl.campaign.scheduling._setups import Item, Setups
from sdl.campaign.scheduling._units import scaled, up
from sdl.campaign.scheduling.problem import Job, Planned, Schedule, Situation, lateness, weigh

__all__ = ["Model"]

UNITS = 40_000
"""Units of time that the rule's makespan is divided into, at most a hundred a second."""
ALL = 12
"""Jobs up to which all are looked at together."""
FIRST = 6
"""Jobs that are looked at when there are more: those that the rule has begin first. The others keep its times, and
move up afterwards."""


@dataclass
class _Lines:
    """Intervals by resource."""

    stations: dict[str, list[Any]] = field(default_factory=dict)
    places: dict[str, list[Any]] = field(default_factory=dict)


class Model:
    """Variables and constraints, and the way back to times."""

    def __init__(self, situation: Situation, hint: Schedule, solver: Any) -> None:
        """Build the model of all tasks that the hint has times for."""
        self.weights, self.now, self.cp = weigh(situation), situation.now, solver
        self.model = solver.CpModel()
        self.unit = max((hint.makespan - situation.now) / UNITS, 0.01)
        self.situation = scaled(situation, self.unit)
        whole = retimed(self.situation, hint.planned, "rule", "", whole=True)
        self.hint = hint if whole is None else whole
        self.notes: set[str] = set()
        self.items: dict[tuple[int, int], Item] = {}
        self.lines = _Lines()
        self.late: list[Any] = []
        self._jobs = {job.id: job for job in self.situation.jobs}
        self.setups = Setups(self.model, self.situation, self.hint)
        self.horizon = 2 * up(self.hint.makespan) + 10 * len(hint.planned) + 10
        self.can = whole is not None and self._supported()
        if self.can:
            self._build()

    @property
    def note(self) -> str:
        """What a person should know about the model."""
        return "; ".join(sorted(self.notes))

    def _supported(self) -> bool:
        """Whether every sample is moved to where it is not, or cannot be anywhere else."""
        for planned in self.hint.planned:
            job = self._jobs[planned.job]
            here = {job.bound_for}
            for task in job.tasks[job.coming :]:
                if len({*here, *task.into}) > 1 and here & set(task.into):
                    return False
                here = set(task.into) or here
        return True

    def _build(self) -> None:
        planned: dict[int, list[Planned]] = {}
        for one in sorted(self.hint.planned, key=lambda p: p.index):
            planned.setdefault(one.job, []).append(one)
        for job in self.situation.jobs:
            self._job(job, planned.get(job.id, []))
        for name, station in self.situation.lab.stations.items():
            blocked = up(max(station.free_at, 0.0))
            if blocked and name in self.lines.stations:
                self._fixed(self.lines.stations[name], 0, blocked)
        self.notes |= self.setups.close(self.items.values())
        for intervals in self.lines.stations.values():
            self.model.add_no_overlap(intervals)
        for name, intervals in self.lines.places.items():
            slots = self.situation.lab.places[name].slots
            if slots == 1:
                self.model.add_no_overlap(intervals)
            elif len(intervals) > slots:
                self.model.add_cumulative(intervals, [1] * len(intervals), slots)
        self._objective()
        self._symmetry()
        self._narrow()

    def _job(self, job: Job, planned: list[Planned]) -> None:
        route = Route(job, self.situation.lab)
        running = job.running
        begun = max(up(job.free_from(0.0)), 0)
        if running is not None:
            self._fixed(self.lines.stations.setdefault(running.station, []), 0, begun)
            for place in {job.place, running.place} - {job.bound_for, None}:
                self._fixed(self.lines.places.setdefault(str(place), []), 0, begun)
            for station in job.let_go_soon():
                self._fixed(self.lines.stations.setdefault(station, []), 0, begun)
        items = [self._item(job, one, route) for one in planned]
        for item in items:
            self.items[job.id, item.index] = item
        self._waits(job, items, begun)
        self._stays(job, items)
        self._keeps(job, items)

    def _fixed(self, line: list[Any], begin: int, end: int) -> None:
        if end > begin:
            line.append(self.model.new_fixed_size_interval_var(begin, end - begin, ""))

    def _item(self, job: Job, hint: Planned, route: Route) -> Item:
        task, model, lab = job.tasks[hint.index], self.model, self.situation.lab
        start, end = model.new_int_var(0, self.horizon, ""), model.new_int_var(0, self.horizon, "")
        usable = [name for name in task.stations if lab.stations[name].usable]
        if task.keep_until is not None:
            usable = [hint.station]
        on = {name: model.new_bool_var("") if len(usable) > 1 else True for name in usable}
        if len(on) > 1:
            model.add_exactly_one(on.values())
        targets = [
            place
            for place in task.into
            if lab.places[place].slots > 0 or place in (job.place, job.bound_for)
            if route.goal_depth(hint.index + 1, None if task.frees else place) >= route.goal
        ]
        into = {place: model.new_bool_var("") if len(targets) > 1 else True for place in targets}
        if len(into) > 1:
            model.add_exactly_one(into.values())
        item = Item(job, hint.index, start, end, on, into, hint)
        model.add_hint(start, up(hint.start))
        model.add_hint(end, up(hint.end))
        if len(on) > 1:
            for name, literal in on.items():
                model.add_hint(literal, name == hint.station)
        if len(into) > 1:
            for name, literal in into.items():
                model.add_hint(literal, name == hint.place)
        return item

    def _waits(self, job: Job, items: list[Item], begun: int) -> None:
        for position, item in enumerate(items):
            task = item.task
            before = items[position - 1].end if position else None
            least = task.min_wait if item.index > 0 else 0.0
            if before is not None:
                self.model.add(item.start >= before + up(least))
            else:
                self.model.add(item.start >= max(up(job.free_from(0.0) + least), 0))
            if task.max_wait is None or item.index == 0:
                continue
            most = up(max(task.max_wait, least))
            latest = before + most if before is not None else max(up(job.free_from(0.0)) + most, 0)
            if self._keeps_wait(job, item):
                self.model.add(item.start <= latest)
            else:
                late = self.model.new_int_var(0, self.horizon, "")
                self.model.add(item.start <= latest + late)
                self.late.append(late)

    def _keeps_wait(self, job: Job, item: Item) -> bool:
        """Whether the hint keeps the maximum wait before a task."""
        pair = tuple(p for p in self.hint.planned if p.job == job.id and p.index in (item.index - 1, item.index))
        return lateness(self.situation, Schedule(pair, "rule", 0.0)) == 0.0

    def _stays(self, job: Job, items: list[Item]) -> None:
        """Where the sample is, and when."""
        here: dict[str, Any] = {job.bound_for: True} if job.bound_for is not None else {}
        since: Any = 0
        for item in items:
            self._bind(item, here)
            moved = bool(item.into) and item.into.keys() != here.keys()
            if moved or item.task.frees:
                for place, present in here.items():
                    self._stay(place, present, since, item.end)
                here, since = (dict(item.into), item.start) if moved else ({}, 0)
            if item.task.frees:
                for place, present in here.items():
                    self._stay(place, present, since, item.end)
                here = {}
        for place, present in here.items():
            self._stay(place, present, since, self.horizon)

    def _stay(self, place: str, present: Any, since: Any, until: Any) -> None:
        slots = self.situation.lab.places[place].slots
        if slots >= 2 * len(self.situation.jobs):
            return
        size = self.model.new_int_var(0, self.horizon, "")
        line = self.lines.places.setdefault(place, [])
        if present is True:
            line.append(self.model.new_interval_var(since, size, until, ""))
        else:
            line.append(self.model.new_optional_interval_var(since, size, until, present, ""))

    def _bind(self, item: Item, here: dict[str, Any]) -> None:
        """A station for the place where the sample lies; lengths by station."""
        lab, model = self.situation.lab, self.model
        for place, present in here.items():
            station = lab.places[place].station
            if station is None or station not in item.task.stations:
                continue
            for name, literal in item.on.items():
                if name == station or (literal is True and present is True):
                    continue
                if literal is True:
                    model.add(present == 0)
                elif present is True:
                    model.add(literal == 0)
                else:
                    model.add_bool_or([present.negated(), literal.negated()])

    def _keeps(self, job: Job, items: list[Item]) -> None:
        """Stations are busy with tasks, or stay with the job from the start of one to the end of another."""
        ends = {item.index: item.end for item in items}
        kept: list[tuple[str, int, int, Any]] = [
            (name, job.coming, until, 0) for name, until in job.kept_until().items()
        ]
        for item in items:
            until = item.task.keep_until
            if until is None:
                continue
            name = item.hint.station
            known = next((n for n, entry in enumerate(kept) if _inside([entry], name, item.index)), None)
            if known is None:
                kept.append((name, item.index, until, item.start))
            else:
                _, first, earlier, since = kept[known]
                kept[known] = (name, first, max(until, earlier), since)
        for name, _, until, since in kept:
            size = self.model.new_int_var(0, self.horizon, "")
            line = self.lines.stations.setdefault(name, [])
            line.append(self.model.new_interval_var(since, size, ends.get(until, self.horizon), ""))
        for item in items:
            for name, literal in item.on.items():
                self._length(item, name, literal, _inside(kept, name, item.index))

    def _length(self, item: Item, name: str, literal: Any, inside: bool) -> None:
        task, model = item.task, self.model
        length: Any = up(task.durations[name])
        if self.setups.longest(task, name) > 0:
            length = self.setups.length(item, name, literal, inside)
        if literal is True:
            model.add(item.end == item.start + length)
            interval = model.new_interval_var(item.start, length, item.end, "")
        else:
            model.add(item.end == item.start + length).only_enforce_if(literal)
            interval = model.new_optional_interval_var(item.start, length, item.end, literal, "")
        if not inside:
            self.lines.stations.setdefault(name, []).append(interval)

    # ── what is best ──

    def _objective(self) -> None:
        weights = self.weights
        last: dict[int, Item] = {}
        for (number, index), item in self.items.items():
            if number not in last or index > last[number].index:
                last[number] = item
        makespan = self.model.new_int_var(0, self.horizon, "")
        self.model.add_hint(makespan, max(up(item.hint.end) for item in last.values()))
        self.model.add_max_equality(makespan, [item.end for item in last.values()])
        total = sum(weights[number] for number in last)
        ends = sum(weights[number] * item.end for number, item in last.items())
        self.model.minimize(ends + total * makespan + 1000 * sum(weights.values()) * sum(self.late))

    def _symmetry(self) -> None:
        """Jobs that do not differ begin in the order in which they arrived."""
        waiting = [job for job in self.situation.jobs if not job.in_flight and (job.id, 0) in self.items]
        waiting.sort(key=lambda job: (job.arrived, job.id))
        for position, job in enumerate(waiting):
            twin = next((other for other in waiting[position + 1 :] if _alike(job, other)), None)
            if twin is None:
                continue
            one, other = self.items[job.id, 0], self.items[twin.id, 0]
            if one.hint.start <= other.hint.start:
                self.model.add(one.start <= other.start)

    def _narrow(self) -> None:
        """With many jobs, look only at those that begin first: more cannot be improved on in the time there is."""
        begins: dict[int, float] = {}
        for planned in self.hint.planned:
            begins[planned.job] = min(planned.start, begins.get(planned.job, math.inf))
        if len(begins) <= ALL:
            return
        late = set(sorted(begins, key=lambda number: (begins[number], number))[FIRST:])
        for (number, _), item in self.items.items():
            if number in late:
                self.model.add(item.start == up(item.hint.start))

    def solve(self, seconds: float, workers: int, seed: int, effort: float) -> list[Planned] | None:
        """Times, or None when there is no answer in so many wall seconds."""
        solver = self.cp.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.max_deterministic_time = effort
        solver.parameters.num_workers = workers
        solver.parameters.interleave_search = workers == 1
        solver.parameters.random_seed = seed
        # Looking for hidden structure takes longer than there is.
        solver.parameters.cp_model_probing_level = 0
        solver.parameters.symmetry_level = 0
        status = solver.solve(self.model)
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return None
        return [self._planned(item, solver) for item in self.items.values()]

    def _planned(self, item: Item, solver: Any) -> Planned:
        def chosen(options: dict[str, Any]) -> str | None:
            return next((name for name, lit in options.items() if lit is True or solver.boolean_value(lit)), None)

        start, end = (self.now + self.unit * solver.value(var) for var in (item.start, item.end))
        station = chosen(item.on) or item.hint.station
        return Planned(item.job.id, item.index, item.task.step, station, chosen(item.into), start, end)


def _inside(kept: list[tuple[str, int, int, Any]], name: str, index: int) -> bool:
    return any(station == name and first <= index <= until for station, first, until, _ in kept)


def _alike(one: Job, other: Job) -> bool:
    return one.priority == other.priority and one.tasks == other.tasks
