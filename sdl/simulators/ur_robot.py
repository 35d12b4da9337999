"""A simulated plate-handling robot: the Dashboard Server on one port, the channel to its program on another."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping

from sdl.devices._ur_protocol import GREETING, IDENTITY
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.simulators._ur_arm import DURATIONS, Arm, HandlerPlant, Refused, Slots
from sdl.simulators._ur_controller import Controller

__all__ = ["DURATIONS", "HandlerPlant", "Slots", "UrRobotServer"]

_AFTER = 5e-4
"""Wall seconds by which a timer is late, so that what it is for is due by then."""


class UrRobotServer(InstrumentServer):
    """Serves one robot. Protocols: see `sdl.devices._ur_protocol`.

    A fault hits the requests of both ports, in the order in which they come. A robot that nobody talks to for
    `deadman` stops its program; the gripper keeps what it holds. The program's record outlives `stop` and `start`.

    Args:
        probe: faults and log; `stuck` means that nothing moves.
        clock: lab time.
        plant: places and gripper; by default one slot for each place, with something at the first.
        places: names of places that the program knows.
        durations: lab seconds of the phases APPROACH, GRIP, TRAVEL and PLACE, where not those of `DURATIONS`.
        programs: file names of programs on the controller.
        port: of the Dashboard Server; 0 lets the system choose.
        program_port: of the program channel; 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds without a request after which it stops; None for never.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        plant: HandlerPlant | None = None,
        *,
        places: Collection[str] = ("chuck", "bed_a", "bed_b", "probe_stage"),
        durations: Mapping[str, float] | None = None,
        programs: Collection[str] = ("carry.urp",),
        port: int = 0,
        program_port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        super().__init__(probe, port=port, latency=latency, deadman=deadman)
        plant = plant or Slots(places, list(places)[:1])
        self.controller = Controller(probe, clock, programs, self._change, self._abandon)
        self.arm = Arm(probe, clock, plant, places, durations or {}, self.controller.may_move)
        self._channel = _Channel(self, program_port, latency)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        probe.faults.on_change.append(self._on_fault)

    async def start(self) -> str:
        """Listen on two ports of 127.0.0.1; return `tcp://127.0.0.1:dashboard/program`."""
        self._loop = asyncio.get_running_loop()
        channel = await self._channel.start()
        address = f"{await super().start()}/{channel.rpartition(':')[2]}"
        self._change()
        return address

    async def stop(self) -> None:
        """Close both ports and every connection. Harmless when not started."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await super().stop()
        await self._channel.stop()

    async def make_safe(self) -> None:
        """Stop the program."""
        self.controller.stop("nobody talked to it")

    def protective_stop(self) -> None:
        """The arm touches something."""
        self.controller.protective_stop()

    def emergency_stop(self) -> None:
        """Somebody presses the emergency stop at the pendant."""
        self.controller.emergency_stop()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{GREETING}\n".encode("ascii"))
        await writer.drain()
        await super()._converse(reader, writer)

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await _line(reader)

    async def answer(self, request: bytes) -> bytes:
        self.renew(request)
        return _bytes(self.controller.execute(_text(request)))

    def refusal(self, request: bytes) -> bytes:
        return _bytes(f'could not understand: "{_text(request)}"')

    def _abandon(self, cause: str) -> None:
        self.arm.abandon(cause)
        self._set_timer()

    def _change(self) -> None:
        self.arm.advance()
        self._set_timer()

    def _on_fault(self) -> None:
        # A fault may be put in from another thread than the one that serves.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._change)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.arm.due()
        if self._loop is not None and math.isfinite(due):
            self._timer = self._loop.call_later(max(due, 0.0) + _AFTER, self._change)


class _Channel(InstrumentServer):
    """The port of the daemon that hands carries to the program."""

    def __init__(self, robot: UrRobotServer, port: int, latency: float) -> None:
        super().__init__(robot.probe, port=port, latency=latency)
        self._robot = robot

    def renew(self, request: bytes) -> None:
        self._robot.renew(request)

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await _line(reader)

    async def answer(self, request: bytes) -> bytes:
        self.renew(request)
        try:
            reply = self._do(*_text(request).split())
        except Refused as refused:
            reply = f"ERR {refused}"
        self._robot._set_timer()
        return _bytes(reply)

    def refusal(self, request: bytes) -> bytes:
        return _bytes("ERR NOT_NOW it does not take commands")

    def _do(self, *words: str) -> str:
        arm = self._robot.arm
        arm.advance()
        match words:
            case ("ID?",):
                return f"ID {IDENTITY} 1"
            case ("PLACES?",):
                return " ".join(["PLACES", *arm.places])
            case ("COUNT?",):
                return arm.count().line()
            case ("STATE?",):
                return arm.state().line()
            case ("GRIP?",):
                return f"GRIP {'HELD' if arm.plant.holding() else 'EMPTY'}"
            case ("LAST?",):
                return next(reversed(arm.record.values())).line() if arm.record else "CARRY -"
            case ("CARRY?", tag):
                return arm.record[tag].line() if tag in arm.record else "CARRY -"
            case ("CARRY", tag, source, target):
                return f"OK CARRY {arm.begin(tag, source, target)}"
            case ("HOME",):
                return f"OK HOME {arm.home():g}"
        raise Refused(f"SYNTAX {' '.join(words)} is no command")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise ConnectionError("a line without an end") from error


def _text(request: bytes) -> str:
    return request.decode("ascii", errors="replace").strip()


def _bytes(text: str) -> bytes:
    return f"{text}\n".encode("ascii", errors="replace")
