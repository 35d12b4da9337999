"""A store's file, or the log of a killed process, cut off or with one bit flipped anywhere: nothing goes unnoticed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import Nursery, Process, soft_lab

from sdl.journal import Damage, Store, StoreError

_FLIPS = _CUTS = 220
_PARTS = ("", "-wal", "-shm")


class _Content(NamedTuple):
    """All that a store tells, and what its audit says."""

    heads: list[Any]
    entries: list[Any]
    leases: list[Any]
    rows: list[Any]
    damage: list[Damage]


def _content(path: Path, *, rows: bool = True) -> _Content | StoreError:
    """What a person gets from the store: everything in it, or an error in words; any other exception fails the test."""
    try:
        with Store.open(path, create=False) as store:
            damage = store.verify()
            heads = store.campaigns()
            entries = [entry for head in heads for entry in store.entries(head.id)]
            leases = [store.lease(head.id) for head in heads]
            return _Content(heads, entries, leases, store.list_campaigns() if rows else [], damage)
    except StoreError as error:
        return error


class _Files:
    """The files of a store that is not in use, to be damaged in copies."""

    def __init__(self, path: Path, copy: Path) -> None:
        self.parts = {part: Path(f"{path}{part}").read_bytes() for part in _PARTS if Path(f"{path}{part}").exists()}
        self.copy = copy

    def damaged(self, part: str, content: bytes) -> Path:
        """A fresh copy in which one file has other content."""
        for each in _PARTS:
            Path(f"{self.copy}{each}").unlink(missing_ok=True)
        for each, own in {**self.parts, part: content}.items():
            Path(f"{self.copy}{each}").write_bytes(own)
        return self.copy

    def flipped(self, part: str, rng: random.Random) -> tuple[str, Path]:
        """One bit flipped, anywhere."""
        content = bytearray(self.parts[part])
        spot, bit = rng.randrange(len(content)), rng.randrange(8)
        content[spot] ^= 1 << bit
        return f"bit {bit} of byte {spot}", self.damaged(part, bytes(content))

    def cut(self, part: str, rng: random.Random) -> tuple[str, Path]:
        """Cut off anywhere; at a border between pages half of the time."""
        content = self.parts[part]
        size = rng.randrange(len(content))
        if rng.random() < 0.5:
            size = size // 4096 * 4096 if part == "" else 32 + size // 4120 * 4120
        return f"{size} of {len(content)} bytes", self.damaged(part, content[: min(size, len(content) - 1)])


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """A store at rest, its log checkpointed: a campaign that was run, its views, and one with long entries."""
    folder = tmp_path_factory.mktemp("closed")
    path = folder / "sdl.db"
    campaign = soft_lab(folder / "lab", trials=4, infeasible_above=0.7)
    assert nursery.run("run", campaign, "--store", path, "--quiet", cwd=folder).status == 0
    with Store.open(path) as store:
        store.create("long", "long entries")
        with store.writer("long", holder="test") as writer:
            for i in range(20):
                writer.append("note", {"i": i, "µ": "µ" * (3000 if i % 5 == 0 else 40)})
        store.sync_views()
        assert store.verify() == []
    assert not Path(f"{path}-wal").exists()
    return path


_WRITE = """
import sys, time
from sdl.journal import Store
path, rounds = sys.argv[1], int(sys.argv[2])
with Store.open(path) as store:
    store.create("c1", "killed")
    writer = store.writer("c1", holder="victim")
    for i in range(rounds):
        writer.append("x", {"i": i, "pad": "y" * 1500}, durable=False)
    for i in range(25):
        entry = writer.append("x", {"i": i, "pad": "µ" * 300 * (i % 3)}, durable=i % 2 == 0)
    print(entry.seq, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module", params=[0, 700], ids=["first log", "log begun anew"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose writer was killed, with its log; in the second the log was begun anew over an older, longer one."""
    path = tmp_path_factory.mktemp("killed") / "sdl.db"
    command = [sys.executable, "-c", _WRITE, str(path), str(request.param)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == f"{request.param + 25}\n"
        child.send_signal(signal.SIGKILL)
    assert Path(f"{path}-wal").stat().st_size > 32
    return path


def _try(files: _Files, part: str, seed: int, times: int, how: str, *, rows: bool = True) -> Counter[str]:
    """Damage a store so many times; every time it is told, or all is as before."""
    rng = random.Random(seed)
    before = _content(files.damaged(part, files.parts[part]), rows=rows)
    assert isinstance(before, _Content)
    assert before.damage == []
    found: Counter[str] = Counter()
    for _ in range(times):
        where, copy = files.flipped(part, rng) if how == "flip" else files.cut(part, rng)
        after = _content(copy, rows=rows)
        if isinstance(after, StoreError):
            assert str(copy) in str(after)
            found["refused"] += 1
        elif after.damage:
            assert all(item.message for item in after.damage)
            found["reported"] += 1
        else:
            assert after == before, f"unnoticed: {where}"
            found["as before"] += 1
    return found


@pytest.mark.slow
def test_a_flipped_bit_of_a_store(closed: Path, tmp_path: Path) -> None:
    """One bit flipped anywhere in the file is told, or lies where nothing is kept, and everything reads as before."""
    found = _try(_Files(closed, tmp_path / "copy.db"), "", 1, _FLIPS, "flip")
    assert found["refused"] + found["reported"] > _FLIPS // 4, found


@pytest.mark.slow
def test_a_store_cut_off(closed: Path, tmp_path: Path) -> None:
    """A file cut off anywhere is always told: no length is one that a store could have."""
    found = _try(_Files(closed, tmp_path / "copy.db"), "", 2, _CUTS, "cut")
    assert found["as before"] == 0, found


def _times(killed: Path) -> int:
    """Fewer where the log is megabytes long."""
    return _FLIPS if Path(f"{killed}-wal").stat().st_size < 1 << 20 else 30


@pytest.mark.slow
def test_a_flipped_bit_of_a_log(killed: Path, tmp_path: Path) -> None:
    """One bit flipped in the log of a killed process is told before SQLite drops what follows it."""
    found = _try(_Files(killed, tmp_path / "copy.db"), "-wal", 3, _times(killed), "flip", rows=False)
    assert found["refused"] >= (_FLIPS if _times(killed) == _FLIPS else 1), found


@pytest.mark.slow
def test_a_log_cut_off(killed: Path, tmp_path: Path) -> None:
    """A log that ends before the place where the killed process left it is told, also between two transactions."""
    found = _try(_Files(killed, tmp_path / "copy.db"), "-wal", 4, _times(killed), "cut", rows=False)
    assert found["refused"] >= (_CUTS if _times(killed) == _CUTS else 1), found


def test_a_damaged_log_is_left_alone(killed: Path, tmp_path: Path) -> None:
    """Whoever opens a store with a damaged log is refused every time, and finds the files as they were."""
    files = _Files(killed, tmp_path / "copy.db")
    log = bytearray(files.parts["-wal"])
    log[32 + 24 + 100] ^= 1  # in the first page
    copy = files.damaged("-wal", bytes(log))
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"copy\.db-wal is damaged or cut off: 0 of \d+ pages .*delete copy\.db-shm"
        ):
            Store.open(copy)
        assert Path(f"{copy}-wal").read_bytes() == log
        assert copy.read_bytes() == files.parts[""]
    Path(f"{copy}-shm").unlink()  # as the message advises
    with Store.open(copy) as store:
        assert store.verify() == []


def test_a_missing_log(killed: Path, tmp_path: Path) -> None:
    """A log that was deleted after a kill is missed."""
    copy = _Files(killed, tmp_path / "copy.db").damaged("", killed.read_bytes())
    Path(f"{copy}-wal").unlink()
    with pytest.raises(StoreError, match=r"0 of \d+ pages"):
        Store.open(copy)


def test_a_log_cut_off_by_a_power_cut(killed: Path, tmp_path: Path) -> None:
    """After the machine itself went down a log may be shorter than its index says: whole entries before are there."""
    files = _Files(killed, tmp_path / "copy.db")
    whole = _content(files.damaged("", files.parts[""]), rows=False)
    assert isinstance(whole, _Content)
    left = set()
    for pages in range(8, 48, 4):
        copy = files.damaged("-wal", files.parts["-wal"][: 32 + pages * 4120])
        os.utime(f"{copy}-shm", (0, 0))
        cut = _content(copy, rows=False)
        assert isinstance(cut, _Content)
        assert cut.damage == []
        assert cut.entries == whole.entries[: len(cut.entries)]
        left.add(len(cut.entries))
    assert any(0 < count < len(whole.entries) for count in left), left


def test_a_second_connection_leaves_the_log_of_the_first_alone(tmp_path: Path) -> None:
    """A store in use opens again, in this process and in another, however full its log is."""
    path = tmp_path / "sdl.db"
    with Store.open(path) as store:
        store.create("c1", "silver")
        with store.writer("c1") as writer:
            for i in range(30):
                writer.append("x", {"i": i})
                if i % 10 == 0:
                    with Store.open(path) as again:
                        assert len(list(again.entries("c1"))) == i + 1
            code = "import sys; from sdl.journal import Store; print(len(list(Store.open(sys.argv[1]).entries('c1'))))"
            done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
            assert done.stdout == "30\n"
            writer.append("x", {"i": 30})


def _commands(nursery: Nursery, copy: Path) -> dict[str, Process]:
    orders = {"verify": ("verify",), "show": ("show", "soft"), "list": ("list",)}
    return {name: nursery.run(*order, "--store", copy, cwd=copy.parent) for name, order in orders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_commands_on_a_damaged_store(closed: Path, tmp_path: Path, nursery: Nursery, how: str) -> None:
    """`sdl verify`, `show` and `list` on ten damaged stores: status 2 and plain words, or what they said before."""
    files = _Files(closed, tmp_path / "copy.db")
    before = {name: process.out for name, process in _commands(nursery, files.damaged("", files.parts[""])).items()}
    rng = random.Random(5)
    damaged = 0
    while damaged < 10:
        where, copy = files.flipped("", rng) if how == "flip" else files.cut("", rng)
        content = _content(copy)
        if isinstance(content, _Content) and not content.damage:
            continue
        damaged += 1
        for name, process in _commands(nursery, copy).items():
            told = f"{where}: sdl {name}: {process.out}{process.err}"
            assert not any(word in told for word in ("Traceback", "sqlalchemy", "inside sdl")), told
            if name == "verify" or process.status != 0:
                assert process.status == 2, told
                assert process.err.startswith("sdl: ") or process.out.startswith("damaged: "), told
            elif name == "show":
                assert process.out == before[name], told
