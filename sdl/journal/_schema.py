"""The tables of a store, in portable SQL."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from sdl.journal._errors import StoreError

__all__ = ["FORMAT", "Prepared", "campaigns", "entries", "heads", "leases", "meta", "metadata", "refuse_other_format"]

FORMAT: Final = 1
"""Version of the store's layout, kept in `meta`."""

metadata = sa.MetaData()


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=False)


def _number(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=False, autoincrement=False)


meta = sa.Table("meta", metadata, _text("key", key=True), _text("value"))
"""`format`."""

campaigns = sa.Table("campaigns", metadata, _text("id", key=True), _text("name"), _number("created_at"), _text("hash"))
"""`hash` is the SHA-256 of the canonical JSON [id, name, created_at]."""

entries = sa.Table(
    "entries",
    metadata,
    _text("campaign", key=True),
    _number("seq", key=True),
    _number("at"),
    _text("kind"),
    _text("body"),
    _text("prev_hash"),
    _text("hash"),
    sqlite_with_rowid=False,  # one tree in place of two: a third fewer pages to sync with each durable entry
)

heads = sa.Table("heads", metadata, _text("campaign", key=True), _number("seq"), _text("hash"), _number("epoch"))
"""The end of each chain, moved in the transaction that writes the entry: it shows that a tail is missing, and lets
only the holder of the present epoch write."""

leases = sa.Table(
    "leases",
    metadata,
    _text("campaign", key=True),
    _number("epoch"),
    _text("holder"),
    _text("host"),
    _text("machine"),
    _number("pid"),
    _text("started"),
    _number("since"),
    _number("heartbeat"),
    _text("address"),
)
"""One row a campaign; `holder` is empty while nobody holds it. `epoch` equals that of the head."""


def refuse_other_format(name: str, version: str | None) -> None:
    """Refuse a store of another layout.

    Raises:
        StoreError: `version`, as `meta` has it, is not this release's.
    """
    if version != str(FORMAT):
        raise StoreError(
            f"{name} has store format {version}; this release of sdl reads format {FORMAT}. "
            "Use a later release of sdl, or another store"
        )


class Prepared:
    """A Core statement compiled once for a dialect, executed straight on the driver's cursor.

    The journal executes two statements a document; compiled ahead they cost a third of the CPU of `Connection.execute`.
    """

    def __init__(self, statement: sa.Insert | sa.Update, dialect: sa.Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._order: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positional else None

    def execute(self, cursor: Any, values: dict[str, Any]) -> int:
        """Execute once; return the number of rows touched."""
        cursor.execute(self._sql, self._bind(values))
        return int(cursor.rowcount)

    def execute_many(self, cursor: Any, rows: list[dict[str, Any]]) -> None:
        """Execute once a row."""
        cursor.executemany(self._sql, [self._bind(row) for row in rows])

    def _bind(self, values: dict[str, Any]) -> Any:
        return values if self._order is None else tuple([values[name] for name in self._order])
