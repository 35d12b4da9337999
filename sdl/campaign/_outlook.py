"""What runs now and what comes next in a campaign: its schedule, made from the record as the dispatcher makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sdl.campaign._labtime import LabTime
from sdl.campaign._utilisation import Bar, setups
from sdl.campaign.jobs import declared, tasks_of
from sdl.campaign.recipe import Recipe, recipe_of
from sdl.campaign.recovery import NextMove, next_move
from sdl.campaign.scheduling.durations import Durations
from sdl.campaign.scheduling.problem import Job, Lab, PlaceNow, Planned, Running, Schedule, Situation, StationNow, Task
from sdl.campaign.scheduling.rule import plan_by_rule, plan_one_by_one
from sdl.journal.state import CampaignState, TrialState

__all__ = ["Coming", "Outlook", "outlook"]

_NEAR = 0.8
"""Part of a maximum wait from which on it is near."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A trial that waits for its next step."""

    trial: int
    step: str
    planned: Planned | None
    """None when no time was found for it."""
    why: str
    """Who or what it waits for; empty when it can begin."""
    waited: float
    """Lab seconds since the step before it ended."""
    most: float | None
    """Most lab seconds that it may wait; None for as long as it likes."""

    @property
    def left(self) -> float | None:
        """Lab seconds until the maximum wait is over; negative once it is."""
        return None if self.most is None else self.most - self.waited


@dataclass(frozen=True)
class Outlook:
    """What is to come; times are lab seconds of the campaign, as in `Timeline`."""

    now: float
    running: tuple[tuple[int, str, Running], ...]
    """Trial, step and how it runs."""
    coming: tuple[Coming, ...]
    """By the time that is planned for them."""
    schedule: Schedule

    def near(self, coming: Coming) -> bool:
        """Whether a maximum wait comes to its end, now or by the time for which the step is planned."""
        if coming.most is None:
            return False
        start = coming.planned.start if coming.planned is not None else self.now
        return coming.waited + max(0.0, start - self.now) >= _NEAR * coming.most


def outlook(
    state: CampaignState,
    bars: Sequence[Bar],
    *,
    now: int | None = None,
    live: bool = True,
    taken: Mapping[str, int] | None = None,
) -> Outlook | None:
    """The schedule of what is to come, by the priority rule; None where the journal does not have the lab file.

    Args:
        state: the folded state.
        bars: every attempt, of its timeline at the same moment.
        now: the present, UTC, ns, for a campaign that runs in real time; None for its last entry.
        live: whether somebody runs it; where nobody does, steps left open are done again.
        taken: place → slots taken by samples of no trial that is under way here.
    """
    recipe = recipe_of(state)
    if recipe is None or not recipe.procedure.steps:
        return None
    return _Maker(state, recipe, bars, LabTime(state, now), live, taken or {}).make()


