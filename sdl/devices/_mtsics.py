"""MT-SICS, the Mettler-Toledo Standard Interface Command Set: lines of ASCII that end in CR LF.

Source: METTLER TOLEDO, Reference Manual MT-SICS (level 0 version 2.3x, level 1 version 2.2x), chapters 3 (formats of
commands and responses, error messages ES, ET and EL) and 4 (I4, S, SI, T, TA, Z).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Self

from sdl.devices._link import Reply, TcpLink
from sdl.model import Fault

__all__ = ["ERRORS", "SicsLink", "Weight"]

ERRORS: Final = {
    "ES": "the balance does not know this command (syntax error)",
    "ET": "the command arrived damaged (transmission error); check the serial line's settings",
    "EL": "the balance cannot execute this command (logical error)",
}
"""Answers in place of a response."""
UNITS: Final = {"g": 1.0, "mg": 1e-3, "kg": 1e3, "ug": 1e-6}
"""Unit of a weight → grams."""
_WEIGHT = re.compile(r"([SDA]) +(-?\d+(?:\.(\d+))?) ([A-Za-z]+) *")
_LONGEST = 400


@dataclass(frozen=True)
class Weight:
    """A weight as the balance gave it."""

    status: str
    """S stable, D dynamic (not stable), A of a value from memory."""
    grams: float
    """g"""
    step: float
    """What its last digit is worth, g."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `S      12.3456 g`.

        Raises:
            ValueError: it is no weight.
        """
        match = _WEIGHT.fullmatch(text)
        if match is None or match[4] not in UNITS:
            raise ValueError(f"{text!r} is not a status, a weight and one of the units {', '.join(UNITS)}")
        size = UNITS[match[4]]
        return cls(match[1], float(match[2]) * size, size * 10.0 ** -len(match[3] or ""))


class SicsLink:
    """Exchanges with one balance.

    Args:
        address: `tcp://host:port`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
        patience: further wall seconds for one that waits until the balance is stable.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float, patience: float) -> None:
        self.tcp = TcpLink(address, owner, timeout)
        self._slow = TcpLink(address, owner, timeout + patience)  # shares the connection

    @property
    def asked_at(self) -> float:
        """When something was last sent, as `time.monotonic()` tells it."""
        return max(self.tcp.asked_at, self._slow.asked_at)

    def fault(self, message: str) -> Fault:
        """A fault that names the device and its address."""
        return self.tcp.fault(message)

    async def ask(self, command: str, *, acting: bool = False, slow: bool = False) -> str:
        """What follows the command's own letters in its response: `S      12.3456 g`, `I`, `+`.

        Args:
            command: one of level 0 or 1.
            acting: whether it changes something; an error is then a `Refusal`, since it was not executed.
            slow: whether it waits until the balance is stable.

        Raises:
            Refusal: the balance answered to a command that acts with an error.
            Fault: no connection, no answer, an error, or no MT-SICS.
        """
        link = self._slow if slow else self.tcp
        # SI is answered under the letter of S (chapter 4, SI).
        letters = "S" if command == "SI" else command.partition(" ")[0]
        answer = await link.exchange(f"{command}\r\n".encode("ascii"), _reader(letters))
        if answer in ERRORS:
            complain = self.tcp.refusal if acting else self.fault
            raise complain(f"answered {answer} to {command!r}: {ERRORS[answer]}")
        return answer

    async def close(self) -> None:
        """Close the connection."""
        await self.tcp.close()
        await self._slow.close()


def _reader(letters: str) -> Callable[[Reply], Awaitable[str]]:
    async def line(reply: Reply) -> str:
        text = (await reply.until(b"\r\n", _LONGEST))[:-2].decode("ascii")
        if text in ERRORS:
            return text
        word, _, rest = text.partition(" ")
        if word != letters or not rest:
            raise ValueError(f"it does not begin with {letters!r}")
        return rest

    return line
