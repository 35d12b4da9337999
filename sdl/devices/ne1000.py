"""Driver of New Era NE-1000 syringe pumps, alone or in a daisy chain, through a serial server on TCP."""

from __future__ import annotations

import asyncio
import contextlib

from ophyd_async.core import StandardReadableFormat, StrictEnum

from sdl.devices._device import InstrumentDevice
from sdl.devices._limits import check_limits
from sdl.devices._ne1000_bus import PumpLine
from sdl.devices._ne1000_dispense import Dispense, Progress
from sdl.devices._ne1000_protocol import (
    RATE_UNITS,
    VOLUME_UNITS,
    PumpReply,
    format_number,
    format_rate,
    rate_limits,
)
from sdl.devices._signal import link_signal_r, link_signal_rw
from sdl.model import Fault
from sdl.model.units import parse_quantity
from sdl.protocols import Clock

__all__ = ["Direction", "Ne1000Pump"]


class Direction(StrictEnum):
    """Which way the plunger goes."""

    INFUSE = "INF"
    WITHDRAW = "WDR"


class Ne1000Pump(InstrumentDevice):
    """An NE-1000 syringe pump.

    `rate` runs the pump continuously (`bps.abs_set(pump.rate, 25)`) until it is set to 0 or `stop()` is
    called; `dispense` delivers a volume and is done when it is out (`bps.mv(pump.dispense, 100)`).
    A pump reports the volume its motor has driven: `rate` and `dispensed` are compared at every reading, so that
    a plunger that stands still is a fault and not a recipe.

    Protocol: New Era Pump Systems, NE-1000 user manual, publication 1200-01, chapter 10.

    Args:
        address: `tcp://host:port/unit`; the unit is the pump's address on its chain, 0 to 99.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds for one exchange.
        diameter: inner diameter of the syringe, mm (0.1 to 50).
        min_rate: slowest rate that may be asked for, uL/min; what the pump can do by default.
        max_rate: fastest rate that may be asked for, uL/min; what the pump can do by default.
        dispense_rate: rate of `dispense`, uL/min; `max_rate` by default.
        watchdog: wall seconds without a packet after which the pump stops by itself, 3 to 255; 0 switches the
            pump to basic mode, which has no watchdog and no checksum.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        diameter: str | float = 14.43,
        min_rate: str | float | None = None,
        max_rate: str | float | None = None,
        dispense_rate: str | float | None = None,
        watchdog: str | float = 30.0,
    ) -> None:
        self.line = PumpLine(address, lambda: self.name, timeout)
        self._diameter = check_limits("syringe diameter", parse_quantity(diameter, "mm"), "mm", 0.1, 50)
        slowest, fastest = rate_limits(self._diameter)
        self.min_rate = slowest if min_rate is None else parse_quantity(min_rate, "uL/min")
        """uL/min"""
        self.max_rate = fastest if max_rate is None else parse_quantity(max_rate, "uL/min")
        """uL/min"""
        check_limits("min_rate", self.min_rate, "uL/min", slowest, fastest)
        check_limits("max_rate", self.max_rate, "uL/min", self.min_rate, fastest)
        dispense_at = self.max_rate if dispense_rate is None else parse_quantity(dispense_rate, "uL/min")
        check_limits("dispense_rate", dispense_at, "uL/min", self.min_rate, self.max_rate)
        seconds = parse_quantity(watchdog, "s")
        self._watchdog = round(seconds and check_limits("watchdog", seconds, "s", 3, 255))
        self._progress: Progress | None = None
        self._beating: asyncio.Task[None] | None = None

        source = f"ne1000://{self.line.link.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.rate = link_signal_rw(
                float, f"{source}/RAT", self._get_rate, self._put_rate, unit="uL/min", precision=3
            )
            """uL/min; 0 when the pump stands still. Limits: `min_rate` to `max_rate`, or 0."""
            self.dispensed = link_signal_r(float, f"{source}/DIS", self._get_dispensed, unit="uL", precision=3)
            """Volume infused since the pump last started, uL. The counter starts anew after 9999 uL."""
        with self.add_children_as_readables(StandardReadableFormat.CONFIG_SIGNAL):
            self.diameter = link_signal_r(float, f"{source}/DIA", self._get_diameter, unit="mm", precision=2)
            """Inner diameter of the syringe as the pump has it, mm."""
            self.direction = link_signal_rw(Direction, f"{source}/DIR", self._get_direction, self._put_direction)
            """INF or WDR; can be changed while the pump stands still."""
        self.status = link_signal_r(str, f"{source}/status", self._get_status)
        """Letter of the state: I, W, S, P, T, U, X; asking raises the alarm that is pending."""
        self.dispense = Dispense(self, dispense_at)
        """Volume to deliver, uL: set it and wait."""
        super().__init__(name, clock)

    async def begin(self) -> None:
        """Check that an NE-1000 answers, enter the mode, and write the diameter if it differs."""
        await self.line.open(self._watchdog)
        version = (await self.command("VER")).data
        if not version.startswith("NE"):
            raise self.fault(f"is not a New Era pump: it answers {version!r} to VER")
        diameter, _ = await self.line.number("DIA")
        _, unit = await self.line.number("VOL")
        if abs(diameter - self._diameter) > 0.005 or unit != "UL":
            await self.line.halt()
            await self.command(f"DIA{format_number(self._diameter)}")
            await self.command("VOLUL")

    async def command(self, text: str) -> PumpReply:
        """Send a command; see `PumpLine.command`."""
        return await self.line.command(text, idle=self._progress is None)

    def fault(self, message: str) -> Fault:
        """A `Fault` of this device that names its address."""
        return self.line.fault(message)

    async def run(self, rate: float, volume: float = 0.0) -> None:
        """Start from standstill: `rate` in uL/min, `volume` in uL, 0 for no end."""
        number, unit = format_rate(rate)
        await self.halt()
        for text in (f"RAT{number}{unit}", f"VOL{format_number(volume)}", "CLDINF", "CLDWDR"):
            await self.command(text)
        reply = await self.command("RUN")
        if not reply.moving:
            raise self.fault(f"does not run at {rate:g} uL/min: it reports status {reply.status}")
        self._watch(Progress(float(number) * RATE_UNITS[unit], volume, self.clock.now()))

    async def halt(self) -> None:
        """Stop and confirm. Raises `UnsafeState` when the pump does not."""
        await self._stopped()
        await self.line.halt()

    async def stop(self, success: bool = True) -> None:
        """Stop pumping, also a `dispense` under way, which then fails."""
        self.dispense.interrupt()
        await self.halt()

    async def safe_state(self) -> None:
        """Stop the pump and confirm it; acknowledges a pending alarm.

        Raises:
            UnsafeState: the pump did not confirm.
        """
        await self.stop()

    async def close(self) -> None:
        """Leave the line as it is: a running pump goes on until its watchdog stops it."""
        await self._stopped()
        await self.line.link.close()

    async def moved(self) -> tuple[bool, float]:
        """Whether the pump runs, and the volume it has moved in its direction since it started, uL.

        Raises:
            Fault: it says that it runs and its counter stands still, or it stopped of its own accord.
        """
        moving, infused, withdrawn = await self._volumes()
        return moving, max(infused, withdrawn)

    def _check(self, moving: bool, volume: float, asked: float, resolution: float) -> None:
        progress = self._progress
        if progress and moving:
            trouble = progress.shortfall(volume, asked, resolution)
            if trouble:
                raise self.fault(trouble)
        elif progress and not progress.target:
            raise self.fault(
                f"stands still though it was set to {progress.rate:g} uL/min; "
                "somebody may have stopped it at its keypad"
            )

    async def _volumes(self) -> tuple[bool, float, float]:
        """Whether it runs, volume infused and volume withdrawn, uL."""
        # The pump counts after this moment, so the volume is at least what it should be by now.
        asked = self.clock.now()
        reply = await self.command("DIS")
        infused, _, rest = reply.data.removeprefix("I").partition("W")
        try:
            size = VOLUME_UNITS[rest[-2:]]
            volumes = float(infused) * size, float(rest[:-2]) * size
        except (ValueError, KeyError):
            raise self.fault(f"answered {reply.data!r} to DIS, which is no pair of volumes") from None
        self._check(reply.moving, max(volumes), asked, 0.001 * size)
        return reply.moving, *volumes

    async def _get_dispensed(self) -> float:
        return (await self._volumes())[1]

    async def _get_rate(self) -> float:
        reply = await self.command("RAT")
        if not reply.moving:
            return 0.0
        try:
            return float(reply.data[:-2]) * RATE_UNITS[reply.data[-2:]]
        except (ValueError, KeyError):
            raise self.fault(f"answered {reply.data!r} to RAT, which is no rate") from None

    async def _put_rate(self, rate: float) -> None:
        if rate == 0:
            await self.halt()
            return
        check_limits(self.rate.name or "rate", rate, "uL/min", self.min_rate, self.max_rate)
        if self.dispense.under_way:
            raise self.fault(f"cannot run at {rate:g} uL/min: it is dispensing a volume")
        number, unit = format_rate(rate)
        reply = await self.command("RAT")
        if reply.moving and self._progress and reply.data.endswith(unit):
            # Units cannot be changed while pumping, so the number goes alone (§5.4 of the manual).
            await self.command(f"RAT{number}")
            _, moved = await self.moved()
            self._watch(Progress(float(number) * RATE_UNITS[unit], 0.0, self.clock.now(), moved))
        else:
            await self.run(rate)

    async def _get_diameter(self) -> float:
        return (await self.line.number("DIA", idle=self._progress is None))[0]

    async def _get_direction(self) -> Direction:
        data = (await self.command("DIR")).data
        try:
            return Direction(data)
        except ValueError:
            raise self.fault(f"answered {data!r} to DIR") from None

    async def _put_direction(self, direction: Direction) -> None:
        await self.command(f"DIR{direction.value}")

    async def _get_status(self) -> str:
        return (await self.command("")).status

    def _watch(self, progress: Progress) -> None:
        self._progress = progress
        if self._watchdog and self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def _stopped(self) -> None:
        self._progress = None
        task, self._beating = self._beating, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._watchdog / 3)
            if not await self.line.heartbeat():
                return
