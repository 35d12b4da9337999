"""Base of simulated instruments that speak SCPI over a TCP socket.

Program messages end with a line feed and may hold several units joined by `;` (IEEE 488.2-1992, section 7); headers
have a long and a short form (SCPI-1999, volume 1, section 6.2.1); errors go to a queue of 20 that `SYSTem:ERRor?`
reads (volume 2, section 21.8). Each unit of a message is a full header: paths are not carried over from unit to unit.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import numpy as np
import numpy.typing as npt

from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer

__all__ = ["MEASURING", "ScpiRefusal", "ScpiServer", "block", "number", "quoted", "text"]

MEASURING = 16
"""Bit 4 of the operation status condition register (SCPI-1999, volume 1, section 9.3)."""
_QUEUE = 20
_STANDARD = {
    -102: "Syntax error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -121: "Invalid character in number",
    -151: "Invalid string data",
    -200: "Execution error",
    -213: "Init ignored",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -350: "Queue overflow",
}
Handler = Callable[[list[str]], Awaitable[bytes | None]]


class ScpiRefusal(Exception):
    """A command that the instrument refuses.

    Args:
        code: number of the error, negative for the standard ones.
        detail: what in particular.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        parts = [part for part in (_STANDARD.get(code, ""), detail) if part]
        super().__init__(";".join(parts))


class ScpiServer(InstrumentServer):
    """Takes program messages apart and answers the common commands; a subclass adds its own.

    Args:
        probe: faults and log.
        identity: the four fields of `*IDN?`.
        commands: header in the notation of SCPI (`TRACe[:DATA]?`) → coroutine function of the parameters.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which it makes itself safe; None for never.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        identity: str,
        commands: Mapping[str, Handler],
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        super().__init__(probe, latency=latency, deadman=deadman)
        self._identity = identity
        self._errors: deque[tuple[int, str]] = deque()
        self._events = 0
        self._acquisition: asyncio.Task[None] | None = None
        table = {**self._common(), **commands}
        self._headers = [(_pattern(header), handler) for header, handler in table.items()]

    async def reset(self) -> None:
        """Bring the instrument to the state that `*RST` asks for."""
        await self.abort()

    async def make_safe(self) -> None:
        """Abort the acquisition."""
        await self.abort()

    async def stop(self) -> None:
        await self.abort()
        await super().stop()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise asyncio.IncompleteReadError(b"", None) from error

    async def answer(self, request: bytes) -> bytes | None:
        replies = []
        for unit in _split(request.decode("utf-8", errors="replace").strip(), ";"):
            if unit.strip():
                try:
                    reply = await self._execute(unit.strip())
                except ScpiRefusal as refusal:
                    self._remember(refusal)
                    reply = None
                if reply is not None:
                    replies.append(reply)
        return b";".join(replies) + b"\n" if replies else None

    def refusal(self, request: bytes) -> bytes:
        refusal = ScpiRefusal(-200, "refused")
        if b"ERR" not in request.upper():
            self._remember(refusal)
            return b""
        return b"%d," % refusal.code + quoted(str(refusal)) + b"\n"

    @property
    def measuring(self) -> bool:
        """Whether an acquisition is under way."""
        return self._acquisition is not None and not self._acquisition.done()

    def begin(self, acquisition: Callable[[], Awaitable[None]]) -> None:
        """Start an acquisition. While the fault `stuck` lasts it does not come to an end."""
        if self.measuring:
            raise ScpiRefusal(-213, "an acquisition is under way")

        async def acquire() -> None:
            while self.probe.faults.stuck:
                await asyncio.sleep(0.02)
            await acquisition()

        self._acquisition = asyncio.create_task(acquire())

    async def abort(self) -> None:
        """End the acquisition without a result."""
        task, self._acquisition = self._acquisition, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.probe.record("abort")

    def _remember(self, refusal: ScpiRefusal) -> None:
        self._events |= 0x20 if -200 < refusal.code <= -100 else 0x10 if -300 < refusal.code <= -200 else 0x08
        if len(self._errors) < _QUEUE:
            self._errors.append((refusal.code, str(refusal)))
        else:
            self._errors[-1] = (-350, "Queue overflow")

    async def _execute(self, unit: str) -> bytes | None:
        header, _, rest = unit.partition(" ")
        for pattern, handler in self._headers:
            if pattern.fullmatch(header):
                self.renew(unit.encode())
                return await handler([p.strip() for p in _split(rest, ",")] if rest.strip() else [])
        raise ScpiRefusal(-113, header)

    def _common(self) -> dict[str, Handler]:
        async def identify(_: list[str]) -> bytes:
            return self._identity.encode()

        async def reset(_: list[str]) -> None:
            await self.reset()

        async def clear(_: list[str]) -> None:
            self._errors.clear()
            self._events = 0

        async def events(_: list[str]) -> bytes:
            events, self._events = self._events, 0
            return b"%d" % events

        async def complete(_: list[str]) -> bytes:
            if self._acquisition is not None:
                await asyncio.wait([self._acquisition])
            return b"1"

        async def error(_: list[str]) -> bytes:
            code, message = self._errors.popleft() if self._errors else (0, "No error")
            return b"%d," % code + quoted(message)

        async def condition(_: list[str]) -> bytes:
            return b"%d" % (MEASURING if self.measuring else 0)

        async def abort(_: list[str]) -> None:
            await self.abort()

        return {
            "*IDN?": identify,
            "*RST": reset,
            "*CLS": clear,
            "*ESR?": events,
            "*OPC?": complete,
            "SYSTem:ERRor[:NEXT]?": error,
            "STATus:OPERation:CONDition?": condition,
            "ABORt": abort,
        }


def _pattern(header: str) -> re.Pattern[str]:
    """Regular expression of a header in the notation of SCPI: `SENSe:AVERage[:COUNt]?`."""
    expression = re.escape(header).replace(r"\[", "(?:").replace(r"\]", ")?")
    expression = re.sub(r"([A-Z]+)([a-z]+)", lambda m: f"{m[1]}(?:{m[2]})?", expression)
    return re.compile(rf":?{expression}", re.IGNORECASE)


def _split(message: str, separator: str) -> list[str]:
    """Parts of a message, separators inside of quotes left alone."""
    return re.findall(rf'(?:[^"{separator}]|"(?:[^"]|"")*"?)+', message)


def number(parameter: str, suffixes: Mapping[str, float] | None = None) -> float:
    """A numeric parameter; suffixes such as `MS` are multiplied out."""
    found = re.fullmatch(r"([-+0-9.eE]+)\s*([A-Za-z]*)", parameter)
    scale = {"": 1.0, **(suffixes or {})}
    if not found or found[2].upper() not in scale:
        raise ScpiRefusal(-121, parameter)
    try:
        return float(found[1]) * scale[found[2].upper()]
    except ValueError:
        raise ScpiRefusal(-121, parameter) from None


def text(parameter: str) -> str:
    """A string parameter, out of its quotes."""
    if len(parameter) < 2 or parameter[0] != '"' or parameter[-1] != '"':
        raise ScpiRefusal(-151, parameter)
    return parameter[1:-1].replace('""', '"')


def quoted(value: str) -> bytes:
    """String response data."""
    return b'"' + value.replace("\n", " ").replace('"', '""').encode() + b'"'


def block(values: npt.NDArray[np.float64], dtype: str) -> bytes:
    """Definite-length arbitrary block (IEEE 488.2-1992, section 8.7.9), such as `#43848…`."""
    data = values.astype(dtype).tobytes()
    length = str(len(data)).encode()
    return b"#%d" % len(length) + length + data
