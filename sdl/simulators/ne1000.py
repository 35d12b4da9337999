"""Simulated NE-1000 syringe pumps: one TCP port as of a serial server, with a daisy chain of pumps behind it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from sdl.devices._ne1000_protocol import safe_packet, unpack_safe
from sdl.simulators._deadman import DeadMan
from sdl.simulators._faults import Probe
from sdl.simulators._ne1000_pump import SimulatedPump
from sdl.simulators._server import InstrumentServer

__all__ = ["Ne1000Server", "SimulatedPump"]


_AFTER = 5e-4
"""Wall seconds by which a timer is late, so that what it is for is due by then."""


class Ne1000Server(InstrumentServer):
    """Serves a chain of pumps. Protocol: NE-1000 user manual, publication 1200-01, §10.2–10.4.

    What a pump does of its own accord (its volume is out, its watchdog has waited enough) happens by a timer.
    Pumps start in basic mode, as delivered; `SAF` switches a pump to safe mode and back.
    A fault put into one pump hits the requests that are addressed to it; `cut` cuts the line of all.

    Args:
        pumps: network address (0 to 99) → pump.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
    """

    def __init__(self, pumps: Mapping[int, SimulatedPump], *, port: int = 0, latency: float = 0.0) -> None:
        self.pumps = dict(pumps)
        super().__init__(next(iter(self.pumps.values())).probe, port=port, latency=latency)
        self._leases = {unit: _lease(pump, pump.deadman) for unit, pump in self.pumps.items() if pump.deadman}
        self.leases = list(self._leases.values())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        for pump in self.pumps.values():
            pump.probe.faults.on_change.append(self._on_change)

    async def start(self) -> str:
        self._loop = asyncio.get_running_loop()
        return await super().start()

    async def stop(self) -> None:
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        await super().stop()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        """A safe-mode packet, from STX on, or a basic-mode line, whichever begins."""
        first = await reader.readexactly(1)
        # Between safe-mode packets a carriage return is noise; in basic mode an empty line is a status query of
        # pump 0. A line shared by all has one mode.
        while first == b"\r" and any(pump.safe for pump in self.pumps.values()):
            first = await reader.readexactly(1)
        if first != b"\x02":
            return first + (b"" if first == b"\r" else await reader.readuntil(b"\r"))
        length = await reader.readexactly(1)
        packet = first + length + await reader.readexactly(max(length[0] - 1, 0))
        pump = self.pumps.get(self._address(packet))
        # To a pump in basic mode a packet is gibberish that lasts until a carriage return.
        return packet if pump is None or pump.safe else packet + await reader.readuntil(b"\r")

    def renew(self, request: bytes) -> None:
        lease = self._leases.get(self._address(request))
        if lease is not None:
            lease.renew()

    def probes(self) -> list[Probe]:
        return [pump.probe for pump in self.pumps.values()]

    def probe_of(self, request: bytes) -> Probe:
        pump = self.pumps.get(self._address(request))
        return pump.probe if pump else self.probe

    async def answer(self, request: bytes) -> bytes | None:
        pump = self.pumps.get(self._address(request))
        if pump is None:
            return None
        if request[:1] != b"\x02":
            return None if pump.safe else self._execute(pump, request, self._text(request))
        if not pump.safe:
            return _basic(self._address(request), f"{pump.state}?")
        try:
            text = unpack_safe(request[2:])
        except (ValueError, UnicodeDecodeError):
            return safe_packet(f"{self._address(request):02d}{pump.state}?COM")
        return self._execute(pump, request, text)

    def _execute(self, pump: SimulatedPump, request: bytes, text: str) -> bytes:
        pump.hear()
        self.renew(request)
        reply = pump.execute(text.lstrip("0123456789"))
        self._set_timer()
        address = self._address(request)
        # A reply leaves in the mode that the command leaves behind.
        return safe_packet(f"{address:02d}{reply}") if pump.safe else _basic(address, reply)

    def refusal(self, request: bytes) -> bytes:
        address = self._address(request)
        pump = self.pumps[address]
        return safe_packet(f"{address:02d}{pump.state}?NA") if pump.safe else _basic(address, f"{pump.state}?NA")

    def _on_change(self) -> None:
        # A fault may be put in from another thread than the one that serves.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._set_timer)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = min(pump.due() for pump in self.pumps.values())
        if self._loop is not None and math.isfinite(due):
            self._timer = self._loop.call_later(max(due, 0.0) + _AFTER, self._advance)

    def _advance(self) -> None:
        for pump in self.pumps.values():
            pump.advance()
        self._set_timer()

    def _address(self, request: bytes) -> int:
        text = self._text(request)
        digits = text[: len(text) - len(text.lstrip("0123456789"))][:2]
        return int(digits or 0)

    def _text(self, request: bytes) -> str:
        data = request[2:-3] if request[:1] == b"\x02" else request
        return "".join(chr(byte) for byte in data if 0x20 < byte < 0x7F).upper()


def _lease(pump: SimulatedPump, limit: float) -> DeadMan:
    async def act() -> None:
        pump.make_safe()

    return DeadMan(limit, pump.probe, act)


def _basic(address: int, text: str) -> bytes:
    return b"\x02" + f"{address:02d}{text}".encode("ascii") + b"\x03"
