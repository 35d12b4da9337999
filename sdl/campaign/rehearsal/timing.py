"""The times of one rehearsal drawn again: the same trials, with steps that take as long and fail as often as they may.

A small discrete-event simulation of the lab's stations and places. What starts when is decided as in a running
campaign: `plan_by_rule` makes a schedule when what has happened is not what the last one foresaw, and `due` says what
starts. Faults are followed by what the lab file says: tries after a wait, other stations, then the trial has failed or
a person is needed, who is taken to answer at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol

from sdl.campaign.rehearsal.script import Part
from sdl.campaign.scheduling.problem import TOLERANCE, Job, Lab, Planned, Running, Schedule, Situation, Task
from sdl.campaign.scheduling.ready import Mode, astray, due, slack, wake_at
from sdl.campaign.scheduling.rule import plan_by_rule

__all__ = ["Chances", "Recovery", "Rules", "Timeline", "play"]


class Chances(Protocol):
    """What is left to chance in one campaign; `sdl.campaign.rehearsal.learning.Draw` is one."""

    def factor(self, rng: Random, step: str, station: str) -> float:
        """How many times as long as in the simulation one attempt takes."""
        ...

    def fails(self, rng: Random, step: str, station: str) -> bool:
        """Whether the equipment fails in an attempt."""
        ...

    def lasts(self, rng: Random, step: str, station: str, seconds: float) -> float:
        """Lab seconds until an attempt fails that would have taken `seconds`."""
        ...


@dataclass(frozen=True)
class Recovery:
    """What follows when the equipment fails in a step."""

    stations: tuple[str, ...]
    """In the order in which they are tried."""
    retries: int = 0
    backoff: float = 0.0
    """Lab seconds before the first new try; twice as long before each further one."""
    begin: int = 0
    """Index of the step to begin again from."""
    pauses: bool = False
    """Whether a person is asked in the end, rather than the trial given up."""


@dataclass(frozen=True)
class Rules:
    """How a campaign goes on."""

    recoveries: tuple[Recovery, ...]
    """By step."""
    mode: Mode = "lookahead"
    in_flight: int = 1
    faults_in_a_row: int = 3
    """Failed trials in a row after which a person is asked."""
    hours: float | None = None
    """Lab hours after which no trial begins; None for no limit."""
    most: int = 0
    """Trials after which none begins; those beyond the rehearsed ones are the same again."""
    replaced: bool = False
    """Whether a trial that fails through the equipment is done once more in the end: it was to reach the goal."""


@dataclass
class Timeline:
    """What came of it, in lab seconds from the beginning."""

    end: float = 0.0
    begun: dict[int, float] = field(default_factory=dict)
    """Trial → when its first step started."""
    ended: dict[int, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    """Station → lab seconds in which it was at work."""
    attempts: int = 0
    faults: int = 0
    failed: int = 0
    """Trials that failed through the equipment."""
    people: int = 0
    """How often a person was needed."""


@dataclass
class _Trial:
    part: Part
    faults: dict[int, int] = field(default_factory=dict)
    """Step → faults since a person last looked."""
    at: dict[int, str] = field(default_factory=dict)
    """Step → station of its last attempt."""
    until: float = -math.inf
    """It waits that long before it asks for its next step."""


def play(parts: Sequence[Part], lab: Lab, rules: Rules, draw: Chances, rng: Random) -> Timeline:
    """Do the trials of a rehearsal with durations and faults as they may be.

    Args:
        parts: the trials, in their order.
        lab: stations and places, empty.
        rules: how the campaign goes on.
        draw: what holds for the whole of it.
        rng: decides on every attempt.
    """
    return _Player(parts, lab, rules, draw, rng).run()


class _Player:
    def __init__(self, parts: Sequence[Part], lab: Lab, rules: Rules, draw: Chances, rng: Random) -> None:
        self.lab, self.rules, self.draw, self.rng = lab, rules, draw, rng
        self.parts = parts
        self.queue = list(parts)
        self.now = 0.0
        self.line = Timeline(busy=dict.fromkeys(lab.stations, 0.0))
        self.jobs: dict[int, Job] = {}
        self.trials: dict[int, _Trial] = {}
        self.ends: dict[int, tuple[float, bool]] = {}
        self.values = {name: station.setup_value for name, station in lab.stations.items()}
        self.taken: dict[str, int] = {}
        self.schedule: Schedule | None = None
        self.surprised = False
        self.in_a_row = 0
        self.begun = 0
        self.next_number = max((part.number for part in parts), default=0) + 1

    def run(self) -> Timeline:
        while True:
            self._admit()
            if not self.jobs:
                break
            wake = self._dispatch()
            times = [end for end, _ in self.ends.values()]
            times += [t.until for t in self.trials.values() if t.until > self.now]
            times += [wake] if wake is not None else []
            if not times:
                if not self._cleared():
                    break
                continue
            self.now = max(self.now, min(times))
            for number in [n for n, (end, _) in self.ends.items() if end <= self.now + TOLERANCE]:
                self._over(number)
        self.line.end = max(self.line.ended.values(), default=0.0)
        return self.line

    def _admit(self) -> None:
        """Begin trials as the campaign does: one when it could start, as soon as there is room."""
        limit = self.rules.hours
        while len(self.jobs) < self.rules.in_flight:
            if any(job.next == 0 and job.running is None and self.trials[n].until <= self.now
                   for n, job in self.jobs.items()):  # fmt: skip
                return
            if self.jobs and self.rules.mode == "one_by_one":
                return
            if limit is not None and self.now >= limit * 3600:
                return
            if not self.queue and self.begun < self.rules.most and self.parts:
                self._append(self.parts[self.begun % len(self.parts)])
            if not self.queue:
                return
            self.begun += 1
            part = self.queue.pop(0)
            self.trials[part.number] = _Trial(part)
            tasks = tuple(step.task for step in part.steps)
            self.jobs[part.number] = Job(part.number, 0, self.now, tasks, ready=self.now)
            if self.rules.in_flight > 1:
                self._dispatch()  # the next one is asked for once this one has begun

    def _cleared(self) -> bool:
        """Nothing can go on: a person makes room. False when that does not help."""
        if not self.taken:
            self.line.people += 1
            return False
        self.line.people += 1
        self.taken.clear()
        self.schedule = None
        return True

    # ── what starts ──

    def _situation(self) -> Situation:
        stations = {name: replace(s, setup_value=self.values[name]) for name, s in self.lab.stations.items()}
        places = {name: replace(p, taken=p.taken + self.taken.get(name, 0)) for name, p in self.lab.places.items()}
        jobs = tuple(
            replace(job, ready=self.trials[n].until) if self.trials[n].until > self.now else job
            for n, job in self.jobs.items()
        )
        return Situation(self.now, jobs, Lab(stations, places))

    def _dispatch(self) -> float | None:
        while True:
            situation = self._situation()
            if astray(situation, None if self.surprised else self.schedule):
                self.schedule, self.surprised = plan_by_rule(situation), False
            if self.schedule is None:
                return None
            chosen = [
                planned
                for planned in due(situation, self.schedule, self.rules.mode)
                if self.trials[planned.job].until <= self.now
            ]
            for planned in chosen:
                self._start(planned)
            if not chosen:
                return wake_at(situation, self.schedule, self.rules.mode)

    def _start(self, planned: Planned) -> None:
        number, station, index = planned.job, planned.station, planned.index
        job, trial = self.jobs[number], self.trials[number]
        step = trial.part.steps[index]
        setup = job.tasks[index].setup(self.values[station])
        if step.task.setup_value is not None:
            self.values[station] = step.task.setup_value
        seconds = setup + step.seconds * self.draw.factor(self.rng, step.task.step, station)
        fails = self.draw.fails(self.rng, step.task.step, station)
        if fails:
            seconds = self.draw.lasts(self.rng, step.task.step, station, seconds)
        self.line.begun.setdefault(number, self.now)
        self.line.busy[station] += seconds
        self.line.attempts += 1
        trial.at[index] = station
        expected = self.now + planned.end - planned.start
        self.jobs[number] = replace(job, running=Running(index, station, planned.place, self.now, expected))
        self.ends[number] = (self.now + seconds, not fails)

    # ── what ends ──

    def _over(self, number: int) -> None:
        end, done = self.ends.pop(number)
        job, trial = self.jobs[number], self.trials[number]
        running = job.running
        assert running is not None
        early = end < running.expected_end - slack(running.expected_end - running.started)
        self.surprised = self.surprised or early or not done
        if not done:
            self.line.faults += 1
            self.jobs[number] = replace(job, running=None, ready=end)
            self._recover(number, running.task)
            return
        self.jobs[number] = replace(
            job, next=job.coming, place=job.bound_for, ready=end, running=None, kept=tuple(job.kept_until())
        )
        if running.task >= trial.part.last:
            self.in_a_row = 0
            self._leave(number, end)

    def _recover(self, number: int, index: int) -> None:
        """The same rules as `sdl.campaign.recovery.next_move` has after a fault."""
        trial, rule = self.trials[number], self.rules.recoveries[index]
        trial.faults[index] = trial.faults.get(index, 0) + 1
        turn, tried = divmod(trial.faults[index], 1 + rule.retries)
        if turn < len(rule.stations):
            again = rule.begin if turn == 0 else index
            trial.until = self.now + (rule.backoff * 2 ** (tried - 1) if tried else 0.0)
            self._again(number, again, rule.stations[turn] if again == index else None)
        elif rule.pauses:
            self.line.people += 1
            trial.faults[index] = 0
            self._again(number, rule.begin, None)
        else:
            self.line.failed += 1
            self.in_a_row += 1
            if self.in_a_row >= self.rules.faults_in_a_row:
                self.line.people += 1
                self.in_a_row = 0
            if self.rules.replaced and trial.part.reached:
                self._append(trial.part)
            self._leave(number, self.now)

    def _append(self, part: Part) -> None:
        """One more trial, the same as one before."""
        self.queue.append(replace(part, number=self.next_number))
        self.next_number += 1

    def _again(self, number: int, index: int, only: str | None) -> None:
        trial = self.trials[number]
        tasks = [step.task for step in trial.part.steps]
        station = only or trial.at.get(index)
        if station is not None:
            tasks[index] = _restricted(tasks[index], station)
        self.jobs[number] = replace(self.jobs[number], next=index, tasks=tuple(tasks))

    def _leave(self, number: int, end: float) -> None:
        """A trial is over; its sample stays where it is unless the last step took it out of the way."""
        job = self.jobs.pop(number)
        del self.trials[number]
        self.line.ended[number] = end
        if job.place is not None:
            self.taken[job.place] = self.taken.get(job.place, 0) + 1


def _restricted(task: Task, station: str) -> Task:
    seconds = task.durations.get(station, next(iter(task.durations.values())))
    return replace(task, stations=(station,), durations={station: seconds})
