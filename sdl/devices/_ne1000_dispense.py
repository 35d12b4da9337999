"""Delivering a volume, and noticing that a plunger stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ophyd_async.core import AsyncStatus, Device, soft_signal_rw

from sdl.devices._limits import check_limits
from sdl.model import Fault
from sdl.protocols import Clock

__all__ = ["Dispense", "Progress", "Pumping"]

SMALLEST, LARGEST = 0.001, 9999.0
"""uL that the pump's four digits can hold."""


@dataclass
class Progress:
    """What a running pump should have moved."""

    rate: float
    """uL/min"""
    target: float
    """uL; 0 without end."""
    since: float
    """Lab seconds."""
    baseline: float = 0.0
    """Volume moved at that time, uL."""

    def shortfall(self, moved: float, now: float, resolution: float) -> str:
        """What is wrong with a volume (uL) read at a time; empty when it has grown at least half as it should."""
        expected = self.rate * (now - self.since) / 60
        gained = moved - self.baseline
        if gained < 0:
            self.since, self.baseline = now, moved
            return ""
        if gained >= expected / 2 - 20 * resolution:
            return ""
        return (
            f"reports that it runs at {self.rate:g} uL/min, but moved {gained:.3g} uL instead of "
            f"{expected:.3g} uL in {now - self.since:.3g} s; the plunger may be stuck"
        )


class Pumping(Protocol):
    """What a dispense needs of its pump."""

    clock: Clock
    min_rate: float
    max_rate: float

    async def run(self, rate: float, volume: float = 0.0) -> None: ...
    async def halt(self) -> None: ...
    async def moved(self) -> tuple[bool, float]: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...
    def fault(self, message: str) -> Fault: ...


class Dispense(Device):
    """Movable: set a volume in uL; done when it is out.

    Args:
        pump: which delivers it.
        rate: at which, uL/min; can be changed through the signal `rate`.
    """

    def __init__(self, pump: Pumping, rate: float) -> None:
        # Not a plain attribute: a device would take it for its child.
        self._of = (pump,)
        self.rate = soft_signal_rw(float, rate, units="uL/min")
        """Rate of delivery, uL/min."""
        self.under_way = False
        """Whether a volume is being delivered."""
        self._interrupted = False
        super().__init__()

    @property
    def _pump(self) -> Pumping:
        return self._of[0]

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Deliver `value` uL from standstill in the direction that the pump is set to.

        Raises:
            LimitError: volume or rate out of limits; nothing was sent.
            Fault: the pump failed, stood still, or was stopped; the message says how much was delivered.
        """
        volume = check_limits(self.name or "volume", value, "uL", SMALLEST, LARGEST)
        rate = await self.rate.get_value()
        check_limits(self.rate.name or "rate", rate, "uL/min", self._pump.min_rate, self._pump.max_rate)
        if self.under_way:
            raise self._pump.fault(f"cannot dispense {volume:g} uL: it is dispensing already")
        self.under_way, self._interrupted = True, False
        try:
            await self._pump.run(rate, volume)
            await self._finish(rate, volume)
        except BaseException:
            await self._pump.halt()
            raise
        finally:
            self.under_way = False

    async def _finish(self, rate: float, volume: float) -> None:
        clock = self._pump.clock
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = clock.now() + 1.2 * 60 * volume / rate + 10 + 2 * clock.speed
        while True:
            moving, delivered = await self._pump.moved()
            if not moving or self._interrupted:
                break
            if clock.now() > end:
                raise self._pump.fault(f"delivered only {delivered:g} uL of {volume:g} uL at {rate:g} uL/min")
            await self._pump.poll_pause(min(1.0, 60 * max(volume - delivered, 0) / rate))
        if self._interrupted or delivered < 0.99 * volume - 1:
            raise self._pump.fault(f"was stopped after {delivered:g} uL of {volume:g} uL")

    async def stop(self, success: bool = True) -> None:
        """Stop a delivery under way; Bluesky calls this also after one that is done, and then nothing happens."""
        if self.under_way:
            self.interrupt()
            await self._pump.halt()

    def interrupt(self) -> None:
        """Let a delivery under way fail at its next look."""
        self._interrupted = True
