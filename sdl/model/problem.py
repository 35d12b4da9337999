"""The problem: all that a planner sees of a campaign besides its trials."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from sdl.model._base import Name, Record, Scalar, named
from sdl.model.objectives import Objective
from sdl.model.parameters import CategoricalParameter, Parameter

__all__ = ["LinearConstraint", "Pool", "Problem"]


class LinearConstraint(Record):
    """Σ coefficient · parameter ≤ `at_most` (and/or ≥ `at_least`), over real and integer parameters."""

    sum: Annotated[dict[str, float], Field(min_length=1)]
    """Coefficient of each parameter, by name."""
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("a constraint needs at_most, at_least or both")
        return self

    def holds(self, parameters: Mapping[str, Scalar]) -> bool:
        """Whether the parameter values satisfy the constraint, with a tolerance for rounding of 1e-9 of the bound."""
        total = sum(coefficient * float(parameters[name]) for name, coefficient in self.sum.items())
        above = self.at_most is not None and total > self.at_most + 1e-9 * max(1.0, abs(self.at_most))
        below = self.at_least is not None and total < self.at_least - 1e-9 * max(1.0, abs(self.at_least))
        return not (above or below)

    def __str__(self) -> str:
        terms = " + ".join(f"{coefficient:g}·{name}" for name, coefficient in self.sum.items())
        low = f"{self.at_least:g} ≤ " if self.at_least is not None else ""
        high = f" ≤ {self.at_most:g}" if self.at_most is not None else ""
        return f"{low}{terms}{high}"


class Pool(Record):
    """A finite list of candidates: the planner may propose its rows and nothing else. Held by column."""

    columns: dict[str, tuple[Scalar, ...]]
    """Values of each parameter; all columns are equally long."""

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        if len({len(column) for column in self.columns.values()}) > 1:
            raise ValueError("the columns of a pool must be equally long")
        return self

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def row(self, index: int) -> dict[str, Scalar]:
        """Parameter values of candidate `index`."""
        return {name: column[index] for name, column in self.columns.items()}


class Problem(Record):
    """Parameters, constraints and objectives, and the pool of candidates when the space is a finite list."""

    parameters: Annotated[tuple[Parameter, ...], BeforeValidator(named), Field(min_length=1)]
    objectives: Annotated[tuple[Objective, ...], BeforeValidator(named), Field(min_length=1)]
    constraints: tuple[LinearConstraint, ...] = ()
    pool: Pool | None = None
    """When given, proposals are rows of it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.parameters] + [o.name for o in self.objectives]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"name used twice among parameters and objectives: {', '.join(twice)}")
        numeric = {p.name for p in self.parameters if not isinstance(p, CategoricalParameter)}
        for constraint in self.constraints:
            unknown = sorted(set(constraint.sum) - numeric)
            if unknown:
                raise ValueError(
                    f"constraint {constraint} names {', '.join(unknown)}, which is no real or integer parameter"
                )
        if self.pool is not None:
            self._check_pool(self.pool)
        return self

    def _check_pool(self, pool: Pool) -> None:
        names = {p.name for p in self.parameters}
        if set(pool.columns) != names:
            raise ValueError(f"the pool has columns {sorted(pool.columns)}, the parameters are {sorted(names)}")
        if len(pool) == 0:
            raise ValueError("the pool has no rows")
        for parameter in self.parameters:
            for index, value in enumerate(pool.columns[parameter.name]):
                try:
                    parameter.check(value)
                except ValueError as error:
                    raise ValueError(f"pool row {index + 1}: {error}") from None

    @cached_property
    def parameter_names(self) -> tuple[Name, ...]:
        """Names in order."""
        return tuple(p.name for p in self.parameters)

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`.

        Raises:
            KeyError: there is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def check(self, values: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return parameter values in order, each checked against limits, then the constraints.

        Raises:
            ValueError: names missing or unknown, a value outside its limits, or a constraint broken; all in one text.
        """
        faults = [f"{name}: no value" for name in self.parameter_names if name not in values]
        faults += [f"{name}: no such parameter" for name in values if name not in self.parameter_names]
        checked: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.name in values:
                try:
                    checked[parameter.name] = parameter.check(values[parameter.name])
                except ValueError as error:
                    faults.append(str(error))
        if not faults:
            faults += [f"constraint broken: {c}" for c in self.constraints if not c.holds(checked)]
        if faults:
            raise ValueError("; ".join(faults))
        return checked
