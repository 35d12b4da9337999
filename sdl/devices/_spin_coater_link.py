"""Exchanges with a spin coater: one line out, one line back, and each `ERR` an error in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sdl.devices._link import Reply, TcpLink
from sdl.devices._spin_coater_protocol import ERRORS, Counters, Status, parse_reply
from sdl.model import Fault

__all__ = ["CoaterLink"]

T = TypeVar("T")
_LONGEST = 1000


class _Refused(Exception):
    """The coater answered `ERR`."""


class CoaterLink:
    """The connection to one coater.

    Args:
        address: `tcp://host:port`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.tcp = TcpLink(address, owner, timeout)

    def fault(self, message: str) -> Fault:
        """A `Fault` of the device that names its address."""
        return self.tcp.fault(message)

    async def command(self, text: str) -> dict[str, str]:
        """Send a command; what its `OK` says.

        Raises:
            Refusal: the coater answered that it does not do it.
            Fault: no connection, no answer, or no sense.
        """
        try:
            return await self._exchange(text, parse_reply)
        except _Refused as error:
            raise self.tcp.refusal(str(error)) from None

    async def status(self) -> Status:
        """What the coater does now. Raises `Fault`."""
        return await self._query("ST?", Status.read)

    async def counters(self) -> Counters:
        """What it has done, and how its last action stands. Raises `Fault`."""
        return await self._query("CN?", Counters.read)

    async def identity(self) -> str:
        """Maker, model, serial number and version, joined by commas. Raises `Fault`."""
        return await self._query("ID?", lambda text: text.removeprefix("OK").strip())

    async def close(self) -> None:
        """Close the connection."""
        await self.tcp.close()

    async def _query(self, text: str, read: Callable[[str], T]) -> T:
        # A query that is refused says nothing about an action, so this is no `Refusal`.
        try:
            return await self._exchange(text, read)
        except _Refused as error:
            raise self.fault(str(error)) from None

    async def _exchange(self, text: str, read: Callable[[str], T]) -> T:
        answer = await self.tcp.exchange(f"{text}\r\n".encode("ascii"), _reader(read))
        if isinstance(answer, _Refused):
            raise _Refused(f"refused {text!r}: {answer}")
        return answer


def _reader(read: Callable[[str], T]) -> Callable[[Reply], Awaitable[T | _Refused]]:
    async def line(reply: Reply) -> T | _Refused:
        text = (await reply.until(b"\r\n", _LONGEST))[:-2].decode("ascii")
        if not text.startswith(("OK", "ERR")):
            raise ValueError("neither OK nor ERR")
        if text.startswith("OK"):
            return read(text)
        number, _, words = text[3:].strip().partition(" ")
        return _Refused(f"error {int(number)}, {words or ERRORS.get(int(number), 'unknown')}")

    return line
