"""The audit of chains: every entry is compared with its hash, its neighbour and the canonical form.

Whole chains or parts of them, so that several processes share the work: an entry once written never changes, so parts
may be read at different moments, while a campaign goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa

from sdl.journal import _first_chains
from sdl.journal._canonical import is_canonical
from sdl.journal._entry import GENESIS, digest
from sdl.journal._layout import FIRST, PACKED, Fills, fills_of, gaps_in, layout_in, number_of
from sdl.journal._rows import Damage
from sdl.journal._schema import PLACES, heads, packed
from sdl.journal._select import raw_rows

__all__ = ["Part", "examine", "is_text", "parts_of"]

_PART: Final = 25_000
"""Entries of a part."""
_LONGEST: Final = 10**8
"""Entries of a chain that is still cut into parts."""


class Part(NamedTuple):
    """Some entries of a chain."""

    campaign: str
    after: int
    """Number of the entry before the first; 0 for the beginning."""
    upto: int | None
    """Number of the last entry; None for the end of the chain, which is compared with the head."""


def parts_of(campaign: str, seq: Any) -> list[Part]:
    """A chain in parts; `seq` is what its head says."""
    # A number that no chain reaches is a damaged one.
    ends = range(_PART, seq - _PART // 2, _PART) if isinstance(seq, int) and seq < _LONGEST else range(0)
    starts = [0, *ends]
    return [Part(campaign, after, upto) for after, upto in zip(starts, [*starts[1:], None], strict=True)]


def examine(connection: sa.Connection, part: Part) -> Iterator[Damage]:
    """All damage within a part, and between it and what is before it."""
    if layout_in(connection) is FIRST:
        yield from _first_chains.examine(connection, part)
        return
    name = part.campaign
    number = number_of(connection, name)
    last: tuple[int, Any] = (0, GENESIS)
    if number is not None:
        chain = _Chain(name, number * PLACES, fills_of(connection, number), gaps_in(connection, number))
        yield from chain.examine(connection, part)
        last = (chain.seq, chain.hash)
    if part.upto is not None:
        if last[0] != part.upto:
            yield Damage(name, last[0] + 1, f"entry {last[0] + 1} is missing")
        return
    head = connection.execute(sa.select(heads.c.seq, heads.c.hash).where(heads.c.campaign == name)).one_or_none()
    if head is not None and (head.seq, head.hash) != last:
        text = f"the chain ends with entry {last[0]}, but the head says {head.seq!r}, or another hash"
        yield Damage(name, last[0], text)


class _Chain:
    """The rows of a chain, gone through in order."""

    def __init__(self, name: str, base: int, fills: Fills, gaps: Mapping[int, int]) -> None:
        self.seq = 0
        """Of the last entry so far."""
        self.hash: str | None = GENESIS
        """Hash of the last entry as it is stored; None where it is not there or is none."""
        self._given: str | None = None
        """The hash that its contents give, where that is another."""
        self._name, self._base = name, base
        self._quoted = orjson.dumps(name).decode()
        # Of a damaged text anything may be a kind.
        self._fills = {
            form: (orjson.dumps(kind).decode(), fill, gaps[form])
            for form, (kind, fill) in fills.items()
            if is_text(kind)
        }

    def examine(self, connection: sa.Connection, part: Part) -> Iterator[Damage]:
        """Damage of the entries of a part."""
        base = self._base
        if part.after:
            self._begin(connection, part.after)
        first = base + part.after + 1 if part.after else base
        last = base + (PLACES - 1 if part.upto is None else part.upto)
        query = sa.select(packed).where(packed.c.place >= first, packed.c.place <= last).order_by(packed.c.place)
        for row in raw_rows(connection, query):
            if row[0] - base == self.seq + 1 and self._sound(row, self.hash):
                self.seq += 1
                self.hash, self._given = row[4].hex(), None
            else:
                yield from self._doubtful(row)

    def _begin(self, connection: sa.Connection, after: int) -> None:
        """Take up the chain behind an entry that another part examines."""
        self.seq, self.hash = after, None
        before = PACKED.entry(connection, self._name, after)
        if before is not None:
            campaign, seq, at, kind, body, prev_hash, own = before
            self.hash = own if isinstance(own, str) else None
            try:
                self._given = digest(prev_hash, campaign, seq, at, kind, body)
            except (ValueError, TypeError, AttributeError):
                self._given = None

    def _sound(self, row: tuple[Any, ...], previous: str | None) -> bool:
        """Whether nothing at all is wrong with an entry that follows one with the hash `previous`."""
        place, form, at, values, own = row
        if type(form) is not int or type(at) is not int or type(values) is not str or type(own) is not bytes:
            return False
        try:
            kind, fill, gaps = self._fills[form]
            body = fill(values)
            line = f'["{previous}",{self._quoted},{place - self._base},{at},{kind},{body}]'
            if sha256(line.encode()).digest() != own:
                return False
            if gaps and "," not in values:
                # The form is canonical, and each gap takes one value: it is enough to look at those.
                raw = f"[{values}]".replace("\n", ",").encode()
                found = orjson.loads(raw)
                return len(found) == gaps and orjson.dumps(found, option=orjson.OPT_SORT_KEYS) == raw
            return is_canonical(body)
        except (ValueError, TypeError, KeyError):
            return False

    def _doubtful(self, row: tuple[Any, ...]) -> Iterator[Damage]:
        """What is wrong with an entry that is not as it should be, or follows one that is not."""
        seq = row[0] - self._base
        previous, given = self.hash, self._given
        if seq != self.seq + 1:
            yield Damage(self._name, self.seq + 1, f"entry {self.seq + 1} is missing: the next is {seq}")
            previous = given = None
        # After a hash that was changed, the entry that follows it is sound by what that hash was.
        if given is None or not self._sound(row, given):
            fault = self._fault(row, previous)
            if fault:
                yield Damage(self._name, seq, fault)
        self.seq = seq
        self.hash = row[4].hex() if isinstance(row[4], bytes) else None
        self._given = self._gives(row, previous)

    def _gives(self, row: tuple[Any, ...], previous: str | None) -> str | None:
        """The hash that the contents of an entry give; None where they give none, or nobody knows what it follows."""
        place, form, at, values, _ = row
        if previous is None:
            return None
        try:
            kind, fill, _ = self._fills[form]
            return digest(previous, self._name, place - self._base, at, orjson.loads(kind), fill(values))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def _fault(self, row: tuple[Any, ...], previous: str | None) -> str:
        """What is wrong within an entry; empty when nothing is. `previous`: None where nobody knows what it follows."""
        place, form, at, values, own = row
        types = {
            "place": (place, int),
            "form": (form, int),
            "at": (at, int),
            "body": (values, str),
            "hash": (own, bytes),
        }
        wrong = [name for name, (value, kind) in types.items() if type(value) is not kind]
        if wrong:
            return f"{', '.join(wrong)}: stored as another type than it was written"
        if form not in self._fills:
            return f"its form {form} is missing, or is none"
        try:
            body = self._fills[form][1](values)
            if previous is not None and self._gives(row, previous) != own.hex():
                return "its contents do not give its hash: something in it was changed"
            if not is_canonical(body):
                return "its body is not canonical JSON, so no release of sdl wrote it"
        except (ValueError, TypeError) as error:
            return f"it cannot be read: {error}"
        return ""


def is_text(value: Any) -> bool:
    """Whether a value is a text without damage."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
