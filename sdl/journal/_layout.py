"""How entries lie in a store: in a table of their own columns in the first format, packed in this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from sdl.journal._entry import GENESIS
from sdl.journal._errors import StoreError
from sdl.journal._forms import Packer, filler, gaps_of, whole
from sdl.journal._schema import (
    FIRST_FORMAT,
    PLACES,
    chains,
    entries,
    first_metadata,
    format_in,
    forms,
    metadata,
    packed,
)
from sdl.journal._select import distinct, raw_rows

__all__ = ["FIRST", "PACKED", "Fills", "Layout", "Line", "fills_of", "gaps_in", "layout_in", "number_of", "packer_for"]

Line = tuple[Any, ...]
"""An entry as it was written: campaign, seq, at, kind, body (its text), prev_hash, hash. After damage of any type;
`body` is None where it cannot be put together, and `prev_hash` where the entry before is not there."""
Fills = Mapping[int, tuple[str, Callable[[str], str]]]
"""Number of a form → its kind, and what makes a body of values."""
_CHAINS: Final = 2**63 // PLACES
"""Chains that a store can number."""
_LONG: Final = 2000
"""Rows from which on compiling a query anew pays."""


class Layout(ABC):
    """One way in which entries lie in a store."""

    metadata: sa.MetaData
    """The tables of the record."""

    @abstractmethod
    def page(
        self, connection: sa.Connection, campaign: str, after: int, size: int, kinds: Collection[str] | None
    ) -> Iterable[Line]:
        """Entries with a number above `after` in order, `size` at most, of the kinds given or of all.

        The connection is not needed any more while they are gone through.
        """

    @abstractmethod
    def last(self, connection: sa.Connection, campaign: str) -> Line | None:
        """The entry with the greatest number."""

    @abstractmethod
    def with_entries(self, connection: sa.Connection) -> set[Any]:
        """Ids of campaigns that have entries; of a damaged store anything."""

    @abstractmethod
    def strays(self, connection: sa.Connection) -> list[str]:
        """What is wrong with entries that belong to no campaign."""

    def entry(self, connection: sa.Connection, campaign: str, seq: int) -> Line | None:
        """One entry by its number."""
        return next((line for line in self.page(connection, campaign, seq - 1, 1, None) if line[1] == seq), None)


class _First(Layout):
    """As the first release laid them out: a row an entry, each column as it was written."""

    metadata = first_metadata

    def page(
        self, connection: sa.Connection, campaign: str, after: int, size: int, kinds: Collection[str] | None
    ) -> Iterable[Line]:
        query = sa.select(entries).where(entries.c.campaign == campaign, entries.c.seq > after)
        if kinds is not None:
            query = query.where(entries.c.kind.in_(sorted(kinds)))
        return list(_rows(connection, query.order_by(entries.c.seq), size))

    def last(self, connection: sa.Connection, campaign: str) -> Line | None:
        query = sa.select(entries).where(entries.c.campaign == campaign).order_by(entries.c.seq.desc()).limit(1)
        found = connection.execute(query).one_or_none()
        return None if found is None else tuple(found)

    def with_entries(self, connection: sa.Connection) -> set[Any]:
        return distinct(connection, entries.c.campaign)

    def strays(self, connection: sa.Connection) -> list[str]:
        return []


class _Packed(Layout):
    """As `sdl.journal._schema` describes."""

    metadata = metadata

    def page(
        self, connection: sa.Connection, campaign: str, after: int, size: int, kinds: Collection[str] | None
    ) -> Iterable[Line]:
        number = number_of(connection, campaign)
        if number is None:
            return []
        fills = fills_of(connection, number)
        if kinds is not None:
            return self._of_kinds(connection, campaign, after, size, (number, fills, kinds))
        base = number * PLACES
        # The row before the first tells its `prev_hash`.
        query = sa.select(packed).where(packed.c.place >= base + after, packed.c.place < base + PLACES)
        rows = list(_rows(connection, query.order_by(packed.c.place), size + 1))
        previous: Any = None if after else GENESIS
        if rows and rows[0][0] == base + after:
            previous = _hex(rows.pop(0)[4])
        # Put together one by one: a page of whole bodies does not fit the processor's cache.
        return _lines(campaign, base, after, previous, rows[:size], fills)

    def _of_kinds(
        self, connection: sa.Connection, campaign: str, after: int, size: int, of: tuple[int, Fills, Collection[str]]
    ) -> list[Line]:
        number, fills, kinds = of
        base, before = number * PLACES, packed.alias()
        chosen = [form for form, (kind, _) in fills.items() if kind in kinds]
        query = (
            sa.select(packed, before.c.hash)
            .outerjoin(before, before.c.place == packed.c.place - 1)
            .where(packed.c.place > base + after, packed.c.place < base + PLACES, packed.c.form.in_(chosen))
            .order_by(packed.c.place)
        )
        found: list[Line] = []
        for row in _rows(connection, query, size):
            seq = row[0] - base
            previous = _hex(row[5]) if seq > 1 else GENESIS
            found += _lines(campaign, base, seq - 1, previous, [row[:5]], fills)
        return found

    def last(self, connection: sa.Connection, campaign: str) -> Line | None:
        number = number_of(connection, campaign)
        if number is None:
            return None
        base = number * PLACES
        place = connection.execute(
            sa.select(sa.func.max(packed.c.place)).where(packed.c.place >= base, packed.c.place < base + PLACES)
        ).scalar()
        return None if place is None else self.entry(connection, campaign, place - base)

    def with_entries(self, connection: sa.Connection) -> set[Any]:
        return {row.campaign for row in connection.execute(sa.select(chains.c.campaign))}

    def strays(self, connection: sa.Connection) -> list[str]:
        known = {row.number for row in connection.execute(sa.select(chains.c.number))}
        found, last = list[str](), None
        least = sa.select(sa.func.min(packed.c.place))
        while True:
            where = least if last is None else least.where(packed.c.place >= (last + 1) * PLACES)
            place = connection.execute(where).scalar()
            if not isinstance(place, int):
                return found
            last = place // PLACES
            if last not in known:
                found.append(f"there are entries of a chain {last}, which belongs to no campaign")
            if last + 1 >= _CHAINS:
                return found


FIRST: Final = _First()
PACKED: Final = _Packed()


def layout_in(connection: sa.Connection) -> Layout:
    """The layout of a store."""
    return FIRST if format_in(connection) == str(FIRST_FORMAT) else PACKED


def number_of(connection: sa.Connection, campaign: str) -> int | None:
    """Number of a campaign's chain; None where it has none."""
    found = connection.execute(sa.select(chains.c.number).where(chains.c.campaign == campaign)).scalar_one_or_none()
    # What no chain reaches is a damaged number, whose places no database can be asked for.
    return found if isinstance(found, int) and 0 < found < _CHAINS else None


