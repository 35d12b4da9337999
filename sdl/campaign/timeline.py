"""When the steps of a campaign were done and when they were planned, how well its stations were used, and what waited.

All times are lab seconds of the campaign, its sessions one after another. A pure function of the folded journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdl.campaign._bottleneck import Bottleneck, bottleneck, bound_of
from sdl.campaign._labtime import LabTime
from sdl.campaign._outlook import Coming, Outlook, outlook
from sdl.campaign._utilisation import Bar, BarStatus, Use, setups, utilisation
from sdl.campaign.recipe import Recipe, recipe_of
from sdl.journal.state import CampaignState, StepState, TrialState

__all__ = [
    "Bar",
    "BarStatus",
    "Bottleneck",
    "Coming",
    "Outlook",
    "PlannedBar",
    "Timeline",
    "Use",
    "Wait",
    "outlook",
    "timeline",
]

_RECORDED = 0.02
"""Wall seconds by which the record of a moment may be off."""


@dataclass(frozen=True, slots=True)
class PlannedBar:
    """When a step was planned, at the time at which its trial began."""

    trial: int
    step: str
    station: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Wait:
    """The time between a step and the one before it."""

    trial: int
    step: str
    """The one that was waited for."""
    seconds: float
    least: float
    most: float | None
    """None where it may wait as long as it likes."""
    slack: float = 0.0
    """Lab seconds by which the record may be off."""
    open: bool = False
    """Whether the step has not begun yet."""

    @property
    def broken(self) -> bool:
        """Whether it waited for longer than allowed, by more than the record may be off."""
        return self.most is not None and self.seconds > self.most + self.slack

    @property
    def early(self) -> bool:
        """Whether it waited for less than it must."""
        return not self.open and self.seconds < self.least - self.slack


@dataclass(frozen=True)
class Timeline:
    """What was done when."""

    bars: tuple[Bar, ...]
    """By start."""
    planned: tuple[PlannedBar, ...]
    """By trial and start."""
    uses: tuple[Use, ...]
    """How each station was used, in the order of the procedure."""
    waits: tuple[Wait, ...]
    """By trial, in the order of the steps."""
    begin: float = 0.0
    """When the first step began."""
    end: float = 0.0
    """When the last one ended; now while one is under way."""
    bound: float = 0.0
    """What no schedule of the same steps could beat: the work of the busiest station, set-ups and waits left out."""
    bottleneck: Bottleneck | None = None
    """None until a trial has gone through, and where the journal does not have the lab file."""
    now: float = 0.0
    """The last moment on record, or the one that was asked for."""

    @property
    def makespan(self) -> float:
        """From the start of the first step to the end of the last."""
        return self.end - self.begin

    @property
    def broken(self) -> tuple[Wait, ...]:
        """Waits that were longer than allowed."""
        return tuple(wait for wait in self.waits if wait.broken)

    @property
    def stations(self) -> tuple[str, ...]:
        """In the order of the procedure."""
        return tuple(use.station for use in self.uses)


def timeline(state: CampaignState, now: int | None = None, live: bool = True) -> Timeline:
    """The timeline of a campaign.

    Args:
        state: the folded state.
        now: the present, UTC, ns, for a campaign that runs in real time; None for its last entry.
        live: whether somebody runs it; where nobody does, steps left open have been interrupted.
    """
    time, recipe = LabTime(state, now), recipe_of(state)
    bars = tuple(sorted(_bars(state, time, live), key=lambda bar: (bar.start, bar.end, bar.trial)))
    planned = tuple(sorted(_planned(state, time), key=lambda bar: (bar.trial, bar.start, bar.end)))
    stations = recipe.stations if recipe is not None else ()
    stations = tuple(dict.fromkeys([*stations, *(bar.station for bar in bars)]))
    begin = min((bar.start for bar in bars), default=0.0)
    end = max((bar.end for bar in bars), default=0.0)
    waits = tuple(_waits(state, time, recipe)) if recipe is not None else ()
    uses = utilisation(state, time, recipe, bars, stations, begin, end)
    through = any(bar.status == "done" and not state.trials[bar.trial].status.pending for bar in bars)
    found = bottleneck(state, recipe, uses, bars, time) if recipe is not None and through else None
    bound = bound_of(recipe, bars, setups(recipe, state, bars)) if recipe is not None else 0.0
    return Timeline(bars, planned, uses, waits, begin, end, bound, found, time.end)


def _bars(state: CampaignState, time: LabTime, live: bool) -> Iterator[Bar]:
    for trial in state.trials.values():
        for step in trial.steps:
            start = time.at(step.started_at)
            end = max(start, time.at(step.ended_at) if step.ended_at is not None else time.end)
            status = _status(step, live)
            yield Bar(trial.number, step.name, step.station, step.attempt, start, end, status, step.message, step.into)


def _status(step: StepState, live: bool) -> BarStatus:
    if step.status == "started":
        return "running" if live else "interrupted"
    return "infeasible" if step.cause == "infeasible" else step.status


def _planned(state: CampaignState, time: LabTime) -> Iterator[PlannedBar]:
    for trial in state.trials.values():
        plan = trial.scheduled
        if plan is None:
            continue
        # The coordinator of a later session does not count what a process did after its last word.
        shift = time.at(plan.at) - plan.now
        for step in plan.steps:
            yield PlannedBar(trial.number, step.step, step.station, step.start + shift, step.end + shift)


def _waits(state: CampaignState, time: LabTime, recipe: Recipe) -> Iterator[Wait]:
    for trial in state.trials.values():
        for before, after in zip(trial.steps, trial.steps[1:], strict=False):
            index = recipe.index(after.name)
            if (
                before.status != "done"
                or before.ended_at is None
                or not index
                or recipe.index(before.name) != index - 1
            ):
                continue
            seconds = max(0.0, time.at(after.started_at) - time.at(before.ended_at))
            yield _wait(trial, index, seconds, recipe, _RECORDED * time.speed(after.started_at))
        open_ = _open_wait(trial, time, recipe)
        if open_ is not None:
            yield open_


def _wait(trial: TrialState, index: int, seconds: float, recipe: Recipe, slack: float, open_: bool = False) -> Wait:
    step = recipe.procedure.steps[index]
    return Wait(trial.number, step.name, seconds, step.timing.min_wait, step.timing.max_wait, slack, open_)


def _open_wait(trial: TrialState, time: LabTime, recipe: Recipe) -> Wait | None:
    """How long a trial has waited for its next step until now."""
    if not trial.status.pending or not trial.steps:
        return None
    last = trial.steps[-1]
    index = recipe.index(last.name)
    if last.status != "done" or last.ended_at is None or index is None or index + 1 >= len(recipe.procedure.steps):
        return None
    seconds = max(0.0, time.end - time.at(last.ended_at))
    return _wait(trial, index + 1, seconds, recipe, _RECORDED * time.speed(last.ended_at), True)
