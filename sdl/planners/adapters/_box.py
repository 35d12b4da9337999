"""The box that a peer searches: one dimension a parameter, as wide as the pool where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdl.model import CategoricalParameter, IntegerParameter, OrdinalParameter, Problem, RealParameter, Scalar

__all__ = ["Dimension", "box", "least", "point"]


@dataclass(frozen=True)
class Dimension:
    """A parameter as peers take it."""

    name: str
    low: float
    high: float
    """Limits; 0 for a categorical parameter."""
    log: bool = False
    whole: bool = False
    """Integers only."""
    levels: tuple[str, ...] = ()
    """Names without an order; empty for numbers."""
    steps: tuple[float, ...] = ()
    """The numbers it can have; empty when all between the limits."""


def box(problem: Problem) -> list[Dimension]:
    """The dimensions of a problem, in the order of the parameters that are searched."""
    found = []
    for parameter in problem.searched:
        if isinstance(parameter, CategoricalParameter):
            found.append(Dimension(parameter.name, 0.0, 0.0, levels=parameter.levels))
            continue
        low, high = least(problem, parameter.name, float(parameter.low)), float(parameter.high)
        if problem.pool is not None:
            column = [float(value) for value in problem.pool.columns[parameter.name]]
            if min(column) < max(column):
                low, high = min(column), max(column)
        log = isinstance(parameter, RealParameter) and parameter.log
        whole = isinstance(parameter, IntegerParameter)
        steps = parameter.levels if isinstance(parameter, OrdinalParameter) else ()
        found.append(Dimension(parameter.name, low, high, log, whole, steps=steps))
    return found


def least(problem: Problem, name: str, low: float) -> float:
    """The least value of a parameter: 0 of a component that a mixture may leave out, whatever its lower limit."""
    left_out = any(name in m.components for m in problem.mixtures if m.max_components is not None)
    return 0.0 if left_out else low


def point(dimensions: list[Dimension], values: Mapping[str, Any]) -> dict[str, Scalar]:
    """A peer's answer as parameter values: integers and levels the nearest there is, numbers inside the limits."""
    found: dict[str, Scalar] = {}
    for dimension in dimensions:
        value = values[dimension.name]
        if dimension.levels:
            found[dimension.name] = str(value)
            continue
        number = min(max(float(value), dimension.low), dimension.high)
        if dimension.steps:
            number = min(dimension.steps, key=lambda step: abs(step - number))
        found[dimension.name] = round(number) if dimension.whole else number
    return found
