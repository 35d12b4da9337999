"""Writing entries."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.postgres import execute

from sdl.journal import Entry, JournalError, LeaseLost, Store, StoreError


def test_append_returns_what_is_stored(store: Store) -> None:
    """An appended entry is the one that is read back."""
    with store.writer("c1") as writer:
        made = [writer.append("x", {"v": np.float64(1.5), "n": float("nan")}), writer.append("y", {})]
        assert list(store.entries("c1")) == made
    assert made[0].body == {"v": 1.5, "n": None}
    assert made[1].prev_hash == made[0].hash
    assert made[0].as_json()["seq"] == 1


def test_order_is_that_of_handing_over(store: Store) -> None:
    """Posted and appended entries of one thread keep their order, and times never go back."""
    with store.writer("c1") as writer:
        for i in range(300):
            (writer.append if i % 50 == 0 else writer.post)("x", {"i": i})
    entries = list(store.entries("c1"))
    assert [e.body["i"] for e in entries] == list(range(300))
    assert [e.at for e in entries] == sorted(e.at for e in entries)


def test_many_threads(store: Store) -> None:
    """Threads append at once; each entry is there once, the chain is whole, and each thread's order is kept."""
    with store.writer("c1") as writer, ThreadPoolExecutor(8) as pool:

        def work(thread: int) -> None:
            for i in range(40):
                writer.append("x", {"thread": thread, "i": i}, durable=i % 10 == 0)

        list(pool.map(work, range(8)))
    entries = list(store.entries("c1"))
    assert len(entries) == 320
    for thread in range(8):
        assert [e.body["i"] for e in entries if e.body["thread"] == thread] == list(range(40))
    assert store.verify() == []


def test_a_later_change_of_the_body_does_not_matter(store: Store) -> None:
    """The body is copied as it is handed over."""
    with store.writer("c1") as writer:
        body = {"v": [1]}
        writer.post("x", body)
        body["v"].append(2)
        writer.flush()
        assert next(store.entries("c1")).body == {"v": [1]}


def test_a_refused_body_leaves_the_writer_well(store: Store) -> None:
    """What has no form in JSON is refused to its caller, and the next entry is recorded."""
    with store.writer("c1") as writer:
        for call in (writer.append, writer.post):
            with pytest.raises(JournalError, match=r"^doc\.data"):
                call("x", {"doc": {"data": object()}})
        assert writer.append("x", {}).seq == 1
        assert writer.failure is None


