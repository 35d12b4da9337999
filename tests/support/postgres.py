"""A real PostgreSQL server for tests, from Debian's packages, and SQL for stores of either kind."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["Server", "execute", "rows", "server"]

_FOLDERS = "/usr/lib/postgresql"
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "32MB", "max_connections": "60",
    "autovacuum": "off", "jit": "off", "log_min_messages": "fatal",
}  # fmt: skip
_QUICK = {"fsync": "off", "full_page_writes": "off"}
"""For tests in which no machine loses power."""


def _binaries() -> Path | None:
    """Folder of the newest server that is installed."""
    found = [p for p in Path(_FOLDERS).glob("*/bin") if (p / "initdb").exists()] if Path(_FOLDERS).is_dir() else []
    return max(found, key=lambda p: float(p.parent.name), default=None)


class Server:
    """A server on a free loopback port with a cluster of its own. It ends with the process that started it."""

    def __init__(self, *, durable: bool = False) -> None:
        """Make the cluster and start it; skips the test where no server is installed.

        Args:
            durable: whether commits wait for the disk.
        """
        binaries = _binaries()
        if binaries is None:
            pytest.skip(f"no PostgreSQL server below {_FOLDERS}: apt-get install postgresql")
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="sdl-postgres-"))
        self._settings = _SETTINGS | ({} if durable else _QUICK)
        self._as: list[str] = []
        if os.geteuid() == 0:  # which a server refuses to run as
            user = _ordinary_user()
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = self.folder / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "sdl", "-E", "UTF8", "--no-sync"]
        made = subprocess.run(
            [*self._as, *initdb, "--locale=C.UTF-8"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self._count = 0
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it takes connections."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *settings]
        guard = [*(self._as or ["setpriv"]), "--pdeathsig=KILL"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                log_text = (self.folder / "log").read_text()
                assert self._process.poll() is None, log_text
                assert time.monotonic() < deadline, log_text
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does: no connection is told, nothing is written."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order, whoever is connected."""
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        pid, postmaster = self._process.pid, self.folder / "data" / "postmaster.pid"
        children = _children(pid)
        self._process.send_signal(number)
        self._process.wait(30)
        self._process = None
        if number == signal.SIGKILL:  # its children notice within a moment; the next start waits for that
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            postmaster.unlink(missing_ok=True)

    def url(self, database: str) -> str:
        """Location of a database."""
        return f"postgresql://sdl@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """The URL of a place for a store: a schema of its own, which is made a hundred times as fast as a database."""
        self._count += 1
        name = f"store_{os.getpid()}_{self._count}"
        self._command(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def drop(self, url: str) -> None:
        """Remove what `create` made, with all that is in it."""
        self._command("SET lock_timeout = '10s'", f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE")

    def _command(self, *statements: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]  # a text made here

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("there is neither a user postgres nor nobody, and a PostgreSQL server refuses to run as root")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server for the time of a `with` block."""
    made = Server(durable=durable)
    try:
        yield made
    finally:
        made.close()


def execute(location: str | Path, *statements: str) -> None:
    """Execute SQL on a store of either kind, behind the journal's back, in one transaction."""
    if isinstance(location, str) and "://" in location:
        with psycopg.connect(location) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]  # a test's own text
        return
    with closing(sqlite3.connect(location)) as db, db:
        for statement in statements:
            db.execute(statement)


def rows(location: str | Path, query: str) -> Sequence[tuple[Any, ...]]:
    """What a query gives on a store of either kind."""
    if isinstance(location, str) and "://" in location:
        with psycopg.connect(location) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]
    with closing(sqlite3.connect(location)) as db:
        return db.execute(query).fetchall()
