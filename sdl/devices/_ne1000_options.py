"""What a lab file says of a pump, in the pump's units and within its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sdl.devices._limits import check_limits
from sdl.devices._ne1000_protocol import rate_limits
from sdl.model.units import parse_quantity

__all__ = ["PumpOptions"]


@dataclass(frozen=True)
class PumpOptions:
    """Options of a pump, checked."""

    diameter: float
    """mm"""
    min_rate: float
    """uL/min"""
    max_rate: float
    """uL/min"""
    dispense_rate: float
    """uL/min"""
    watchdog: int
    """Wall seconds; 0 for basic mode."""

    @classmethod
    def read(
        cls,
        diameter: str | float,
        min_rate: str | float | None,
        max_rate: str | float | None,
        dispense_rate: str | float | None,
        watchdog: str | float,
    ) -> Self:
        """Quantities as a lab file has them; None for what the syringe's diameter allows.

        Raises:
            LimitError: one is out of limits.
            ValueError: one is no quantity of its kind.
        """
        bore = check_limits("syringe diameter", parse_quantity(diameter, "mm"), "mm", 0.1, 50)
        slowest, fastest = rate_limits(bore)
        low = slowest if min_rate is None else parse_quantity(min_rate, "uL/min")
        high = fastest if max_rate is None else parse_quantity(max_rate, "uL/min")
        check_limits("min_rate", low, "uL/min", slowest, fastest)
        check_limits("max_rate", high, "uL/min", low, fastest)
        usual = high if dispense_rate is None else parse_quantity(dispense_rate, "uL/min")
        check_limits("dispense_rate", usual, "uL/min", low, high)
        seconds = parse_quantity(watchdog, "s")
        silence = round(seconds and check_limits("watchdog", seconds, "s", 3, 255))
        return cls(bore, low, high, usual, silence)
