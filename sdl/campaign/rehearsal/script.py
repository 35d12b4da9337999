"""What the trials of one rehearsal do, without the times at which they did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sdl.campaign._draws import draws
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.jobs import tasks_of, units_of
from sdl.campaign.rehearsal.experience import Attempt, Timed, attempts_of
from sdl.campaign.rehearsal.learning import Learned
from sdl.campaign.rehearsal.target import Target
from sdl.campaign.scheduling.durations import Durations
from sdl.campaign.scheduling.problem import Task
from sdl.campaign.stockkeeper import StockKeeper
from sdl.journal.state import CampaignState, TrialState
from sdl.model import Scalar, TrialStatus

__all__ = ["Part", "Script", "ScriptStep", "script_of"]


@dataclass(frozen=True)
class ScriptStep:
    """What a step of a trial took in the simulation."""

    task: Task
    """Its durations are those that the scheduler expects."""
    seconds: float
    """Lab seconds in the simulation, set-up left out."""


@dataclass(frozen=True)
class Part:
    """A trial of a rehearsal."""

    number: int
    parameters: Mapping[str, Scalar]
    status: TrialStatus
    steps: tuple[ScriptStep, ...]
    """All steps of the procedure."""
    last: int
    """Index of the step after which the trial is over."""
    used: Mapping[str, float]
    """Item of the stock → amount, in the stock's unit."""
    needs: Mapping[str, float]
    """The same that has to be set aside before it begins."""
    reached: bool
    """Whether it reached the target."""


@dataclass(frozen=True)
class Script:
    """One rehearsal."""

    parts: tuple[Part, ...]
    timed: tuple[Timed, ...]
    status: str
    """How it stopped: ended, or paused with a message."""
    message: str
    lab_seconds: float
    """From its first trial to its end, in the simulation."""


def timed_of(loaded: LoadedCampaign, state: CampaignState) -> tuple[list[Attempt], list[Timed]]:
    """The attempts of a rehearsal, and those of them that were done."""
    attempts = list(attempts_of(state, loaded.procedure, lambda at: 1.0))
    done = [Timed("", a.step, a.station, a.declared, a.net) for a in attempts if a.status == "done"]
    return attempts, done


def script_of(
    loaded: LoadedCampaign, state: CampaignState, after: int, seconds: float, learned: Learned, target: Target | None
) -> Script:
    """What a rehearsal on virtual time shows.

    Args:
        loaded: the campaign.
        state: of the rehearsal when it is over.
        after: trials with numbers up to this had ended before it began.
        seconds: lab seconds that it took.
        learned: what is known of the lab, by which the scheduler expects durations.
        target: what is to be reached.
    """
    attempts, timed = timed_of(loaded, state)
    by_trial: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        by_trial.setdefault(attempt.trial, []).append(attempt)
    typical = _typical(timed)
    keeper = StockKeeper.of(loaded)
    parts = [
        _part(loaded, state, trial, by_trial.get(number, []), typical, keeper, learned, target)
        for number, trial in state.trials.items()
        if number > after and not trial.status.pending
    ]
    return Script(tuple(parts), tuple(timed), state.status, state.message, seconds)


def _typical(timed: Sequence[Timed]) -> dict[str, float]:
    """Median of simulated over declared seconds, by step: for stations and trials in which a step was not done."""
    ratios: dict[str, list[float]] = {}
    for one in timed:
        if one.declared > 0:
            ratios.setdefault(one.step, []).append(one.seconds / one.declared)
    return {step: sorted(values)[len(values) // 2] for step, values in ratios.items()}


def _part(
    loaded: LoadedCampaign,
    state: CampaignState,
    trial: TrialState,
    attempts: Sequence[Attempt],
    typical: Mapping[str, float],
    keeper: StockKeeper,
    learned: Learned,
    target: Target | None,
) -> Part:
    tasks = tasks_of(loaded.procedure, trial.parameters, units_of(loaded.spec), Durations())
    done = {attempt.step: attempt for attempt in attempts if attempt.status == "done"}
    steps = []
    for task in tasks:
        declared = task.durations[task.stations[0]]
        own = done.get(task.step)
        seconds = own.net if own is not None else declared * typical.get(task.step, 1.0)
        expected = {name: seconds * learned.expected(task.step, name) for name in task.stations}
        steps.append(ScriptStep(replace(task, durations=expected), seconds))
    used: dict[str, float] = {}
    for draw in draws(trial, state.reserved.get(trial.number, ())):
        used[draw.item] = used.get(draw.item, 0.0) + draw.amount
    needs: dict[str, float] = {}
    for need in keeper.needs(trial.parameters):
        needs[need.item] = needs.get(need.item, 0.0) + need.amount
    return Part(
        trial.number, dict(trial.parameters), trial.status, tuple(steps), _last(trial, tasks), used, needs,
        target is not None and target.reached(trial),
    )  # fmt: skip


def _last(trial: TrialState, tasks: Sequence[Task]) -> int:
    """Index of the step after which a trial is over: the one in which the chemistry failed, or the last."""
    names = [task.step for task in tasks]
    ended = trial.status in (TrialStatus.INFEASIBLE, TrialStatus.FAILED)
    if ended and trial.steps and trial.steps[-1].status != "done" and trial.steps[-1].name in names:
        return names.index(trial.steps[-1].name)
    return len(tasks) - 1
