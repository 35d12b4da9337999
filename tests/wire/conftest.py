"""A small journal kept in memory, publishers and watchers that are closed, and a check that nothing is left behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sdl.journal import GENESIS, Entry, canonical, digest
from sdl.wire import Publisher, Watcher


class Ledger:
    """Entries of one campaign with a true chain, as a store would give them."""

    def __init__(self, campaign: str = "silver-7f3a") -> None:
        self.campaign = campaign
        self.entries: list[Entry] = []

    def append(self, kind: str = "step.started", **body: Any) -> Entry:
        """Record one more entry."""
        before = self.entries[-1].hash if self.entries else GENESIS
        seq, at = len(self.entries) + 1, 1_800_000_000_000_000_000 + len(self.entries)
        hashed = digest(before, self.campaign, seq, at, kind, canonical(body))
        self.entries.append(Entry(self.campaign, seq, at, kind, body, before, hashed))
        return self.entries[-1]

    def extend(self, count: int) -> list[Entry]:
        """Record `count` more."""
        return [self.append(trial=number, text="two words") for number in range(count)]

    def history(self, after: int) -> Iterator[Entry]:
        """Entries after a seq."""
        yield from list(self.entries[after:])


@pytest.fixture
def ledger() -> Ledger:
    """An empty journal."""
    return Ledger()


def _sockets() -> int:
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(("socket:", "anon_inode:[eventfd]", "pipe:"))
        except FileNotFoundError:
            continue
    return count


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Threads, sockets and pipes are as many after a test as before it."""
    threads, sockets = set(threading.enumerate()), _sockets()
    yield
    until = time.monotonic() + 3
    while time.monotonic() < until and (set(threading.enumerate()) - threads or _sockets() > sockets):
        gc.collect()  # event loops of others close their sockets when they are collected
        time.sleep(0.02)
    assert not {thread.name for thread in set(threading.enumerate()) - threads if "asyncio" not in thread.name}
    assert _sockets() <= sockets


@pytest.fixture
def closing(nothing_left: None) -> Iterator[ExitStack]:
    """Closes what was entered, before leaks are counted."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def publish(closing: ExitStack, ledger: Ledger) -> Callable[..., Publisher]:
    """Start a publisher of the ledger."""

    def start(**options: Any) -> Publisher:
        return closing.enter_context(Publisher(ledger.campaign, options.pop("history", ledger.history), **options))

    return start


@pytest.fixture
def watch(closing: ExitStack) -> Callable[..., Watcher]:
    """Start a watcher."""

    def start(address: str, **options: Any) -> Watcher:
        return closing.enter_context(Watcher(address, **options))

    return start


@pytest.fixture
def collect() -> Callable[..., list[int]]:
    """Poll a watcher until it has `count` entries; their seqs."""

    def until(watcher: Watcher, count: int, seconds: float = 8.0) -> list[int]:
        end = time.monotonic() + seconds
        found: list[int] = []
        while len(found) < count and time.monotonic() < end and not watcher.ended:
            found += [entry.seq for entry in watcher.poll(0.1)]
        return found

    return until
