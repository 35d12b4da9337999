"""Driver of a plate-handling robot of Universal Robots: its dashboard, and the program that carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ophyd_async.core import StandardReadableFormat

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._link import Address, parse_address
from sdl.devices._signal import link_signal_r
from sdl.devices._ur_carry import Carry
from sdl.devices._ur_links import Dashboard, ProgramChannel
from sdl.devices._ur_protocol import IDENTITY, MODES, PROGRAM_PORT, SAFE, STOPS
from sdl.devices._ur_receipt import receipt_of
from sdl.devices._ur_route import check_places
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, InputError
from sdl.plugins import suggest
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt

__all__ = ["UrRobot"]

_PATIENCE = 60.0
"""Lab seconds for the arm to be powered on and its brakes to be released."""
_STOP_TIMEOUT = 0.5
"""Wall seconds to wait for a reply to a stop."""


class UrRobot(InstrumentDevice):
    """A robot that carries samples between places: `bps.mv(robot.carry, {"source": "chuck", "target": "bed_a"})`.

    The first carry powers the arm on, releases its brakes, and loads and plays the program. No stop of the safety
    system is ever reset by a carry: a person looks first, and calls `unlock` or uses the pendant.

    In a campaign a carry can be asked about afterwards (`receipt`), from the record that the program keeps in the
    controller. One that was stopped with the sample in the gripper is gone on with.

    Protocols: see `sdl.devices._ur_protocol`.

    Args:
        address: `tcp://host:port` of the Dashboard Server (29999 on a robot), or `tcp://host:port/program_port`.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds for one exchange.
        program_port: TCP port of the program channel, where the address does not give it; 50010 by default.
        program: file name of the program on the controller.
        places: names of places that may be used; all that the program knows by default.
        heartbeat: wall seconds of silence after which the robot is asked for its mode, so that one with a
            communications time-out does not take its driver for dead; none by default.

    Raises:
        InputError: address, port or places cannot be used.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "carry": Acts(Effect.NON_REPEATABLE, arms=True, continues=True),
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        program_port: int | None = None,
        program: str = "carry.urp",
        places: Sequence[str] | None = None,
        heartbeat: str | float | None = None,
    ) -> None:
        where = parse_address(address)
        port = _program_port(where, program_port)
        self.dashboard = Dashboard(Address(where.host, where.port), lambda: self.name, timeout)
        self.program = ProgramChannel(Address(where.host, port), lambda: self.name, timeout)
        self._file = program
        self._given = places is not None
        self.places = check_places(() if places is None else places)
        """Names of places that a carry can name."""

        source = f"ur://{where.host}:{where.port}"
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.holding = link_signal_r(bool, f"{source}/GRIP?", self.program.holding)
            """Whether the gripper's sensor finds something."""
        with self.add_children_as_readables(StandardReadableFormat.UNCACHED_SIGNAL):
            self.carries = link_signal_r(int, f"{source}/COUNT?", self._get_carries, unit="1")
            """Carries taken since the program's record began."""
            self.last_source = link_signal_r(str, f"{source}/LAST?source", self._get_last_source)
            """Where the last carry began; empty before the first."""
            self.last_target = link_signal_r(str, f"{source}/LAST?target", self._get_last_target)
            """Where the last carry was to end."""
            self.mode = link_signal_r(str, f"{source}/robotmode", self.dashboard.mode)
            """Robot mode, as RUNNING or POWER_OFF."""
        self.safety = link_signal_r(str, f"{source}/safetystatus", self.dashboard.safety)
        """Safety status, as NORMAL or PROTECTIVE_STOP."""
        self.carry = Carry(self)
        """From where to where: set it and wait."""
        super().__init__(name, clock, Heartbeat(heartbeat, self.dashboard.mode, self._asked_at))

    def _asked_at(self) -> float:
        return max(self.dashboard.link.asked_at, self.program.link.asked_at)

    async def begin(self) -> None:
        """Check that the dashboard and the program channel answer, and that the program knows the places."""
        await self.greet()

    async def greet(self) -> None:
        """The same: nothing is written, and nothing moves."""
        await self.dashboard.mode()
        identity = await self.program.words("ID?", "ID")
        if identity[:1] != [IDENTITY]:
            raise self.program.link.fault(f"calls itself {' '.join(identity)!r}; the program channel is {IDENTITY!r}")
        there = await self.program.words("PLACES?", "PLACES")
        missing = [place for place in self.places if place not in there]
        if missing:
            hints = "; ".join(f"{place!r}{suggest(place, there)}" for place in missing)
            raise self.program.link.fault(f"the program knows no place {hints}; teach it, or correct the lab file")
        if not self._given:
            self.places = check_places(there)

    async def identity(self) -> str:
        """Model, serial number and software, as far as the dashboard of this version tells them. Raises `Fault`."""
        told = [await self.dashboard.ask(q) for q in ("get robot model", "get serial number", "PolyscopeVersion")]
        return ", ".join(["Universal Robots", *(text for text in told if not text.startswith("could not understand"))])

    async def leave(self) -> None:
        """Close both connections; a carry under way goes on to its end."""
        await self.dashboard.link.close()
        await self.program.link.close()

    def fault(self, message: str) -> Fault:
        """A `Fault` of this device that names its address."""
        return self.dashboard.link.fault(message)

    async def check_safety(self) -> None:
        """Raise a `Fault`, with what to do, when the safety system has stopped the robot."""
        safety = await self.dashboard.safety()
        if safety not in SAFE:
            raise self.fault(f"{STOPS.get(safety, 'its safety system stopped it')} (safety status {safety})")

    async def make_ready(self) -> None:
        """Power the arm on, release its brakes, load the program and play it, as far as that has not been done.

        Raises:
            Refusal: the robot answered that it does not.
            Fault: its safety system stops it, or it does not get ready.
        """
        await self.check_safety()
        dashboard = self.dashboard
        if await dashboard.mode() != "RUNNING":
            await self._power_on()
        state = await dashboard.program_state()
        if await dashboard.loaded() != self._file:
            if state != "STOPPED":
                raise self.fault(f"runs another program than {self._file!r}; stop that at the pendant first")
            advice = "copy the program to the controller, or correct `program` in the lab file"
            await dashboard.order(f"load {self._file}", "Loading program:", advice)
        if state != "PLAYING":
            advice = "look whether the pendant is in Remote Control, and what it shows"
            await dashboard.order("play", "Starting program", advice)

    async def _power_on(self) -> None:
        await self.dashboard.order("power on", "Powering on")
        released = False
        end = self.clock.now() + _PATIENCE + 2 * self.clock.speed
        while (mode := await self.dashboard.mode()) != "RUNNING":
            if mode == "IDLE" and not released:
                await self.dashboard.order("brake release", "Brake releasing")
                released = True
            if self.clock.now() > end:
                raise self.fault(
                    f"is not ready after {_PATIENCE:g} s: {MODES.get(mode, 'unknown')} (robot mode {mode})"
                )
            await self.check_safety()
            await self.poll_pause()

    async def unlock(self) -> None:
        """Unlock a protective stop. Only for somebody who has looked at the robot and cleared what was in its way.

        Raises:
            Refusal: it does not, within 5 s of the stop.
        """
        await self.dashboard.ask("close safety popup")
        await self.dashboard.order("unlock protective stop", "Protective stop releasing")

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of a carry, from the program's record. Waits for one that is under way.

        Raises:
            Fault: the robot does not answer.
        """
        return await receipt_of(self, action)

    async def halt(self) -> None:
        """Stop and confirm. Raises `UnsafeState` when the robot does not."""
        await self.dashboard.halt()

    async def stop(self, success: bool = True) -> None:
        """Stop a carry under way, which then fails; nothing happens without one."""
        await self.carry.stop(success)

    async def safe_state(self) -> None:
        """Stop the program and with it the arm, and confirm; the gripper keeps what it holds.

        Raises:
            UnsafeState: the robot did not confirm.
        """
        self.carry.interrupt()
        await self.halt()

    async def _get_carries(self) -> int:
        return (await self.program.count()).taken

    async def _get_last_source(self) -> str:
        last = await self.program.last()
        return "" if last is None else last.source

    async def _get_last_target(self) -> str:
        last = await self.program.last()
        return "" if last is None else last.target

    def stop_exchanges(self) -> list[StopExchange]:
        """What stops the robot, for `sdl stop`: the program is stopped, and then asked for its state."""
        where = str(self.dashboard.link.address)
        # The greeting comes before the first reply; a program that is stopped already cannot be stopped.
        answered = r"(?:^|\n)(?:Stopped|Failed to execute: stop|could not understand)[^\n]*\n"
        stopped, states = r"(?:^|\n)STOPPED[^\n]*\n", r"(?:^|\n)(?:STOPPED|PLAYING|PAUSED|could not)[^\n]*\n"
        return [
            StopExchange(where, b"stop\n", complete=answered, timeout=_STOP_TIMEOUT),
            StopExchange(where, b"programState\n", stopped, states, _STOP_TIMEOUT, repeat=2),
        ]


def _program_port(address: Address, given: int | None) -> int:
    """Of the two ways to name it."""
    if isinstance(given, bool) or not isinstance(given, int | None):
        raise InputError(f"program_port: {given!r} is no TCP port; write a number, as in {PROGRAM_PORT}")
    if address.unit is not None and given is not None and address.unit != given:
        raise InputError(f"program_port {given} is not the {address.unit} of the address {address}; give one of them")
    port = given if given is not None else address.unit if address.unit is not None else PROGRAM_PORT
    if not 0 < port < 65536:
        raise InputError(f"program_port: {port} is no TCP port; ports are 1 to 65535")
    return port
