"""Workers as real processes, coordinators that are closed, and a check that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Nursery

from worker.rig import Coordinator, Worker, write_lab


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands as real processes, quickly."""
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


@pytest.fixture
def workers(nursery: Nursery) -> Iterator[Callable[..., Worker]]:
    """Starts workers; kills them in the end."""
    started: list[Worker] = []

    def start(lab: Path, *more: str, **options: Any) -> Worker:
        worker = Worker(nursery, lab, *more, **options)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The lab file of the stamp."""
    return write_lab(tmp_path / "lab")


@pytest.fixture
async def coordinators() -> AsyncIterator[Callable[..., Coordinator]]:
    """Makes coordinators; closes them in the end, and looks for threads left behind."""
    threads = set(threading.enumerate())
    made: list[Coordinator] = []

    def make(lab: Path, **options: Any) -> Coordinator:
        made.append(Coordinator(lab, **options))
        return made[-1]

    yield make
    for coordinator in made:
        await coordinator.close()
    for _ in range(300):
        left = {t for t in set(threading.enumerate()) - threads if not t.name.startswith("asyncio_")}
        if not left:
            return
        gc.collect()
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind: {[thread.name for thread in left]}")
