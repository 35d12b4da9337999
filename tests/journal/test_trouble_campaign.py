"""Whole campaigns on a full disk, on a failing disk, under a clock that is set, and stopped: they go on afterwards."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support import Nursery, Process, check_record, journal_length, ledger, soft_lab, wait_until
from support.trouble import Trouble, build_trouble, private_mounts

_STOPPED_S = 60.0 if os.environ.get("SDL_CHAOS") == "full" else 3.0
"""Seconds for which a process is stopped."""
_TRIALS = 25


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_trouble(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def nursery(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands in which a disk can fail and the clock can be set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


def _start(nursery: Nursery, folder: Path, trouble: Trouble, seconds: float = 0.03) -> Process:
    campaign = soft_lab(folder, seconds=seconds, trials=_TRIALS)
    process = nursery.start("run", campaign, "--quiet", cwd=folder, env=trouble.env)
    wait_until(lambda: journal_length(folder / "sdl.db") > 40 or process.status is not None, 30, "entries")
    assert process.status is None, process.err
    return process


def _finish(nursery: Nursery, folder: Path, before: dict[int, tuple[str, int, str]]) -> None:
    """The same command ends the campaign; what was recorded before is there unchanged."""
    again = nursery.run("run", "campaign.yaml", "--quiet", cwd=folder, seconds=60)
    assert again.status == 0, again.err
    _check(folder, before)


def _check(folder: Path, before: dict[int, tuple[str, int, str]]) -> None:
    after = ledger(folder / "sdl.db")
    assert {seq: after.get(seq) for seq in before} == before
    assert check_record(folder / "sdl.db")["proposed"] == _TRIALS
    times = [at for _, at, _ in after.values()]
    assert times == sorted(times)


def _is_clean(process: Process, *words: str) -> None:
    """A sentence on standard error, and no traceback."""
    assert process.err.startswith("sdl: "), process.err
    assert all(word in process.err for word in words), process.err
    assert not any(word in process.err for word in ("Traceback", "sqlalchemy", "inside sdl")), process.err


@pytest.mark.slow
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_failing_disk(tmp_path: Path, nursery: Nursery, library: Path, call: str) -> None:
    """A campaign whose disk fails is aborted to the safe state with the reason; when the disk is well it goes on."""
    trouble = Trouble(library, tmp_path, call=call)
    process = _start(nursery, tmp_path, trouble)
    before = ledger(tmp_path / "sdl.db")
    trouble.disk_fails(True)
    assert process.wait(30) == 4, process.err
    _is_clean(process, "the disk failed to read or write")
    trouble.disk_fails(False)
    _finish(nursery, tmp_path, before)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_is_set(tmp_path: Path, nursery: Nursery, library: Path, jump: int) -> None:
    """A clock set by an hour disturbs no campaign: others are refused, times stay in order, and it ends well."""
    trouble = Trouble(library, tmp_path)
    process = _start(nursery, tmp_path, trouble, seconds=0.2)
    before = ledger(tmp_path / "sdl.db")
    trouble.set_clock(jump)
    others = [nursery.start("run", "campaign.yaml", "--quiet", cwd=tmp_path, env=env) for env in (trouble.env, {})]
    for other in others:
        assert other.wait(30) == 2
        _is_clean(other, "is being written by", f"pid {process.pid}")
    assert process.wait(60) == 0, process.err
    _check(tmp_path, before)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep the store's write lock, as a process does that was stopped amid a write; it may be doing so itself."""
    db = sqlite3.connect(store, timeout=0, isolation_level=None)
    try:
        with suppress(sqlite3.OperationalError):
            db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


@pytest.mark.slow
def test_a_stopped_process(tmp_path: Path, nursery: Nursery, library: Path) -> None:
    """A campaign stopped for a while, even amid a write, keeps its lease and goes on as if nothing had been."""
    process = _start(nursery, tmp_path, Trouble(library, tmp_path))
    process.signal(signal.SIGSTOP)
    before = ledger(tmp_path / "sdl.db")
    time.sleep(_STOPPED_S)
    with locked(tmp_path / "sdl.db"):
        other = nursery.run("run", "campaign.yaml", "--quiet", cwd=tmp_path)
    assert other.status == 2
    _is_clean(other, "is being written by", f"pid {process.pid}")
    assert ledger(tmp_path / "sdl.db") == before
    process.signal(signal.SIGCONT)
    assert process.wait(60) == 0, process.err
    _check(tmp_path, before)


_FILL = """
import json, subprocess, sys
folder, size = sys.argv[1:]
mount = lambda options: subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
run = [sys.executable, "-m", "sdl", "run", "campaign.yaml", "--quiet", "--store", f"{folder}/sdl.db"]
mount(f"size={size}k")
full = subprocess.run(run, capture_output=True, text=True)
mount("remount,size=30m")
again = subprocess.run(run, capture_output=True, text=True)
subprocess.run(["cp", f"{folder}/sdl.db", "sdl.db"], check=True)
print(json.dumps([full.returncode, full.stderr, again.returncode, again.stderr]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "status"), [(40, 2), (500, 4)])
def test_a_full_disk(tmp_path: Path, size: int, status: int) -> None:
    """A disk of so many kB that fills up before a campaign, or in it: the reason is told, and it goes on with more."""
    soft_lab(tmp_path, seconds=0.01, trials=_TRIALS, points=4)
    folder = tmp_path / "small"
    folder.mkdir()
    command = [*private_mounts(), sys.executable, "-c", _FILL, str(folder), str(size)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    full, message, again, complaint = json.loads(done.stdout)
    assert full == status, message
    assert "the disk is full" in message or "No space left" in message, message
    assert all(line.startswith("sdl: ") for line in message.splitlines()), message
    assert (again, complaint) == (0, "")
    assert check_record(tmp_path / "sdl.db")["proposed"] == _TRIALS
