"""Entries of a worker's spool as they come in: checked against the chain, each taken once, none left out."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from sdl.journal import digest
from sdl.worker._past import split

__all__ = ["Inflow", "Taken"]

_TYPES = [int, int, int, str, str, str, str]


class Taken(NamedTuple):
    """An entry."""

    number: int
    kind: str
    body: dict[str, Any]
    hash: str


class Inflow:
    """Follows one campaign's chain in a worker's spool."""

    def __init__(self, campaign: str, after: int) -> None:
        """Args:
        campaign: id.
        after: number of the last entry that is known; 0 for none.
        """
        self.after = after
        """Number of the last entry that was taken."""
        self._campaign = campaign
        self._hash = ""

    def read(self, row: list[Any]) -> Taken | None:
        """The entry in a row of a batch; None for one that was taken before.

        Raises:
            ValueError: it is malformed, damaged, or not the next one.
        """
        if [type(value) for value in row] != _TYPES:
            raise ValueError("an entry is malformed")
        number, seq, at, kind, text, before, own = row
        if number <= self.after:
            return None
        if not self._follows(number, seq, before):
            raise ValueError(f"entry {number} does not follow {self.after}")
        if digest(before, self._campaign, seq, at, kind, text) != own:
            raise ValueError(f"entry {number} is damaged")
        return Taken(number, kind, orjson.loads(text), own)

    def took(self, taken: Taken) -> None:
        """An entry has been handed on."""
        self.after, self._hash = taken.number, taken.hash

    def _follows(self, number: int, seq: int, before: str) -> bool:
        """Whether an entry is the next one of the chain, as far as that can be told from here."""
        incarnation, last = split(self.after)
        if split(number)[1] != seq:
            return False
        if split(number)[0] == incarnation:
            return seq == last + 1 and before == (self._hash or before)
        return split(number)[0] > incarnation
