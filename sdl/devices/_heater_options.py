"""What a lab file says of a heater, in the controller's units and within its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sdl.devices._limits import check_limits
from sdl.model.units import parse_quantity

__all__ = ["HeaterOptions"]


@dataclass(frozen=True)
class HeaterOptions:
    """Options of a heater, checked."""

    low: float
    """degC"""
    high: float
    """degC"""
    safe_temperature: float
    """degC"""
    tolerance: float
    """degC either side of the setpoint."""
    dwell: float
    """Lab seconds."""
    settle_time: float
    """Lab seconds."""
    ramp: float
    """degC/min; 0 for none."""

    @classmethod
    def read(
        cls,
        low: str | float,
        high: str | float,
        safe_temperature: str | float,
        tolerance: str | float,
        dwell: str | float,
        settle_time: str | float,
        ramp: str | float,
    ) -> Self:
        """Quantities as a lab file has them.

        Raises:
            LimitError: one is out of limits.
            ValueError: one is no quantity of its kind.
        """
        lowest, highest = parse_quantity(low, "degC"), parse_quantity(high, "degC")
        return cls(
            lowest,
            highest,
            check_limits("safe_temperature", parse_quantity(safe_temperature, "degC"), "degC", lowest, highest),
            check_limits("tolerance", _difference(tolerance, "delta_degC"), "degC", 0.1, 100),
            check_limits("dwell", parse_quantity(dwell, "s"), "s", 0, 1e6),
            parse_quantity(settle_time, "s"),
            check_limits("ramp", _difference(ramp, "delta_degC/min"), "degC/min", 0, 3000),
        )


def _difference(text: str | float, unit: str) -> float:
    """A difference or rate of temperature, in which `degC` is a step and no point of the scale."""
    if isinstance(text, str) and "delta_" not in text:
        text = text.replace("degC", "delta_degC")
    return parse_quantity(text, unit)
