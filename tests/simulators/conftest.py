"""Fixtures of the simulator tests: no test may leave a thread, task or socket behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def no_leaks() -> AsyncIterator[None]:
    """Fails the test that leaves tasks or threads behind."""
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    yield
    for _ in range(50):
        left = (
            {thread for thread in set(threading.enumerate()) - threads if "asyncio" not in thread.name},
            asyncio.all_tasks() - tasks - {asyncio.current_task()},
        )
        if not any(left):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"left behind (threads, tasks): {left}")