async def test_aappend_does_not_block_the_loop(store: Store) -> None:
    """Tasks append at once; a cancelled one's entry is recorded all the same, and nothing breaks."""
    with store.writer("c1") as writer:
        entries = await asyncio.gather(*(writer.aappend("x", {"i": i}) for i in range(20)))
        assert [e.seq for e in entries] == list(range(1, 21))
        task = asyncio.create_task(writer.aappend("cancelled", {}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await writer.aappend("after", {})).seq == 22
    assert [e.kind for e in store.entries("c1", after=20)] == ["cancelled", "after"]


def test_subscribers(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Subscribers see each committed entry in order; one that fails is logged and harms nobody."""
    seen: list[Entry] = []
    refused: list[JournalError] = []

    def bad(entry: Entry) -> None:
        try:
            writer.append("y", {})
        except JournalError as error:
            refused.append(error)
        raise RuntimeError("subscriber broke")

    with store.writer("c1") as writer:
        writer.subscribe(bad)
        writer.subscribe(seen.append)
        for i in range(5):
            writer.post("x", {"i": i})
        writer.flush()
        assert seen == list(store.entries("c1"))
    assert "subscriber broke" in caplog.text
    assert len(refused) == 5


def test_nothing_after_close(store: Store) -> None:
    """A closed writer refuses entries; closing twice does nothing; its thread has ended."""
    writer = store.writer("c1")
    writer.post("x", {})
    writer.close()
    writer.close()
    with pytest.raises(JournalError, match="closed"):
        writer.append("x", {})
    with pytest.raises(JournalError, match="closed"):
        writer.post("x", {})
    assert [t for t in threading.enumerate() if t.name.startswith("journal")] == []
    assert len(list(store.entries("c1"))) == 1


def test_a_posted_failure_is_told_once(store: Store) -> None:
    """When a posted entry cannot be recorded, the next call says so, and closing does not say it again."""
    old = store.writer("c1")
    _steal(store)
    old.post("x", {})
    with pytest.raises(LeaseLost):
        old.flush()
    assert isinstance(old.failure, LeaseLost)
    with pytest.raises(LeaseLost):
        old.post("x", {})
    old.close()
    untold = store.writer("c1")
    _steal(store)
    untold.post("x", {})
    with pytest.raises(LeaseLost):
        untold.close()
    assert list(store.entries("c1")) == []


def _steal(store: Store) -> None:
    """Take the lease as a process would that believes the holder dead."""
    execute(store.location, "UPDATE leases SET epoch = epoch + 1, holder = ''", "UPDATE heads SET epoch = epoch + 1")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_durable_entries_are_synced_and_others_are_not(path: Path) -> None:
    """A durable append syncs the log once, a plain one not at all, also when they alternate; flush syncs."""
    code = f"""
import os
from sdl.journal import Store
say = lambda text: os.write(1, text.encode())
with Store.open({str(path)!r}) as store:
    store.create("c1", "silver")
    with store.writer("c1") as w:
        w.append("x", {{}}), w.append("x", {{}}, durable=False), w.flush()
        say("A")
        w.append("x", {{}}, durable=False)
        say("B")
        w.append("x", {{}})
        say("C")
        w.append("x", {{}}, durable=False)
        say("D")
        w.flush()
        say("E")
        w.flush()
        say("F")
"""
    run = subprocess.run(
        ["strace", "-f", "-e", "trace=write,fsync,fdatasync", "-o", str(path) + ".trace", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.stdout != "ABCDEF":
        pytest.skip(f"strace cannot trace here: {run.stderr[-200:]}")
    story = ""
    for line in Path(f"{path}.trace").read_text().splitlines():
        if "sync(" in line:
            story += "s"
        elif 'write(1, "' in line:
            story += line.split('"')[1]
    assert story[story.index("A") : story.index("F") + 1] == "ABsCDsEF"


def _fill(path: Path, limit: str) -> str:
    """Write in a child process until the disk refuses; return its last line."""
    code = f"""
import sys, resource, signal
{limit}
from sdl.journal import Store, StoreError
with Store.open({str(path)!r}) as store:
    store.create("c1", "silver")
    writer = store.writer("c1")
    n = 0
    try:
        while n < 100000:
            writer.append("x", {{"i": n, "pad": "x" * 2000}}, durable=n % 10 == 0)
            n += 1
    except StoreError as error:
        print(n, error)
    try:
        writer.append("x", {{}})
    except StoreError as error:
        print("again")
    writer.close()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = run.stdout.splitlines()
    assert second == "again"
    return first


def test_a_limit_on_file_size(path: Path) -> None:
    """When the file cannot grow, the error says so with the path, and every acknowledged entry is there."""
    line = _fill(
        path,
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))",
    )
    count, message = line.split(" ", 1)
    assert "disk" in message
    assert str(path) in message
    _whole(path, int(count))


def test_a_full_disk(tmp_path: Path) -> None:
    """When the disk is full, the error says so with the path, and every acknowledged entry is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        count, message = _fill(disk / "sdl.db", "").split(" ", 1)
        assert "the disk is full" in message
        assert str(disk) in message
        for name in disk.iterdir():
            shutil.copy(name, tmp_path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    _whole(tmp_path / "sdl.db", int(count))


def _whole(path: Path, count: int) -> None:
    assert count > 50
    with Store.open(path) as store:
        assert store.verify() == []
        assert [e.body["i"] for e in store.entries("c1")] == list(range(count))
        with store.writer("c1") as writer:
            assert writer.append("x", {}).seq == count + 1


def test_a_damaged_end_is_not_lengthened(store: Store) -> None:
    """A writer refuses a chain whose last entry was changed, and does not keep the lease."""
    with store.writer("c1") as writer:
        writer.append("x", {"v": 1})
    execute(store.location, "UPDATE packed SET body = '{\"v\":2}'")
    with pytest.raises(StoreError, match="sdl verify"):
        store.writer("c1")
    assert store.lease("c1") is None
