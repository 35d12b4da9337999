"""Mixtures: real parameters that are parts of one whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from sdl.model._base import Name, Record, Scalar, Unit
from sdl.model.parameters import Parameter, RealParameter

__all__ = ["Mixture"]


class Mixture(Record):
    """Fractions that sum to `total`, of which at most `max_components` are not zero."""

    name: Name
    components: Annotated[tuple[Name, ...], Field(min_length=2)]
    """Real parameters. One that is not zero lies between its limits."""
    total: float = Field(default=1.0, gt=0)
    """What they sum to, in `unit`."""
    max_components: int | None = Field(default=None, ge=1)
    """Most components that are not zero. Where it is given, any component may be zero, whatever its lower limit."""
    unit: Unit = "1"
    """Of the total and of every component."""
    description: str = ""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        twice = sorted({name for name in self.components if self.components.count(name) > 1})
        if twice:
            raise ValueError(f"mixture {self.name}: component given twice: {', '.join(twice)}")
        return self

    def holds(self, parameters: Mapping[str, Scalar]) -> bool:
        """Whether the fractions sum to the total, with a tolerance for rounding of 1e-9, and not too many are non-zero.

        Their own limits are the parameters' business.
        """
        parts = [float(parameters[name]) for name in self.components]
        if abs(sum(parts) - self.total) > 1e-9 * max(1.0, self.total):
            return False
        return self.max_components is None or sum(part != 0 for part in parts) <= self.max_components

    def faults(self, parameters: Mapping[str, Parameter]) -> list[str]:
        """What is wrong with it among the parameters of a problem, by name."""
        faults = []
        found: list[RealParameter] = []
        for name in self.components:
            parameter = parameters.get(name)
            if not isinstance(parameter, RealParameter):
                faults.append(f"component {name} is no real parameter")
                continue
            found.append(parameter)
            if parameter.log:
                faults.append(f"component {name} is logarithmic; a fraction is searched as it is")
            if parameter.low < 0:
                faults.append(f"component {name} may be negative ({parameter.low:g}); a fraction cannot")
            if parameter.unit != self.unit:
                faults.append(f"component {name} is in {parameter.unit}, the total in {self.unit}")
        return faults or self._room(found)

    def _room(self, components: list[RealParameter]) -> list[str]:
        """Whether the limits of the components leave any mixture."""
        slack = 1e-9 * max(1.0, self.total)
        k = self.max_components
        unit = "" if self.unit == "1" else f" {self.unit}"
        if k is not None and k < len(components):
            most = sum(sorted((p.high for p in components), reverse=True)[:k])
            least = min(p.low for p in components)
        else:
            most = sum(p.high for p in components)
            least = sum(p.low for p in components) if k is None else min(p.low for p in components)
        of = f" of any {k}" if k is not None and k < len(components) else ""
        if most < self.total - slack:
            return [f"the upper limits{of} sum to {most:g}{unit}, below the total of {self.total:g}{unit}"]
        if least > self.total + slack:
            return [f"the lower limits sum to {least:g}{unit}, above the total of {self.total:g}{unit}"]
        return []

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        few = f", at most {self.max_components} not zero" if self.max_components is not None else ""
        return f"{' + '.join(self.components)} = {self.total:g}{unit}{few}"
