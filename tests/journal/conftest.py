from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdl.journal import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sdl.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A store with one campaign, `c1`, called `silver`."""
    with Store.open(path) as store:
        store.create("c1", "silver")
        yield store
