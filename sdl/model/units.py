"""Units are checked with pint, loaded on first use because it takes a third of a second."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

__all__ = ["check_unit", "convert", "parse_quantity", "registry"]

_PURE = {"1", "", "dimensionless"}


@cache
def registry() -> Any:
    """The one registry of units; loading it takes a third of a second."""
    import pint

    made: Any = pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)
    return made


@cache
def check_unit(unit: str) -> str:
    """Return `unit` unchanged if it is known; `1` stands for a pure number.

    Raises:
        ValueError: pint does not know the unit.
    """
    if unit in _PURE:
        return "1"
    try:
        registry().Unit(unit)
    except Exception as error:
        raise ValueError(
            f"unknown unit {unit!r}; write it as in 'nm', 'degC', 'uL/min', 'percent', or '1' for a pure number"
        ) from error
    return unit


def convert(value: float, unit: str, to: str) -> float:
    """Convert `value` from one unit to another.

    Raises:
        ValueError: the units measure different things, or one is unknown.
    """
    if unit == to:
        return value
    check_unit(unit), check_unit(to)
    units = registry()
    try:
        return float(units.Quantity(value, unit).to(to).magnitude)
    except Exception as error:
        raise ValueError(f"cannot convert {value:g} {unit} to {to}: they measure different things") from error


def parse_quantity(text: str | float, unit: str) -> float:
    """Read `25 mL/min` as a number in `unit`; a bare number is taken to be in `unit` already.

    Raises:
        ValueError: not a finite number with a unit that converts to `unit`.
    """
    number, _, given = str(text).strip().partition(" ")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if isinstance(text, bool) or not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number with a unit, as in '12.5 {unit}'")
    return convert(value, given.strip(), unit) if given.strip() else value
