"""A full disk, a failing disk, a clock that is set and a stopped process: a clean error, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.trouble import Trouble, build_trouble, private_mounts

from sdl.journal import LeaseHeld, LeaseLost, Store, _lease

_STOPPED_S = 60.0 if os.environ.get("SDL_CHAOS") == "full" else 3.0
"""Seconds for which a process is stopped."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_trouble(tmp_path_factory.mktemp("library"))


_CHILD = """
import json, sys
from sdl.journal import JournalError, Store

def say(**what):
    print(json.dumps(what), flush=True)

with Store.open(sys.argv[1]) as store:
    writer = None
    for line in sys.stdin:
        what = line.split()
        try:
            if what[0] == "take":
                writer = store.writer("c1", holder="child")
                say(epoch=writer.epoch)
            elif what[0] == "append":
                for i in range(int(what[1])):
                    entry = writer.append("x", {"i": i, "pad": "y" * 500}, durable=i % 2 == 0)
                say(seq=entry.seq, at=entry.at)
            elif what[0] == "lease":
                lease = store.lease("c1")
                say(alive=lease is not None and lease.alive)
            elif what[0] == "close":
                writer.close()
                say(closed=True)
        except JournalError as error:
            say(error=type(error).__name__, message=str(error))
"""


class _Child:
    """A process that writes a journal when it is told to."""

    def __init__(self, path: Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
        )  # fmt: skip

    def order(self, text: str) -> None:
        assert self.process.stdin
        print(text, file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))

    def ask(self, text: str) -> dict[str, Any]:
        self.order(text)
        return self.hear()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def children(store: Store) -> Iterator[list[_Child]]:
    children: list[_Child] = []
    yield children
    for child in children:
        child.end()


def _start(children: list[_Child], store: Store, trouble: Trouble | None = None) -> _Child:
    children.append(_Child(store.location, trouble.env if trouble else None))
    return children[-1]


def _numbers(store: Store) -> list[int]:
    return [entry.seq for entry in store.entries("c1")]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_failing_disk(tmp_path: Path, store: Store, children: list[_Child], library: Path, call: str) -> None:
    """EIO on a write or a sync ends the writer with words; what was acknowledged is there, and another goes on."""
    trouble = Trouble(library, tmp_path, call=call)
    child = _start(children, store, trouble)
    assert child.ask("take") == {"epoch": 1}
    assert child.ask("append 20")["seq"] == 20
    trouble.disk_fails(True)
    for _ in range(2):  # it stays at that: no entry can follow one that was lost
        told = child.ask("append 2")
        assert told["error"] == "StoreError"
        assert "sdl.db: the disk failed to read or write" in told["message"]
    child.ask("close")
    trouble.disk_fails(False)
    assert store.verify() == []
    assert _numbers(store)[:20] == list(range(1, 21))
    there = len(_numbers(store))
    assert there <= 21
    child.end()
    with store.writer("c1") as writer:
        assert writer.append("x", {}).seq == there + 1
    assert store.verify() == []


