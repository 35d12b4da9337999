"""Whole campaigns on PostgreSQL: killed, run twice at once, and with a server that goes away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Nursery, Process, soft_lab, wait_until
from support.postgres import Server, execute, rows, server

from sdl.journal import Entry, Store, kinds

_TRIALS = 5


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts `sdl` commands as real processes, quickly."""
    nursery = Nursery(tmp_path_factory.mktemp("commands"))
    yield nursery
    nursery.close()


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    """A place for a store in PostgreSQL."""
    made = postgres.create()
    yield made
    postgres.drop(made)


def _entries(url: str) -> list[Entry]:
    with Store.open(url, create=False) as store:
        (head,) = store.campaigns()
        return list(store.entries(head.id))


def _start(nursery: Nursery, folder: Path, url: str, after: int, trials: int = _TRIALS) -> Process:
    campaign = soft_lab(folder, seconds=0.03, points=2, trials=trials)
    process = nursery.start("run", campaign, "--store", url, "--json", cwd=folder)
    wait_until(lambda: len(process.events) > after or process.status is not None, 60, "events", 0.02)
    assert process.status is None, process.err
    return process


def _finish(nursery: Nursery, folder: Path, url: str, before: list[Entry]) -> None:
    """The same command ends the campaign; what was recorded before is there unchanged, and each trial is told once."""
    again = nursery.run("run", "campaign.yaml", "--store", url, "--json", cwd=folder, seconds=90)
    assert again.status == 0, again.err
    after = _entries(url)
    assert after[: len(before)] == before
    proposed = [e.body["trial"] for e in after if e.kind == kinds.TRIAL_PROPOSED]
    told = [e.body["trial"] for e in after if e.kind == kinds.TRIAL_OBSERVED]
    assert proposed == sorted(told) == list(range(1, _TRIALS + 1))
    with Store.open(url) as store:
        assert store.check()[0] == []
        assert not store.state(store.campaigns()[0].id).open_runs


def test_killed_and_run_again(nursery: Nursery, url: str, tmp_path: Path) -> None:
    """After SIGKILL nothing that was printed is missing, and the same command goes on to the end; the CLI reads it."""
    process = _start(nursery, tmp_path, url, 12)
    process.kill()
    before = _entries(url)
    known = {entry.seq: (entry.kind, entry.at) for entry in before}
    assert all(known[event["seq"]] == (event["event"], event["at"]) for event in process.events)
    _finish(nursery, tmp_path, url, before)
    for command in (["show", "soft"], ["doctor"]):
        told = nursery.run(*command, cwd=tmp_path, env={"SDL_STORE": url})
        assert told.status == 0, told.out + told.err
    assert "every hash fits" in told.out


def test_two_at_once(nursery: Nursery, url: str, tmp_path: Path) -> None:
    """While one process runs a campaign, a second is refused and names the first, which goes on undisturbed."""
    first = _start(nursery, tmp_path, url, 5, trials=500)
    second = nursery.run("run", "campaign.yaml", "--store", url, cwd=tmp_path)
    assert second.status == 2
    assert f"pid {first.pid}" in second.err
    seen = len(first.events)
    wait_until(lambda: len(first.events) > seen + 10, 30, "the first to go on", 0.02)
    first.signal(signal.SIGTERM)
    assert first.wait(30) == 3, first.err
    assert sum(entry.kind == kinds.SESSION_OPENED for entry in _entries(url)) == 1


def test_a_server_that_is_killed(nursery: Nursery, tmp_path: Path) -> None:
    """When the server crashes, the campaign ends in its safe state with a sentence; nothing is lost, and it goes on."""
    with server(durable=True) as own:
        url = own.create()
        process = _start(nursery, tmp_path, url, 12)
        own.kill()
        assert process.wait(60) == 4, process.err
        told = process.events
        assert process.err.startswith("sdl: "), process.err
        assert "See that it runs" in process.err
        assert not any(word in process.err for word in ("Traceback", "psycopg.", "sqlalche.me")), process.err
        gone = nursery.run("list", "--store", url, cwd=tmp_path)
        assert gone.status == 2
        assert "cannot be reached" in gone.err
        own.start()
        before = _entries(url)
        known = {entry.seq: entry.kind for entry in before}
        assert all(known[event["seq"]] == event["event"] for event in told)
        _finish(nursery, tmp_path, url, before)


def test_a_server_that_is_stopped(nursery: Nursery, tmp_path: Path) -> None:
    """A server that its operator stops is told as such, and a restart is all that is needed."""
    with server() as own:
        url = own.create()
        process = _start(nursery, tmp_path, url, 12)
        own.stop()
        assert process.wait(60) == 4, process.err
        assert "See that it runs" in process.err
        own.start()
        _finish(nursery, tmp_path, url, _entries(url))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("postgresql://sdl@127.0.0.1:1/none", "cannot be reached"),
        ("postgresql:/one-slash/x", "with two slashes"),
        ("mysql://somewhere/x", "a file or a PostgreSQL database"),
        ("postgresql://sdl:secret@127.0.0.1:1/none", "sdl:***@127.0.0.1"),
    ],
)
def test_a_place_where_no_store_is(nursery: Nursery, tmp_path: Path, place: str, words: str) -> None:
    """A URL that leads nowhere, or is none, is refused in a sentence, without a password that stands in it."""
    told = nursery.run("list", "--store", place, cwd=tmp_path)
    assert told.status == 2
    assert words in told.err
    assert "secret" not in told.out + told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_program(url: str, postgres: Server, nursery: Nursery, tmp_path: Path) -> None:
    """A database with tables of another program is left as it is; one that does not exist is named."""
    execute(url, "CREATE TABLE entries (id int)")
    for place, words in ((url, "tables of another program (entries)"), (postgres.url("none"), "createdb")):
        told = nursery.run("list", "--store", place, cwd=tmp_path)
        assert told.status == 2
        assert words in told.err
    assert [tuple(row) for row in rows(url, "SELECT count(*) FROM entries")] == [(0,)]
