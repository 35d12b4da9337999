"""CPU seconds of a proposal, at given numbers of observed trials, in a box and in a pool of six dimensions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdl.bench.entrants import Entrant, warm
from sdl.bench.functions import function_task
from sdl.model import Outcome, Pool, Problem, Trial, TrialStatus

__all__ = ["POOL_ROWS", "Timing", "time_proposals"]

POOL_ROWS = 2_121
"""Rows of the pool, as many as the larger of the shared tables have."""


@dataclass(frozen=True)
class Timing:
    """CPU seconds of proposals."""

    planner: str
    space: str
    """`box` or `pool`."""
    observations: int
    seconds: tuple[float, ...]
    """Of each repetition; empty when the planner failed."""
    error: str = ""

    @property
    def median(self) -> float:
        """Median of the repetitions."""
        return float(np.median(self.seconds))


def time_proposals(entrant: Entrant, space: str, observations: int, repetitions: int) -> Timing:
    """Let a planner propose one trial, after as many random ones of the Hartmann function.

    Args:
        entrant: the planner.
        space: `box`, or `pool` of `POOL_ROWS` rows and one for each observed trial.
        observations: observed trials.
        repetitions: calls, each with trials and a seed of its own.
    """
    planner = entrant.load()
    warm(entrant)
    spent = []
    for seed in range(repetitions):
        problem, trials = _situation(space, observations, seed)
        started = time.process_time()
        try:
            planner.propose(problem, trials, 1, seed)
        except Exception as error:  # what a planner under test raises is a result of the benchmark
            return Timing(entrant.label, space, observations, (), f"{type(error).__name__}: {error}")
        spent.append(time.process_time() - started)
    return Timing(entrant.label, space, observations, tuple(spent))


def _situation(space: str, observations: int, seed: int) -> tuple[Problem, Sequence[Trial]]:
    task = function_task("hartmann6")
    names = task.problem.parameter_names
    rows = np.random.default_rng([seed, observations]).random((observations + POOL_ROWS, len(names)))
    trials = []
    for i, row in enumerate(rows[:observations].tolist()):
        values = dict(zip(names, row, strict=True))
        outcomes: dict[str, Outcome] = task.outcomes(values)
        trials.append(Trial(number=i + 1, parameters=values, status=TrialStatus.OBSERVED, outcomes=outcomes))
    if space == "box":
        return task.problem, trials
    pool = Pool(columns={name: tuple(rows[:, j].tolist()) for j, name in enumerate(names)})
    return task.problem.model_copy(update={"pool": pool}), trials
