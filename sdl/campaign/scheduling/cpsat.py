"""Looking ahead with the constraint solver CP-SAT of OR-tools.

The model is that of a job shop with choices of stations, blocking places and waits between a least and a most: a task
is an optional interval on each of its stations, the stay of a sample an optional interval on each place where it may
be, from the start of the task that puts it there to the end of the one that takes it away. OR-tools is an optional
extra, `pip install 'self-driving-lab[schedule]'`; without it there is no answer, and the rule's schedule is followed.
"""

from __future__ import annotations

import time
from typing import Any

from sdl.campaign.scheduling._model import Model
from sdl.campaign.scheduling._retime import retimed
from sdl.campaign.scheduling.problem import TOLERANCE, Schedule, Situation, cost, lateness
from sdl.campaign.scheduling.rule import plan_by_rule
from sdl.campaign.scheduling.safety import always_safe, starts_safely

__all__ = ["plan_ahead"]

EFFORT = 0.01
"""About 0.1 s for twenty trials of five steps on one core; more finds little more."""
LEAST = 0.01
"""Wall seconds that the solver gets at least."""


def plan_ahead(
    situation: Situation,
    time_limit: float = 0.12,
    hint: Schedule | None = None,
    workers: int = 1,
    seed: int = 0,
    effort: float = EFFORT,
) -> Schedule | None:
    """A schedule that looks ahead over all jobs.

    Args:
        situation: as things stand.
        time_limit: wall seconds, the building of the model included.
        hint: the rule's schedule of the same situation; computed when it is not given.
        workers: threads of the solver. One gives the same answer each time, unless the time limit comes first.
        seed: of the solver.
        effort: what the solver spends at most, in its own measure, which counts work and not time.

    Returns:
        A schedule with no more lateness than the hint and of no higher cost; None when the solver has no better one in
        time, or when it is not installed.
    """
    began = time.perf_counter()
    solver = _solver()
    if solver is None:
        return None
    if hint is None:
        hint = plan_by_rule(situation)
    if len(hint.planned) < 2:
        return None
    model = Model(situation, hint, solver)
    if not model.can:
        return None
    left = max(time_limit - (time.perf_counter() - began), LEAST)
    planned = model.solve(left, workers, seed, effort)
    if planned is None:
        return None
    found = retimed(situation, planned, "lookahead", "; ".join(filter(None, (hint.note, model.note))))
    return found if found is not None and _better(situation, found, hint) else None


def _better(situation: Situation, found: Schedule, hint: Schedule) -> bool:
    if lateness(situation, found) > lateness(situation, hint) + TOLERANCE:
        return False
    if cost(situation, found) > cost(situation, hint) + TOLERANCE:
        return False
    moves = [(p.job, p.index, p.station, p.place) for p in found.planned]
    return always_safe(situation) or starts_safely(situation, moves)


def _solver() -> Any:
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    return cp_model
