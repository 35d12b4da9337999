"""What may still be proposed: the rows of a finite space, or draws from an infinite one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from sdl.model import Exhausted, InputError, Problem, Trial, TrialStatus
from sdl.planners._space import Array, Space

__all__ = ["GRID_LIMIT", "Candidates", "distinct", "spread"]

GRID_LIMIT = 10_000
"""A space of integer and categorical parameters with at most so many points is treated as a pool of them."""

_DRAWS = 2**17
"""Points drawn from an infinite space before giving up."""

Draw = Callable[[int], Array]
"""Count m → m points of the cube, shape (m, d); each call goes on where the last one ended."""


def distinct(raw: Array, taken: set[bytes]) -> Array:
    """Rows of `raw` that are neither in `taken` nor earlier in `raw`, in order; adds them to `taken`."""
    keep = []
    for i, row in enumerate(np.ascontiguousarray(raw)):
        key = row.tobytes()
        if key not in taken:
            taken.add(key)
            keep.append(i)
    return raw[keep]


@dataclass(frozen=True)
class Candidates:
    """The search space as the trials have left it."""

    space: Space
    trials: Sequence[Trial]
    rows: Array | None
    """Raw points that may still be proposed, shape (m, d); None when the space is infinite or too large to list."""

    @classmethod
    def of(cls, problem: Problem, trials: Sequence[Trial]) -> Candidates:
        """What is left of a problem.

        Raises:
            Exhausted: a finite space of which nothing is left.
            InputError: a finite space of which no point satisfies the constraints.
        """
        space = Space(problem)
        rows = _finite(space)
        whole = cls(space, trials, None)
        if rows is None:
            return whole
        rows = rows[space.feasible(rows)]
        if len(rows) == 0:
            raise InputError(_unreachable(problem, "no candidate satisfies"))
        total = len(rows)
        rows = distinct(rows, {row.tobytes() for row in whole.tried})
        if len(rows) == 0:
            raise Exhausted(f"all {total} candidates of the space were tried; widen it or end the campaign")
        return cls(space, trials, rows)

    @cached_property
    def tried(self) -> Array:
        """Raw points of every trial but the failed ones, shape (m, d): a failure of the equipment says nothing of a
        point."""
        return self.space.raw([t.parameters for t in self.trials if t.status is not TrialStatus.FAILED])

    def _met(self, row: Array) -> bool:
        """Whether a trial other than a failed one had the raw point `row`, shape (d,)."""
        # Compared as people write them: building `tried` for one draw costs more than all the rest of it.
        values = self.space.values(row)
        return any(t.parameters == values and t.status is not TrialStatus.FAILED for t in self.trials)

    def draw(self, source: Draw, n: int, *, skip: int = 0) -> Array:
        """The first `n` distinct feasible points that were not tried, after `skip` distinct feasible ones.

        Returns:
            Raw points, shape (≤ n, d); fewer when the space holds no more.

        Raises:
            InputError: none of many points satisfies the constraints.
            Exhausted: every point met was tried already.
        """
        seen: set[bytes] = set()
        found: list[Array] = []
        drawn, block = 0, 1 << max(3, (n + skip).bit_length())
        while drawn < _DRAWS:
            raw = self.space.from_cube(source(block))
            drawn, block = drawn + block, drawn + block
            fresh = distinct(raw[self.space.feasible(raw)], seen)
            fresh, skip = fresh[skip:], max(0, skip - len(fresh))
            found += list(islice((row for row in fresh if not self._met(row)), n - len(found)))
            if len(found) >= n:
                break
        if not seen:
            raise InputError(_unreachable(self.space.problem, f"none of {drawn} points drawn satisfies"))
        if not found:
            raise Exhausted(f"the {len(seen)} points that {drawn} draws reached were all tried; widen the space")
        return np.stack(found[:n])


def _unreachable(problem: Problem, verdict: str) -> str:
    rules = "; ".join(str(constraint) for constraint in problem.constraints)
    return f"{verdict} the constraints ({rules}): loosen them or narrow the parameters' limits to where they hold"


def _finite(space: Space) -> Array | None:
    """Every point of the pool, or of a small grid of integers and levels; None when the space is neither."""
    if space.problem.pool is not None:
        columns = space.problem.pool.columns
        return np.stack([space.column(p.name, columns[p.name]) for p in space.parameters], axis=1)
    counts = space.high - space.low + 1
    if space.real.any() or counts.prod() > GRID_LIMIT:
        return None
    axes = [np.arange(low, high + 1) for low, high in zip(space.low, space.high, strict=True)]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def spread(space: Space, known: Array, offered: Array, n: int, rng: np.random.Generator) -> Array:
    """Choose points that keep away from the known ones and from each other.

    Mitchell's best-candidate sampling (SIGGRAPH 1991, doi:10.1145/122718.122736): of ten points drawn from those
    offered, the one farthest from all others is taken. Random enough to start many campaigns differently, and it never
    clumps.

    Args:
        space: gives the distances.
        known: raw points of the trials, shape (k, d).
        offered: raw points to choose from, shape (m, d).
        n: how many.
        rng: source of all randomness.

    Returns:
        Raw points, shape (min(n, m), d).
    """
    near = space.to_unit(known)
    left = offered
    chosen: list[Array] = []
    while len(chosen) < n and len(left):
        picks = rng.choice(len(left), size=min(10, len(left)), replace=False)
        gaps = space.difference(space.to_unit(left[picks]), near)
        best = picks[gaps.min(axis=1).argmax()] if len(near) else picks[0]
        chosen.append(left[best])
        near = np.concatenate([near, space.to_unit(left[best : best + 1])])
        left = np.delete(left, best, axis=0)
    return np.stack(chosen)
