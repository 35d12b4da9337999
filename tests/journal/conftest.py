"""Stores of both kinds: most tests of the journal run on SQLite and on PostgreSQL.

What is about files stays with SQLite: torn and truncated files and logs, bits flipped on the disk, other programs'
files, rights, network filesystems, file size limits, full and failing disks, and syncs seen by strace.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import Server, server

from sdl.journal import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started once; skips where none is installed."""
    with server() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an SQLite store may be made."""
    return tmp_path / "sdl.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """Where a store may be made, of each kind, or of those that a test names (`parametrize(…, indirect=True)`)."""
    if request.param == "sqlite":
        yield tmp_path / "sdl.db"
        return
    running: Server = request.getfixturevalue("postgres")
    url = running.create()
    yield url
    running.drop(url)


@pytest.fixture
def store(place: str | Path) -> Iterator[Store]:
    """A store with one campaign, `c1`, called `silver`, of each kind."""
    with Store.open(place) as store:
        store.create("c1", "silver")
        yield store
