"""What the journal asks of a database, and which one a location names: an SQLite file or a PostgreSQL database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from sdl.journal.location import StoreLocation
from sdl.journal.location import location as parsed

__all__ = ["Database", "database_of", "exclude_others"]

_EXCLUSIVE: Final = 0x53444C4A
"""`SDLJ`: key of the lock that PostgreSQL keeps for those who change tables, or what is derived."""


class Database(ABC):
    """A database that holds a store, or will."""

    product: str
    """SQLite or PostgreSQL."""
    path: Path | None = None
    """The file, where there is one."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For people, without a password."""

    @property
    @abstractmethod
    def location(self) -> StoreLocation:
        """What opens it again, in another process too."""

    @abstractmethod
    def there(self) -> bool:
        """Whether there is something to open.

        Raises:
            StoreError: no store can be there, or nobody can say.
        """

    @abstractmethod
    def create(self) -> None:
        """Make an empty store, complete or not at all. One that is there already is left alone.

        Raises:
            StoreError: it cannot be made.
        """

    @abstractmethod
    def connect(self, *, pooled: bool = True) -> sa.Engine:
        """An engine whose connections may go from thread to thread, one at a time. One that is not pooled is for a
        writer: see `begin`."""

    @abstractmethod
    def reading(self, engine: sa.Engine) -> sa.Engine:
        """The same engine for transactions that read, each of which sees one state of the store throughout."""

    @abstractmethod
    def writing(self, engine: sa.Engine) -> sa.Engine:
        """The same engine for transactions that write; they see what others commit meanwhile."""

    @abstractmethod
    def check(self, engine: sa.Engine) -> None:
        """Refuse what is no store of a format that this release reads.

        Raises:
            StoreError: another program's data, a later format, or damage.
        """

    @abstractmethod
    def hasten_drop(self, connection: sa.Connection) -> None:
        """Let a table be dropped without its contents being overwritten, which takes as long as writing them."""

    @abstractmethod
    def begin(self, cursor: Any) -> None:
        """Begin a writing transaction on a driver's cursor of an engine that is not pooled."""

    @abstractmethod
    def set_durable(self, cursor: Any, durable: bool) -> None:
        """Choose, between transactions, whether the next commits reach the disk before they return.

        A durable commit puts all that was committed before it on the disk as well.
        """

    @abstractmethod
    def lenient(self, connection: sa.Connection) -> None:
        """Hand out damaged texts as they are, with lone surrogates for bytes that are no UTF-8."""

    @abstractmethod
    def faults(self, connection: sa.Connection) -> list[str]:
        """What the database itself finds wrong with its files; empty when they are sound."""

    @abstractmethod
    def shape(self, connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
        """Columns of a table as the database declares them."""

    @abstractmethod
    def made_shape(self, table: sa.Table) -> list[tuple[Any, ...]]:
        """Columns of a table as `create` declares them."""

    @abstractmethod
    def has_view(self, connection: sa.Connection) -> bool:
        """Whether the view `entries` is as `create` made it, as far as the database can tell."""

    @abstractmethod
    def compact(self) -> None:
        """Give back what is not used, and count anew what there is, for the planning of queries."""

    @abstractmethod
    def counted(self, connection: sa.Connection, table: str) -> int:
        """How many rows the planning of queries believes a table to have; 0 where nobody has counted."""

    @abstractmethod
    def count(self, connection: sa.Connection, tables: Sequence[str]) -> None:
        """Count, in a writing transaction, what the planning of queries goes by; a sample of large tables."""

    @abstractmethod
    def size(self, connection: sa.Connection) -> int:
        """Bytes on the disk."""

    @abstractmethod
    def advice(self, connection: sa.Connection) -> list[str]:
        """What is not wrong, and should be otherwise: settings with which a promise does not hold."""

    @abstractmethod
    def translated(self) -> AbstractContextManager[None]:
        """Turn the database's errors into `StoreError`s that say what to do."""


def database_of(location: StoreLocation) -> Database:
    """The database that a path or URL names; nothing is opened.

    Raises:
        InputError: a URL of another kind.
        MissingExtra: the driver for PostgreSQL is not installed.
    """
    place = parsed(str(location))  # a Path made of a URL has lost a slash, and is told so
    if isinstance(place, Path):
        from sdl.journal._sqlite import SQLite

        return SQLite(place.absolute())
    from sdl.journal._postgres import PostgreSQL

    return PostgreSQL(place)


def exclude_others(connection: sa.Connection) -> None:
    """Wait, in a writing transaction, for others that change tables or what is derived, and keep them off to its end.

    SQLite lets one write at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_EXCLUSIVE)))
