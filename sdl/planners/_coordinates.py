"""Coordinates of a search space, in numpy.

Three of them, each a float array with one column for each parameter that is searched, in the problem's order (fixed
and derived parameters have none):

* *cube*: uniform draws in [0, 1), where samplers live;
* *raw*: the parameter's own value; for a categorical parameter the index of its level;
* *unit*: linear (or logarithmic) position between the limits; for a categorical parameter the index of its level,
  which means nothing but equal or different.

What models see are the *features*: unit coordinates, with descriptors of a categorical parameter's levels (scaled to
[0, 1]) or a column for each level in place of its index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdl.model import (
    CategoricalParameter,
    Expression,
    FixedParameter,
    InputError,
    IntegerParameter,
    OrdinalParameter,
    Problem,
    RealParameter,
    Scalar,
    Searched,
)

__all__ = ["Array", "Coordinates"]

Array = NDArray[np.float64]


class Coordinates:
    """The parameters of a problem as columns of arrays."""

    def __init__(self, problem: Problem) -> None:
        if problem.pool is not None and not problem.pool.loaded:
            raise InputError("the rows of the pool are not here, only a reference to them; load the campaign file")
        self.problem = problem
        self.parameters: tuple[Searched, ...] = problem.searched
        self.d = len(self.parameters)
        self.log = np.array([isinstance(p, RealParameter) and p.log for p in self.parameters])
        self.real = np.array([isinstance(p, RealParameter) for p in self.parameters])
        self.integer = np.array([isinstance(p, IntegerParameter) for p in self.parameters])
        self.ordinal = np.array([isinstance(p, OrdinalParameter) for p in self.parameters])
        self.categorical = np.array([isinstance(p, CategoricalParameter) for p in self.parameters])
        self.floor = np.array([0.0 if isinstance(p, CategoricalParameter) else float(p.low) for p in self.parameters])
        """Lowest value; of a component that may be left out, the lowest that is not zero."""
        self.high = np.array(
            [len(p.levels) - 1.0 if isinstance(p, CategoricalParameter) else float(p.high) for p in self.parameters]
        )
        self._column = {p.name: j for j, p in enumerate(self.parameters)}
        few = [m for m in problem.mixtures if m.max_components is not None]
        self.optional = np.array([any(p.name in m.components for m in few) for p in self.parameters])
        """Components that may be zero, whatever their lower limit."""
        self.low = np.where(self.optional, 0.0, self.floor)
        self.memo: dict[str, Any] = {}
        """What others compute once for a space, by a name of theirs."""
        self._from, self._to = self._unit_range()

    def _unit_range(self) -> tuple[Array, Array]:
        """Raw values that stand at 0 and 1 of the unit coordinates: the limits, or the extremes of the pool's columns.

        The limits a person gives a pool's parameters may be far wider than its rows; length scales should not be.
        """
        low, high = self.low.copy(), self.high.copy()
        if self.problem.pool is not None:
            least, most = self.rows.min(axis=0), self.rows.max(axis=0)
            low, high = np.where(least < most, least, low), np.where(least < most, most, high)
        return self._searched(low), self._searched(high)

    @cached_property
    def rows(self) -> Array:
        """Raw rows of the pool as it is, shape (m, d); none where there is no pool."""
        pool = self.problem.pool
        if pool is None:
            return np.empty((0, self.d))
        return np.stack([self.column(p.name, pool.columns[p.name]) for p in self.parameters], axis=1)

    # -- between raw and what people write ---------------------------------------------------------------------------

    def column(self, name: str, values: Sequence[Scalar]) -> Array:
        """Raw values of one parameter, shape (len(values),).

        Raises:
            InputError: a level that the parameter does not have.
        """
        j = self._column[name]
        parameter = self.parameters[j]
        if isinstance(parameter, CategoricalParameter):
            index = {level: float(i) for i, level in enumerate(parameter.levels)}
            try:
                return np.array([index[value] for value in values], dtype=np.float64)  # type: ignore[index]
            except KeyError as error:
                known = ", ".join(parameter.levels)
                raise InputError(f"{name}: {error.args[0]!r} is not a level; known: {known}") from None
        return np.clip(np.array(values, dtype=np.float64), self.low[j], self.high[j]) + 0.0

    def raw(self, trials: Sequence[Mapping[str, Scalar]]) -> Array:
        """Raw coordinates of parameter values, shape (len(trials), d)."""
        columns = [self.column(p.name, [values[p.name] for values in trials]) for p in self.parameters]
        return np.stack(columns, axis=1) if trials else np.empty((0, self.d))

    def values(self, raw: Array) -> dict[str, Scalar]:
        """Parameter values of one point, shape (d,), each of its parameter's type; fixed and derived ones included."""
        found: dict[str, Scalar] = {}
        for parameter, value in zip(self.parameters, raw.tolist(), strict=True):
            if isinstance(parameter, CategoricalParameter):
                found[parameter.name] = parameter.levels[round(value)]
            elif isinstance(parameter, IntegerParameter):
                found[parameter.name] = round(value)
            else:
                found[parameter.name] = float(value)
        if len(found) == len(self.problem.parameters):
            return found
        found |= {p.name: p.value for p in self.problem.parameters if isinstance(p, FixedParameter)}
        for derived in self.problem.derived or ():
            found[derived.name] = derived.parsed.value(found)
        return {name: found[name] for name in self.problem.parameter_names}

    def columns(self, raw: Array) -> dict[str, Array]:
        """Every numeric parameter by name, fixed and derived ones included, each of shape (m,): for expressions."""
        found = {p.name: raw[:, j] for j, p in enumerate(self.parameters) if not self.categorical[j]}
        for parameter in self.problem.parameters:
            if isinstance(parameter, FixedParameter) and not isinstance(parameter.value, str):
                found[parameter.name] = np.full(len(raw), float(parameter.value))
        for derived in self.problem.derived or ():
            used = {name: found[name] for name in derived.parsed.names}
            found[derived.name] = np.broadcast_to(derived.parsed.values(used), (len(raw),))
        return found

    def costs(self, raw: Array) -> Array:
        """Cost of a trial at each point by the problem's `trial_cost`, shape (m,); 1 where all cost the same."""
        if self.problem.trial_cost is None:
            return np.ones(len(raw))
        expression = Expression.parse(self.problem.trial_cost)
        columns = self.columns(raw)
        found = expression.values({name: columns[name] for name in expression.names})
        return np.asarray(np.broadcast_to(found, (len(raw),)), dtype=np.float64)

    # -- between cube, raw and unit ----------------------------------------------------------------------------------

    def discrete(self, cube: Array) -> Array:
        """Integers, ordinal values and levels from uniform draws, shape (m, d); columns of real parameters mean
        nothing."""
        raw: Array = np.minimum(self.low + np.floor(cube * (self.high - self.low + 1)), self.high)
        for j, levels in self._levels:
            raw[:, j] = levels[np.minimum((cube[:, j] * len(levels)).astype(int), len(levels) - 1)]
        return raw

    def grid(self) -> list[Array] | None:
        """Values of each parameter; None where one is real."""
        if self.real.any():
            return None
        axes = [np.arange(low, high + 1) for low, high in zip(self.low, self.high, strict=True)]
        for j, levels in self._levels:
            axes[j] = levels
        return axes

    def to_unit(self, raw: Array) -> Array:
        """Unit coordinates, shape (m, d)."""
        unit = (self._searched(raw) - self._from) / (self._to - self._from)
        return np.where(self.categorical, raw, unit)

    def from_unit(self, unit: Array) -> Array:
        """Raw points, clipped to the limits; integers, ordinal values and levels rounded to the nearest."""
        searched = self._from + unit * (self._to - self._from)
        raw = np.where(self.log, np.exp(np.where(self.log, searched, 0.0)), searched)
        raw = np.where(self.categorical, unit, raw)
        raw = np.where(self.real | self.ordinal, raw, np.round(raw))
        for j, levels in self._levels:
            raw[:, j] = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, raw[:, j])]
        return np.clip(raw, self.low, self.high) + 0.0

    @cached_property
    def _levels(self) -> list[tuple[int, Array]]:
        """Column and levels of each ordinal parameter."""
        return [(j, np.array(p.levels)) for j, p in enumerate(self.parameters) if isinstance(p, OrdinalParameter)]

    def _searched(self, raw: Array) -> Array:
        return np.asarray(np.where(self.log, np.log(np.where(self.log, raw, 1.0)), raw))

    def difference(self, a: Array, b: Array) -> Array:
        """Distances between unit points, shape (len(a), len(b)); two different levels are 1 apart."""
        gap = np.abs(a[:, None, :] - b[None, :, :])
        gap = np.where(self.categorical, gap > 0, gap)
        return np.asarray(np.sqrt((gap**2).sum(axis=-1)))

    # -- features ----------------------------------------------------------------------------------------------------

    def features(self, raw: Array) -> Array:
        """What models see, shape (m, f): unit coordinates; a categorical parameter as the descriptors of its level
        scaled to [0, 1], or as one column a level in which it has 1/√2, so that two levels are 1 apart."""
        unit = self.to_unit(raw)
        if not self.categorical.any():
            return unit
        parts = [
            self._codes[j][raw[:, j].astype(int)] if self.categorical[j] else unit[:, j : j + 1] for j in range(self.d)
        ]
        return np.concatenate(parts, axis=1)

    @cached_property
    def feature_groups(self) -> tuple[int, ...]:
        """Column of the raw points (index into `parameters`) that each feature column comes from."""
        return tuple(j for j in range(self.d) for _ in range(self._codes[j].shape[1] if self.categorical[j] else 1))

    @cached_property
    def _codes(self) -> list[Array]:
        """For each parameter the features of its levels, shape (levels, columns); empty for a numeric one."""
        return [_code(p) if isinstance(p, CategoricalParameter) else np.empty((0, 0)) for p in self.parameters]


def _code(parameter: CategoricalParameter) -> Array:
    """Features of the levels of a categorical parameter, shape (levels, columns)."""
    names = parameter.descriptor_names
    if names:
        table = np.array([[parameter.descriptors[level][name] for name in names] for level in parameter.levels])
        low, high = table.min(axis=0), table.max(axis=0)
        table = ((table - low) / np.where(high > low, high - low, 1.0))[:, high > low]
        if len(np.unique(table, axis=0)) == len(table):
            return np.asarray(table)
        # Levels that the descriptors do not tell apart are told apart all the same.
        return np.concatenate([table, np.eye(len(parameter.levels)) / np.sqrt(2)], axis=1)
    return np.asarray(np.eye(len(parameter.levels)) / np.sqrt(2))