class _Maker:
    def __init__(
        self,
        state: CampaignState,
        recipe: Recipe,
        bars: Sequence[Bar],
        time: LabTime,
        live: bool,
        taken: Mapping[str, int],
    ) -> None:
        self._state, self._recipe, self._bars, self._time = state, recipe, bars, time
        self._live, self._taken = live, taken
        self._now = time.end
        self._setups = setups(recipe, state, bars)
        self._values = self._set_to()
        self._durations = Durations(self._attempts())
        self._moves: dict[int, NextMove] = {}

    def make(self) -> Outlook:
        jobs = tuple(job for trial in self._state.trials.values() if (job := self._job(trial)) is not None)
        situation = Situation(self._now, jobs, self._lab())
        one_by_one = self._recipe.spec.schedule == "one_by_one"
        schedule = plan_one_by_one(situation) if one_by_one else plan_by_rule(situation)
        running = tuple(
            (job.id, job.tasks[job.running.task].step, job.running) for job in jobs if job.running is not None
        )
        coming = [self._coming(situation, schedule, job) for job in jobs if job.running is None]
        coming.sort(key=lambda item: (item.planned is None, item.planned.start if item.planned else 0.0, item.trial))
        return Outlook(self._now, running, tuple(coming), schedule)

    def _set_to(self) -> dict[str, float]:
        values = {}
        for bar in self._bars:
            index = self._recipe.index(bar.step)
            if index is not None:
                step = self._recipe.procedure.steps[index]
                value = step.timing.setup_value(step.arguments(self._state.trials[bar.trial].parameters))
                if value is not None:
                    values[bar.station] = value
        return values

    def _attempts(self) -> list[tuple[str, str, float, float]]:
        """What was learned: step, station, declared and actual lab seconds, set-up left out."""
        found = []
        for bar in self._bars:
            index = self._recipe.index(bar.step)
            if bar.status == "done" and index is not None:
                parameters = self._state.trials[bar.trial].parameters
                seconds = bar.seconds - self._setups.get((bar.trial, bar.step, bar.attempt), 0.0)
                said = declared(self._recipe.procedure.steps[index], parameters, self._recipe.units)
                found.append((bar.step, bar.station, said, seconds))
        return found

    def _lab(self) -> Lab:
        doubtful = {(doubt.station, doubt.device) for doubt in self._state.doubts()}
        blocked = {station for station, _ in doubtful}
        stations = {
            name: StationNow(usable=name not in blocked, setup_value=self._values.get(name))
            for name in self._recipe.stations
        }
        places = {
            name: PlaceNow(place.slots, self._taken.get(name, 0), place.station if place.station in stations else None)
            for name, place in self._recipe.lab.places.items()
        }
        return Lab(stations, places)

    def _job(self, trial: TrialState) -> Job | None:
        """The trial for the scheduler; None when it has no step to come."""
        if not trial.status.pending:
            return None
        steps = self._recipe.procedure.steps
        last = trial.steps[-1] if trial.steps else None
        move = next_move(trial, self._recipe.procedure, None, self._state.opened_at)
        if move.what == "join" and not self._live:
            move = replace(move, what="step")
        if move.what not in ("step", "join", "ask", "pause") or move.index >= len(steps):
            return None
        self._moves[trial.number] = move
        index = self._recipe.index(last.name) if last is not None and move.what in ("ask", "pause") else move.index
        parameters, units = trial.parameters, self._recipe.units
        tasks = tasks_of(self._recipe.procedure, parameters, units, self._durations)
        if index is None or index >= len(tasks):
            return None
        tasks = self._restricted(tasks, index, trial, move)
        sample = next((s for s in self._state.samples.values() if s.trial == trial.number), None)
        place = sample.place if sample is not None and sample.place in self._recipe.lab.places else None
        ended = [step.ended_at for step in trial.steps if step.ended_at is not None]
        arrived = self._time.at(trial.proposed_at)
        return Job(
            id=trial.number,
            priority=self._recipe.spec.priority,
            arrived=arrived,
            tasks=tasks,
            next=index,
            place=place,
            ready=self._time.at(max(ended)) if ended else arrived,
            running=self._running(trial, tasks, index) if move.what == "join" else None,
            kept=self._kept(trial, tasks, index),
        )

    def _restricted(self, tasks: tuple[Task, ...], index: int, trial: TrialState, move: NextMove) -> tuple[Task, ...]:
        """A step that has been begun before is done again where it was, and so is one that has to go elsewhere."""
        last = trial.steps[-1] if trial.steps else None
        only = move.station
        if only is None and last is not None and last.name == tasks[index].step:
            only = last.station
        if only is None or only not in self._recipe.every(index):
            return tasks
        task = tasks[index]
        seconds = task.durations.get(only, next(iter(task.durations.values())))
        return (*tasks[:index], replace(task, stations=(only,), durations={only: seconds}), *tasks[index + 1 :])

    def _running(self, trial: TrialState, tasks: tuple[Task, ...], index: int) -> Running:
        step, task = trial.steps[-1], tasks[index]
        started = self._time.at(step.started_at)
        seconds = task.durations.get(step.station, task.shortest())
        # Its own set-up is known from the steps before it on the station.
        before = [bar for bar in self._bars if bar.station == step.station and bar.start < started]
        seconds += self._setups_after(before, task)
        return Running(index, step.station, step.into[0] if step.into else None, started, started + seconds)

    def _setups_after(self, before: Sequence[Bar], task: Task) -> float:
        for bar in reversed(before):
            index = self._recipe.index(bar.step)
            step = self._recipe.procedure.steps[index] if index is not None else None
            if step is not None and step.timing.setup_by:
                return task.setup(step.timing.setup_value(step.arguments(self._state.trials[bar.trial].parameters)))
        return 0.0

    def _kept(self, trial: TrialState, tasks: tuple[Task, ...], index: int) -> tuple[str, ...]:
        names = {t.step for t in tasks[:index] if t.keep_until is not None and t.keep_until >= index}
        return tuple(dict.fromkeys(s.station for s in trial.steps if s.name in names and s.status == "done"))

    def _coming(self, situation: Situation, schedule: Schedule, job: Job) -> Coming:
        task = job.tasks[job.next]
        waited = max(0.0, self._now - job.ready) if job.next > 0 else 0.0
        planned, most = schedule.of(job.id, job.next), task.max_wait if job.next > 0 else None
        return Coming(job.id, task.step, planned, self._why(situation, schedule, job, planned), waited, most)

    def _why(self, situation: Situation, schedule: Schedule, job: Job, planned: Planned | None) -> str:
        """Who or what a trial waits for."""
        trial, move = self._state.trials[job.id], self._moves[job.id]
        if doubts := trial.doubts():
            return f"an action in doubt: {doubts[0].in_words()}"
        if move.what in ("ask", "pause"):
            return "a person: see sdl show"
        if planned is None:
            return "a station or a place that cannot be used"
        task = job.tasks[job.next]
        if job.next > 0 and (least := job.ready + task.min_wait) > self._now and planned.start <= least + 1.0:
            return f"its minimum wait of {task.min_wait:g} s"
        for other in situation.jobs:
            if other.running is not None and other.running.station == planned.station:
                if planned.start <= other.running.end(self._now) + 1.0:
                    return f"{planned.station}, where trial {other.id} is"
            elif other is not job and planned.station in other.kept:
                return f"{planned.station}, which is kept for trial {other.id}"
        for other in situation.jobs:
            lies = other is not job and planned.place is not None and planned.place in (other.place, other.bound_for)
            if lies and self._now < planned.start <= self._leaves(schedule, other, planned.place) + 1.0:
                return f"{planned.place}, where the sample of trial {other.id} is"
        return "its turn in the schedule" if planned.start > self._now + 1.0 else ""

    def _leaves(self, schedule: Schedule, other: Job, place: str | None) -> float:
        """When the sample of a trial is no longer in a place."""
        if other.running is not None and other.bound_for != place:
            return other.running.end(self._now)
        moves = (p.end for p in schedule.planned if p.job == other.id and p.place not in (None, place))
        return min(moves, default=math.inf)
