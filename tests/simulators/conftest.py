"""Fixtures of the simulator tests: no test may leave a thread, task or socket behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from support import Nursery


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[None]:
    """Fails the test that leaves tasks or threads behind."""
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    yield
    for _ in range(50):
        left = (
            {thread for thread in set(threading.enumerate()) - threads if "asyncio" not in thread.name},
            asyncio.all_tasks() - tasks - {asyncio.current_task()},
        )
        if not any(left):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind (threads, tasks): {left}")


class Line:
    """A raw connection to a simulated instrument, without our drivers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send bytes and wait for nothing."""
        self._writer.write(data)

    async def pump(self, command: str) -> str:
        """A basic-mode command of a pump: address, status and data of its reply."""
        self.send(command.encode() + b"\r")
        reply = await asyncio.wait_for(self._reader.readuntil(b"\x03"), 5)
        return reply.rpartition(b"\x02")[2][:-1].decode()

    async def scpi(self, message: str) -> str:
        """A SCPI message that ends in a query: its response."""
        self.send(message.encode() + b"\n")
        return (await asyncio.wait_for(self._reader.readline(), 5)).decode().rstrip("\n")

    async def modbus(self, function: int, address: int, *data: int) -> list[int]:
        """A Modbus request to unit 1: registers that it reads, or minus the number of the exception."""
        body = bytes([1, function]) + address.to_bytes(2, "big")
        if function == 16:
            body += len(data).to_bytes(2, "big") + bytes([2 * len(data)])
        body += b"".join((value & 0xFFFF).to_bytes(2, "big") for value in data)
        self.send(b"\x00\x07\x00\x00" + len(body).to_bytes(2, "big") + body)
        header = await asyncio.wait_for(self._reader.readexactly(7), 5)
        reply = await self._reader.readexactly(int.from_bytes(header[4:6], "big") - 1)
        if reply[0] & 0x80:
            return [-reply[1]]
        words = reply[2:] if function == 3 else b""
        return [int.from_bytes(words[i : i + 2], "big", signed=True) for i in range(0, len(words), 2)]

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
async def dial() -> AsyncIterator[Callable[[str], Awaitable[Line]]]:
    """Opens raw connections by address, `tcp://host:port[/unit]`; all are closed in the end."""
    lines: list[Line] = []

    async def connect(address: str) -> Line:
        host, _, port = address.removeprefix("tcp://").partition("/")[0].partition(":")
        lines.append(Line(*await asyncio.open_connection(host, int(port))))
        return lines[-1]

    yield connect
    for line in lines:
        await line.close()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands as real processes, quickly."""
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()
