"""Moves on a motor record: begun by a put to VAL, followed by looks at DMOV, over when both say so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ophyd_async.core import AsyncStatus
from ophyd_async.epics.motor import Motor

from sdl.devices._epics_ca import CaLink
from sdl.devices._epics_motion import travel_time
from sdl.devices._limits import check_limits
from sdl.model import UnsafeState
from sdl.protocols import Clock
from sdl.virtual import outside, wall_timeout

__all__ = ["Mover"]

_TAKING = 0.02
"""Seconds between two looks whether the record has taken a position."""
_LONGEST_LOOK = 60.0
"""Lab seconds between two looks at a motor that moves."""
_STOPPING = 5.0
"""Seconds in which a motor that was told to stop has to stand still."""


class Mover:
    """Drives one motor.

    Args:
        motor: the record.
        link: to it.
        clock: lab time.
        tolerance: between the position asked for and the readback, mm.
    """

    def __init__(self, motor: Motor, link: CaLink, clock: Clock, tolerance: float) -> None:
        self._motor, self._link, self._clock, self._tolerance = motor, link, clock, tolerance
        self.under_way = False
        """Whether a move of this driver is."""
        self._interrupted = False

    async def go(
        self, target: float, before: Callable[[], Awaitable[None]] | None = None, *, then: float | None = None
    ) -> None:
        """Move and wait until the motor stands still there.

        Args:
            target: mm.
            before: called right before the put that moves.
            then: where the motor goes from there by itself before it stands still, mm; nowhere when left out.

        Raises:
            LimitError: outside the limits of the record; nothing was sent.
            Refusal: the record does not take the position.
            Fault: it moves already, the IOC does not answer, or the motor does not get there.
        """
        if self.under_way:
            raise self._link.fault(f"cannot go to {target:g} mm: it is on its way somewhere else")
        self.under_way, self._interrupted = True, False
        try:
            start, low, high, speed, ramp, still = await self._link.get(
                ".RBV", ".LLM", ".HLM", ".VELO", ".ACCL", ".DMOV"
            )
            if low != 0 or high != 0:  # both 0: the record has no limits
                check_limits(self._motor.name or "position", target, "mm", low, high)
            if not still or speed <= 0:
                what = "it moves already; somebody else may be driving it" if not still else "its velocity is 0"
                raise self._link.fault(f"cannot go to {target:g} mm: {what}")
            if before is not None:
                await before()
            await self._move(float(start), (target, target if then is None else then), float(speed), float(ramp))
        finally:
            self.under_way = False

    async def _move(self, start: float, way: tuple[float, float], speed: float, ramp: float) -> None:
        target, rest = way
        self._go_on(target)

        def estimate(here: float) -> float:
            """Seconds from here; it is not known whether it has been at the target, so it may be less."""
            return travel_time(target - here, speed, ramp) + travel_time(rest - target, speed, ramp)

        put: AsyncStatus[None] | None = None
        try:
            with outside():
                put = self._motor.user_setpoint.set(target, timeout=None)
                await self._taken(put, target)
            await self._arrived(put, way, estimate, start)
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong first is what is told
                await self.halt()
            raise
        finally:
            if put is not None and not put.done:
                put.task.cancel()
            if put is not None:
                await asyncio.gather(put.task, return_exceptions=True)

    def _go_on(self, target: float) -> None:
        if self._interrupted:
            raise self._link.fault(f"was stopped on its way to {target:g} mm")

    async def _taken(self, put: AsyncStatus[None], target: float) -> None:
        """Wait until the put has come to the record, which is known by its setpoint."""
        for _ in range(5):  # layers of ophyd-async and aioca, until the put is sent
            await asyncio.sleep(0)
        looks = max(1, round(self._link.timeout / _TAKING))
        for _ in range(looks):
            (setpoint,) = await self._link.get(".VAL")
            if put.done:
                await put
                return
            if setpoint == target:
                return
            await asyncio.sleep(_TAKING)
        raise self._link.fault(f"did not take the position {target:g} mm within {self._link.timeout:g} s")

    async def _arrived(
        self, put: AsyncStatus[None], way: tuple[float, float], estimate: Callable[[float], float], start: float
    ) -> None:
        target, rest = way
        expected = estimate(start)
        begun = self._clock.now()
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = begun + 1.2 * expected + 2 + 2 * self._clock.speed
        left = expected
        while True:
            await self._pause(put, min(left, _LONGEST_LOOK))
            still, here = await self._link.get(".DMOV", ".RBV")
            self._go_on(target)
            if still:
                break
            if self._clock.now() > end:
                raise self._link.fault(
                    f"did not come to {_said(way)}: it is at {here:g} mm after {self._clock.now() - begun:.3g} s, and "
                    f"{expected:.3g} s should have been enough; is something in its way?"
                )
            left = max(estimate(float(here)), 0.1)
        await self._answered(put, target, float(here))
        if abs(here - rest) > self._tolerance:
            raise self._link.fault(f"stopped at {here:g} mm on its way to {_said(way)}; somebody may have stopped it")

    async def _pause(self, put: AsyncStatus[None], seconds: float) -> None:
        """Lab time; until the put is answered, where that does not depend on who is faster."""
        if getattr(self._clock, "virtual", False):
            await self._clock.sleep(seconds + 0.001)
        else:
            await asyncio.wait({put.task}, timeout=seconds / self._clock.speed + 0.01)

    async def _answered(self, put: AsyncStatus[None], target: float, here: float) -> None:
        try:
            async with wall_timeout(self._link.timeout):
                with outside():
                    await put
        except TimeoutError:
            raise self._link.fault(
                f"stands at {here:g} mm, but the put of {target:g} mm was not answered within {self._link.timeout:g} s"
            ) from None

    async def halt(self) -> None:
        """Stop, and wait until the motor stands still. Works on a device that is not connected.

        Raises:
            Fault: the IOC does not answer.
            UnsafeState: the motor goes on.
        """
        self._interrupted = True
        await self._link.send(".STOP", 1)
        for look in range(round(_STOPPING / 0.05)):
            still, here = await self._link.get(".DMOV", ".RBV")
            if still:
                return
            await asyncio.sleep(0.05 if look else 0.01)
        text = (
            f"{self._link.address}: did not stop within {_STOPPING:g} s, and is at {here:g} mm; switch it off by hand"
        )
        raise UnsafeState(self._link.owner(), text)


def _said(way: tuple[float, float]) -> str:
    target, rest = way
    return f"{target:g} mm" if rest == target else f"{target:g} mm and from there to {rest:g} mm"
