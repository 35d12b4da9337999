"""The search space of a problem: coordinates, and the constraints that bind them."""

from __future__ import annotations

import weakref
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdl.model import FixedParameter, LinearConstraint, Mixture, NonlinearConstraint, Problem
from sdl.planners._blend import Blend
from sdl.planners._coordinates import Array, Coordinates

__all__ = ["Array", "Space"]

Mask = NDArray[np.bool_]

_SLACK = 5e-10  # half of what `Problem.check` allows, so that its verdict is never the stricter one
_PROBE = 4096
"""Draws that tell whether constraints are hard to meet."""
_FEW = 512
"""They are where fewer than one draw in so many is feasible."""
_KNOWN: dict[int, tuple[weakref.ref[Problem], Space]] = {}


class Space(Coordinates):
    """The search space of a problem. See `Coordinates` for cube, raw, unit and features."""

    @classmethod
    def of(cls, problem: Problem) -> Space:
        """The space of a problem, made once for each object that is one."""
        known = _KNOWN.get(id(problem))
        if known is not None and known[0]() is problem:
            return known[1]
        space = cls(problem)
        key = id(problem)
        # The space holds the problem; so it is kept by a copy that shares everything but the identity.
        space.problem = problem.model_copy()
        _KNOWN[key] = (weakref.ref(problem, lambda _: _KNOWN.pop(key, None)), space)
        return space

    def from_cube(self, cube: Array) -> Array:
        """Raw points from uniform draws, shape (m, d); mixtures and equalities are met, other constraints not yet."""
        raw = np.where(self.real, self.low + cube * (self.high - self.low), self.discrete(cube))
        if self.log.any():
            raw[:, self.log] = self.from_unit(cube)[:, self.log]
        for columns, blend in self.blends:
            raw[:, columns] = blend.from_cube(cube[:, columns])
        return self._solve(raw)

    # -- constraints -------------------------------------------------------------------------------------------------

    @cached_property
    def linear(self) -> tuple[LinearConstraint, ...]:
        """The linear constraints."""
        return tuple(c for c in self.problem.constraints if isinstance(c, LinearConstraint))

    @cached_property
    def nonlinear(self) -> tuple[NonlinearConstraint, ...]:
        """The constraints that are expressions."""
        return tuple(c for c in self.problem.constraints if isinstance(c, NonlinearConstraint))

    @cached_property
    def blends(self) -> list[tuple[list[int], Blend]]:
        """Columns of each mixture, and what draws it."""
        found = []
        for mixture in self.problem.mixtures:
            at = self.columns_of(mixture)
            found.append((at, Blend(self.floor[at], self.high[at], mixture.total, mixture.max_components)))
        return found

    def columns_of(self, mixture: Mixture) -> list[int]:
        """Columns of a mixture's components."""
        return [self._column[name] for name in mixture.components]

    def row_of(self, constraint: LinearConstraint) -> Array:
        """Coefficients of a constraint over the searched parameters, shape (d,)."""
        row = np.zeros(self.d)
        for name, coefficient in constraint.sum.items():
            if name in self._column:
                row[self._column[name]] = coefficient
        return row

    def bounds_of(self, constraint: LinearConstraint) -> tuple[float, float]:
        """At least and at most of `row_of` · point, with what fixed parameters add taken off; infinite where free."""
        fixed = {p.name: p.value for p in self.problem.parameters if isinstance(p, FixedParameter)}
        offset = sum(c * float(fixed[name]) for name, c in constraint.sum.items() if name in fixed)
        low = -np.inf if constraint.at_least is None else constraint.at_least - offset
        return low, np.inf if constraint.at_most is None else constraint.at_most - offset

    @cached_property
    def inequalities(self) -> tuple[Array, Array]:
        """G, shape (q, d), and h, shape (q,), of G · raw ≤ h: the linear constraints that are no equality."""
        rows: list[Array] = []
        sums: list[float] = []
        for constraint in self.linear:
            row, (low, high) = self.row_of(constraint), self.bounds_of(constraint)
            if low < high:
                for sign, bound in ((1.0, high), (-1.0, low)):
                    if np.isfinite(bound):
                        rows.append(sign * row)
                        sums.append(sign * bound)
        return np.array(rows).reshape(len(rows), self.d), np.array(sums)

    @cached_property
    def equalities(self) -> tuple[Array, Array]:
        """A, shape (q, d), and b, shape (q,), of A · raw = b: linear equalities, then the sums of mixtures."""
        equal = [c for c in self.linear if c.at_least is not None and c.at_least == c.at_most]
        rows = [self.row_of(c) for c in equal]
        sums = [self.bounds_of(c)[0] for c in equal]
        for mixture in self.problem.mixtures:
            row = np.zeros(self.d)
            row[self.columns_of(mixture)] = 1.0
            rows.append(row)
            sums.append(mixture.total)
        return np.array(rows).reshape(len(rows), self.d), np.array(sums, dtype=np.float64)

    def feasible(self, raw: Array) -> Mask:
        """Which points lie within the limits and satisfy every mixture and constraint, shape (m,)."""
        good = ((raw >= self.low) & (raw <= self.high)).all(axis=1)
        for constraint in self.linear:
            (low, high), total = self.bounds_of(constraint), raw @ self.row_of(constraint)
            given = (abs(v) for v in (constraint.at_most, constraint.at_least) if v is not None)
            slack = _SLACK * max(1.0, min(given))
            good &= (total <= high + slack) & (total >= low - slack)
        for columns, blend in self.blends:
            good &= blend.holds(raw[:, columns], _SLACK)
        if self.nonlinear or self.problem.derived:
            good &= self.margin(raw) >= 0
        return np.asarray(good)

    def margin(self, raw: Array) -> Array:
        """How far inside the expressions' constraints points are, negative outside; -inf where a value derived from
        the point is no number. Shape (m,)."""
        columns = self.columns(raw)
        least = np.full(len(raw), np.inf)
        for derived in self.problem.derived or ():
            least[~np.isfinite(columns[derived.name])] = -np.inf
        for constraint in self.nonlinear:
            used = {name: columns[name] for name in constraint.names}
            least = np.minimum(least, constraint.parsed.margin(used))
        return least

    def complete(self, raw: Array) -> Array:
        """Points nearby that keep every mixture, and in which one real parameter of each equality is solved for."""
        if self.blends:
            raw = raw.copy()
        for columns, blend in self.blends:
            raw[:, columns] = blend.project(raw[:, columns])
        return self._solve(raw)

    @cached_property
    def _pivots(self) -> tuple[list[int], Array, Array]:
        """The real parameters that are solved for, the coefficients of the equalities (q, d) and their sums (q,).

        Mixtures are among the equalities only where something else binds their components: by themselves they are
        met already.
        """
        rows, sums = self.equalities
        others = len(rows) - len(self.blends)
        if others == 0:
            return [], rows, sums
        pivots: list[int] = []
        for row in rows:
            reach = np.abs(row) * (self.high - self.low) * self.real
            reach[pivots] = 0.0
            if reach.max() > 0:
                pivots.append(int(reach.argmax()))
        return pivots, rows, sums

    def _solve(self, raw: Array) -> Array:
        pivots, rows, sums = self._pivots
        if not pivots:
            return raw
        raw = raw.copy()
        raw[:, pivots] += (sums - raw @ rows.T) @ np.linalg.pinv(rows[:, pivots]).T
        near = 1e-12 * (self.high - self.low)
        raw = np.where(np.abs(raw - self.low) <= near, self.low, raw)
        return np.where(np.abs(raw - self.high) <= near, self.high, raw)

    # -- draws -------------------------------------------------------------------------------------------------------

    @cached_property
    def hard(self) -> bool:
        """Whether hardly any draw keeps the constraints, so that a walk inside them has to stand in."""
        if not (self.problem.constraints or self.problem.mixtures or self.problem.derived):
            return False
        cube = np.random.default_rng(0).random((_PROBE, self.d))
        return int(self.feasible(self.from_cube(cube)).sum()) * _FEW < _PROBE

    def draw(self, rng: np.random.Generator, m: int) -> Array:
        """Feasible points, uniform over the space (in the logarithm where a parameter asks for it) or over the pool.

        Where hardly any draw keeps the constraints, a random walk inside them takes over.

        Returns:
            Raw points, shape (≤ m, d); fewer, or none, where draws reach no more.
        """
        from sdl.planners._walk import walked

        if self.problem.pool is not None:
            rows = self.rows[self.feasible(self.rows)]
            return rows[rng.integers(len(rows), size=m)] if len(rows) else rows
        found: list[Array] = []
        count = drawn = 0
        block = max(64, 2 * m)
        while count < m and drawn < 8192 + 64 * count and not self.hard:
            raw = self.from_cube(rng.random((block, self.d)))
            for columns, blend in self.blends:
                if not blend.exact:
                    raw[:, columns] = blend.shuffle(rng, raw[:, columns])
            raw = raw[self.feasible(raw)]
            found.append(raw)
            count, drawn, block = count + len(raw), drawn + block, min(2 * block, 8192)
        if count < m:
            found.append(walked(self, rng, m - count))
        return np.concatenate(found)[:m]
