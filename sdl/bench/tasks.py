"""What a planner is put to: a measured pool, or a function of which the best is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdl.bench import exact
from sdl.model import Outcome, Pool, Problem, Scalar

__all__ = ["TOP", "FunctionTask", "PoolTask", "Task"]

TOP = 0.01
"""Share of a pool that counts as found: the best 1 %, rounded to whole rows, at least one; ties count."""


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PoolTask:
    """A table of measured rows, each set of inputs once."""

    name: str
    problem: Problem
    """One objective, and the rows as the pool."""
    values: tuple[float, ...]
    """Outcome of each row, in the objective's unit."""

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """What is maximised, by row."""
        objective = self.problem.objectives[0]
        return np.array([objective.score(value) for value in self.values])

    @cached_property
    def good(self) -> frozenset[int]:
        """Rows of the best 1 %, ties included."""
        least = np.sort(self.scores)[::-1][max(1, round(TOP * len(self))) - 1]
        return frozenset(np.flatnonzero(self.scores >= least).tolist())

    @cached_property
    def random_median(self) -> int:
        """Evaluations that random search needs with probability ½."""
        return exact.quantile(len(self), len(self.good), 0.5)

    @cached_property
    def digest(self) -> str:
        """Identifies the rows and the problem."""
        return _digest(self.problem.model_dump(mode="json", exclude_defaults=True), self.values)

    def shuffled(self, order: NDArray[np.int_]) -> Problem:
        """The problem with its pool in another order, since some planners' picks follow the order of rows."""
        pool = self.problem.pool
        assert pool is not None
        columns = {name: tuple(column[i] for i in order) for name, column in pool.columns.items()}
        return self.problem.model_copy(update={"pool": Pool.model_construct(columns=columns)})

    def outcomes(self, row: int) -> dict[str, Outcome]:
        """What measuring a row gives."""
        objective = self.problem.objectives[0]
        unit = getattr(objective, "unit", "1")
        return {objective.name: Outcome(value=self.values[row], unit=unit)}


@dataclass(frozen=True)
class FunctionTask:
    """A synthetic function; see `sdl.bench.functions` for those there are."""

    name: str
    problem: Problem

    @cached_property
    def digest(self) -> str:
        """Identifies the function and its box."""
        return _digest(self.name, self.problem.model_dump(mode="json", exclude_defaults=True))

    def outcomes(self, parameters: Mapping[str, Scalar]) -> dict[str, Outcome]:
        """The function's values."""
        from sdl.bench.functions import evaluate

        return {name: Outcome(value=value) for name, value in evaluate(self.name, parameters).items()}


Task = PoolTask | FunctionTask
