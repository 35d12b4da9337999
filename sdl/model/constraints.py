"""Constraints on parameters, known before a trial is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from sdl.model._base import Record, Scalar
from sdl.model.expressions import Expression, comparison

__all__ = ["Constraint", "LinearConstraint", "NonlinearConstraint"]


class LinearConstraint(Record):
    """Σ coefficient · parameter ≤ `at_most` (and/or ≥ `at_least`), over numeric parameters."""

    sum: Annotated[dict[str, float], Field(min_length=1)]
    """Coefficient of each parameter, by name."""
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError("a constraint needs at_most, at_least or both")
        return self

    @property
    def names(self) -> frozenset[str]:
        """Names of the parameters that it binds."""
        return frozenset(self.sum)

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


class NonlinearConstraint(Record):
    """A comparison between expressions of numeric parameters, as in `a * b <= 3`."""

    expression: Annotated[str, AfterValidator(comparison)]
    """With `<=`, `>=`, `<` or `>`; a chain of two as in `1 <= a / b <= 3`. Parameters are in their own units."""

    @property
    def parsed(self) -> Expression:
        """The expression."""
        return Expression.parse(self.expression)

    @property
    def names(self) -> frozenset[str]:
        """Names of the parameters that it binds."""
        return self.parsed.names

    def holds(self, parameters: Mapping[str, Scalar]) -> bool:
        """Whether the parameter values satisfy the constraint, with a tolerance for rounding of 1e-9."""
        return self.parsed.holds(parameters)

    def __str__(self) -> str:
        return self.expression


def _which(value: Any) -> str:
    """What a file means: whatever has an expression, and no sum, is a comparison of expressions."""
    if isinstance(value, Mapping):
        return "NonlinearConstraint" if "expression" in value and "sum" not in value else "LinearConstraint"
    return type(value).__name__ if isinstance(value, NonlinearConstraint) else "LinearConstraint"


Constraint = Annotated[
    Annotated[LinearConstraint, Tag("LinearConstraint")] | Annotated[NonlinearConstraint, Tag("NonlinearConstraint")],
    Discriminator(_which),
]
