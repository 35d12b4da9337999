"""Delivering a volume, all of it or what an earlier try has left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ophyd_async.core import AsyncStatus, Device

from sdl.devices._limits import check_limits
from sdl.devices._ne1000_protocol import PumpReply, step
from sdl.devices._signal import checked_soft_signal
from sdl.lab.effects import Action, current_action
from sdl.model import Fault
from sdl.protocols import Clock

__all__ = ["Delivery", "Dispense", "Pumping"]

SMALLEST, LARGEST = 0.001, 9999.0
"""uL that the pump's four digits can hold."""


@dataclass(frozen=True)
class Delivery:
    """What a pump is prepared for, as its four digits hold it."""

    rate: float
    """uL/min"""
    volume: float
    """uL; 0 without end."""


class Pumping(Protocol):
    """What a dispense needs of its pump."""

    clock: Clock
    min_rate: float
    max_rate: float

    async def make_ready(self, rate: float, volume: float = 0.0) -> Delivery: ...
    async def armed(self, delivery: Delivery) -> Mapping[str, Any]: ...
    async def start(self, delivery: Delivery) -> PumpReply: ...
    async def halt(self) -> None: ...
    async def moved(self) -> tuple[bool, float]: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...
    def fault(self, message: str) -> Fault: ...


class Dispense(Device):
    """Movable: set a volume in uL; done when it is out.

    In a campaign an action that was stopped part-way is gone on with: what is left is delivered.

    Args:
        pump: which delivers it.
        rate: at which, uL/min; can be changed through the signal `rate`.
    """

    def __init__(self, pump: Pumping, rate: float) -> None:
        # Not a plain attribute: a device would take it for its child.
        self._of = (pump,)
        self.rate = checked_soft_signal(rate, self._check_rate, unit="uL/min")
        """Rate of delivery, uL/min."""
        self.under_way = False
        """Whether a volume is being delivered."""
        self._interrupted = False
        super().__init__()

    @property
    def _pump(self) -> Pumping:
        return self._of[0]

    def check_value(self, value: float) -> None:
        """Raise `LimitError` when the pump cannot deliver `value` uL; nothing is sent."""
        check_limits(self.name or "volume", value, "uL", SMALLEST, LARGEST)

    def _check_rate(self, rate: float) -> None:
        check_limits(self.rate.name or "rate", rate, "uL/min", self._pump.min_rate, self._pump.max_rate)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Deliver `value` uL from standstill in the direction that the pump is set to.

        Raises:
            LimitError: volume or rate out of limits; nothing was sent.
            Refusal: the pump answered that it does not start.
            Fault: the pump failed, stood still, or was stopped; the message says how much was delivered.
        """
        self.check_value(value)
        rate = await self.rate.get_value()
        self._check_rate(rate)
        if self.under_way:
            raise self._pump.fault(f"cannot dispense {value:g} uL: it is dispensing already")
        action = current_action()
        before = float(action.carried.get("delivered", 0.0)) if action is not None else 0.0
        left = value - before
        if before and left <= step(before):  # less than the pump can count
            return
        self.under_way, self._interrupted = True, False
        try:
            await self._deliver(rate, left, before, action)
        except BaseException:
            await self._pump.halt()
            raise
        finally:
            self.under_way = False

    async def _deliver(self, rate: float, volume: float, before: float, action: Action | None) -> None:
        """Deliver `volume` uL after the `before` uL of earlier tries."""
        delivery = await self._pump.make_ready(rate, volume)
        evidence = await self._pump.armed(delivery)
        self._go_on(f"before it began to deliver {volume:g} uL")
        if action is not None:
            await action.arm(**evidence)
            self._go_on(f"before it began to deliver {volume:g} uL")
        reply = await self._pump.start(delivery)
        if action is not None:
            action.acknowledge(status=reply.status)
        await self._finish(delivery.rate, delivery.volume, before)

    def _go_on(self, otherwise: str) -> None:
        if self._interrupted:
            raise self._pump.fault(f"was stopped {otherwise}")

    async def _finish(self, rate: float, volume: float, before: float) -> None:
        clock = self._pump.clock
        whole = before + volume
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = clock.now() + 1.2 * 60 * volume / rate + 10 + 2 * clock.speed
        while True:
            moving, delivered = await self._pump.moved()
            if not moving or self._interrupted:
                break
            if clock.now() > end:
                raise self._pump.fault(f"delivered only {before + delivered:g} uL of {whole:g} uL at {rate:g} uL/min")
            await self._pump.poll_pause(min(1.0, 60 * max(volume - delivered, 0) / rate))
        if self._interrupted or delivered < volume - 1.5 * step(delivered):
            raise self._pump.fault(f"was stopped after {before + delivered:g} uL of {whole:g} uL")

    async def stop(self, success: bool = True) -> None:
        """Stop a delivery under way; Bluesky calls this also after one that is done, and then nothing happens."""
        if self.under_way:
            self.interrupt()
            await self._pump.halt()

    def interrupt(self) -> None:
        """Let a delivery under way fail at its next look."""
        self._interrupted = True
