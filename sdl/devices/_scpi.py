"""SCPI over a TCP socket: each exchange carries `SYSTem:ERRor?`, so that no refusal goes unnoticed.

Sources: IEEE 488.2-1992 (message exchange, block data), SCPI-1999 volumes 1 and 2 (headers, error queue).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sdl.devices._link import Reply, TcpLink
from sdl.model import Fault

__all__ = ["ScpiError", "ScpiLink", "parse_block", "quote"]

_ERROR = re.compile(rb'(?:(?P<data>.*);)?(?P<code>[+-]?\d+),"(?P<text>(?:[^"]|"")*)"\s*', re.DOTALL)
_LONGEST = 1 << 26


class ScpiError(Fault):
    """The instrument put an error into its queue.

    Args:
        device: name in the lab file.
        message: for people.
        code: number of the error.
        detail: its text.
        acting: whether it came as the answer to a command, not to a query. Command errors (-1xx) and execution errors
            (-2xx) then say that the command was not executed (SCPI-1999, volume 2, section 21.8).
    """

    def __init__(self, device: str, message: str, code: int, detail: str, acting: bool = False) -> None:
        super().__init__(device, message)
        self.clean = acting and -300 < code <= -100
        """Whether the command is known not to have been executed."""
        self.code = code
        """Number of the error: negative for those of the standard, positive for the instrument's own."""
        self.detail = detail
        """Text of the error."""
        self._acting = acting

    def __reduce__(self) -> Any:
        return type(self), (self.device, self._message, self.code, self.detail, self._acting)


def quote(value: str) -> str:
    """String program data: in quotes, quotes inside doubled.

    Raises:
        ValueError: it holds a line feed, which ends a message.
    """
    if "\n" in value:
        raise ValueError(f"{value!r} holds a line feed, which SCPI cannot carry")
    return '"' + value.replace('"', '""') + '"'


def parse_block(data: bytes, dtype: str = ">f8") -> npt.NDArray[np.float64]:
    """Numbers of a definite-length block (IEEE 488.2-1992, section 8.7.9).

    Args:
        data: `#`, one digit n, n digits of length, and as many bytes.
        dtype: of the elements, as numpy writes it.

    Raises:
        ValueError: not such a block, or its length does not fit.
    """
    if data[:1] != b"#" or not data[1:2].isdigit() or data[1:2] == b"0":
        raise ValueError("no definite-length block")
    digits = int(data[1:2])
    length, body = data[2 : 2 + digits], data[2 + digits :]
    if len(length) != digits or not length.isdigit() or int(length) != len(body):
        raise ValueError(f"block announces {length!r} bytes and holds {len(body)}")
    if len(body) % np.dtype(dtype).itemsize:
        raise ValueError(f"{len(body)} bytes are no whole number of elements")
    return np.frombuffer(body, dtype).astype(np.float64)


class ScpiLink:
    """SCPI exchanges of one instrument.

    Args:
        address: `tcp://host:port`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.tcp = TcpLink(address, owner, timeout)
        self._owner = owner

    @property
    def address(self) -> str:
        """Where the instrument answers."""
        return str(self.tcp.address)

    def fault(self, message: str) -> Fault:
        """A fault that names the device and its address."""
        return self.tcp.fault(message)

    async def command(self, message: str) -> None:
        """Send a command and check that the instrument took it.

        Raises:
            ScpiError: the instrument refused it.
            Fault: no connection, no answer, or no SCPI.
        """
        if await self._exchange(message, _read_text, acting=True) is not None:
            raise self.fault(f"answered to {message!r}, which is no query")

    async def query(self, message: str) -> str:
        """Response to a query.

        Raises:
            ScpiError: the instrument refused it.
            Fault: no connection, no answer, or no SCPI.
        """
        reply = await self._exchange(message, _read_text)
        if reply is None:
            raise self.fault(f"no response to {message!r}")
        try:
            return reply.decode()
        except UnicodeDecodeError:
            raise self.fault(f"reply to {message!r} is no text: {reply[:40]!r}") from None

    async def query_number(self, message: str) -> float:
        """Numeric response to a query."""
        reply = await self.query(message)
        try:
            return float(reply)
        except ValueError:
            raise self.fault(f"reply to {message!r} is no number: {reply[:40]!r}") from None

    async def query_array(self, message: str, dtype: str = ">f8") -> npt.NDArray[np.float64]:
        """Numbers, as a block or as text with commas, shape (n,)."""
        reply = await self._exchange(message, _read_block)
        if reply is None:
            raise self.fault(f"no response to {message!r}")
        try:
            if reply.startswith(b"#"):
                return parse_block(reply, dtype)
            return np.array([float(part) for part in reply.split(b",")])
        except ValueError as error:
            raise self.fault(f"reply to {message!r} is no array: {error}") from None

    async def keep_alive(self) -> None:
        """Ask for something, so that the instrument hears of us; its error queue stays as it is.

        Raises:
            Fault: no connection, or no answer.
        """
        await self.tcp.exchange(b"STAT:OPER:COND?\n", lambda reply: reply.until(b"\n"))

    async def close(self) -> None:
        """Close the connection."""
        await self.tcp.close()

    async def _exchange(
        self, message: str, read: Callable[[Reply], Awaitable[tuple[bytes | None, int, str]]], *, acting: bool = False
    ) -> bytes | None:
        request = f"{message};:SYST:ERR?\n".encode()
        data, code, detail = await self.tcp.exchange(request, read)
        if code == 0:
            return data
        await self._drain()
        text = f"{self.address}: refused {message!r}: {code}, {detail}"
        raise ScpiError(self._owner(), text, code, detail, acting)

    async def _drain(self) -> None:
        """Empty the error queue, so that an old error is not taken for the next command's."""
        for _ in range(20):
            _data, code, _detail = await self.tcp.exchange(b"SYST:ERR?\n", _read_text)
            if code == 0:
                return


def _checked(data: bytes) -> tuple[bytes | None, int, str]:
    found = _ERROR.fullmatch(data)
    if not found:
        raise ValueError("the error queue's answer is missing")
    return found["data"], int(found["code"]), found["text"].decode(errors="replace").replace('""', '"')


async def _read_text(reply: Reply) -> tuple[bytes | None, int, str]:
    return _checked(await reply.until(b"\n"))


async def _read_block(reply: Reply) -> tuple[bytes | None, int, str]:
    first = await reply.exactly(1)
    if first != b"#":
        return _checked(first + await reply.until(b"\n"))
    digits = await reply.exactly(1)
    if not digits.isdigit() or digits == b"0":
        raise ValueError("no definite-length block")
    length = await reply.exactly(int(digits))
    if not length.isdigit() or int(length) > _LONGEST:
        raise ValueError(f"block of length {length!r}")
    body = await reply.exactly(int(length))
    rest = await reply.until(b"\n")
    if not rest.startswith(b";"):
        raise ValueError("block is longer than it says")
    _data, code, detail = _checked(rest[1:])
    return b"#" + digits + length + body, code, detail
