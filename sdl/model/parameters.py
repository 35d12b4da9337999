"""What a planner may vary: real, integer and categorical parameters."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sdl.model._base import Name, Record, Unit

__all__ = ["CategoricalParameter", "IntegerParameter", "Parameter", "RealParameter"]


def _finite(value: Any) -> bool:
    """Whether `value` is a number that a float can hold; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _with_unit(value: float, unit: str) -> str:
    return f"{value:g}" if unit == "1" else f"{value:g} {unit}"


class RealParameter(Record):
    """A continuous parameter in a closed interval."""

    kind: Literal["real"] = "real"
    name: Name
    low: float
    """Least value, in `unit`."""
    high: float
    """Greatest value, in `unit`."""
    unit: Unit
    log: bool = False
    """Search the logarithm; for ranges over decades. Needs low > 0."""
    description: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low:g} {self.unit} must be below high {self.high:g} {self.unit}")
        if self.log and self.low <= 0:
            raise ValueError(f"{self.name}: a logarithmic parameter needs low > 0, got {self.low:g} {self.unit}")
        return self

    def check(self, value: Any) -> float:
        """Return `value` as a float in the interval (ends allowed a rounding error of 1e-9 of its width).

        Raises:
            ValueError: not a finite number, or outside the limits.
        """
        if not _finite(value):
            raise ValueError(f"{self.name}: {value!r} is not a finite number ({self.unit})")
        slack = 1e-9 * (self.high - self.low)
        if not self.low - slack <= value <= self.high + slack:
            raise ValueError(
                f"{self.name}: {_with_unit(value, self.unit)} is outside the limits "
                f"{_with_unit(self.low, self.unit)} … {_with_unit(self.high, self.unit)}"
            )
        return min(max(float(value), self.low), self.high)


class IntegerParameter(Record):
    """A whole number in a closed range."""

    kind: Literal["integer"] = "integer"
    name: Name
    low: int
    high: int
    unit: Unit = "1"
    description: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low} must be below high {self.high}")
        return self

    def check(self, value: Any) -> int:
        """Return `value` as an int in the range; 3.0 is 3.

        Raises:
            ValueError: not a whole number, or outside the limits.
        """
        if not _finite(value) or not float(value).is_integer():
            raise ValueError(f"{self.name}: {value!r} is not a whole number")
        if not self.low <= value <= self.high:
            raise ValueError(
                f"{self.name}: {_with_unit(value, self.unit)} is outside the limits "
                f"{_with_unit(self.low, self.unit)} … {_with_unit(self.high, self.unit)}"
            )
        return int(value)


class CategoricalParameter(Record):
    """One of several named levels without an order."""

    kind: Literal["categorical"] = "categorical"
    name: Name
    levels: Annotated[tuple[str, ...], Field(min_length=2)]
    unit: Unit = "1"
    description: str = ""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        twice = sorted({level for level in self.levels if self.levels.count(level) > 1})
        if twice:
            raise ValueError(f"{self.name}: level given twice: {', '.join(twice)}")
        return self

    def check(self, value: Any) -> str:
        """Return `value` if it is a level.

        Raises:
            ValueError: not a level; the message lists them.
        """
        if value not in self.levels:
            raise ValueError(f"{self.name}: {value!r} is not a level; known: {', '.join(self.levels)}")
        return str(value)


Parameter = Annotated[RealParameter | IntegerParameter | CategoricalParameter, Field(discriminator="kind")]
