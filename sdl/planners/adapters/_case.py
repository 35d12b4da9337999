"""A call to a peer: what it is told, in the terms that peers share, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sdl.model import Problem, Scalar, Trial, TrialStatus
from sdl.planners._candidates import Candidates
from sdl.planners._known import outcome_names
from sdl.planners._space import Array, Space

__all__ = ["Case", "Choice"]

_DRAWN = 512
"""Points drawn to find the nearest that satisfies the constraints."""


@dataclass(frozen=True)
class Choice:
    """A point that a peer chose."""

    raw: Array
    """Raw coordinates, shape (d,); valid and free."""
    details: dict[str, Any]
    """What was done to its answer: `mapped_to_row`, `mapped_to_point`."""


@dataclass(frozen=True)
class Case:
    """The problem and the trials, sorted by what a peer may be told of them."""

    problem: Problem
    trials: Sequence[Trial]
    candidates: Candidates
    seed: int

    @classmethod
    def of(cls, problem: Problem, trials: Sequence[Trial], seed: int) -> Case:
        """Sort the trials.

        Raises:
            Exhausted: a finite space of which nothing is left.
            InputError: no point satisfies the constraints.
        """
        return cls(problem, trials, Candidates.of(problem, trials), seed)

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.candidates.space

    @cached_property
    def rng(self) -> np.random.Generator:
        """Random numbers of this call."""
        return np.random.default_rng(self.seed)

    @cached_property
    def seen(self) -> list[Trial]:
        """Observed trials that have every outcome that is asked about."""
        names = outcome_names(self.problem)
        return [t for t in self.trials if t.status is TrialStatus.OBSERVED and all(n in t.outcomes for n in names)]

    def of_status(self, *statuses: TrialStatus) -> list[Trial]:
        """Trials of some statuses."""
        return [t for t in self.trials if t.status in statuses]

    @cached_property
    def pending(self) -> list[Trial]:
        """Trials under way."""
        return [t for t in self.trials if t.status.pending]

    def raw(self, trials: Sequence[Trial]) -> Array:
        """Raw points of trials, shape (m, d)."""
        return self.space.raw([t.parameters for t in trials])

    @cached_property
    def scores(self) -> Array:
        """Scores of the observed trials, to be maximised, shape (m, k objectives)."""
        rows = [[o.score(t.outcomes[o.name].value) for o in self.problem.objectives] for t in self.seen]
        return np.array(rows, dtype=np.float64).reshape(len(self.seen), len(self.problem.objectives))

    @property
    def finite(self) -> bool:
        """Whether the candidates are a list: a pool, or a small grid."""
        return self.candidates.rows is not None

    def offered(self, count: int) -> Array:
        """Points to choose among: the free rows of a finite space, else points drawn at random, shape (m, d)."""
        rows = self.candidates.rows
        return self.candidates.sample(self.rng, count) if rows is None else rows

    def matrix(self, raw: Array) -> Array:
        """What a peer that takes a matrix sees, shape (m, f): the features that `bayes` sees as well."""
        return self.space.features(raw)

    def settle(self, points: Array, taken: Sequence[Array] = ()) -> list[Choice]:
        """Make a peer's answers proposals, one after another.

        In a finite space each is the nearest free row; elsewhere the point itself when it is valid and free, and
        otherwise the nearest of many that are.

        Args:
            points: raw, shape (m, d); inside the limits.
            taken: raw points already chosen in this call.
        """
        used = {row.tobytes() for row in taken}
        return [self._settled(point, used) for point in points]

    def _settled(self, point: Array, used: set[bytes]) -> Choice:
        rows = self.candidates.rows
        if rows is None:
            whole = self.space.complete(point[None, :])
            key = whole[0].tobytes()
            if key not in used and key not in self._tried and self.space.feasible(whole)[0]:
                used.add(key)
                return Choice(whole[0], {})
            rows = self.candidates.sample(self.rng, _DRAWN)
        free = rows[[row.tobytes() not in used for row in rows]] if used else rows
        gaps = self.space.difference(self.space.to_unit(point[None, :]), self.space.to_unit(free))[0]
        nearest = free[int(gaps.argmin())]
        used.add(nearest.tobytes())
        kind = "mapped_to_row" if self.finite else "mapped_to_point"
        return Choice(nearest, {kind: float(gaps.min())} if gaps.min() > 0 else {})

    @cached_property
    def _tried(self) -> frozenset[bytes]:
        return frozenset(row.tobytes() for row in self.candidates.tried)

    def values(self, raw: Array) -> dict[str, Scalar]:
        """Parameter values of one point."""
        return self.space.values(raw)
