"""Driver of a spin coater with magazine, syringe and vacuum chuck, through a line protocol over TCP.

There is no common standard for spin coaters; the command set is documented in full in `sdl.simulators.spin_coater`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ophyd_async.core import AsyncStatus, Device, StandardReadableFormat

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._limits import check_limits
from sdl.devices._signal import link_signal_r, link_signal_rw
from sdl.devices._spin_coater_actions import Dispense, Load, Spin
from sdl.devices._spin_coater_link import CoaterLink
from sdl.devices._spin_coater_options import CoaterOptions
from sdl.devices._spin_coater_protocol import Status
from sdl.devices._spin_coater_receipt import receipt_of
from sdl.devices._spin_coater_runner import Runner
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt

__all__ = ["SpinCoater"]

_BRAKING = 10
"""Lab seconds that a rotor takes to stand still at most."""


class Reset(Device):
    """Triggerable: acknowledges a latched fault."""

    def __init__(self, link: CoaterLink) -> None:
        self._of = (link,)
        super().__init__()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Acknowledge a latched fault; harmless when there is none.

        Raises:
            Refusal: what caused it persists, such as an open lid.
            Fault: the coater does not answer.
        """
        await self._of[0].command("RST")


class SpinCoater(InstrumentDevice):
    """A spin coater.

    `load` takes a substrate from the magazine (`bps.trigger(coater.load, wait=True)`), `dispense` puts ink on it
    (`bps.mv(coater.dispense, 100)`), `spin` spins it (`bps.mv(coater.spin, 3000)`). None of them may be repeated: each
    carries a tag, and the coater's counters tell afterwards what became of it (`receipt`). A process that ends leaves
    an action under way to the coater, which finishes it.

    Args:
        address: `tcp://host:port`.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds for one exchange.
        min_speed: slowest speed that may be asked for, rpm.
        max_speed: fastest, rpm.
        min_volume: least that may be dispensed at a time, uL.
        max_volume: most, uL.
        seconds: length of a segment of a spin program that gives none, s.
        acceleration: of a segment that gives none, rpm/s.
        heartbeat: wall seconds of silence after which the coater is asked for its status, so that one with a
            communications time-out does not take its driver for dead; none by default.

    Raises:
        LimitError: an option out of limits.
        ValueError: an option is no quantity of its kind.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "load": Acts(Effect.NON_REPEATABLE, arms=True),
        "dispense": Acts(Effect.NON_REPEATABLE, arms=True, continues=True),
        "spin": Acts(Effect.NON_REPEATABLE, arms=True),
        "spin.seconds": Effect.ABSOLUTE,
        "spin.acceleration": Effect.ABSOLUTE,
        "vacuum": Effect.ABSOLUTE,
        "reset": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        min_speed: str | float = 100.0,
        max_speed: str | float = 8000.0,
        min_volume: str | float = 1.0,
        max_volume: str | float = 1000.0,
        seconds: str | float = 30.0,
        acceleration: str | float = 1000.0,
        heartbeat: str | float | None = None,
    ) -> None:
        self.link = CoaterLink(address, lambda: self.name, timeout)
        self.options = CoaterOptions.read((min_speed, max_speed), (min_volume, max_volume), seconds, acceleration)
        self._runner = Runner(self)
        source = f"coater://{self.link.tcp.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.speed = link_signal_r(float, f"{source}/rpm", self._get_speed, unit="rpm", precision=1)
            """Measured speed of the rotor, rpm."""
            self.dispensed = link_signal_r(float, f"{source}/volume", self._get_dispensed, unit="uL", precision=2)
            """Dispensed in the coater's life, uL."""
        with self.add_children_as_readables(StandardReadableFormat.UNCACHED_SIGNAL):
            self.magazine = link_signal_r(int, f"{source}/magazine", self._get_magazine, unit="1")
            """Substrates left."""
            self.lid = link_signal_r(int, f"{source}/lid", self._get_lid, unit="1")
            """1 when the lid is closed, 0 when it is open."""
            self.vacuum = link_signal_rw(
                int, f"{source}/vacuum", self._get_vacuum, self._put_vacuum, check=self._check_vacuum, unit="1"
            )
            """1 when the chuck holds a substrate, 0 when not. Set it to 0 before the substrate is taken away."""
        self.load = Load(self, self._runner)
        """Puts a fresh substrate on the chuck."""
        self.dispense = Dispense(self, self._runner)
        """Volume to dispense, uL: set it and wait."""
        self.spin = Spin(self, self._runner)
        """Speed in rpm, or a program: set it and wait."""
        self.reset = Reset(self.link)
        """Acknowledges a latched fault."""
        super().__init__(name, clock, Heartbeat(heartbeat, self.link.status, lambda: self.link.tcp.asked_at))

    async def begin(self) -> None:
        """Check that a spin coater answers."""
        await self.greet()

    async def greet(self) -> None:
        """Check that a spin coater answers, by a query."""
        identity = await self.link.identity()
        if identity.count(",") != 3 or not identity.split(",")[1].startswith("SPC"):
            raise self.link.fault(f"is not a spin coater with this command set: it answers {identity!r} to ID?")

    async def identity(self) -> str:
        """Maker, model, serial number and version, as the coater tells them. Raises `Fault`."""
        return await self.link.identity()

    async def leave(self) -> None:
        """Close the connection; what is under way goes on."""
        await self.link.close()

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of an action, from the coater's counters. Waits for one that is under way.

        Raises:
            Fault: the coater does not answer.
        """
        return await receipt_of(self, action)

    async def halt(self) -> None:
        """Stop rotor and syringe, and confirm it.

        Raises:
            UnsafeState: they do not stop, or the coater does not answer.
        """
        last: Fault | None = None
        for _ in range(2):
            try:
                return await self._stand_still()
            except Fault as error:
                last = error
        raise UnsafeState(
            self.name,
            f"{self.link.tcp.address}: rotor and syringe did not confirm that they stand still ({last}); "
            "press the coater's stop button, and keep its lid closed while the rotor turns",
        ) from last

    async def _stand_still(self) -> None:
        await self.link.command("STOP")
        status = await self.link.status()
        # Two wall seconds more, for a busy computer.
        end = self.clock.now() + _BRAKING + 2 * self.clock.speed
        while not status.safe and self.clock.now() < end:
            await self.poll_pause(status.left)
            status = await self.link.status()
        if not status.safe:
            raise self.link.fault(f"it reports {status.state} at {status.rpm:g} rpm")

    async def stop(self, success: bool = True) -> None:
        """Stop rotor and syringe, also an action under way, which then fails."""
        self._runner.interrupt()
        await self.halt()

    async def safe_state(self) -> None:
        """Rotor and syringe stand still, confirmed by reading back; the vacuum stays as it is and holds the substrate.

        A load that has begun goes on to its end.

        Raises:
            UnsafeState: the coater did not confirm.
        """
        await self.stop()

    def stop_exchanges(self) -> list[StopExchange]:
        """What stops rotor and syringe, for `sdl stop`. `ST? 2` answers once nothing moves, within 2 s."""
        where = str(self.link.tcp.address._replace(unit=None))
        safe = r"OK state=(?:IDLE|LOAD|FAULT) left=[\d.]+ rpm=0\.0 [^\r\n]*\r\n"
        return [
            StopExchange(where, b"STOP\r\n", complete="\n", timeout=0.5, repeat=2),
            StopExchange(where, b"ST? 2\r\n", safe, r"OK state=[^\r\n]*\r\n|ERR[^\r\n]*\r\n", 2.2, repeat=2),
        ]

    async def _status(self) -> Status:
        return await self.link.status()

    async def _get_speed(self) -> float:
        return (await self._status()).rpm

    async def _get_dispensed(self) -> float:
        return (await self.link.counters()).volume

    async def _get_magazine(self) -> int:
        return (await self._status()).magazine

    async def _get_lid(self) -> int:
        return (await self._status()).lid

    async def _get_vacuum(self) -> int:
        return (await self._status()).vacuum

    def _check_vacuum(self, value: int) -> None:
        check_limits(self.vacuum.name or "vacuum", value, "", 0, 1)

    async def _put_vacuum(self, value: int) -> None:
        await self._runner.load_ended()
        await self.link.command(f"VAC {value}")
        status = await self._status()
        if status.vacuum != (value and status.chuck):
            raise self.link.fault(f"was told VAC {value} and reports vacuum {status.vacuum}; check pump and valve")
