"""`sdl worker` from the shell: what it says, and how it ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support import Nursery, soft_lab, wait_until

from sdl.journal import Store
from sdl.wire import generate_keys


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab of one station, `bench`."""
    return soft_lab(tmp_path / "lab").parent / "lab.yaml"


def test_serves_until_it_is_asked_to_end(nursery: Nursery, lab: Path) -> None:
    """It says where it listens and for whom, makes its spool, and Ctrl-C ends an idle one with 0."""
    process = nursery.start("worker", lab, "--station", "bench", "--listen", "tcp://127.0.0.1:0", cwd=lab.parent)
    wait_until(lambda: "Ctrl-C stops it" in process.out, 30, "it is up")
    assert process.out.startswith("station bench of soft at tcp://127.0.0.1:")
    assert "for this machine only" in process.out
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert process.err == ""
    with Store.open(lab.parent / "bench.spool.db", create=False) as spool:
        assert spool.verify() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--station", "bnch"), "has no station 'bnch'; did you mean 'bench'?"),
        (("--station", "bench", "--listen", "tcp://0.0.0.0:0"), "Make keys with `sdl keys new`"),
        (("--station", "bench", "--listen", "nowhere"), "write tcp://HOST:PORT"),
        (("--station", "bench", "--dead-man", "5 m"), "--dead-man"),
        (("--station", "bench", "--dead-man", "0 s"), "must be between 1 s and 1 h"),
        (("--station", "bench", "--clients", "."), "--key and --clients go together"),
        (("--station", "bench", "--set", "table=x.csv"), "declares no input 'table'"),
    ],
)
def test_bad_input(nursery: Nursery, lab: Path, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be served is refused with exit status 2 and one sentence that says what to do."""
    process = nursery.run("worker", lab, *arguments, cwd=lab.parent)
    assert process.status == 2
    assert said in process.err
    assert all(line.startswith("sdl: ") for line in process.err.splitlines())


def test_a_folder_without_keys(nursery: Nursery, lab: Path, tmp_path: Path) -> None:
    """An allow-list that lets nobody in is refused."""
    _, secret = generate_keys(tmp_path / "keys", "bench")
    (tmp_path / "nobody").mkdir()
    arguments = ("--key", secret, "--clients", tmp_path / "nobody")
    process = nursery.run("worker", lab, "--station", "bench", *arguments, cwd=lab.parent)
    assert process.status == 2
    assert "nobody could give orders" in process.err


def test_a_spool_has_one_worker(nursery: Nursery, lab: Path) -> None:
    """A second worker on the same spool is refused and told who has it; so is a file that is no spool."""
    arguments = ("worker", lab, "--station", "bench", "--listen", "tcp://127.0.0.1:0")
    first = nursery.start(*arguments, cwd=lab.parent)
    wait_until(lambda: "Ctrl-C stops it" in first.out, 30, "it is up")
    second = nursery.run(*arguments, cwd=lab.parent)
    assert second.status == 2
    assert "is in use by another worker" in second.err
    first.kill()
    with Store.open(lab.parent / "journal.db") as store:
        store.create("soft-1", "soft")
    third = nursery.run(*arguments, "--spool", "journal.db", cwd=lab.parent)
    assert third.status == 2
    assert "is the store of a campaign, no worker's spool" in third.err


def test_the_address_of_the_lab_file(nursery: Nursery, lab: Path) -> None:
    """Without --listen it listens where the lab file says that the station's worker is."""
    lab.write_text(lab.read_text().replace("{devices: [detector]}", "{devices: [detector], worker: nowhere}"))
    process = nursery.run("worker", lab, "--station", "bench", cwd=lab.parent)
    assert process.status == 2
    assert "nowhere" in process.err
