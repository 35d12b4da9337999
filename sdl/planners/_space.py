"""Coordinates of a search space, in numpy.

Three of them, each a float array with one column a parameter, in the problem's order:

* *cube*: uniform draws in [0, 1), where samplers live;
* *raw*: the parameter's own value; for a categorical parameter the index of its level;
* *unit*: what models see: linear (or logarithmic) position between the limits; for a categorical parameter the
  index of its level, which means nothing but equal or different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdl.model import (
    CategoricalParameter,
    IntegerParameter,
    LinearConstraint,
    Problem,
    RealParameter,
    Scalar,
)

__all__ = ["Array", "Space"]

Array = NDArray[np.float64]

_SLACK = 5e-10  # half of what `LinearConstraint.holds` allows, so that its verdict is never the stricter one


class Space:
    """The search space of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.parameters = problem.parameters
        self.d = len(problem.parameters)
        self.log = np.array([isinstance(p, RealParameter) and p.log for p in self.parameters])
        self.real = np.array([isinstance(p, RealParameter) for p in self.parameters])
        self.integer = np.array([isinstance(p, IntegerParameter) for p in self.parameters])
        self.categorical = np.array([isinstance(p, CategoricalParameter) for p in self.parameters])
        self.low = np.array([0.0 if isinstance(p, CategoricalParameter) else float(p.low) for p in self.parameters])
        self.high = np.array(
            [len(p.levels) - 1.0 if isinstance(p, CategoricalParameter) else float(p.high) for p in self.parameters]
        )
        self._column = {p.name: j for j, p in enumerate(self.parameters)}
        self._from, self._to = self._unit_range()

    def _unit_range(self) -> tuple[Array, Array]:
        """Raw values that stand at 0 and 1 of the unit coordinates: the limits, or the extremes of the pool's columns.

        The limits a person gives a pool's parameters may be far wider than its rows; length scales should not be.
        """
        low, high = self.low.copy(), self.high.copy()
        if self.problem.pool is not None:
            for j, parameter in enumerate(self.parameters):
                column = self.column(parameter.name, self.problem.pool.columns[parameter.name])
                if column.min() < column.max():
                    low[j], high[j] = column.min(), column.max()
        return self._searched(low), self._searched(high)

    # -- between raw and what people write ---------------------------------------------------------------------------

    def column(self, name: str, values: Sequence[Scalar]) -> Array:
        """Raw values of one parameter, shape (len(values),)."""
        j = self._column[name]
        parameter = self.parameters[j]
        if isinstance(parameter, CategoricalParameter):
            index = {level: float(i) for i, level in enumerate(parameter.levels)}
            return np.array([index[str(value)] for value in values], dtype=np.float64)
        return np.clip(np.array(values, dtype=np.float64), self.low[j], self.high[j]) + 0.0

    def raw(self, trials: Sequence[Mapping[str, Scalar]]) -> Array:
        """Raw coordinates of parameter values, shape (len(trials), d)."""
        columns = [self.column(p.name, [values[p.name] for values in trials]) for p in self.parameters]
        return np.stack(columns, axis=1) if trials else np.empty((0, self.d))

    def values(self, raw: Array) -> dict[str, Scalar]:
        """Parameter values of one point, shape (d,), each of its parameter's type."""
        found: dict[str, Scalar] = {}
        for parameter, value in zip(self.parameters, raw.tolist(), strict=True):
            if isinstance(parameter, CategoricalParameter):
                found[parameter.name] = parameter.levels[round(value)]
            elif isinstance(parameter, IntegerParameter):
                found[parameter.name] = round(value)
            else:
                found[parameter.name] = float(value)
        return found

    # -- between cube, raw and unit ----------------------------------------------------------------------------------

    def from_cube(self, cube: Array) -> Array:
        """Raw points from uniform draws, shape (m, d); equality constraints are completed, not yet checked."""
        width = self.high - self.low
        raw = self.low + cube * width
        whole = self.low + np.floor(cube * (width + 1))
        raw = np.where(self.real, raw, np.minimum(whole, self.high))
        if self.log.any():
            raw[:, self.log] = self.from_unit(cube)[:, self.log]
        return self.complete(raw)

    def to_unit(self, raw: Array) -> Array:
        """Unit coordinates, shape (m, d)."""
        unit = (self._searched(raw) - self._from) / (self._to - self._from)
        return np.where(self.categorical, raw, unit)

    def from_unit(self, unit: Array) -> Array:
        """Raw points, clipped to the limits; integers and levels rounded to the nearest."""
        searched = self._from + unit * (self._to - self._from)
        raw = np.where(self.log, np.exp(np.where(self.log, searched, 0.0)), searched)
        raw = np.where(self.categorical, unit, raw)
        raw = np.where(self.real, raw, np.round(raw))
        return np.clip(raw, self.low, self.high) + 0.0

    def _searched(self, raw: Array) -> Array:
        return np.where(self.log, np.log(np.where(self.log, raw, 1.0)), raw)

    def difference(self, a: Array, b: Array) -> Array:
        """Distances between unit points, shape (len(a), len(b)); two different levels are 1 apart."""
        gap = np.abs(a[:, None, :] - b[None, :, :])
        gap = np.where(self.categorical, gap > 0, gap)
        return np.asarray(np.sqrt((gap**2).sum(axis=-1)))

    # -- constraints -------------------------------------------------------------------------------------------------

    def row_of(self, constraint: LinearConstraint) -> Array:
        """Coefficients of a constraint over all parameters, shape (d,)."""
        row = np.zeros(self.d)
        for name, coefficient in constraint.sum.items():
            row[self._column[name]] = coefficient
        return row

    def feasible(self, raw: Array) -> NDArray[np.bool_]:
        """Which points lie within the limits and satisfy every constraint, shape (m,)."""
        good = ((raw >= self.low) & (raw <= self.high)).all(axis=1)
        for constraint in self.problem.constraints:
            total = raw @ self.row_of(constraint)
            if constraint.at_most is not None:
                good &= total <= constraint.at_most + _SLACK * max(1.0, abs(constraint.at_most))
            if constraint.at_least is not None:
                good &= total >= constraint.at_least - _SLACK * max(1.0, abs(constraint.at_least))
        return np.asarray(good)

    @cached_property
    def _equalities(self) -> tuple[list[int], Array, Array]:
        """The real parameters that are solved for, the coefficients of the equalities (m, d) and their sums (m,)."""
        equal = [c for c in self.problem.constraints if c.at_least is not None and c.at_least == c.at_most]
        rows = np.array([self.row_of(c) for c in equal]).reshape(len(equal), self.d)
        pivots: list[int] = []
        for row in rows:
            reach = np.abs(row) * (self.high - self.low) * self.real
            reach[pivots] = 0.0
            if reach.max() > 0:
                pivots.append(int(reach.argmax()))
        return pivots, rows, np.array([c.at_least for c in equal], dtype=np.float64)

    def complete(self, raw: Array) -> Array:
        """Points in which one real parameter of each equality (`at_least` = `at_most`) is solved for."""
        pivots, rows, sums = self._equalities
        if not pivots:
            return raw
        raw = raw.copy()
        raw[:, pivots] += (sums - raw @ rows.T) @ np.linalg.pinv(rows[:, pivots]).T
        near = 1e-12 * (self.high - self.low)
        raw = np.where(np.abs(raw - self.low) <= near, self.low, raw)
        return np.where(np.abs(raw - self.high) <= near, self.high, raw)
