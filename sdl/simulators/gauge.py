"""A simulated optical thickness gauge with a line protocol; see `sdl.devices.classic_gauge` for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer
from sdl.virtual import let_go

__all__ = ["GaugePlant", "GaugeServer", "SteadyFilm"]

_NOT_A_NUMBER = "9.91E+37"
_UNKNOWN = b'ERR -113,"Undefined header"\n'
_REFUSED = b'ERR -200,"Execution error"\n'


class GaugePlant(Protocol):
    """The film under the gauge."""

    def thickness(self) -> float | None:
        """As measured now, nm; None without a film."""
        ...

    def cracked(self) -> bool:
        """Whether the film is; False without one."""
        ...


class SteadyFilm:
    """A film that stays as it is.

    Args:
        nm: its thickness, nm; None for no film.
        cracks: whether it is cracked.
    """

    def __init__(self, nm: float | None = 100.0, cracks: bool = False) -> None:
        self.nm, self.cracks = nm, cracks

    def thickness(self) -> float | None:
        """Thickness, nm."""
        return self.nm

    def cracked(self) -> bool:
        """Whether it is cracked."""
        return self.cracks


class GaugeServer(InstrumentServer):
    """Serves one gauge.

    Args:
        plant: the film under it; a steady one of 100 nm by default.
        probe: faults and log: `measure` with the thickness in nm. While `stuck`, it gives its last reading.
        clock: lab time; a measurement takes its time on it.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        exposure: lab seconds of a measurement of thickness.
        held: whether its client, in a thread, holds virtual time until it has the answer, so that the measurement
            has to let it pass (`sdl.virtual.let_go`).
    """

    def __init__(
        self,
        plant: GaugePlant | None,
        probe: Probe,
        clock: Clock,
        *,
        port: int = 0,
        latency: float = 0.0,
        exposure: float = 0.5,
        held: bool = False,
    ) -> None:
        super().__init__(probe, port=port, latency=latency)
        self._plant: GaugePlant = plant or SteadyFilm()
        self._clock, self._exposure, self._held = clock, exposure, held
        self._last: float | None = None

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\n")

    async def answer(self, request: bytes) -> bytes:
        match request.decode("ascii", errors="replace").strip().upper():
            case "*IDN?":
                return b"sdl,thickness gauge simulator,0,1.0\n"
            case "MEAS:THIC?":
                return await self._measure()
            case "MEAS:CRAC?":
                return b"%d\n" % self._plant.cracked()
        return _UNKNOWN

    async def _measure(self) -> bytes:
        with let_go(softly=True) if self._held else contextlib.nullcontext():
            await self._clock.sleep(self._exposure)
        if not self.probe.faults.stuck:
            self._last = self._plant.thickness()
        self.probe.record("measure", thickness=self._last)
        return f"{_NOT_A_NUMBER if self._last is None else format(self._last, '.6g')}\n".encode()

    def refusal(self, request: bytes) -> bytes:
        return _REFUSED
