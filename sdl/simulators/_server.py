"""Base of simulated instruments: a TCP server on loopback that reads requests, suffers faults and answers."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod

from sdl.simulators._deadman import DeadMan
from sdl.simulators._faults import FaultKind, Probe

__all__ = ["InstrumentServer"]

_JUNK = b"\xff\x00\x15~garbage~\x7f\x00\r\n\x03"


class InstrumentServer(ABC):
    """Serves one instrument, or several behind one port, to any number of connections.

    Args:
        probe: faults and log; the default of `probe_of`.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds without a valid request after which the instrument makes itself safe; None for never.
    """

    def __init__(self, probe: Probe, *, port: int = 0, latency: float = 0.0, deadman: float | None = None) -> None:
        self.probe = probe
        self.latency = latency
        self.leases = [] if deadman is None else [DeadMan(deadman, probe, self.make_safe)]
        """Dead-man leases of the instruments behind this port that have one."""
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @abstractmethod
    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        """Bytes of the next request.

        Raises:
            asyncio.IncompleteReadError: the connection ended.
            asyncio.LimitOverrunError: the request has no end.
        """

    @abstractmethod
    async def answer(self, request: bytes) -> bytes | None:
        """Do what is asked and return the reply; None when the instrument keeps silent."""

    @abstractmethod
    def refusal(self, request: bytes) -> bytes:
        """The protocol's own error reply to the request (the `refuse` fault)."""

    def garbage(self, request: bytes) -> bytes:
        """Reply of the `garbage` fault."""
        return _JUNK

    async def make_safe(self) -> None:  # noqa: B027 - not every server has something to make safe
        """Drive the instrument to its safe state; called when its dead-man lease has run out."""

    def renew(self, request: bytes) -> None:
        """A valid request came: the dead-man lease of the instrument it is for begins anew."""
        for lease in self.leases:
            lease.renew()

    def probe_of(self, request: bytes) -> Probe:
        """The instrument that a request is for."""
        return self.probe

    def probes(self) -> list[Probe]:
        """Every instrument behind this port."""
        return [self.probe]

    async def start(self) -> str:
        """Listen on 127.0.0.1 and return the address, `tcp://127.0.0.1:port`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        for lease in self.leases:
            lease.start()
        return f"tcp://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Close the port and every connection. Harmless when not started."""
        if self._server is None:
            return
        server, self._server = self._server, None
        for lease in self.leases:
            await lease.stop()
        server.close()
        tasks = list(self._connections)
        for writer in self._connections.values():
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            if not any(probe.faults.unreachable for probe in self.probes()):
                # A request without end is no request: the connection is closed, as when it ends amid one.
                broken = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
                with contextlib.suppress(*broken, asyncio.CancelledError):
                    await self._converse(reader, writer)
        finally:
            writer.transport.abort()
            del self._connections[task]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await self.read_request(reader)
            fault = self.probe_of(request).faults.strike()
            if self.latency:
                await asyncio.sleep(self.latency)
            if fault is FaultKind.CUT:
                return
            if fault is FaultKind.HANG:
                continue
            reply = await self._reply(request, fault)
            if reply is not None and fault is not FaultKind.LOSE:
                writer.write(reply)
                await writer.drain()

    async def _reply(self, request: bytes, fault: FaultKind | None) -> bytes | None:
        if fault is FaultKind.REFUSE:
            self.renew(request)
            return self.refusal(request)
        if fault is FaultKind.GARBAGE:
            return self.garbage(request)
        return await self.answer(request)
