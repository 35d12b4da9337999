"""Set-up times in the model for CP-SAT: by the order of tasks where they are few, else as long as they can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sdl.campaign.scheduling._units import up
from sdl.campaign.scheduling.problem import Job, Planned, Schedule, Situation, Task

__all__ = ["Item", "Setups"]

CIRCUIT = 8
"""Tasks on a station with set-ups up to which their order is modelled; above, each gets its longest set-up."""


@dataclass
class Item:
    """A task in the model."""

    job: Job
    index: int
    start: Any
    end: Any
    on: dict[str, Any]
    """Station → whether it is done there."""
    into: dict[str, Any]
    """Place → whether the sample goes there."""
    hint: Planned

    @property
    def task(self) -> Task:
        """The task itself."""
        return self.job.tasks[self.index]


@dataclass(frozen=True)
class _Setup:
    """A task that may need a set-up on a station."""

    item: Item
    literal: Any
    base: int
    length: Any
    inside: bool


class Setups:
    """Tasks whose length depends on what the station did before."""

    def __init__(self, model: Any, situation: Situation, hint: Schedule) -> None:
        """Begin with none."""
        self.model, self.situation, self.hint = model, situation, hint
        self._jobs = {job.id: job for job in situation.jobs}
        self._values: dict[str, set[float]] = {}
        self._setups: dict[str, list[_Setup]] = {}

    def longest(self, task: Task, name: str) -> int:
        """Units that the set-up of a task can take at most on a station, whatever comes before it."""
        return up(max((task.setup(value) for value in self._possible(name)), default=0.0))

    def length(self, item: Item, name: str, literal: Any, inside: bool) -> Any:
        """The length of a task on a station, to be settled by `close`.

        Args:
            item: the task.
            name: of the station.
            literal: whether it is done there.
            inside: whether the station is kept by the job meanwhile.
        """
        base = up(item.task.durations[name])
        length = self.model.new_int_var(base, base + self.longest(item.task, name), "")
        self._setups.setdefault(name, []).append(_Setup(item, literal, base, length, inside))
        return length

    def close(self, items: Iterable[Item]) -> set[str]:
        """Settle all lengths; what a person should know about it."""
        notes, every = set(), list(items)
        for name, setups in self._setups.items():
            users = [item for item in every if name in item.on]
            if len(setups) == len(users) <= CIRCUIT and not any(setup.inside for setup in setups):
                self._circuit(name, setups)
                continue
            notes.add(f"{name}: every set-up is planned as long as it can be")
            for setup in setups:
                self.model.add(setup.length == setup.base + self.longest(setup.item.task, name))
        return notes

    def _possible(self, name: str) -> set[float]:
        """What a station is set to now, or may be."""
        if name not in self._values:
            tasks = [self._jobs[p.job].tasks[p.index] for p in self.hint.planned]
            values = {t.setup_value for t in tasks if name in t.stations and t.setup_value is not None}
            self._values[name] = values | {value for value in [self._now(name)] if value is not None}
        return self._values[name]

    def _now(self, name: str) -> float | None:
        for job in self.situation.jobs:
            if job.running is not None and job.running.station == name:
                value = job.tasks[job.running.task].setup_value
                if value is not None:
                    return value
        return self.situation.lab.stations[name].setup_value

    def _circuit(self, name: str, setups: list[_Setup]) -> None:
        """The order of tasks on a station as a round trip, each arc with its set-up."""
        model, arcs = self.model, []
        before: dict[int, list[tuple[Any, int]]] = {}
        for j, to in enumerate(setups, 1):
            first, last = model.new_bool_var(""), model.new_bool_var("")
            arcs += [(0, j, first), (j, 0, last)]
            before[j] = [(first, up(to.item.task.setup(self._now(name))))]
            if to.literal is not True:
                arcs.append((j, j, to.literal.negated()))
            for i, from_ in enumerate(setups, 1):
                if i != j:
                    arc = model.new_bool_var("")
                    arcs.append((i, j, arc))
                    before[j].append((arc, up(to.item.task.setup(from_.item.task.setup_value))))
                    model.add(to.item.start >= from_.item.end).only_enforce_if(arc)
        if all(setup.literal is not True for setup in setups):
            arcs.append((0, 0, model.new_bool_var("")))
        model.add_circuit(arcs)
        for j, to in enumerate(setups, 1):
            model.add(to.length == to.base + sum(arc * units for arc, units in before[j]))
