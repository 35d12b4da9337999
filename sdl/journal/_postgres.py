"""Everything that is peculiar to PostgreSQL (postgresql.org/docs/current: wal-async-commit, explicit-locking)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from sdl.journal._database import Database, exclude_others
from sdl.journal._errors import StoreError
from sdl.journal._schema import first_metadata, format_in, lay_out, metadata, refuse_other_format
from sdl.journal.location import shown
from sdl.model import InputError, MissingExtra

try:
    import psycopg
except ImportError as error:  # pragma: no cover - the extra is installed where this is tested
    raise MissingExtra("a store in PostgreSQL", "postgres") from error

__all__ = ["PostgreSQL"]

_BUSY_S: Final = 10
_LOST_S: Final = 15
_SESSION: Final = {
    "lock_timeout": f"{_BUSY_S}s",
    # A process that was stopped within a transaction does not keep others from writing for longer than this.
    "idle_in_transaction_session_timeout": "60s",
    "synchronous_commit": "on",
}
"""Settings of each connection; a URL's own `options` follow, and win."""
_NETWORK: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": str(_LOST_S * 1000),
    "application_name": "sdl",
}
"""libpq's parameters: a server whose cable was pulled is noticed within about 15 s."""


class PostgreSQL(Database):
    """A store in a database of its own, or in the first schema of the search path of a shared one."""

    product = "PostgreSQL"

    def __init__(self, url: str) -> None:
        """Args:
        url: as libpq takes it; a password may come from ~/.pgpass or PGPASSWORD instead.

        Raises:
            InputError: it cannot be read.
        """
        self._location = url
        try:
            self._url = _complete(make_url(url))
        except (sa.exc.ArgumentError, ValueError) as error:
            raise InputError(f"{shown(url)} is no URL of a PostgreSQL database: {error}") from error

    @property
    def name(self) -> str:
        return shown(self._location)

    @property
    def location(self) -> str:
        return self._location

    def there(self) -> bool:
        engine = self.connect(pooled=False)
        try:
            with self.translated(), engine.connect() as connection:
                return self._has_store(connection)
        finally:
            engine.dispose()

    def _has_store(self, connection: sa.Connection) -> bool:
        formats = (set(metadata.tables), set(first_metadata.tables))
        found = set(sa.inspect(connection).get_table_names()) & set().union(*formats)
        if found and found not in formats:
            raise StoreError(
                f"{self.name} has tables of another program ({', '.join(sorted(found))}), or lacks some of a store's; "
                "make a database for the store (createdb NAME), and name that one"
            )
        return bool(found)

    def create(self) -> None:
        engine = self.connect(pooled=False)
        try:
            with self.translated(), engine.begin() as connection:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                exclude_others(connection)
                if not self._has_store(connection):
                    lay_out(connection)
        finally:
            engine.dispose()

    def connect(self, *, pooled: bool = True) -> sa.Engine:
        """As in `Database`. Those of the writer commit by themselves outside the transactions that `begin` begins."""
        if not pooled:
            return sa.create_engine(self._url, poolclass=NullPool)
        return sa.create_engine(self._url, poolclass=QueuePool, pool_pre_ping=True)

    def reading(self, engine: sa.Engine) -> sa.Engine:
        return engine.execution_options(isolation_level="REPEATABLE READ")

    def writing(self, engine: sa.Engine) -> sa.Engine:
        return engine.execution_options(isolation_level="READ COMMITTED")

    def check(self, engine: sa.Engine) -> None:
        with self.translated(), engine.connect() as connection:
            version = format_in(connection)
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        refuse_other_format(self.name, version)
        if encoding != "UTF8":
            raise StoreError(
                f"{self.name}: its encoding is {encoding}, which does not hold every text; make one with "
                "createdb --encoding=UTF8 --template=template0 NAME"
            )

    def hasten_drop(self, connection: sa.Connection) -> None:
        """As in `Database`: a server drops the files of a table as they are."""

    def begin(self, cursor: Any) -> None:
        cursor.execute("BEGIN")

    def set_durable(self, cursor: Any, durable: bool) -> None:
        """As in `Database`: a synchronous commit flushes the log up to its own record, and so what is before it."""
        driver = cursor.connection
        if not driver.autocommit:
            driver.rollback()
            driver.autocommit = True
        cursor.execute(f"SET synchronous_commit TO {'ON' if durable else 'OFF'}")

    def lenient(self, connection: sa.Connection) -> None:
        """Nothing: the server takes and hands out UTF-8 only."""

    def faults(self, connection: sa.Connection) -> list[str]:
        """As in `Database`: indexes that are not whole. The server's own pages need its operator (`pg_amcheck`)."""
        query = sa.text(
            "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
            "WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready)"
        )
        return [f"the index {name} is not whole; REINDEX INDEX {name}" for name in connection.execute(query).scalars()]

    def shape(self, connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
        """As in `Database`: name, type, nullable, place in the key."""
        inspector = sa.inspect(connection)
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        return [
            (c["name"], _type(c["type"]), bool(c["nullable"]), _place(c["name"], key))
            for c in inspector.get_columns(table.name)
        ]

    def made_shape(self, table: sa.Table) -> list[tuple[Any, ...]]:
        key = [column.name for column in table.primary_key]
        return [(c.name, _type(c.type), bool(c.nullable), _place(c.name, key)) for c in table.columns]

    def has_view(self, connection: sa.Connection) -> bool:
        """As in `Database`: that it is there; a server keeps what it understood of the statement, not its text."""
        return "entries" in sa.inspect(connection).get_view_names()

    def compact(self) -> None:
        """As in `Database`: VACUUM (FULL, ANALYZE). Needs each table for itself for a while."""
        alone = sa.create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with self.translated(), alone.connect() as connection:
            for name in sa.inspect(connection).get_table_names():
                quoted = connection.dialect.identifier_preparer.quote(name)
                connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {quoted}")

    def counted(self, connection: sa.Connection, table: str) -> int:
        query = sa.text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:table)")
        return max(0, int(connection.execute(query, {"table": table}).scalar() or 0))

    def count(self, connection: sa.Connection, tables: Sequence[str]) -> None:
        for table in tables:
            connection.exec_driver_sql(f"ANALYZE {table}")

    def size(self, connection: sa.Connection) -> int:
        query = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
        return int(connection.exec_driver_sql(f"{query} current_schema()::regnamespace").scalar_one() or 0)

    def advice(self, connection: sa.Connection) -> list[str]:
        settings = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("fsync", "full_page_writes", "data_checksums")
        }
        told = []
        if "off" in (settings["fsync"], settings["full_page_writes"]):
            told.append(
                f"{self.name}: the server runs with fsync or full_page_writes off, so a power cut may cost any entry; "
                "switch both on in postgresql.conf"
            )
        if settings["data_checksums"] == "off":
            told.append(
                f"{self.name}: the server keeps no checksums of its pages; `sdl verify` finds what is damaged, "
                "`pg_checksums --enable` lets the server find it when it reads"
            )
        return told

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explained(error.orig) from error
        except (psycopg.Error, UnicodeDecodeError) as error:
            raise self._explained(error) from error

    def _explained(self, error: BaseException | None) -> StoreError:
        code = getattr(error, "sqlstate", None) or ""
        text = " ".join(str(error).split())
        for prefix, advice in _ADVICE.items():
            if code.startswith(prefix):
                return StoreError(f"{self.name}: {advice} ({code}: {text})")
        if not code and "NUL" in text:
            return StoreError(f"{self.name}: {_ADVICE['22021']} ({text})")
        if not code and isinstance(error, psycopg.OperationalError):
            for words, advice in _REFUSED.items():
                if words in text:
                    return StoreError(f"{self.name}: {advice} ({text})")
            return StoreError(
                f"{self.name}: the server cannot be reached, or has ended the connection. See that it runs, then run "
                f"again; what was acknowledged is on record ({text})"
            )
        return StoreError(f"{self.name}: the store cannot be read as it should be; list the damage with `sdl verify` "
                          f"({code}: {text})")  # fmt: skip


