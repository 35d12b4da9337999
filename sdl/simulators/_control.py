"""The control channel of a simulation: tests inject faults and read what was done. JSON lines over TCP.

Requests, one object a line:
    {"instrument": "pump", "fault": "hang", "count": 1, "after": 0, "seconds": null}
    {"instrument": "pump", "clear": true}
    {"instrument": "pump", "log": true}
    {"instruments": true}
Replies: {"ok": true, …} or {"ok": false, "error": "…"}.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable
from typing import Any

from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer

__all__ = ["ControlClient", "ControlServer"]


class ControlServer(InstrumentServer):
    """Serves the probes of one simulation."""

    def __init__(self, probes: Iterable[Probe], *, port: int = 0) -> None:
        super().__init__(Probe("control"), port=port)
        self._probes = {probe.name: probe for probe in probes}

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\n")

    async def answer(self, request: bytes) -> bytes:
        try:
            result = {"ok": True, **self._do(json.loads(request))}
        except (ValueError, TypeError, KeyError) as error:
            result = {"ok": False, "error": str(error.args[0] if error.args else error)}
        return json.dumps(result).encode() + b"\n"

    def refusal(self, request: bytes) -> bytes:
        return b'{"ok": false, "error": "refused"}\n'

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.pop("instruments", False):
            return {"instruments": sorted(self._probes)}
        name = request.pop("instrument", None)
        if name not in self._probes:
            raise KeyError(f"no instrument {name!r}; there are: {', '.join(sorted(self._probes))}")
        probe = self._probes[name]
        if request.pop("log", False):
            return {"log": probe.log}
        if request.pop("clear", False):
            probe.faults.clear()
        elif kind := request.pop("fault", None):
            probe.faults.inject(kind, **request)
        else:
            raise ValueError("give one of: fault, clear, log")
        return {}


class ControlClient:
    """Blocking client for tests.

    Args:
        address: `tcp://host:port` of the control server.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=5)
        self._file = self._socket.makefile("rb")

    def inject(
        self,
        instrument: str,
        fault: str,
        *,
        count: int | None = None,
        after: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Put a fault into an instrument; see `Faults.inject`."""
        self._ask(instrument=instrument, fault=fault, count=count, after=after, seconds=seconds)

    def clear(self, instrument: str) -> None:
        """Take the fault out."""
        self._ask(instrument=instrument, clear=True)

    def log(self, instrument: str) -> list[dict[str, Any]]:
        """What the instrument really did."""
        return list(self._ask(instrument=instrument, log=True)["log"])

    def instruments(self) -> list[str]:
        """Names of the instruments of the simulation."""
        return list(self._ask(instruments=True)["instruments"])

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._file.readline())
        if not answer["ok"]:
            raise ValueError(answer["error"])
        return answer
