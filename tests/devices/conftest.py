"""Fixtures of the device tests: no test may leave a thread, task or socket behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from bluesky import RunEngine
from support import engines


def _threads() -> set[threading.Thread]:
    # The threads of a loop's default executor end with the loop.
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def _sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[None]:
    """Fails the test that leaves threads, tasks or sockets behind."""
    threads, sockets = _threads(), _sockets()
    tasks = asyncio.all_tasks()
    yield
    for attempt in range(50):
        if attempt > 5:
            gc.collect()
        left = (
            _threads() - threads,
            asyncio.all_tasks() - tasks - {asyncio.current_task()},
            _sockets() - sockets,
        )
        if not any(left):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind (threads, tasks, sockets): {left}")


@pytest.fixture
def run_engine() -> Iterator[RunEngine]:
    """A RunEngine with a loop and thread of its own, both ended afterwards."""
    with engines.run_engine() as engine:
        yield engine
