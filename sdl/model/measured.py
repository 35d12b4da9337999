"""Measured values: in other units, and as people write them, as in `451.2 nm`, `451.2 ± 0.3 nm` or `0.45 um ± 2 nm`."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from sdl.model.trials import Outcome
from sdl.model.units import convert

__all__ = ["in_unit", "read_outcome", "sem_in"]

_PLUS_MINUS: Final = re.compile(r"±|\+/-|\+-")


def read_outcome(given: Any, unit: str) -> Outcome:
    """Read a number, or a text with a unit and a standard error, as an outcome in `unit`.

    Without any unit the numbers are in `unit` already. `451.2 ± 0.3 nm` has one unit for both numbers, `0.45 um ± 2 nm`
    one for each.

    Raises:
        ValueError: it is no number with its unit, or the unit measures something else.
    """
    parts = [part.split(maxsplit=1) for part in _PLUS_MINUS.split(str(given))]
    if not 1 <= len(parts) <= 2 or not all(parts):
        raise ValueError(f"{given!r} is not a number with its unit, as in '451.2 {unit}' or '451.2 ± 0.3 {unit}'")
    numbers = [_number(part[0]) for part in parts]
    units = [part[1].strip() for part in parts if len(part) > 1] or [unit]
    sem = None
    if len(numbers) == 2:
        if numbers[1] < 0:
            raise ValueError(f"a standard error is not below 0, got {numbers[1]:g}")
        sem = sem_in(numbers[1], units[-1], unit)
    return Outcome(value=convert(numbers[0], units[0], unit), sem=sem, unit=unit)


def in_unit(outcome: Outcome, unit: str) -> Outcome:
    """An outcome in another unit.

    Raises:
        ValueError: the units measure different things.
    """
    if outcome.unit == unit:
        return outcome
    sem = None if outcome.sem is None else sem_in(outcome.sem, outcome.unit, unit)
    return Outcome(value=convert(outcome.value, outcome.unit, unit), sem=sem, unit=unit)


def sem_in(sem: float, unit: str, to: str) -> float:
    """A standard error in another unit: as a difference, so that 0.5 degC of it are 0.5 K.

    Raises:
        ValueError: the units measure different things.
    """
    return abs(convert(sem, unit, to) - convert(0.0, unit, to))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value
