"""SIGKILL at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sdl.journal import Store

# A process that has everything imported and forks a victim for each line it reads: a victim starts in no time.
_NURSERY = """
import os, sys
from sdl.journal import Store
import sdl.journal._writer

def open_(path, say):
    with Store.open(path) as store:
        store.create("c1", "silver")
        say(b"1\\n")

def write(path, say):
    with Store.open(path) as store:
        if not store.campaigns():
            store.create("c1", "silver")
        with store.writer("c1") as writer:
            n = sum(1 for _ in store.entries("c1"))
            while True:
                n += 1
                if n % 3:
                    writer.post("x", {"n": n, "pad": "x" * 300})
                else:
                    entry = writer.append("x", {"n": n, "pad": "x" * 300}, durable=n % 2 == 0)
                    say(b"%d\\n" % entry.seq)

for line in sys.stdin:
    what, path, told = line.split()
    pid = os.fork()
    if not pid:
        told = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        {"open": open_, "write": write}[what](path, lambda text: os.write(told, text))
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


class _Nursery:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run_and_kill(self, what: str, path: str | Path, told: Path, after_s: float) -> list[int]:
        """Let a process work on the store, kill it; return the numbers it was told are recorded."""
        assert self.process.stdin
        assert self.process.stdout
        before = told.stat().st_size if told.exists() else 0
        print(what, path, told, file=self.process.stdin, flush=True)
        pid = int(self.process.stdout.readline())
        deadline = time.monotonic() + 10
        while what == "write" and (not told.exists() or told.stat().st_size == before):
            assert time.monotonic() < deadline, "the writer does not start"
            time.sleep(0.001)
        time.sleep(after_s)
        with suppress(ProcessLookupError):  # on a quick machine it may be done already
            os.kill(pid, signal.SIGKILL)
        assert self.process.stdout.readline() == "dead\n"
        return [int(line) for line in told.read_text().split("\n")[:-1]] if told.exists() else []


@pytest.fixture(scope="module")
def nursery() -> Iterator[_Nursery]:
    nursery = _Nursery()
    yield nursery
    nursery.process.communicate()


def test_kill_while_writing(place: str | Path, tmp_path: Path, nursery: _Nursery) -> None:
    """Killed fifteen times in full flight: no acknowledged entry is lost, the chain is whole, and it goes on."""
    rng = random.Random(20261121)
    for _ in range(15):
        told = nursery.run_and_kill("write", place, tmp_path / "told", rng.uniform(0, 0.15))
        with Store.open(place) as store:
            assert store.verify() == []
            numbers = [e.body["n"] for e in store.entries("c1")]
            lease = store.lease("c1")
        assert len(numbers) >= told[-1]
        assert numbers == list(range(1, len(numbers) + 1))
        assert lease is not None
        assert not lease.alive


def test_kill_while_opening(tmp_path: Path, nursery: _Nursery) -> None:
    """Killed at any moment of its beginning, a store is there whole or not at all, and opens the next time."""
    rng = random.Random(7)
    for i in range(20):
        path = tmp_path / f"{i}.db"
        told = nursery.run_and_kill("open", path, tmp_path / f"{i}.told", rng.uniform(0, 0.06))
        with Store.open(path) as store:
            assert store.verify() == []
            assert [c.id for c in store.campaigns()] in ([["c1"]] if told else [[], ["c1"]])
