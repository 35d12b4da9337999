"""What may still be proposed: the rows of a finite space, or draws from an infinite one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sdl.model import Exhausted, InputError, Problem, Trial, TrialStatus
from sdl.planners._rows import HashArray, among, first_of_each, hashes
from sdl.planners._space import Array, Space
from sdl.planners._walk import walked

__all__ = ["GRID_LIMIT", "Candidates", "Finite", "distinct", "spread"]

GRID_LIMIT = 10_000
"""A space of integer and categorical parameters with at most so many points is treated as a pool of them."""

_DRAWS = 2**17
"""Points drawn from an infinite space before giving up."""
_WALK = 20_260_101
"""Seed of the walk that stands in for draws where hardly any is feasible."""
_ATTEMPTS = 64

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
class Finite:
    """The points of a finite space: rows of a pool, or of a small grid. Made once for each problem."""

    rows: Array
    """Raw points, each once, all of them feasible, shape (m, d)."""
    listed: int
    """Rows that the pool has, repeated and infeasible ones included."""
    repeated: int
    """Rows of the pool that are in it already."""
    space: Space

    @cached_property
    def features(self) -> Array:
        """What models see of the rows, shape (m, f)."""
        return self.space.features(self.rows)

    @cached_property
    def unit(self) -> Array:
        """Unit coordinates of the rows, shape (m, d)."""
        return self.space.to_unit(self.rows)

    @cached_property
    def hashes(self) -> HashArray:
        """A number for each row, equal for equal rows."""
        return hashes(self.rows)

    @classmethod
    def of(cls, space: Space) -> Finite | None:
        """The points of a space; None when it is infinite or too large to list."""
        rows = _listed(space)
        if rows is None:
            return None
        first = first_of_each(rows)
        unique = rows[first]
        return cls(unique[space.feasible(unique)], len(rows), len(rows) - len(first), space)


@dataclass(frozen=True)
class Candidates:
    """The search space as the trials have left it."""

    space: Space
    trials: Sequence[Trial]
    finite: Finite | None = None
    """Every point of a finite space; None when it is infinite or too large to list."""
    free: NDArray[np.intp] | None = None
    """Indices of the points of `finite` that may still be proposed."""

    @classmethod
    def of(cls, problem: Problem, trials: Sequence[Trial]) -> Candidates:
        """What is left of a problem.

        Raises:
            Exhausted: a finite space of which nothing is left.
            InputError: a finite space of which no point satisfies the constraints.
        """
        space = Space.of(problem)
        finite = _finite(space)
        whole = cls(space, trials, finite)
        if finite is None:
            return whole
        total = len(finite.rows)
        if total == 0:
            raise InputError(_unreachable(problem, "no candidate satisfies"))
        free = np.flatnonzero(~among(finite.rows, whole.tried, finite.hashes))
        if len(free) == 0:
            raise Exhausted(f"all {total} candidates of the space were tried; widen it or end the campaign")
        return cls(space, trials, finite, free)

    @cached_property
    def rows(self) -> Array | None:
        """Raw points that may still be proposed, shape (m, d); None when the space is infinite or too large to list."""
        if self.finite is None or self.free is None:
            return None
        return self.finite.rows if len(self.free) == len(self.finite.rows) else self.finite.rows[self.free]

    @property
    def notes(self) -> dict[str, int]:
        """What a reason should say of the candidates: rows of the pool that repeat others were merged."""
        repeated = self.finite.repeated if self.finite is not None else 0
        return {"pool_rows_merged": repeated} if repeated else {}

    @property
    def merged(self) -> str:
        """The same in words, to end a summary with."""
        repeated = self.finite.repeated if self.finite is not None else 0
        return f"; {repeated} rows of the pool repeat others and were merged" if repeated else ""

    @cached_property
    def tried(self) -> Array:
        """Raw points of every trial but the failed ones, shape (m, d): a failure of the equipment says nothing of a
        point."""
        return self.space.raw([t.parameters for t in self.trials if t.status is not TrialStatus.FAILED])

    def draw(self, source: Draw, n: int, *, skip: int = 0) -> Array:
        """The first `n` distinct feasible points that were not tried, after `skip` distinct feasible ones.

        Returns:
            Raw points, shape (≤ n, d); fewer when the space holds no more.

        Raises:
            InputError: none of many points satisfies the constraints.
            Exhausted: every point met was tried already.
        """
        tried = {row.tobytes() for row in self.tried}
        seen: set[bytes] = set()
        found: list[Array] = []
        drawn, block = 0, 1 << max(3, (n + skip).bit_length())
        while drawn < _DRAWS and not self.space.hard:
            raw = self.space.from_cube(source(block))
            drawn, block = drawn + block, drawn + block
            skip = self._gather(raw, n, skip, seen, tried, found)
            if len(found) >= n:
                return np.stack(found)
        if self.space.hard:  # the same walk at each call, so that calls go on with it
            raw = walked(self.space, np.random.default_rng(_WALK), n + skip + len(self.trials))
            self._gather(raw, n, skip, seen, tried, found)
        if not seen:
            raise InputError(_unreachable(self.space.problem, f"none of {_DRAWS} points drawn satisfies"))
        if not found:
            raise Exhausted(f"the {len(seen)} points that {_DRAWS} draws reached were all tried; widen the space")
        return np.stack(found[:n])

    def _gather(self, raw: Array, n: int, skip: int, seen: set[bytes], tried: set[bytes], found: list[Array]) -> int:
        """Add feasible points that are new to `found`, up to `n`; how many are still to be skipped."""
        fresh = distinct(raw[self.space.feasible(raw)], seen)
        fresh, skip = fresh[skip:], max(0, skip - len(fresh))
        found += list(islice((row for row in fresh if row.tobytes() not in tried), n - len(found)))
        return skip

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Up to `n` distinct points that were not tried, uniform over what is left: raw, shape (≤ n, d).

        Raises:
            InputError: none of many points satisfies the constraints.
            Exhausted: every point met was tried already.
        """
        if self.finite is not None and self.free is not None:
            return np.asarray(self.finite.rows[rng.choice(self.free, size=min(n, len(self.free)), replace=False)])
        tried = {row.tobytes() for row in self.tried}
        seen: set[bytes] = set()
        found: list[Array] = []
        for _ in range(_ATTEMPTS):
            before = len(seen)
            self._gather(self.space.draw(rng, max(8, 2 * (n - len(found)))), n, 0, seen, tried, found)
            if len(found) >= n or len(seen) == before:
                break
        if not seen:
            raise InputError(_unreachable(self.space.problem, f"none of {_DRAWS} points drawn satisfies"))
        if not found:
            raise Exhausted(f"the {len(seen)} points that draws reached were all tried; widen the space")
        return np.stack(found)


