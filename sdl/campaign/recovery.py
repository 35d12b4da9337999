"""What becomes of runs, steps and trials that an earlier session left unfinished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sdl.journal import kinds
from sdl.journal.state import CampaignState, StepState, TrialState
from sdl.lab.procedure import Procedure
from sdl.lab.spec import OnInterrupt

__all__ = ["NextMove", "interrupted_entries", "next_move"]

_REASON = "the process ended during this run"


@dataclass(frozen=True)
class NextMove:
    """How a trial goes on."""

    what: Literal["step", "analyse", "fail", "infeasible", "ask"]
    index: int = 0
    """Index of the step to begin with."""
    message: str = ""


def interrupted_entries(state: CampaignState) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries that close what a dead process left open: first its runs, then its steps."""
    for run in state.open_runs.values():
        where = {"trial": run.trial, "step": run.step, "attempt": run.attempt}
        yield kinds.RUN_INTERRUPTED, {**where, "doc": _stop_document(run.uid)}
    for trial in state.trials.values():
        for step in trial.steps:
            if step.status == "started":
                where = {"trial": trial.number, "step": step.name, "attempt": step.attempt}
                message = "the process ended during this step"
                yield kinds.STEP_FAILED, {**where, "cause": "interrupted", "message": message, "device": ""}


def _stop_document(run: str) -> dict[str, Any]:
    """An event-model stop document in place of the one that the RunEngine could not write."""
    return {
        "uid": f"interrupted-{run}",
        "run_start": run,
        "time": time.time(),
        "exit_status": "abort",
        "reason": _REASON,
    }


def next_move(trial: TrialState, procedure: Procedure, answer: OnInterrupt | None) -> NextMove:
    """Where to take up a pending trial.

    Args:
        trial: a trial that has not ended.
        procedure: its recipe.
        answer: what a person decided for interrupted steps that say `ask`.
    """
    if not trial.steps:
        return NextMove("step", 0)
    last = trial.steps[-1]
    if all(step.name != last.name for step in procedure.steps):
        message = f"trial {trial.number} was in step {last.name!r}, which the procedure does not have any more"
        return NextMove("fail" if answer == "discard" else "ask", message=message)
    index = procedure.index(last.name)
    if last.status == "done":
        return _after(index, procedure)
    if last.cause == "infeasible":
        return NextMove("infeasible", message=last.message)
    if last.status == "failed":
        return _after_fault(trial, last, index, procedure)
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


def _after_fault(trial: TrialState, last: StepState, index: int, procedure: Procedure) -> NextMove:
    faults = sum(step.name == last.name and step.status == "failed" for step in trial.steps)
    if faults <= procedure.steps[index].spec.retries:
        return NextMove("step", procedure.begin_from(index))
    return NextMove("fail", message=last.message)
