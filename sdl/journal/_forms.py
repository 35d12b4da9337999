"""Forms: what the bodies of a chain's entries share, kept once, and the values that each of them has of its own.

A body is cut where a number, a list of numbers, or a text with a digit in it stands as a value. What is between these
values, its pieces, is the form: for the events of one detector always the same. Put together, pieces and values are the
body again, character by character, whatever the cuts were; no meaning hangs on them.

A form is made when its pieces come for the second time, so what is said only once, as a remark of a person, makes none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sdl.journal._canonical import is_canonical

__all__ = ["Form", "Packer", "filler", "gaps_of", "whole"]

_VALUE: Final = re.compile(r'(?<=[:\[,])(-?\d[\d.eE+,-]*(?<=\d)|"[^"\\\d]*\d[^"\\]*")(?=[,\]}])')
_LONGEST: Final = 65_536
"""Characters of a body that is cut."""
_MOST: Final = 500
"""Forms of a chain."""
_REMEMBERED: Final = 1000
"""Pieces that have come once."""


class Form(NamedTuple):
    """What some entries of a chain share."""

    number: int
    kind: str
    pieces: str | None
    """A line each; None where entries have whole bodies."""


def filler(pieces: str) -> Callable[[str], str]:
    """What makes a body of its values, a line each. It raises ValueError where they do not belong to the form."""
    texts = pieces.split("\n")
    slots = [""] * (2 * len(texts) - 1)
    slots[::2] = texts
    join, gap = "".join, slice(1, None, 2)

    def fill(values: str) -> str:
        slots[gap] = values.split("\n")
        return join(slots)

    return fill


def gaps_of(pieces: str) -> int:
    """How many values a form takes, if with a value in each gap it is canonical JSON, or else 0."""
    try:
        return pieces.count("\n") if is_canonical(pieces.replace("\n", "0")) else 0
    except ValueError:
        return 0


def whole(body: str) -> str:
    """The body of an entry without a form."""
    return body


class Packer:
    """Packs the entries of one chain, in order. Not thread-safe: it belongs to whoever holds the chain."""

    def __init__(self, chain: int, known: Mapping[int, tuple[str, str | None]]) -> None:
        """Args:
        chain: its number.
        known: the forms there are: number → kind and pieces.
        """
        self.chain = chain
        self._numbers = {form: number for number, form in known.items()}
        self._last = max(known, default=0)
        self._once: set[tuple[str, str]] = set()

    def pack(self, kind: str, text: str, fresh: list[Form]) -> tuple[int, str]:
        """Number of the form, and what is stored as the body; a form that has to be stored first goes to `fresh`."""
        cut = _cut(text)
        if cut is not None:
            key = (kind, cut[0])
            number = self._numbers.get(key)
            if number is None and self._returns(key):
                number = self._make(kind, cut[0], fresh)
            if number is not None:
                return number, cut[1]
        number = self._numbers.get((kind, None))
        return (self._make(kind, None, fresh) if number is None else number), text

    def _returns(self, key: tuple[str, str]) -> bool:
        """Whether pieces have come before, and may make a form."""
        if len(self._numbers) >= _MOST:
            return False
        if key in self._once:
            self._once.discard(key)
            return True
        if len(self._once) >= _REMEMBERED:
            self._once.clear()
        self._once.add(key)
        return False

    def _make(self, kind: str, pieces: str | None, fresh: list[Form]) -> int:
        self._last += 1
        self._numbers[kind, pieces] = self._last
        fresh.append(Form(self._last, kind, pieces))
        return self._last


def _cut(text: str) -> tuple[str, str] | None:
    """Pieces and values of a body, a line each; None where it is not worth while, or has a backslash."""
    if len(text) > _LONGEST or "\\" in text:
        return None
    parts = _VALUE.split(text)
    if len(parts) == 1:
        return None
    return "\n".join(parts[::2]), "\n".join(parts[1::2])
