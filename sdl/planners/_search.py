"""Finding the point with the greatest acquisition value: every candidate of a finite space, or a guided search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sdl.model import OrdinalParameter
from sdl.planners._acquisition import Acquisition
from sdl.planners._candidates import Candidates
from sdl.planners._rows import among
from sdl.planners._screen import thinned_out
from sdl.planners._space import Array, Space

__all__ = ["Found", "Search"]

_DRAWS = 768  # points spread over the space
_LOCAL = 32  # points around each of the best trials, at each of the radii
_RADII = (0.1, 0.01)  # of the unit cube
_STARTS = 4  # points from which gradients are followed
_STEPS = 40  # iterations of gradient search from each
_ROUNDS = 2  # times that neighbours in the discrete parameters are looked at
_SHRINK = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)  # radii where no gradient can be followed
_SAME = 1e-6  # points nearer than this in every unit coordinate count as one
_STEP = 1e-6  # of finite differences, unit coordinates
_BLOCK = 8192  # points evaluated at once: bounds the memory that a large pool needs
_SHOWN = 128  # best points that are handed on

Values = Callable[[Array], Array]


class Found(NamedTuple):
    """What a search came to."""

    row: Array
    """Raw point with the greatest value, shape (d,)."""
    value: float
    """Its acquisition value."""
    best: Array
    """Raw points with the greatest values, shape (≤ 128, d)."""


@dataclass(frozen=True)
class Search:
    """Search of one space for the maximum of acquisition functions."""

    candidates: Candidates
    best: Array
    """Raw points of the best trials, to look around, shape (k, d)."""
    limit: int
    """Rows of a pool whose value is computed exactly; from a larger one a first pass chooses so many."""
    rng: np.random.Generator
    apart: float = _SAME
    """In an infinite space, points nearer than this to one tried, in every unit coordinate, are none to propose."""

    def maximise(self, acquisition: Acquisition, chosen: Array) -> Found:
        """The best point that was neither tried nor chosen.

        Raises:
            ArithmeticError: the acquisition function is a number at no candidate.
        """
        if self.candidates.finite is not None and self.candidates.free is not None:
            rows, values = self._listed(acquisition, chosen)
        else:
            rows, values = self._climb(acquisition)
            free = ~self._met(rows, np.concatenate([self.candidates.tried, chosen]))
            rows, values = (rows[free], values[free]) if free.any() else (rows, values)
        order = np.argsort(-values, kind="stable")[:_SHOWN]
        top = next((i for i in order if self._allowed(rows[i])), order[0])
        return Found(rows[top], float(values[top]), rows[order])

    @property
    def space(self) -> Space:
        return self.candidates.space

    def _allowed(self, row: Array) -> bool:
        """Whether a person would let the point pass: constraints hold in the digits that are written down too."""
        try:
            self.space.problem.check(self.space.values(row))
        except ValueError:
            return False
        return True

    def _values(self, acquisition: Acquisition, raw: Array, z: Array | None = None) -> Array:
        z = self.space.features(raw) if z is None else z
        parts = [acquisition(raw[i : i + _BLOCK], z[i : i + _BLOCK]) for i in range(0, len(raw), _BLOCK)]
        values = np.concatenate([np.empty(0), *parts])
        if not np.isfinite(values).any():
            raise ArithmeticError("the acquisition function is not finite at any candidate")
        return np.where(np.isfinite(values), values, -np.inf)

    # -- finite spaces ----------------------------------------------------------------------------------------------

    def _listed(self, acquisition: Acquisition, chosen: Array) -> tuple[Array, Array]:
        finite, free = self.candidates.finite, self.candidates.free
        assert finite is not None
        assert free is not None
        if len(chosen):
            free = free[~among(finite.rows[free], chosen)]
        if len(free) > self.limit:
            free = thinned_out(acquisition, finite.rows, finite.features, free, self.limit)
        rows = finite.rows[free]
        return rows, self._values(acquisition, rows, finite.features[free])

    def away(self, apart: float) -> Search:
        """The same search, farther from all that was tried."""
        return replace(self, apart=apart)

    # -- infinite spaces --------------------------------------------------------------------------------------------

    def _met(self, raw: Array, others: Array) -> NDArray[np.bool_]:
        """Which points are as near to one of the others as makes no difference, shape (m,)."""
        met = np.ones((len(raw), len(others)), dtype=bool)
        for ours, theirs in zip(self.space.to_unit(raw).T, self.space.to_unit(others).T, strict=True):
            met &= np.abs(ours[:, None] - theirs) < self.apart
        return np.asarray(met.any(axis=1))

    def _climb(self, acquisition: Acquisition) -> tuple[Array, Array]:
        """Points met by drawing, by following gradients and by changing one discrete parameter at a time."""
        rows = self._starts()
        values = self._values(acquisition, rows)
        for turn in range(_ROUNDS if not self.space.real.all() else 1):
            top = np.argsort(-values, kind="stable")[: _STARTS if turn == 0 else 1]
            further = [self._polished(acquisition, row) for row in rows[top]] + [self._neighbours(rows[top[0]])]
            more = np.concatenate(further)
            if len(more):
                rows = np.concatenate([rows, more])
                values = np.concatenate([values, self._values(acquisition, more)])
        if self._curved:
            rows, values = self._shrunk(acquisition, rows, values)
        return rows, values

    def _starts(self) -> Array:
        drawn = self.candidates.sample(self.rng, _DRAWS)
        near = [self._jitter(np.repeat(self.best, _LOCAL, axis=0), radius) for radius in _RADII]
        return np.concatenate([drawn, *near])

    def _jitter(self, raw: Array, radius: float) -> Array:
        """Feasible points around others; components that are left out stay so."""
        space = self.space
        unit = space.to_unit(raw)
        moved = unit + radius * self.rng.standard_normal(unit.shape)
        level = np.floor(self.rng.random(unit.shape) * (space.high + 1))
        switch = self.rng.random(unit.shape) < 1.0 / space.d
        moved = np.where(space.categorical, np.where(switch, level, unit), moved)
        back = np.where(space.optional & (raw == 0), 0.0, space.from_unit(moved))
        return self._kept(back)

    def _kept(self, raw: Array) -> Array:
        raw = self.space.complete(raw)
        return raw[self.space.feasible(raw)]

    def _neighbours(self, row: Array) -> Array:
        """Every point that differs from `row` by one step of an integer, by one level."""
        space, found = self.space, []
        for j in np.flatnonzero(~space.real):
            low, high = space.low[j], space.high[j]
            parameter = space.parameters[j]
            if isinstance(parameter, OrdinalParameter):
                steps = np.array(parameter.levels)
            else:
                steps = np.arange(low, high + 1) if space.categorical[j] else row[j] + np.array([-1.0, 1.0])
            for value in steps[(steps >= low) & (steps <= high) & (steps != row[j])]:
                near = row.copy()
                near[j] = value
                found.append(near)
        return self._kept(np.array(found).reshape(-1, space.d))

    @property
    def _curved(self) -> bool:
        """Whether constraints bind that are not linear in unit coordinates."""
        space = self.space
        bound = np.concatenate([space.equalities[0], space.inequalities[0]]).any(axis=0)
        return bool(space.nonlinear or space.problem.derived or (bound & space.log).any())

    def _shrunk(self, acquisition: Acquisition, rows: Array, values: Array) -> tuple[Array, Array]:
        """Random search in ever smaller surroundings of the best points."""
        for radius in _SHRINK:
            top = rows[np.argsort(-values, kind="stable")[:_STARTS]]
            more = self._jitter(np.repeat(top, _LOCAL, axis=0), radius)
            if len(more):
                rows = np.concatenate([rows, more])
                values = np.concatenate([values, self._values(acquisition, more)])
        return rows, values

    def _polished(self, acquisition: Acquisition, row: Array) -> Array:
        """Follow the gradient in the real parameters; the others stay. Shape (≤ 1, d)."""
        space = self.space
        moving = np.flatnonzero(space.real & ~(space.optional & (row == 0)))
        if not len(moving) or self._curved:
            return np.empty((0, space.d))
        start = space.to_unit(row[None, :])[0]
        slope = _Slope(self, acquisition, start, moving)
        floor = np.where(space.optional, space.floor, space.low)
        least = space.to_unit(np.where(space.categorical, 0.0, floor)[None, :])[0][moving]
        options: dict[str, Any] = {"method": "L-BFGS-B", "options": {"maxiter": _STEPS, "ftol": 1e-9}}
        rules = self._rules(start, moving)
        if rules:
            options = {"method": "SLSQP", "constraints": rules, "options": {"maxiter": _STEPS, "ftol": 1e-9}}
        bounds = [(float(low), 1.0) for low in least]
        ended = minimize(slope, start[moving], jac=True, bounds=bounds, **options)
        unit = start.copy()
        unit[moving] = np.nan_to_num(ended.x)
        raw = np.where(space.real, space.from_unit(unit[None, :]), row)
        return self._kept(np.where(space.optional & (row == 0), 0.0, raw))

    def _rules(self, start: Array, moving: NDArray[np.intp]) -> list[dict[str, Any]]:
        """Linear constraints of the moving unit coordinates, as scipy takes them."""
        space = self.space
        zero = space.from_unit(np.where(space.categorical, start, 0.0)[None, :])[0]
        width = space.from_unit(np.where(space.categorical, start, 1.0)[None, :])[0] - zero
        rules = []
        for kind, (rows, sums) in (("eq", space.equalities), ("ineq", space.inequalities)):
            for row, bound in zip(rows, sums, strict=True):
                along = -(row * width)[moving]
                at = start.copy()
                at[moving] = 0.0
                left = bound - float(row @ np.where(space.categorical, zero, zero + at * width))
                size = float(np.abs(along).max(initial=0.0))
                if size > 0:
                    rules.append(_rule(kind, along / size, left / size))
        return rules


def _rule(kind: str, along: Array, left: float) -> dict[str, Any]:
    return {"type": kind, "fun": lambda u: along @ u + left, "jac": lambda u: along}


class _Slope:
    """Minus the acquisition value and its gradient in some unit coordinates, by differences: all points in one call."""

    def __init__(self, search: Search, acquisition: Acquisition, start: Array, moving: NDArray[np.intp]) -> None:
        self.space, self.acquisition = search.space, acquisition
        self.start, self.moving = start, moving

    def __call__(self, u: Array) -> tuple[float, Array]:
        m = len(self.moving)
        points = np.repeat(self.start[None, :], m + 1, axis=0)
        points[:, self.moving] = u
        step = np.where(u + _STEP > 1.0, -_STEP, _STEP)
        points[np.arange(1, m + 1), self.moving] += step
        raw = self.space.from_unit(points)
        values = -self.acquisition(raw, self.space.features(raw))
        if not np.isfinite(values).all():
            return 1e10, np.zeros(m)
        return float(values[0]), (values[1:] - values[0]) / step
