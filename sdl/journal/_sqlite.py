"""Everything that is peculiar to SQLite (sqlite.org/pragma.html, sqlite.org/wal.html)."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from sdl.journal._errors import StoreError
from sdl.journal._schema import FORMAT, meta, metadata
from sdl.journal._wal import check_log

__all__ = [
    "begin", "check", "connect", "create", "faults", "lenient", "made_shape", "set_durable", "shape", "translated",
]  # fmt: skip

_APPLICATION = 0x53444C4A
"""`SDLJ`: marks the file as a store (PRAGMA application_id)."""
_BUSY_S = 10.0


class _Connection(sqlite3.Connection):
    """One that is known to be open, and to which file."""

    file: tuple[int, int] | None = None
    """Device and inode."""

    def close(self) -> None:
        super().close()
        _OPEN.discard(self)


_OPEN: Final = WeakSet[_Connection]()
_OPENING: Final = threading.Lock()


def _open(path: Path) -> sqlite3.Connection:
    """A connection to an existing file whose log is whole.

    Raises:
        StoreError: the log is damaged.
        sqlite3.Error: the file cannot be opened.
    """
    # mode=rw: a file that was moved away is an error, not a fresh empty database.
    uri = f"file:{quote(str(path))}?mode=rw"
    with _OPENING:
        try:
            about = path.stat()
            file = (about.st_dev, about.st_ino)
        except OSError:
            file = None
        # Where this process has the file open already, its log has been looked at, and must not be: see check_log.
        if file is not None and not any(each.file == file for each in _OPEN):
            check_log(path)
        db = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
            factory=_Connection,
        )
        db.file = file
        _OPEN.add(db)
    return db


def connect(path: Path, *, pooled: bool = True) -> sa.Engine:
    """An engine on an existing file. Its connections may go from thread to thread, one at a time.

    A transaction of `engine.execution_options(writing=True)` takes the write lock as it begins, so it cannot fail later
    because another connection wrote in between.
    """

    def opened() -> sqlite3.Connection:
        db = _open(path)
        try:
            db.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            db.close()
            raise
        return db

    engine = sa.create_engine("sqlite+pysqlite://", creator=opened, poolclass=QueuePool if pooled else NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def begin(cursor: Any) -> None:
    """Begin a writing transaction on a driver's cursor."""
    cursor.execute("BEGIN IMMEDIATE")


def set_durable(cursor: Any, durable: bool) -> None:
    """Choose, between transactions, whether the next commits reach the disk before they return.

    In WAL mode a FULL commit syncs the log, and with it every NORMAL commit before.
    """
    cursor.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")


def create(path: Path) -> None:
    """Make an empty store that appears under its name complete or not at all. One that is there already is left alone.

    Raises:
        StoreError: it cannot be made.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with translated(path):
            _lay_out(draft)
            _publish(draft, path)
    except OSError as error:
        raise StoreError(f"{path}: the store cannot be made: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _lay_out(draft: Path) -> None:
    draft.touch()
    engine = connect(draft, pooled=False)
    with engine.connect() as connection:
        driver = connection.connection.cursor()
        driver.execute(f"PRAGMA application_id={_APPLICATION}")
        driver.execute("PRAGMA journal_mode=WAL")
        driver.close()
        with connection.begin():
            metadata.create_all(connection)
            connection.execute(meta.insert().values(key="format", value=str(FORMAT)))
        # Closing does the same, but says nothing where the disk is full, and what is in the log alone is not published.
        driver = connection.connection.cursor()
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        driver.close()
    engine.dispose()


def _publish(draft: Path, path: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check(engine: sa.Engine, path: Path) -> None:
    """Refuse a file that is no store of this release's format.

    Raises:
        StoreError: another program's file, another format, or damage.
    """
    with translated(path), engine.connect() as connection:
        mark = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if mark != _APPLICATION:
            raise StoreError(f"{path} is an SQLite file of another program, not a store; choose another path")
        version = connection.execute(sa.select(meta.c.value).where(meta.c.key == "format")).scalar()
    if version != str(FORMAT):
        raise StoreError(
            f"{path} has store format {version}; this release of sdl reads format {FORMAT}. "
            "Use a later release of sdl, or another store"
        )


def faults(connection: sa.Connection) -> list[str]:
    """What SQLite itself finds wrong with the file (PRAGMA integrity_check); empty when it is sound."""
    return [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"]


def shape(connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
    """Columns of a table as the file declares them: number, name, type, not null, default, place in the key."""
    return [tuple(row) for row in connection.exec_driver_sql(f"PRAGMA table_xinfo({table.name})")]


@cache
def made_shape(table: sa.Table) -> list[tuple[Any, ...]]:
    """Columns of a table as `create` declares them."""
    engine = sa.create_engine("sqlite+pysqlite://")
    try:
        with engine.begin() as connection:
            table.create(connection)
            return shape(connection, table)
    finally:
        engine.dispose()


def lenient(connection: sa.Connection) -> None:
    """Hand out damaged texts as they are, with lone surrogates for bytes that are no UTF-8."""
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors into `StoreError`s that say what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _explained(path, error.orig) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:  # UnicodeDecodeError: a message that quotes damaged text
        raise _explained(path, error) from error


_ADVICE = {
    "SQLITE_FULL": "the disk is full; nothing of this transaction was recorded. Free some space, then run again",
    "SQLITE_READONLY": "the store is read-only",
    "SQLITE_NOTADB": "is no store: it is not an SQLite file, or its beginning is damaged",
    "SQLITE_CORRUPT": "the store is damaged; work on a copy, and list the damage with `sdl verify`",
    "SQLITE_BUSY": f"another process has kept the store locked for {_BUSY_S:.0f} s; end it, then run again",
    "SQLITE_CANTOPEN": "the store cannot be opened; was it moved, or are its folder's rights wrong?",
    "SQLITE_IOERR": "the disk failed to read or write (an error of the disk, or a limit on the size of files)",
}


def _explained(path: Path, error: BaseException | None) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    for prefix, advice in _ADVICE.items():
        if name.startswith(prefix):
            return StoreError(f"{path}: {advice} ({name}: {error})")
    return StoreError(f"{path}: the store cannot be read as it should be; list the damage with `sdl verify` ({error})")
