"""A relay on loopback between a driver and its instrument: it passes everything on, and counts."""

from __future__ import annotations

import asyncio
import contextlib
import re

__all__ = ["Relay", "moved_to"]

_TCP = re.compile(r"(?P<scheme>[a-z0-9+.-]+://)(?P<host>\[[^]]+\]|[\w.-]+):(?P<port>\d{1,5})(?P<rest>(?:/.*)?)$")


def moved_to(address: str, where: str) -> str | None:
    """An address with its host and port replaced by `host:port`; None for one that has neither."""
    match = _TCP.match(address)
    if match is None or match["scheme"] not in ("tcp://", "modbus://", "scpi://", "secop://"):
        return None
    return f"{match['scheme']}{where}{match['rest']}"


class Relay:
    """Listens on 127.0.0.1 and passes every connection on to an instrument.

    Args:
        address: of the instrument, with `host:port` in it.
    """

    def __init__(self, address: str) -> None:
        match = _TCP.match(address)
        assert match is not None
        self.target = match["host"].strip("[]"), int(match["port"])
        """Host and port of the instrument."""
        self.sent = 0
        """Bytes that came from the driver."""
        self.received = 0
        """Bytes that came from the instrument."""
        self.cuts = 0
        """Connections that the instrument closed."""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    async def start(self) -> str:
        """Listen; return `host:port`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close the port and every connection. Harmless when not started."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        other: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                back, other = await asyncio.open_connection(*self.target)
                await self._both(reader, writer, back, other)
        finally:
            writer.transport.abort()
            if other is not None:
                other.transport.abort()
            self._connections.discard(task)

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        other: asyncio.StreamWriter,
    ) -> None:
        there = asyncio.create_task(self._pass_on(reader, other, answer=False))
        here = asyncio.create_task(self._pass_on(back, writer, answer=True))
        try:
            done, _ = await asyncio.wait({there, here}, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += here in done and there not in done
        finally:
            for task in (there, here):
                task.cancel()
            await asyncio.gather(there, here, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if answer:
                    self.received += len(data)
                else:
                    self.sent += len(data)
                writer.write(data)
                await writer.drain()
