"""What becomes of runs, steps and trials that an earlier session left unfinished."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sdl.journal import kinds
from sdl.journal.actions import ActionStatus, cut_off
from sdl.journal.runs import stop_in_place
from sdl.journal.state import CampaignState, StepState, TrialState
from sdl.lab.procedure import BoundStep, Procedure
from sdl.lab.spec import OnInterrupt

__all__ = ["NextMove", "interrupted_entries", "next_move"]

_REASON = "the process ended during this run"


@dataclass(frozen=True)
class NextMove:
    """How a trial goes on."""

    what: Literal["step", "join", "analyse", "fail", "infeasible", "ask", "pause"]
    """`join`: a worker has the step, and may be at it still."""
    index: int = 0
    """Index of the step to begin with."""
    message: str = ""
    device: str = ""
    """Device that failed."""
    station: str | None = None
    """Where to do the step; None for its first station."""
    wait: float = 0.0
    """Lab seconds to wait before."""


def interrupted_entries(state: CampaignState, remote: Collection[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries that close what a dead process left open: its runs, its actions, its steps.

    Args:
        state: of the campaign.
        remote: stations in workers, which go on by themselves and say later what became of their steps.
    """
    theirs = {
        (trial.number, step.name, step.attempt)
        for trial in state.trials.values()
        for step in trial.steps
        if step.status == "started" and step.station in remote
    }
    for run in state.open_runs.values():
        if (run.trial, run.step, run.attempt) not in theirs:
            where = {"trial": run.trial, "step": run.step, "attempt": run.attempt}
            yield kinds.RUN_INTERRUPTED, {**where, "doc": stop_in_place(run.uid, _REASON)}
    for trial in state.trials.values():
        for action in trial.actions.values():
            if action.guarded and action.status.under_way and action.station not in remote:
                yield cut_off(action)
        for step in trial.steps:
            if step.status == "started" and step.station not in remote:
                where = {"trial": trial.number, "step": step.name, "attempt": step.attempt}
                message = "the process ended during this step"
                yield kinds.STEP_FAILED, {**where, "cause": "interrupted", "message": message, "device": ""}


def next_move(trial: TrialState, procedure: Procedure, answer: OnInterrupt | None, since: int = 0) -> NextMove:
    """Where to take up a pending trial, its doubts being settled.

    Args:
        trial: a trial that has not ended.
        procedure: its recipe.
        answer: what a person decided for interrupted steps that say `ask`.
        since: when the session was opened, UTC, ns; faults before it do not count for a step that pauses on faults.
    """
    quarantined = next((a for a in trial.actions.values() if a.status is ActionStatus.QUARANTINED), None)
    if quarantined is not None:
        message = f"in quarantine: {quarantined.in_words()}; {quarantined.note or 'nobody can say whether it happened'}"
        return NextMove("fail", message=message, device=quarantined.device)
    if not trial.steps:
        return NextMove("step", 0)
    last = trial.steps[-1]
    if all(step.name != last.name for step in procedure.steps):
        message = f"trial {trial.number} was in step {last.name!r}, which the procedure does not have any more"
        return NextMove("fail" if answer == "discard" else "ask", message=message)
    index = procedure.index(last.name)
    if last.status == "done":
        return _after(index, procedure)
    if last.status == "started":
        return NextMove("join", index, station=last.station)
    if last.cause == "infeasible":
        return NextMove("infeasible", message=last.message)
    if last.status == "failed":
        return _after_fault(trial, last, index, procedure, since)
    if last.cause in ("doubt", "refused"):  # settled by now: what happened is not repeated, the rest is done
        again = procedure.begin_from(index)
        return NextMove("step", again, station=last.station if again == index else None)
    policy = procedure.steps[index].spec.on_interrupt
    if policy == "ask":
        policy = answer or "ask"
    match policy:
        case "resume":
            return _after(index, procedure)
        case "redo":
            return NextMove("step", procedure.begin_from(index))
        case "discard":
            return NextMove("fail", message=f"given up: step {last.name!r} was interrupted")
        case _:
            return NextMove("ask", index, f"trial {trial.number} was interrupted in step {last.name!r}")


def _after(index: int, procedure: Procedure) -> NextMove:
    if index + 1 == len(procedure.steps):
        return NextMove("analyse")
    return NextMove("step", procedure.begin_from(index + 1))


def _stations_to_try(trial: TrialState, step: BoundStep, procedure: Procedure) -> list[str]:
    """Stations of a step in the order in which they are tried, the one it was begun on first.

    A sample lies where one of several stations was chosen for it, and does not follow the step to another.
    """
    every = list(step.spec.every_station)
    if step.spec.choose == "first":
        return every
    begun = next(attempt.station for attempt in trial.steps if attempt.name == step.name)
    if procedure.sample is not None:
        return [begun]
    return [begun, *(station for station in every if station != begun)]


def _after_fault(trial: TrialState, last: StepState, index: int, procedure: Procedure, since: int) -> NextMove:
    """Try again after a wait; then on another station; then fail the trial, or pause."""
    step = procedure.steps[index]
    pauses = step.spec.on_fault == "pause"
    faults = sum(
        old.name == last.name and old.status == "failed" and (not pauses or old.started_at >= since)
        for old in trial.steps
    )
    turn, tried = divmod(faults, 1 + step.spec.retries)
    places = _stations_to_try(trial, step, procedure)
    if turn < len(places):
        again = procedure.begin_from(index) if turn == 0 else index
        wait = step.backoff * 2 ** (tried - 1) if tried else 0.0
        return NextMove("step", again, station=places[turn] if again == index else None, wait=wait)
    if pauses:
        return NextMove("pause", message=f"trial {trial.number}, step {last.name!r}: {last.message}")
    return NextMove("fail", message=last.message, device=last.device)
