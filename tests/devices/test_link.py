from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sdl.devices._link import Address, Reply, TcpLink, parse_address
from sdl.model import Fault, InputError
from sdl.simulators._faults import Probe
from sdl.simulators._server import InstrumentServer


class Echo(InstrumentServer):
    """Answers each line with itself."""

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\n")

    async def answer(self, request: bytes) -> bytes:
        return request

    def refusal(self, request: bytes) -> bytes:
        return b"error\n"


async def line(reply: Reply) -> bytes:
    return await reply.until(b"\n")


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo(Probe("echo"))
    server.address = await server.start()  # type: ignore[attr-defined]
    yield server
    await server.stop()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[TcpLink]:
    link = TcpLink(echo.address, lambda: "echo", timeout=0.2)  # type: ignore[attr-defined]
    yield link
    await link.close()


def test_addresses() -> None:
    """Host, port and unit are read, and written the same."""
    assert parse_address("tcp://pump-pc:4001/12") == Address("pump-pc", 4001, 12)
    assert parse_address("tcp://[::1]:502") == Address("::1", 502)
    assert [str(parse_address(text)) for text in ("tcp://a:1", "tcp://[::1]:2/3")] == [
        "tcp://a:1",
        "tcp://[::1]:2/3",
    ]


@pytest.mark.parametrize("text", ["", "a:1", "udp://a:1", "tcp://a", "tcp://a:99999", "tcp://a:1/x", "tcp://:1"])
def test_bad_addresses(text: str) -> None:
    """What is no address is refused, and the right form shown."""
    with pytest.raises(InputError, match="write tcp://host:port"):
        parse_address(text)


async def test_exchanges(link: TcpLink) -> None:
    """Many requests at once are answered each with its own reply: the bus is locked for an exchange."""
    wanted = [f"{i}\n".encode() for i in range(50)]
    assert await asyncio.gather(*(link.exchange(request, line) for request in wanted)) == wanted


async def test_a_late_reply_is_never_the_next_answer(echo: Echo, link: TcpLink) -> None:
    """After a time-out the connection is dropped, and with it the reply that comes late."""
    echo.latency = 0.4
    with pytest.raises(Fault, match=r"echo: tcp://127.0.0.1:\d+: no complete reply to 'late\\n' within 0.2 s"):
        await link.exchange(b"late\n", line)
    echo.latency = 0.0
    await asyncio.sleep(0.3)
    assert await link.exchange(b"next\n", line) == b"next\n"


async def test_bytes_after_a_reply_are_garbage(link: TcpLink) -> None:
    """A reply that goes on is not trusted."""

    async def first(reply: Reply) -> bytes:
        return await reply.exactly(2)

    with pytest.raises(Fault, match=r"makes no sense \(3 bytes follow the reply\); received 'abcd\\n'"):
        await link.exchange(b"abcd\n", first)
    assert await link.exchange(b"next\n", line) == b"next\n"


async def test_an_unasked_message_is_thrown_away(echo: Echo, link: TcpLink) -> None:
    """What an instrument sends between exchanges is not taken for an answer."""
    await link.exchange(b"one\n", line)
    (writer,) = echo._connections.values()
    writer.write(b"unasked\n")
    await asyncio.sleep(0.05)
    assert await link.exchange(b"two\n", line) == b"two\n"


async def test_a_cut_between_requests_is_mended(echo: Echo, link: TcpLink) -> None:
    """An instrument that closed an idle connection is connected again without a word."""
    await link.exchange(b"one\n", line)
    (writer,) = echo._connections.values()
    writer.close()
    await asyncio.sleep(0.05)
    assert await link.exchange(b"two\n", line) == b"two\n"


async def test_a_cancelled_exchange_leaves_no_reply_behind(echo: Echo, link: TcpLink) -> None:
    """The reply to a cancelled request is not the answer of the next."""
    echo.latency = 0.1
    task = asyncio.create_task(link.exchange(b"cancelled\n", line))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await link.exchange(b"next\n", line) == b"next\n"


async def test_nobody_there() -> None:
    """A port where nobody listens gives a fault that says so."""
    link = TcpLink("tcp://127.0.0.1:9", lambda: "pump", timeout=0.5)
    with pytest.raises(Fault, match=r"pump: tcp://127.0.0.1:9: cannot connect within 0.5 s .*check its power"):
        await link.exchange(b"?\n", line)
    await link.close()


async def test_links_share_a_connection_until_the_last_leaves(echo: Echo, link: TcpLink) -> None:
    """Two devices of one bus use one socket; it closes with the last of them."""
    other = TcpLink(str(link.address), lambda: "other")
    await asyncio.gather(link.exchange(b"a\n", line), other.exchange(b"b\n", line))
    assert len(echo._connections) == 1
    await link.close()
    await other.exchange(b"c\n", line)
    assert len(echo._connections) == 1
    await other.close()
    await asyncio.sleep(0.05)
    assert not echo._connections


async def test_a_link_belongs_to_one_event_loop(link: TcpLink) -> None:
    """Use from another event loop is refused with what to do."""
    await link.exchange(b"a\n", line)

    def elsewhere() -> None:
        asyncio.run(link.exchange(b"b\n", line))

    with pytest.raises(Fault, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    await asyncio.get_running_loop().shutdown_default_executor()
