"""Driver of New Era NE-1000 syringe pumps, alone or in a daisy chain, through a serial server on TCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd_async.core import StandardReadableFormat, StrictEnum

from sdl.devices._device import InstrumentDevice
from sdl.devices._limits import check_limits
from sdl.devices._ne1000_bus import PumpLine
from sdl.devices._ne1000_dispense import Delivery, Dispense
from sdl.devices._ne1000_options import PumpOptions
from sdl.devices._ne1000_protocol import (
    RATE_UNITS,
    PumpReply,
    format_number,
    format_rate,
)
from sdl.devices._ne1000_readings import receipt_of
from sdl.devices._ne1000_watch import Progress, Watch
from sdl.devices._signal import link_signal_r, link_signal_rw
from sdl.devices._stop import pump_stop
from sdl.lab.effects import current_action
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt

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

    In a campaign a delivery can be asked about afterwards (`receipt`): the counter is cleared before it, and the pump
    keeps what it was set to. What cannot be noticed is a power cut whose alarm somebody outside this process, or at
    the keypad, has acknowledged, when the pump took no part of the delivery before.

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

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "rate": Effect.ABSOLUTE,
        "direction": Effect.ABSOLUTE,
        "dispense": Acts(Effect.NON_REPEATABLE, arms=True, continues=True),
        "dispense.rate": Effect.ABSOLUTE,
    }

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
        options = PumpOptions.read(diameter, min_rate, max_rate, dispense_rate, watchdog)
        self._diameter, self._watchdog = options.diameter, options.watchdog
        self.min_rate = options.min_rate
        """uL/min"""
        self.max_rate = options.max_rate
        """uL/min"""
        self._watch = Watch(self.line.heartbeat, self._watchdog / 3)
        self._new_syringe = False
        self._stops = 0

        source = f"ne1000://{self.line.link.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.rate = link_signal_rw(
                float,
                f"{source}/RAT",
                self._get_rate,
                self._put_rate,
                check=self._check_rate,
                unit="uL/min",
                precision=3,
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
        self.dispense = Dispense(self, options.dispense_rate)
        """Volume to deliver, uL: set it and wait."""
        super().__init__(name, clock)

    async def begin(self) -> None:
        """Check that an NE-1000 answers, enter the mode, and write the diameter if it differs.

        The diameter clears the counters. While they tell of a delivery it is written when the pump is used next.
        """
        await self.line.open(self._watchdog)
        version = (await self.command("VER")).data
        if not version.startswith("NE"):
            raise self.fault(f"is not a New Era pump: it answers {version!r} to VER")
        diameter, _ = await self.line.number("DIA")
        target, unit = await self.line.number("VOL")
        self._new_syringe = abs(diameter - self._diameter) > 0.005 or unit != "UL"
        if self._new_syringe and not (target > 0 and await self._has_moved()):
            await self.line.halt()
            await self._write_syringe()

    async def _has_moved(self) -> bool:
        moving, *volumes = await self._volumes()
        return moving or max(volumes) > 0

    async def _write_syringe(self) -> None:
        if self._new_syringe:
            await self.command(f"DIA{format_number(self._diameter)}")
            await self.command("VOLUL")
            self._new_syringe = False

    async def identity(self) -> str:
        """Maker, model and firmware, as the pump tells them (`VER`). Raises `Fault`."""
        return f"New Era Pump Systems, {(await self.command('VER')).data}"

    async def greet(self) -> None:
        """Find out in which mode the pump listens; see `PumpLine.attach`."""
        await self.line.attach()

    async def command(self, text: str) -> PumpReply:
        """Send a command; see `PumpLine.command`."""
        return await self.line.command(text, idle=self._watch.progress is None)

    def fault(self, message: str) -> Fault:
        """A `Fault` of this device that names its address."""
        return self.line.fault(message)

    async def make_ready(self, rate: float, volume: float = 0.0) -> Delivery:
        """Stop, set rate (uL/min) and volume (uL, 0 for no end), and clear the counters; nothing moves yet."""
        number, unit = format_rate(rate)
        goal = format_number(volume)
        await self.halt()
        self.line.memory.owner = ""
        await self._write_syringe()
        for text in (f"RAT{number}{unit}", f"VOL{goal}", "CLDINF", "CLDWDR"):
            await self.command(text)
        action = current_action()
        self.line.memory.cleared(action.id if action is not None else "")
        return Delivery(float(number) * RATE_UNITS[unit], float(goal))

    async def armed(self, delivery: Delivery) -> Mapping[str, Any]:
        """What the pump has to say before a delivery, for a receipt of it.

        Raises:
            Fault: its counters are not at zero, or it does not stand still.
        """
        moving, *volumes = await self._volumes()
        if moving or any(volumes):
            raise self.fault(f"is not ready: counters at {volumes[0]:g} and {volumes[1]:g} uL, moving: {moving}")
        return {
            "baseline": 0.0,
            "volume": delivery.volume,
            "rate": delivery.rate,
            "direction": (await self._get_direction()).value,
            "unit": "uL",
            "diameter": await self._get_diameter(),
        }

    async def start(self, delivery: Delivery) -> PumpReply:
        """Run a pump that is prepared.

        Raises:
            Refusal: it answered that it does not.
        """
        reply = await self.line.command("RUN", idle=True, acting=True)
        if not reply.moving:
            raise self.fault(f"does not run at {delivery.rate:g} uL/min: it reports status {reply.status}")
        self._watch.begin(Progress(delivery.rate, delivery.volume, self.clock.now()))
        return reply

    async def run(self, rate: float, volume: float = 0.0) -> None:
        """Start from standstill: `rate` in uL/min, `volume` in uL, 0 for no end."""
        stops = self._stops
        delivery = await self.make_ready(rate, volume)
        self._go_on(stops, rate)
        await self.start(delivery)

    def _go_on(self, stops: int, rate: float) -> None:
        if self._stops != stops:
            raise self.fault(f"was stopped before it ran at {rate:g} uL/min")

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of a delivery, from the pump's counter. Waits for one that still runs.

        Raises:
            Fault: the pump does not answer.
        """
        return await receipt_of(self, action)

    async def halt(self) -> None:
        """Stop and confirm. Raises `UnsafeState` when the pump does not."""
        await self._watch.end()
        await self.line.halt()
        await self._watch.end()  # what was on the line already may have begun it anew

    async def stop(self, success: bool = True) -> None:
        """Stop pumping, also a `dispense` under way, which then fails."""
        self._stops += 1
        self.dispense.interrupt()
        await self.halt()

    async def safe_state(self) -> None:
        """Stop the pump and confirm it; acknowledges a pending alarm.

        Raises:
            UnsafeState: the pump did not confirm.
        """
        await self.stop()

    async def leave(self) -> None:
        """Leave the line as it is: a running pump goes on until its watchdog stops it."""
        await self._watch.end()
        await self.line.link.close()

    async def moved(self) -> tuple[bool, float]:
        """Whether the pump runs, and the volume it has moved in its direction since it started, uL.

        Raises:
            Fault: it says that it runs and its counter stands still, or it stopped of its own accord.
        """
        moving, infused, withdrawn = await self._volumes()
        return moving, max(infused, withdrawn)

    async def _volumes(self) -> tuple[bool, float, float]:
        """Whether it runs, volume infused and volume withdrawn, uL."""
        # The pump counts after this moment, so the volume is at least what it should be by now.
        asked = self.clock.now()
        reply = await self.command("DIS")
        infused, withdrawn, size = self.line.parse_volumes(reply.data)
        trouble = self._watch.trouble(reply.moving, max(infused, withdrawn), asked, 0.001 * size)
        if trouble:
            raise self.fault(trouble)
        return reply.moving, infused, withdrawn

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

    def _check_rate(self, rate: float) -> None:
        if rate != 0:
            check_limits(self.rate.name or "rate", rate, "uL/min", self.min_rate, self.max_rate)

    async def _put_rate(self, rate: float) -> None:
        if rate == 0:
            await self.halt()
            return
        if self.dispense.under_way:
            raise self.fault(f"cannot run at {rate:g} uL/min: it is dispensing a volume")
        number, unit = format_rate(rate)
        stops = self._stops
        reply = await self.command("RAT")
        self._go_on(stops, rate)
        if reply.moving and self._watch.progress and reply.data.endswith(unit):
            # Units cannot be changed while pumping, so the number goes alone (§5.4 of the manual).
            await self.command(f"RAT{number}")
            moving, moved = await self.moved()
            if not moving:
                raise self.fault(f"was stopped while its rate was changed to {rate:g} uL/min")
            self._watch.begin(Progress(float(number) * RATE_UNITS[unit], 0.0, self.clock.now(), moved))
        else:
            await self.run(rate)

    async def _get_diameter(self) -> float:
        return (await self.line.number("DIA", idle=self._watch.progress is None))[0]

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

    def stop_exchanges(self) -> list[StopExchange]:
        """What stops the pump, for `sdl stop`."""
        return pump_stop(self.line.link.address, self.line.unit, safe=self._watchdog > 0)