def _unreachable(problem: Problem, verdict: str) -> str:
    rules = "; ".join(str(rule) for rule in (*problem.mixtures, *problem.constraints))
    return f"{verdict} the constraints ({rules}): loosen them or narrow the parameters' limits to where they hold"


def _finite(space: Space) -> Finite | None:
    """The points of a finite space, listed once for each space."""
    if "finite" not in space.memo:
        space.memo["finite"] = Finite.of(space)
    found: Finite | None = space.memo["finite"]
    return found


def _listed(space: Space) -> Array | None:
    """Every row of the pool, or point of a small grid of integers and levels; None when the space is neither."""
    if space.problem.pool is not None:
        return space.rows
    axes = space.grid()
    if axes is None or np.prod([len(axis) for axis in axes]) > GRID_LIMIT:
        return None
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
    left = np.arange(len(offered))
    chosen: list[int] = []
    while len(chosen) < n and len(left):
        picks = left[rng.choice(len(left), size=min(10, len(left)), replace=False)]
        gaps = space.difference(space.to_unit(offered[picks]), near)
        best = int(picks[gaps.min(axis=1).argmax()] if len(near) else picks[0])
        chosen.append(best)
        near = np.concatenate([near, space.to_unit(offered[best : best + 1])])
        left = left[left != best]
    return offered[chosen]
