from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Nursery

from sdl.journal import Store


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands as real processes, quickly."""
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in `tmp_path` with a campaign without entries, `c1`, called `silver`."""
    with Store.open(tmp_path / "sdl.db") as store:
        store.create("c1", "silver")
        yield store
