"""What a lab file says of a spin coater, in the driver's units and within its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from sdl.devices._limits import check_limits
from sdl.model.units import parse_quantity

__all__ = ["CoaterOptions"]

_SPEED: Final = (10.0, 20_000.0)
_VOLUME: Final = (0.01, 10_000.0)


@dataclass(frozen=True)
class CoaterOptions:
    """Options of a coater, checked."""

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"seconds": (0.1, 3600.0), "acceleration": (10.0, 20_000.0)}
    """Of a segment's length (s) and acceleration (rpm/s)."""
    max_segments: ClassVar[int] = 10

    min_speed: float
    """rpm"""
    max_speed: float
    """rpm"""
    min_volume: float
    """uL"""
    max_volume: float
    """uL"""
    seconds: float
    """s"""
    acceleration: float
    """rpm/s"""

    @classmethod
    def read(
        cls,
        speed: tuple[str | float, str | float],
        volume: tuple[str | float, str | float],
        seconds: str | float,
        acceleration: str | float,
    ) -> Self:
        """Quantities as a lab file has them.

        Raises:
            LimitError: one is out of limits.
            ValueError: one is no quantity of its kind.
        """
        slow, fast = (parse_quantity(value, "rpm") for value in speed)
        check_limits("min_speed", slow, "rpm", *_SPEED)
        check_limits("max_speed", fast, "rpm", slow, _SPEED[1])
        little, much = (parse_quantity(value, "uL") for value in volume)
        check_limits("min_volume", little, "uL", *_VOLUME)
        check_limits("max_volume", much, "uL", little, _VOLUME[1])
        length = check_limits("seconds", parse_quantity(seconds, "s"), "s", *cls.limits["seconds"])
        rate = parse_quantity(acceleration, "rpm/s")
        check_limits("acceleration", rate, "rpm/s", *cls.limits["acceleration"])
        return cls(slow, fast, little, much, length, rate)