_FILL = """
import json, subprocess, sys
from pathlib import Path
from sdl.journal import JournalError, Store

folder = Path(sys.argv[1])
mount = lambda options: subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
told = []
for size in range(60, 400, 20):
    mount(f"size={size}k")
    path, acknowledged, message = folder / "sdl.db", 0, None
    try:
        with Store.open(path) as store:
            store.create("c1", "silver")
            with store.writer("c1") as writer:
                for i in range(1000):
                    writer.post("x", {"i": i, "pad": "y" * 300})
                    acknowledged = writer.append("x", {"i": i, "pad": "y" * 700}, durable=i % 2 == 0).seq
    except JournalError as error:
        message = f"{type(error).__name__}: {error}"
    mount("remount,size=9m")
    with Store.open(path) as store:
        if not store.campaigns():
            store.create("c1", "silver")
        damage = [str(item) for item in store.verify()]
        numbers = [entry.seq for entry in store.entries("c1")]
        with store.writer("c1") as writer:
            went_on = writer.append("x", {}).seq == len(numbers) + 1
        damage += [str(item) for item in store.verify()]
    in_order = numbers == list(range(1, len(numbers) + 1))
    told.append([size, message, acknowledged, len(numbers), in_order, went_on, damage])
    subprocess.run(["umount", str(folder)], check=True)
print(json.dumps(told))
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A disk that fills up at any of many moments: the error says so, no acknowledged entry is lost, and it goes on."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = [*private_mounts(), sys.executable, "-c", _FILL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for size, message, acknowledged, there, in_order, went_on, damage in told:
        about = f"{size} kB: {message}"
        assert message is not None, about
        assert message.startswith("StoreError: "), about
        assert "the disk is full" in message or "No space left" in message or "disk failed" in message, about
        assert there >= acknowledged, about
        assert (in_order, went_on, damage) == (True, True, []), about
    assert sum(acknowledged > 0 for _, _, acknowledged, *_ in told) > 5
    assert any("the disk is full" in message for _, message, *_ in told)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_is_set(tmp_path: Path, store: Store, children: list[_Child], library: Path, jump: int) -> None:
    """A clock set by an hour leaves the times of entries in order, and its holder the lease."""
    trouble = Trouble(library, tmp_path)
    child = _start(children, store, trouble)
    child.ask("take")
    before = child.ask("append 3")["at"]
    trouble.set_clock(jump)
    with pytest.raises(LeaseHeld, match=f"pid {child.process.pid}"):
        store.writer("c1")
    after = child.ask("append 3")["at"]
    assert after - before > 3599e9 if jump > 0 else 0 <= after - before < 60e9
    with pytest.raises(LeaseHeld):
        store.writer("c1")
    child.end()
    begun = time.monotonic()
    with store.writer("c1") as writer:  # by a process whose clock was never set
        writer.append("x", {})
    assert time.monotonic() - begun < 5  # of the 15 s that an abandoned lease is held
    times = [entry.at for entry in store.entries("c1")]
    assert times == sorted(times)
    assert store.verify() == []


@pytest.mark.slow
def test_a_clock_that_is_set_under_a_holder_elsewhere(
    tmp_path: Path, store: Store, children: list[_Child], library: Path
) -> None:
    """A holder that cannot be looked up keeps its lease when the clock of both is set, and loses it when it is dead."""
    trouble = Trouble(library, tmp_path)
    holder, other = (_start(children, store, trouble) for _ in range(2))
    holder.ask("take")
    with store._write() as connection:
        connection.exec_driver_sql("UPDATE leases SET machine='another'")
    for seconds in (0, 3600, -3600):
        trouble.set_clock(seconds)
        assert other.ask("take")["error"] == "LeaseHeld"
    assert holder.ask("append 2")["seq"] == 2
    holder.end()
    trouble.set_clock(0)
    assert other.ask("take") == {"epoch": 2}
    assert other.ask("append 2")["seq"] == 4
    assert store.verify() == []


def test_a_stopped_holder_keeps_its_lease(store: Store, children: list[_Child]) -> None:
    """A holder that is stopped for a while (SIGSTOP) is not dead: others are refused, and it goes on where it was."""
    child = _start(children, store)
    child.ask("take")
    child.ask("append 2")
    child.process.send_signal(signal.SIGSTOP)
    child.order("append 2")
    time.sleep(_STOPPED_S)
    with pytest.raises(LeaseHeld):
        store.writer("c1")
    child.process.send_signal(signal.SIGCONT)
    assert child.hear()["seq"] == 4
    assert child.ask("close") == {"closed": True}
    assert store.verify() == []
    store.writer("c1").close()


def test_a_stopped_holder_elsewhere_is_fenced(
    store: Store, children: list[_Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped holder that cannot be looked up loses its lease in time; it is told as it wakes, and writes nothing."""
    if _STOPPED_S < _lease.TTL_S:
        monkeypatch.setattr(_lease, "TTL_S", 1.0)
    child = _start(children, store)
    child.ask("take")
    child.ask("append 2")
    with store._write() as connection:
        connection.exec_driver_sql("UPDATE leases SET machine='another'")
    child.process.send_signal(signal.SIGSTOP)
    child.order("append 2")
    time.sleep(_STOPPED_S)
    with store.writer("c1", holder="taker") as taker:
        assert taker.epoch == 2
        taker.append("x", {"by": "taker"})
        child.process.send_signal(signal.SIGCONT)
        assert child.hear()["error"] == LeaseLost.__name__
        assert child.ask("append 1")["error"] == LeaseLost.__name__
        child.ask("close")
        taker.append("x", {"by": "taker"})
    assert [entry.body.get("by") for entry in store.entries("c1")] == [None, None, "taker", "taker"]
    assert store.verify() == []
