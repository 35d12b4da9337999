"""What a trial is made with: parameters that a planner varies, and fixed and derived ones that go with them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sdl.model._base import Name, Record, Scalar, Unit
from sdl.model.expressions import Expression, arithmetic

__all__ = [
    "CategoricalParameter",
    "DerivedParameter",
    "FixedParameter",
    "IntegerParameter",
    "OrdinalParameter",
    "Parameter",
    "RealParameter",
    "Searched",
]

ChangeCost = Annotated[float, Field(ge=0)]


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
    change_cost: ChangeCost = 0.0
    """What it costs, in trials' worth, to give it another value than in the trial before, as for a furnace."""

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
    change_cost: ChangeCost = 0.0
    """What it costs, in trials' worth, to give it another value than in the trial before, as for a furnace."""

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
    descriptors: dict[str, dict[str, float]] = {}
    """Level → descriptor → value: numbers by which levels are alike or not; empty when nothing is known of them."""
    description: str = ""
    change_cost: ChangeCost = 0.0
    """What it costs, in trials' worth, to give it another value than in the trial before, as for a furnace."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        twice = sorted({level for level in self.levels if self.levels.count(level) > 1})
        if twice:
            raise ValueError(f"{self.name}: level given twice: {', '.join(twice)}")
        faults = self._descriptor_faults()
        if faults:
            raise ValueError(f"{self.name}: " + "; ".join(faults))
        return self

    def _descriptor_faults(self) -> list[str]:
        if not self.descriptors:
            return []
        lacking = [level for level in self.levels if level not in self.descriptors]
        faults = [f"no descriptors of level {', '.join(map(repr, lacking))}"] if lacking else []
        strange = [level for level in self.descriptors if level not in self.levels]
        faults += [f"descriptors of {', '.join(map(repr, strange))}, which is no level"] if strange else []
        names = {name for values in self.descriptors.values() for name in values}
        if not names:
            return [*faults, "descriptors without a value"]
        return faults + [
            f"level {level!r} has no descriptor {', '.join(sorted(names - set(values)))}"
            for level, values in self.descriptors.items()
            if names - set(values)
        ]

    @property
    def descriptor_names(self) -> tuple[str, ...]:
        """Names of the descriptors, sorted; empty when there are none."""
        return tuple(sorted(next(iter(self.descriptors.values()), {})))

    def check(self, value: Any) -> str:
        """Return `value` if it is a level.

        Raises:
            ValueError: not a level; the message lists them.
        """
        if value not in self.levels:
            raise ValueError(f"{self.name}: {value!r} is not a level; known: {', '.join(self.levels)}")
        return str(value)


class OrdinalParameter(Record):
    """One of several numbers in rising order, as the sieves of a set."""

    kind: Literal["ordinal"] = "ordinal"
    name: Name
    levels: Annotated[tuple[float, ...], Field(min_length=2)]
    """The values it can have, in `unit`, each above the one before."""
    unit: Unit = "1"
    description: str = ""
    change_cost: ChangeCost = 0.0
    """What it costs, in trials' worth, to give it another value than in the trial before."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for below, above in pairwise(self.levels):
            if not below < above:
                raise ValueError(f"{self.name}: levels have to rise: {above:g} follows {below:g}")
        return self

    @property
    def low(self) -> float:
        """The lowest level, in `unit`."""
        return self.levels[0]

    @property
    def high(self) -> float:
        """The highest level, in `unit`."""
        return self.levels[-1]

    def check(self, value: Any) -> float:
        """Return the level that `value` is (a rounding error of 1e-9 of the range allowed).

        Raises:
            ValueError: not a level; the message lists them.
        """
        if _finite(value):
            near = min(self.levels, key=lambda level: abs(level - value))
            if abs(near - value) <= 1e-9 * (self.high - self.low):
                return near
        known = ", ".join(f"{level:g}" for level in self.levels)
        shown = _with_unit(value, self.unit) if _finite(value) else repr(value)
        raise ValueError(f"{self.name}: {shown} is not a level; known: {known}")


class FixedParameter(Record):
    """A value that every trial has. Planners do not vary it; plans, records and exports see it like any other."""

    kind: Literal["fixed"] = "fixed"
    name: Name
    value: Scalar
    """In `unit`; a number or text."""
    unit: Unit = "1"
    description: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the value is a number."""
        return not isinstance(self.value, str)

    def check(self, value: Any) -> Scalar:
        """Return the fixed value if `value` is it.

        Raises:
            ValueError: another value.
        """
        same = value == self.value and not isinstance(value, bool)
        if self.numeric and _finite(value):
            same = abs(value - float(self.value)) <= 1e-9 * max(1.0, abs(float(self.value)))
        if not same:
            shown = self.value if isinstance(self.value, str) else _with_unit(self.value, self.unit)
            raise ValueError(f"{self.name}: is fixed at {shown}, got {value!r}")
        return self.value


class DerivedParameter(Record):
    """A number that follows from other parameters, as a total flow or a molar ratio."""

    kind: Literal["derived"] = "derived"
    name: Name
    expression: Annotated[str, AfterValidator(arithmetic)]
    """Over the problem's numeric parameters, each in its own unit, as in `flow_a + flow_b`; the result is in `unit`."""
    unit: Unit = "1"
    description: str = ""

    @property
    def parsed(self) -> Expression:
        """The expression."""
        return Expression.parse(self.expression)

    def check(self, value: Any) -> float:
        """Return `value` as a float; whether it follows from the others, `Problem.check` sees.

        Raises:
            ValueError: not a finite number.
        """
        if not _finite(value):
            raise ValueError(f"{self.name}: {value!r} is not a finite number ({self.unit})")
        return float(value)


Searched = RealParameter | IntegerParameter | OrdinalParameter | CategoricalParameter
"""What a planner varies."""

Parameter = Annotated[
    RealParameter | IntegerParameter | OrdinalParameter | CategoricalParameter | FixedParameter | DerivedParameter,
    Field(discriminator="kind"),
]
