"""The control channel of a simulation, from within an event loop: put faults in, read what was really done."""

from __future__ import annotations

import asyncio
import json
from typing import Any

__all__ = ["Control"]

_LONGEST = 1 << 28


class Control:
    """A client of `sdl.simulators._control.ControlServer`, one connection for each question.

    Args:
        address: `tcp://host:port`.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._where = host, int(port)

    async def inject(self, instrument: str, fault: str, *, count: int | None = None, after: int = 0) -> None:
        """Put a fault in; see `sdl.simulators._faults.Faults.inject`."""
        await self._ask(instrument=instrument, fault=fault, count=count, after=after)

    async def clear(self, instrument: str) -> None:
        """Take the fault out."""
        await self._ask(instrument=instrument, clear=True)

    async def log(self, instrument: str) -> list[dict[str, Any]]:
        """What the instrument really did, in order."""
        return list((await self._ask(instrument=instrument, log=True))["log"])

    async def instruments(self) -> list[str]:
        """Names of the instruments of the simulation."""
        return list((await self._ask(instruments=True))["instruments"])

    async def _ask(self, **request: Any) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection(*self._where, limit=_LONGEST)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.transport.abort()
        if not answer["ok"]:
            raise ValueError(answer["error"])
        return answer
