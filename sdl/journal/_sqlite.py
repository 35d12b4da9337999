"""Everything that is peculiar to SQLite (sqlite.org/pragma.html, sqlite.org/wal.html)."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from sdl.journal._database import Database
from sdl.journal._errors import StoreError
from sdl.journal._filesystem import check_place, sync
from sdl.journal._schema import format_in, lay_out, refuse_other_format, view_of
from sdl.journal._wal import check_log

__all__ = ["SQLite", "publish"]

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


class SQLite(Database):
    """A store in one file."""

    product = "SQLite"

    def __init__(self, path: Path) -> None:
        self.path: Path = path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def location(self) -> Path:
        return self.path

    def there(self) -> bool:
        check_place(self.path)
        return self.path.exists()

    def connect(self, *, pooled: bool = True) -> sa.Engine:
        """As in `Database`. A transaction that is to write takes the write lock as it begins, so it cannot fail later
        because another connection wrote in between."""
        return _connect(self.path, pooled)

    def reading(self, engine: sa.Engine) -> sa.Engine:
        return engine

    def writing(self, engine: sa.Engine) -> sa.Engine:
        return engine.execution_options(writing=True)

    def create(self) -> None:
        path = self.path
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with self.translated():
                _lay_out(draft)
                publish(draft, path)
        except OSError as error:
            raise StoreError(f"{path}: the store cannot be made: {error.strerror or error}") from error
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{draft}{suffix}").unlink(missing_ok=True)

    def check(self, engine: sa.Engine) -> None:
        with self.translated(), engine.connect() as connection:
            mark = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
            if mark != _APPLICATION:
                raise StoreError(f"{self.path} is an SQLite file of another program, not a store; choose another path")
            version = format_in(connection)
        refuse_other_format(self.name, version)

    def hasten_drop(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")

    def begin(self, cursor: Any) -> None:
        cursor.execute("BEGIN IMMEDIATE")

    def set_durable(self, cursor: Any, durable: bool) -> None:
        """As in `Database`: in WAL mode a FULL commit syncs the log, and with it every NORMAL commit before."""
        cursor.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")

    def lenient(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")

    def faults(self, connection: sa.Connection) -> list[str]:
        """As in `Database`: PRAGMA integrity_check."""
        return [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"]

    def shape(self, connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
        """As in `Database`: number, name, type, not null, default, place in the key."""
        return _shape(connection, table)

    def made_shape(self, table: sa.Table) -> list[tuple[Any, ...]]:
        return _made_shape(table)

    def has_view(self, connection: sa.Connection) -> bool:
        query = "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'entries'"
        return bool(connection.exec_driver_sql(query).scalar() == view_of("sqlite"))

    def compact(self) -> None:
        """As in `Database`: ANALYZE, VACUUM, and a log of no length. Needs the store for itself for a while."""
        with self.translated(), closing(_open(self.path)) as db:
            for statement in ("ANALYZE", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                db.execute(statement).fetchall()

    def counted(self, connection: sa.Connection, table: str) -> int:
        if not sa.inspect(connection).has_table("sqlite_stat1"):
            return 0
        found = connection.exec_driver_sql("SELECT stat FROM sqlite_stat1 WHERE tbl = ?", (table,)).scalars().all()
        return max((int(stat.split()[0]) for stat in found if stat), default=0)

    def count(self, connection: sa.Connection, tables: Sequence[str]) -> None:
        connection.exec_driver_sql("PRAGMA analysis_limit=400")  # sqlite.org/lang_analyze.html, section 3.2
        for table in tables:
            connection.exec_driver_sql(f"ANALYZE {table}")

    def size(self, connection: sa.Connection) -> int:
        files = (self.path, Path(f"{self.path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def advice(self, connection: sa.Connection) -> list[str]:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        if mode == "wal":
            return []
        return [f"{self.path}: its journal mode is {mode}, not wal; every entry that waits for the disk waits longer"]

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _explained(self.path, error.orig) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:  # UnicodeDecodeError: a message that quotes damaged text
            raise _explained(self.path, error) from error


def _connect(path: Path, pooled: bool) -> sa.Engine:
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


def _lay_out(draft: Path) -> None:
    draft.touch()
    engine = _connect(draft, pooled=False)
    with engine.connect() as connection:
        driver = connection.connection.cursor()
        driver.execute(f"PRAGMA application_id={_APPLICATION}")
        driver.execute("PRAGMA journal_mode=WAL")
        driver.close()
        with connection.begin():
            lay_out(connection)
        # Closing does the same, but says nothing where the disk is full, and what is in the log alone is not published.
        driver = connection.connection.cursor()
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        driver.close()
    engine.dispose()


def publish(draft: Path, path: Path) -> bool:
    """Give a complete file its name, on the disk when this returns; False where the name is taken already."""
    sync(draft)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    sync(path.parent)
    return True


def _shape(connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(f"PRAGMA table_xinfo({table.name})")]


@cache
def _made_shape(table: sa.Table) -> list[tuple[Any, ...]]:
    engine = sa.create_engine("sqlite+pysqlite://")
    try:
        with engine.begin() as connection:
            table.create(connection)
            return _shape(connection, table)
    finally:
        engine.dispose()


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
