"""TCP connections to instruments: one exchange at a time on a bus, and every failure a clear `Fault`.

A `TcpLink` is what one driver holds. Links with the same host and port in the same event loop share one
connection and its lock, as the devices of a daisy chain share one serial server.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from sdl.model import Fault, InputError, Refusal

__all__ = ["Address", "Reply", "TcpLink", "parse_address"]

T = TypeVar("T")
_SHOWN = 60


class Address(NamedTuple):
    """Where an instrument answers."""

    host: str
    port: int
    unit: int | None = None
    """Number of the device on its bus: address in a daisy chain, Modbus unit."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}" + ("" if self.unit is None else f"/{self.unit}")


def parse_address(text: str) -> Address:
    """Read `tcp://host:port` or `tcp://host:port/unit`.

    Raises:
        InputError: it is not such an address.
    """
    try:
        parts = urlsplit(text)
        port, unit = parts.port, parts.path.strip("/")
        if parts.scheme == "tcp" and parts.hostname and port and not (parts.query or parts.fragment):
            return Address(parts.hostname, port, int(unit) if unit else None)
    except ValueError:
        pass
    raise InputError(f"{text!r} is not an instrument's address; write tcp://host:port or tcp://host:port/unit")


class Reply:
    """The bytes that answer one request, as they arrive."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._rest = bytearray()
        self.received = bytearray()
        """All bytes that came since the request left."""

    async def _more(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise EOFError
        self._rest += data
        self.received += data

    async def exactly(self, n: int) -> bytes:
        """The next `n` bytes."""
        while len(self._rest) < n:
            await self._more()
        return self._take(n)

    async def until(self, end: bytes, limit: int = 1 << 24) -> bytes:
        """The next bytes up to and including `end`.

        Raises:
            ValueError: `end` is not among the first `limit` bytes.
        """
        while (found := self._rest.find(end)) < 0:
            if len(self._rest) > limit:
                raise ValueError(f"no end of message within {limit} bytes")
            await self._more()
        return self._take(found + len(end))

    def _take(self, n: int) -> bytes:
        taken = bytes(self._rest[:n])
        del self._rest[:n]
        return taken

    def finish(self) -> None:
        """Check that nothing follows the reply: what follows would be taken for the next one."""
        if self._rest:
            raise ValueError(f"{len(self._rest)} bytes follow the reply")


class _Connection:
    """One socket, its bus lock, and how many links use it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.lock = asyncio.Lock()
        self.links = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ready(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open socket with no byte waiting in it; opened again if the instrument has closed it."""
        if self._reader and self._writer and await _discard(self._reader) and not self._writer.is_closing():
            return self._reader, self._writer
        self.drop()
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        return self._reader, self._writer

    def drop(self) -> None:
        """Close the socket at once, so that a late reply finds nobody."""
        if self._writer:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def close(self) -> None:
        writer = self._writer
        self.drop()
        if writer:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _discard(reader: asyncio.StreamReader) -> bool:
    """Throw away bytes that nobody asked for; False when the other side has closed."""
    try:
        async with asyncio.timeout(0):
            while await reader.read(65536):
                pass
    except TimeoutError:
        return True
    except OSError:
        pass
    return False


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], _Connection]]
_connections = WeakKeyDictionary()
_guard = threading.Lock()


class TcpLink:
    """One driver's end of a connection. Connects at the first request, and again after a cut.

    Args:
        address: `tcp://host:port[/unit]`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange, connecting included.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float = 2.0) -> None:
        self.address = parse_address(address)
        self.timeout = timeout
        self.asked_at = 0.0
        """When something was last sent, or was tried to be: as `time.monotonic()` tells it."""
        self._owner = owner
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: _Connection | None = None

    def fault(self, message: str) -> Fault:
        """A `Fault` of the owner that names the address."""
        return Fault(self._owner(), f"{self.address}: {message}")

    def refusal(self, message: str) -> Refusal:
        """The same for a command that the instrument answered not to execute."""
        return Refusal(self._owner(), f"{self.address}: {message}")

    async def exchange(self, request: bytes, read_reply: Callable[[Reply], Awaitable[T]]) -> T:
        """Send `request` and return what `read_reply` makes of the answer.

        A request is sent once: whether it may be repeated is for the caller to know. `read_reply` raises
        ValueError for bytes it cannot understand; the connection is then dropped, as after a time-out.

        Raises:
            Fault: no connection, no answer in time, closed by the instrument, or a reply that makes no sense.
        """
        connection = self._join()
        async with connection.lock:
            self.asked_at = time.monotonic()
            reply: Reply | None = None
            try:
                async with asyncio.timeout(self.timeout):
                    reader, writer = await connection.ready()
                    reply = Reply(reader)
                    writer.write(request)
                    await writer.drain()
                    answer = await read_reply(reply)
                    reply.finish()
                    return answer
            except (OSError, EOFError, ValueError) as error:
                connection.drop()
                raise self.fault(self._explain(error, request, reply)) from error
            except BaseException:
                connection.drop()
                raise

    async def send(self, request: bytes) -> None:
        """Send a command that the instrument does not answer.

        Raises:
            Fault: no connection, or it broke.
        """

        async def nothing(reply: Reply) -> None:
            return None

        await self.exchange(request, nothing)

    async def close(self) -> None:
        """Leave the connection; the last link to leave closes the socket. The next request joins again."""
        connection, loop = self._connection, self._loop
        self._connection = self._loop = None
        if connection is None or loop is None:
            return
        with _guard:
            connection.links -= 1
            last = connection.links == 0
            if last:
                _connections.get(loop, {}).pop((connection.host, connection.port), None)
        if last:
            await connection.close()

    def _join(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._connection is None or (self._loop is not None and self._loop.is_closed()):
            with _guard:
                bus = _connections.setdefault(loop, {})
                key = (self.address.host, self.address.port)
                self._connection = bus.setdefault(key, _Connection(*key))
                self._connection.links += 1
                self._loop = loop
        elif loop is not self._loop:
            raise self.fault(
                "connected in another event loop; use a device in the loop it was connected in, "
                "or close it there and connect it here"
            )
        return self._connection

    def _explain(self, error: Exception, request: bytes, reply: Reply | None) -> str:
        sent = _show(request)
        if reply is None:
            reason = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            return f"cannot connect within {self.timeout:g} s ({reason}); check its power, cable and address"
        came = f"; received {_show(bytes(reply.received))}" if reply.received else ""
        if isinstance(error, TimeoutError):
            return f"no complete reply to {sent} within {self.timeout:g} s{came}"
        if isinstance(error, EOFError | OSError):
            return f"connection closed by the instrument after {sent} was sent{came}"
        return f"reply to {sent} makes no sense ({error}){came}"


def _show(data: bytes) -> str:
    text = repr(data[:_SHOWN])[1:]
    return text if len(data) <= _SHOWN else f"{text}… ({len(data)} bytes)"
