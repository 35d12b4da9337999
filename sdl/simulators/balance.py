"""A simulated laboratory balance that speaks MT-SICS over TCP.

Source: METTLER TOLEDO, Reference Manual MT-SICS (level 0 version 2.3x, level 1 version 2.2x). Lines end in CR LF. Of
the command set it knows: `I2` (type and capacity), `I3` (software), `I4` (serial number), `S` (stable weight), `SI`
(weight at once), `Z` and `ZI` (zero), `T` and `TI` (tare), `TA` (tare memory, also with a preset), `TAC` (clear the
tare) and `@` (reset). It answers `ES` to what it does not know, and `I` behind a command's letters while it waits to be
stable for a tare or zero.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable

import numpy as np

from sdl.devices._mtsics import UNITS
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer

__all__ = ["BalanceServer"]

SERIAL = "B000000001"
_PRESET = re.compile(r"(\d+(?:\.\d+)?) ([A-Za-z]+)")
_LAG = math.log(1e6)
"""Time constants in a settling time: a millionth of a change is left, which is no digit of a reading."""


class BalanceServer(InstrumentServer):
    """Serves one balance.

    A change of mass is seen when the balance is asked, and from then on the reading follows it for the settling time.

    Args:
        probe: faults and log; `stuck` means that the reading never becomes stable.
        clock: lab time.
        mass: what lies on the pan, g.
        seed: of the noise.
        noise: standard deviation of a reading, g.
        resolution: of a reading, g.
        capacity: above it the balance is overloaded, g.
        lowest: below it the balance is underloaded, g.
        zero_range: how far from its first zero it can be zeroed, g; 2 % of the capacity by default.
        settling: lab seconds until a reading is stable after a change.
        patience: lab seconds that `S`, `T` and `Z` wait for that.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        mass: Callable[[], float] = lambda: 0.0,
        *,
        seed: int = 0,
        noise: float = 5e-5,
        resolution: float = 1e-4,
        capacity: float = 220.0,
        lowest: float = -0.5,
        zero_range: float | None = None,
        settling: float = 2.0,
        patience: float = 20.0,
        port: int = 0,
        latency: float = 0.0,
    ) -> None:
        super().__init__(probe, port=port, latency=latency)
        self.tare = 0.0
        """g"""
        self.offset = 0.0
        """What was zeroed away, g."""
        self._clock, self._mass, self._noise = clock, mass, noise
        self._resolution, self._decimals = resolution, max(0, math.ceil(-math.log10(resolution) - 1e-9))
        self._capacity, self._lowest = capacity, lowest
        self._zero_range = 0.02 * capacity if zero_range is None else zero_range
        self._settling, self._patience = settling, patience
        self._rng = np.random.default_rng(seed)
        self._seen = self._from = mass()
        self._changed = -math.inf
        self._busy = False
        self._commands: dict[str, Callable[[], Awaitable[str]]] = {
            "S": self._stable_weight,
            "SI": self._present_weight,
            "T": lambda: self._when_stable("T", self._take_tare),
            "TI": self._tare_at_once,
            "Z": lambda: self._when_stable("Z", self._take_zero),
            "ZI": self._zero_at_once,
            "TA": self._tare_memory,
            "TAC": self._clear_tare,
        }

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\n")

    def refusal(self, request: bytes) -> bytes:
        return b"EL\r\n"

    async def answer(self, request: bytes) -> bytes:
        command = request.decode("ascii", "replace").rstrip("\r\n")
        return f"{await self._execute(command)}\r\n".encode("ascii")

    async def _execute(self, command: str) -> str:
        if command in self._commands:
            return await self._commands[command]() if not self._busy else f"{'S' if command == 'SI' else command} I"
        if command.startswith("TA "):
            return self._preset(command[3:])
        if command == "@":
            self.tare = 0.0
            self.probe.record("reset")
        told = {
            "I2": f'I2 A "simulator {self._capacity:.{self._decimals}f} g"',
            "I3": 'I3 A "1.00"',
            "I4": f'I4 A "{SERIAL}"',
            "@": f'I4 A "{SERIAL}"',
        }
        return told.get(command, "ES")

    # ── the load cell ──

    def _look(self) -> None:
        """Notice a change of the mass."""
        mass = self._mass()
        if abs(mass - self._seen) > self._resolution / 2:
            self._from = self._shown()
            self._seen, self._changed = mass, self._clock.now()

    def _shown(self) -> float:
        """What the load cell feels, without noise, g."""
        since = self._clock.now() - self._changed
        if since >= self._settling:
            return self._seen
        passed = since / self._settling
        return self._seen + (self._from - self._seen) * math.exp(-_LAG * passed)

    def _unstable_for(self) -> float:
        """Lab seconds until the reading is stable."""
        self._look()
        if self.probe.faults.stuck:
            return math.inf
        return max(self._changed + self._settling - self._clock.now(), 0.0)

    async def _until_stable(self) -> bool:
        end = self._clock.now() + self._patience
        while (wait := self._unstable_for()) > 0:
            left = end - self._clock.now()
            if left <= 0:
                return False
            await self._clock.sleep(min(wait, left))
        return True

    def _gross(self) -> float:
        self._look()
        return float(self._shown() - self.offset + self._rng.normal(0.0, self._noise))

    def _beyond(self) -> str:
        gross = self._seen - self.offset
        return "+" if gross > self._capacity else "-" if gross < self._lowest else ""

    def _text(self, grams: float) -> str:
        value = round(grams / self._resolution) * self._resolution + 0.0
        return f"{value:10.{self._decimals}f} g"

    # ── commands ──

    async def _stable_weight(self) -> str:
        self._look()
        if not self._beyond() and not await self._until_stable():
            return "S I"
        return self._weight("S")

    async def _present_weight(self) -> str:
        return self._weight("S" if self._unstable_for() == 0 else "D")

    def _weight(self, status: str) -> str:
        self._look()
        if beyond := self._beyond():
            return f"S {beyond}"
        net = self._gross() - self.tare
        return f"S {status} {self._text(net)}"

    async def _when_stable(self, letters: str, take: Callable[[str], str]) -> str:
        """Wait to be stable; other commands that weigh are not executed meanwhile."""
        self._busy = True
        try:
            stable = await self._until_stable()
        finally:
            self._busy = False
        return take("S") if stable else f"{letters} I"

    async def _tare_at_once(self) -> str:
        return self._take_tare("S" if self._unstable_for() == 0 else "D").replace("T ", "TI ", 1)

    async def _zero_at_once(self) -> str:
        stable = "S" if self._unstable_for() == 0 else "D"
        return self._take_zero(stable).replace("Z A", f"ZI {stable}").replace("Z ", "ZI ", 1)

    def _take_tare(self, status: str) -> str:
        gross = self._gross()
        if beyond := self._beyond() or ("-" if gross < -self._resolution else ""):
            return f"T {beyond}"
        self.tare = round(max(gross, 0.0) / self._resolution) * self._resolution
        self.probe.record("tare", grams=round(self.tare, 6))
        return f"T {status} {self._text(self.tare)}"

    def _take_zero(self, status: str) -> str:
        gross = self._gross() + self.offset
        if abs(gross) > self._zero_range:
            return f"Z {'+' if gross > 0 else '-'}"
        self.offset, self.tare = gross, 0.0
        self.probe.record("zero", offset=round(gross, 6))
        return "Z A"

    async def _tare_memory(self) -> str:
        return f"TA A {self._text(self.tare)}"

    async def _clear_tare(self) -> str:
        self.tare = 0.0
        self.probe.record("tare", grams=0.0)
        return "TAC A"

    def _preset(self, text: str) -> str:
        match = _PRESET.fullmatch(text)
        if match is None or match[2] not in UNITS:
            return "TA L"
        if self._busy:
            return "TA I"
        grams = float(match[1]) * UNITS[match[2]]
        if grams > self._capacity:
            return "TA L"
        self.tare = round(grams / self._resolution) * self._resolution
        self.probe.record("tare", grams=round(self.tare, 6))
        return f"TA A {self._text(self.tare)}"