def _complete(url: URL) -> URL:
    """With the driver, and with what each connection needs."""
    given = dict(url.query)
    own = given.pop("options", "")
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    options = f"{options} {own if isinstance(own, str) else ' '.join(own)}".strip()
    query = {**_NETWORK, **given, "options": options}
    return url.set(drivername="postgresql+psycopg", query=query)


def _type(kind: sa.types.TypeEngine[Any]) -> str:
    """Name of a column's type, the same for what was asked for and what is there."""
    return {"DOUBLE PRECISION": "DOUBLE", "BLOB": "BYTEA"}.get(text := str(kind.compile()).upper(), text)


def _place(name: str, key: list[str]) -> int:
    return key.index(name) + 1 if name in key else 0


_ADVICE: Final = {
    "53": "the server has run out of disk, memory or connections; nothing of this transaction was recorded. Mend that, "
    "then run again",
    "58": "the server's disk failed to read or write",
    "25006": "the server takes no writing (a standby, or default_transaction_read_only); name the one that does",
    "25P03": "a transaction took longer than the server allows; nothing of it was recorded. Run again",
    "42501": "this user may not do that; let the owner of the database GRANT it",
    "28": "the server refuses this user or password (pg_hba.conf, ~/.pgpass)",
    "3D000": "there is no such database; make it with `createdb`",
    "55P03": f"another process has kept the store locked for {_BUSY_S} s; end it, then run again",
    "40": "another process wrote the same at the same moment; nothing of this transaction was recorded. Run again",
    "57014": "the server cancelled it (a time limit, or its operator); nothing of this transaction was recorded",
    "57P": "the server was stopped or is starting. See that it runs, run again; what was acknowledged is on record",
    "08": "the connection to the server is lost. See that it runs, then run again; what was acknowledged is on record",
    "XX001": "the store is damaged; keep a copy of the server's folder, and list the damage with `sdl verify`",
    "XX002": "an index is damaged; REINDEX the database, then `sdl verify`",
    "22021": "PostgreSQL keeps no text with the character NUL in it",
}
"""Beginning of an SQLSTATE → what to say (postgresql.org/docs/current/errcodes-appendix.html)."""
_REFUSED: Final = {
    "authentication failed": "the server refuses this user or password (pg_hba.conf, ~/.pgpass)",
    "no pg_hba.conf entry": "the server lets nobody in from this machine; its operator says who may in pg_hba.conf",
    "no password supplied": "the server wants a password: put it into ~/.pgpass, not into the URL",
    "does not exist": "there is no such database or user; make it with `createdb` or `createuser`",
    "too many clients": "the server has no connection left; end what is not needed, then run again",
}
"""What libpq says of a connection that was not made, which has no SQLSTATE → what to say."""
