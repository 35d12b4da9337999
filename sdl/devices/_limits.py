"""Limits of what a device may be asked to do, checked before any byte leaves."""

from __future__ import annotations

import math

from sdl.model import SdlError

__all__ = ["LimitError", "check_limits"]


class LimitError(SdlError):
    """A value outside what the device may be set to. Nothing was sent."""

    clean = True

    def __init__(self, name: str, value: float, unit: str, low: float, high: float) -> None:
        self.name, self.value, self.unit, self.low, self.high = name, value, unit, low, high
        super().__init__(f"{name}: {value:g} {unit} is outside its limits, {low:g} to {high:g} {unit}")

    def __reduce__(self) -> tuple[type[LimitError], tuple[str, float, str, float, float]]:
        return type(self), (self.name, self.value, self.unit, self.low, self.high)


def check_limits(name: str, value: float, unit: str, low: float, high: float) -> float:
    """Return `value` if `low` ≤ `value` ≤ `high`.

    Raises:
        LimitError: it is outside, or not a number.
    """
    if math.isnan(value) or not low <= value <= high:
        raise LimitError(name, value, unit, low, high)
    return value