def _forms(connection: sa.Connection, number: int) -> list[Any]:
    query = sa.select(forms.c.number, forms.c.kind, forms.c.pieces).where(forms.c.chain == number)
    return list(connection.execute(query))


def fills_of(connection: sa.Connection, number: int) -> Fills:
    """The forms of a chain, for reading; not to be shared by threads."""
    # After damage anything may be stored.
    return {
        form: (kind, whole if pieces is None else filler(pieces))
        for form, kind, pieces in _forms(connection, number)
        if isinstance(kind, str) and isinstance(pieces, str | None)
    }


def gaps_in(connection: sa.Connection, number: int) -> dict[int, int]:
    """For each form of a chain how many values its entries have; 0 where it is not canonical, or has no pieces."""
    return {form: gaps_of(pieces) if isinstance(pieces, str) else 0 for form, _, pieces in _forms(connection, number)}


def packer_for(connection: sa.Connection, campaign: str) -> Packer:
    """What packs the entries of a campaign.

    Raises:
        StoreError: it has no chain.
    """
    number = number_of(connection, campaign)
    if number is None:
        raise StoreError(f"campaign {campaign} has no chain: the store is damaged; list the damage with `sdl verify`")
    return Packer(number, {form: (kind, pieces) for form, kind, pieces in _forms(connection, number)})


def _rows(connection: sa.Connection, query: sa.Select[Any], size: int) -> Iterable[Any]:
    if size >= _LONG:
        return raw_rows(connection, query.limit(size))
    return connection.execute(query.limit(size)).all()


def _hex(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _lines(campaign: str, base: int, after: int, previous: Any, rows: Iterable[Any], fills: Fills) -> Iterator[Line]:
    """Entries of rows that follow each other; `previous`: hash of entry `after`, if that is there."""
    unknown = (None, whole)
    for place, form, at, values, own in rows:
        seq = place - base
        kind, fill = fills.get(form, unknown)
        try:
            body = fill(values) if kind is not None and type(values) is str else None
        except ValueError:
            body = None
        own = own.hex() if type(own) is bytes else own
        yield campaign, seq, at, kind, body, previous if seq == after + 1 else None, own
        after, previous = seq, own
