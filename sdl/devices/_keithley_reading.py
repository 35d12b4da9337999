"""What a Keithley 2400 answers to `:READ?`, and what two of its answers say of a resistance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["ELEMENTS", "Measurement", "Sample", "combine"]

ELEMENTS = "VOLT,CURR,RES,TIME,STAT"
_OVERFLOW = 9.8e37
"""Readings above are no numbers: +9.9E37 is an overflow, +9.91E37 what was not measured."""
_OVER_RANGE = 1 << 0
_COMPLIANCE = 1 << 3
_RANGE_COMPLIANCE = 1 << 16


@dataclass(frozen=True)
class Sample:
    """One reading."""

    voltage: float
    """V"""
    current: float
    """A"""
    time: float
    """s, by the instrument's clock."""
    status: int

    @classmethod
    def parse(cls, reply: str) -> Self:
        """Read the five elements of a reply.

        Raises:
            ValueError: they are others, or no numbers; what was not measured, or overflowed without a reason.
        """
        parts = [float(part) for part in reply.split(",")]
        if len(parts) != 5:
            raise ValueError(f"{len(parts)} elements instead of 5")
        sample = cls(parts[0], parts[1], parts[3], int(parts[4]))
        if not abs(sample.current) < _OVERFLOW:
            raise ValueError("no current")
        if not abs(sample.voltage) < _OVERFLOW or (sample.status & _OVER_RANGE and not sample.compliance):
            raise ValueError("the voltage is over its range")
        return sample

    @property
    def compliance(self) -> bool:
        """Whether the voltage was limited, so that less current flowed than was asked for."""
        return bool(self.status & (_COMPLIANCE | _RANGE_COMPLIANCE))


@dataclass(frozen=True)
class Measurement:
    """A resistance, and what it comes from."""

    voltage: float
    """V, half the difference of both polarities where there are two."""
    current: float
    """A, likewise."""
    offset: float
    """V that does not change sign with the current; 0 with one polarity."""
    resistance: float
    """ohm; where `compliance` was reached it is at least this."""
    compliance: bool
    """Whether the voltage was limited: an open circuit, or too much resistance for the current."""


def combine(samples: list[Sample]) -> Measurement:
    """The resistance from one reading, or from two with opposite currents, whose offsets cancel (current reversal:
    Keithley, Low Level Measurements Handbook, 7th edition, section 3.3.2).

    Args:
        samples: one, or the one with the positive and the one with the negative current.

    Raises:
        ValueError: no current flowed although the voltage was not limited.
    """
    first, last = samples[0], samples[-1]
    two = len(samples) == 2
    voltage = (first.voltage - last.voltage) / 2 if two else first.voltage
    current = (first.current - last.current) / 2 if two else first.current
    if current == 0:
        raise ValueError("it reports no current")
    offset = (first.voltage + last.voltage) / 2 if two else 0.0
    limited = any(sample.compliance for sample in samples)
    return Measurement(voltage, current, offset, voltage / current, limited)
