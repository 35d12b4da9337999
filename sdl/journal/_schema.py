"""The tables of a store, in portable SQL.

Entries are kept packed. Most bodies of a chain differ in their numbers and ids alone, so what they share is kept once,
in `forms`, and a row of `packed` holds the rest; the hash is 32 bytes, and that of the entry before is in the row
before. The view `entries` gives every entry as it was written, to anybody, without sdl.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from sdl.journal._entry import GENESIS
from sdl.journal._errors import StoreError

__all__ = [
    "FIRST_FORMAT",
    "FORMAT",
    "PLACES",
    "Prepared",
    "campaigns",
    "chains",
    "drop_first_entries",
    "entries",
    "first_metadata",
    "format_in",
    "forms",
    "heads",
    "lay_out",
    "leases",
    "make_packed",
    "meta",
    "metadata",
    "packed",
    "refuse_other_format",
    "view_of",
]

FORMAT: Final = 2
"""Version of the store's layout, kept in `meta`."""
FIRST_FORMAT: Final = 1
"""The layout of the first release: it is read, and brought up to date by whoever writes."""
PLACES: Final = 2**40
"""Places of a chain: an entry's place is the number of its chain times this, and its own number."""

metadata = sa.MetaData()


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=False)


def _number(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=False, autoincrement=False)


def _rowid(name: str, *, given: bool) -> sa.Column[int]:
    # SQLite makes a column the key of the table's one tree only where the type is INTEGER.
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column(name, kind, primary_key=True, autoincrement=not given)


meta = sa.Table("meta", metadata, _text("key", key=True), _text("value"))
"""`format`."""

campaigns = sa.Table("campaigns", metadata, _text("id", key=True), _text("name"), _number("created_at"), _text("hash"))
"""`hash` is the SHA-256 of the canonical JSON [id, name, created_at]."""

chains = sa.Table(
    "chains", metadata, _rowid("number", given=False), sa.Column("campaign", sa.Text, nullable=False, unique=True)
)
"""The number by which entries name their campaign."""

forms = sa.Table(
    "forms",
    metadata,
    _number("chain", key=True),
    _number("number", key=True),
    _text("kind"),
    sa.Column("pieces", sa.Text),
    sqlite_with_rowid=False,
)
"""What entries of a chain share: their kind, and the pieces of the body between its values, a line each. Where
`pieces` is null, such entries have whole bodies."""

packed = sa.Table(
    "packed",
    metadata,
    _rowid("place", given=True),
    _number("form"),
    _number("at"),
    _text("body"),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
"""One row an entry. `place`: see `PLACES`; the numbers grow, so that pages fill up, and one tree holds everything.
`body`: the values that belong between the pieces of the form, a line each; or the whole body."""

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

first_metadata = sa.MetaData()
"""The tables of the first format."""

for _table in (meta, campaigns, heads, leases):
    _table.to_metadata(first_metadata)

entries = sa.Table(
    "entries",
    first_metadata,
    _text("campaign", key=True),
    _number("seq", key=True),
    _number("at"),
    _text("kind"),
    _text("body"),
    _text("prev_hash"),
    _text("hash"),
    sqlite_with_rowid=False,
)
"""A table in the first format, and in this one the view with the same columns."""

_VIEW: Final = """CREATE VIEW entries AS SELECT c.campaign AS campaign, p.place - c.number * {places} AS seq,
 p.at AS at, f.kind AS kind, CASE WHEN f.pieces IS NULL THEN p.body ELSE {body} END AS body,
 coalesce((SELECT {before} FROM packed b WHERE b.place = p.place - 1), '{genesis}') AS prev_hash, {own} AS hash
 FROM chains c JOIN packed p ON p.place BETWEEN c.number * {places} AND c.number * {places} + {last}
 JOIN forms f ON f.chain = c.number AND f.number = p.form"""
_BODY: Final = {
    # Neither pieces nor values have a line end or a backslash within them, so lines become elements of a JSON array.
    "sqlite": r"""(SELECT group_concat(text, '') FROM (SELECT s.value || coalesce(v.value, '') AS text
 FROM json_each('[' || replace(json_quote(f.pieces), '\n', '","') || ']') s
 LEFT JOIN json_each('[' || replace(json_quote(p.body), '\n', '","') || ']') v ON v.key = s.key ORDER BY s.key))""",
    "postgresql": r"""(SELECT string_agg(s.text || coalesce(v.text, ''), '' ORDER BY s.n)
 FROM unnest(string_to_array(f.pieces, E'\n')) WITH ORDINALITY s(text, n)
 LEFT JOIN unnest(string_to_array(p.body, E'\n')) WITH ORDINALITY v(text, n) ON v.n = s.n)""",
}
_HEX: Final = {"sqlite": "lower(hex({0}.hash))", "postgresql": "encode({0}.hash, 'hex')"}


def view_of(dialect: str) -> str:
    """The statement that makes the view `entries`; `dialect` as SQLAlchemy names it."""
    own, body = _HEX[dialect], _BODY[dialect]
    return _VIEW.format(
        places=PLACES, last=PLACES - 1, body=body, genesis=GENESIS, before=own.format("b"), own=own.format("p")
    )


def lay_out(connection: sa.Connection) -> None:
    """Make the tables of an empty store, within the caller's transaction."""
    metadata.create_all(connection)
    connection.exec_driver_sql(view_of(connection.dialect.name))
    connection.execute(meta.insert().values(key="format", value=str(FORMAT)))


def make_packed(connection: sa.Connection) -> None:
    """Make the tables that the first format lacks."""
    metadata.create_all(connection, tables=[chains, forms, packed])


def drop_first_entries(connection: sa.Connection) -> None:
    """Put the view in place of the first format's entries, and the number of this format on record."""
    entries.drop(connection)
    connection.exec_driver_sql(view_of(connection.dialect.name))
    connection.execute(meta.update().where(meta.c.key == "format").values(value=str(FORMAT)))


def format_in(connection: sa.Connection) -> str | None:
    """The format that a store names; None where it names none."""
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "format")).scalar()
    return None if found is None else str(found)


def refuse_other_format(name: str, version: str | None) -> None:
    """Refuse a store of another layout.

    Raises:
        StoreError: `version`, as `meta` has it, is none that this release reads.
    """
    if version not in (str(FORMAT), str(FIRST_FORMAT)):
        raise StoreError(
            f"{name} has store format {version}; this release of sdl reads formats {FIRST_FORMAT} and {FORMAT}. "
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
