"""Backups of running campaigns, and the journals of two stores put into one; on SQLite and PostgreSQL."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import execute, rows

from sdl.journal import JournalError, LeaseHeld, Store, StoreError
from sdl.journal._schema import PLACES

_RECORD = ("campaigns", "entries", "heads", "leases")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another lab's store, in a file."""
    (tmp_path / "other").mkdir()
    with Store.open(tmp_path / "other" / "sdl.db") as store:
        yield store


def _write(store: Store, campaign: str, count: int, name: str = "") -> None:
    if campaign not in {head.id for head in [*store.campaigns(), *store.labs()]}:
        store.create(campaign, name or campaign)
    with store.writer(campaign) as writer:
        for i in range(count):
            writer.post("x", {"i": i, "by": campaign, "text": "µ 銀 🧪"})


def _record(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(map(tuple, rows(store.location, f"SELECT * FROM {table}"))) for table in _RECORD}


def _copied(store: Store, file: Path) -> Store:
    """The same chains in another store, as by a backup."""
    store.backup(file)
    return Store.open(file)


def test_a_backup_of_a_running_campaign(store: Store, tmp_path: Path) -> None:
    """Taken while a writer is at work, each backup is whole, a beginning of the journal, and goes on when restored."""
    stop = threading.Event()

    def work() -> None:
        with store.writer("c1") as writer:
            while not stop.is_set():
                writer.append("x", {"pad": "x" * 300}, durable=False)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        files = [tmp_path / f"backup-{n}.db" for n in range(3)]
        for file in files:
            store.backup(file)
    finally:
        stop.set()
        worker.join()
    hashes = [entry.hash for entry in store.entries("c1")]
    for file in files:
        with Store.open(file) as copy:
            assert copy.verify() == []
            own = [entry.hash for entry in copy.entries("c1")]
            assert own == hashes[: len(own)]
    execute(files[-1], "UPDATE leases SET machine = 'the lost one', heartbeat = 0")
    with Store.open(files[-1]) as restored, restored.writer("c1") as writer:
        assert writer.append("x", {}).seq == len(own) + 1
    assert sorted(p.name for p in tmp_path.glob("*backup*")) == [file.name for file in files]


def test_a_backup_holds_the_lease(store: Store, tmp_path: Path) -> None:
    """While the original's writer lives, its backup lets nobody write: two would act on the same instruments."""
    with store.writer("c1", holder="ana"):
        store.backup(tmp_path / "backup.db")
        with Store.open(tmp_path / "backup.db") as copy, pytest.raises(LeaseHeld, match="ana"):
            copy.writer("c1")


def test_a_backup_with_requests(store: Store, tmp_path: Path) -> None:
    """What waits in the inbox is in the backup as well."""
    number = store.request("c1", "resolve", {"action": "a"})
    with _copied(store, tmp_path / "backup.db") as copy:
        assert [(r.id, r.body) for r in copy.requests("c1")] == [(number, {"action": "a"})]


def test_nothing_is_written_over(store: Store, tmp_path: Path) -> None:
    """A backup to a file that is there is refused, one into a missing folder too, and no draft stays behind."""
    file = tmp_path / "precious.txt"
    file.write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        store.backup(file)
    assert file.read_text() == "mine"
    with pytest.raises(StoreError, match="there is no folder"):
        store.backup(tmp_path / "none" / "backup.db")
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_store_gives_no_backup(store: Store, tmp_path: Path) -> None:
    """A store with a changed entry is not copied as if it were sound; the message names the entry."""
    _write(store, "c1", 5)
    execute(store.location, f"UPDATE packed SET at = at + 1 WHERE place = {PLACES + 3}")
    with pytest.raises(StoreError, match="entry 3 of campaign c1"):
        store.backup(tmp_path / "backup.db")
    assert not list(tmp_path.glob("*backup*"))


def test_two_labs(store: Store, other: Store) -> None:
    """Campaigns and the chains of labs come together unchanged; a second time nothing is left to do."""
    _write(store, "c1", 3)
    for chain, count in (("a1", 40), ("a2", 0), ("lab-kyoto", 7)):
        _write(other, chain, count)
    told = store.merge(other)
    assert [(one.campaign, one.what, one.entries) for one in told] == [
        ("a1", "taken", 40), ("a2", "taken", 0), ("lab-kyoto", "taken", 7),
    ]  # fmt: skip
    assert store.verify() == []
    assert other.verify() == []
    for chain in ("a1", "a2", "lab-kyoto"):
        assert list(store.entries(chain)) == list(other.entries(chain))
    before = _record(store)
    assert {one.what for one in store.merge(other)} == {"here already"}
    assert _record(store) == before
    with store.writer("a1") as writer:
        assert writer.epoch == 2, "instruments that know epoch 1 of it must not take this writer for an older one"
        assert writer.append("x", {}).seq == 41


@pytest.mark.parametrize("longer", ["here", "there"])
def test_the_longer_one_is_taken(store: Store, tmp_path: Path, longer: str) -> None:
    """Of two chains of which one begins the other, the longer one stays."""
    _write(store, "c1", 20)
    with _copied(store, tmp_path / "copy.db") as copy:
        _write(store if longer == "here" else copy, "c1", 2500)
        (told,) = store.merge(copy)
    assert (told.what, told.entries) == (("here already", 0) if longer == "here" else ("lengthened", 2500))
    assert [head.seq for head in store.campaigns()] == [2520]
    assert store.verify() == []


def test_chains_that_went_apart(store: Store, other: Store, tmp_path: Path) -> None:
    """A campaign that went on in both is refused by name, nothing at all is taken; left out, the rest is."""
    _write(store, "c1", 20)
    with _copied(store, tmp_path / "copy.db") as copy:
        _write(copy, "a-new-one", 5)
        _write(copy, "c1", 2)
        _write(store, "c1", 1)
        before = _record(store)
        with pytest.raises(JournalError, match=r"silver \(c1\) went on in both .*--leave c1"):
            store.merge(copy)
        assert _record(store) == before
        with pytest.raises(JournalError, match="no campaign or lab gold to leave out"):
            store.merge(copy, leave=["gold"])
        told = {one.campaign: one.what for one in store.merge(copy, leave=["silver"])}
    assert told == {"a-new-one": "taken", "c1": "left out"}
    assert store.verify() == []


def test_two_labs_of_one_name(store: Store, other: Store) -> None:
    """Two labs that are called the same have records of their own, which are not mixed; the message says what to do."""
    for one in (store, other):
        _write(one, "lab-bench", 2, "bench")
    _write(other, "a1", 1)
    with pytest.raises(JournalError, match=r"two labs are called bench.*--leave bench"):
        store.merge(other)
    assert [head.id for head in store.campaigns()] == ["c1"]
    assert {one.campaign for one in store.merge(other, leave=["bench"]) if one.what == "taken"} == {"a1"}


def test_a_campaign_under_way_is_not_lengthened(store: Store, tmp_path: Path) -> None:
    """A campaign that somebody writes here is refused; so is a store merged with itself."""
    with _copied(store, tmp_path / "copy.db") as copy:
        _write(copy, "c1", 3)
        with store.writer("c1", holder="ana") as writer:
            with pytest.raises(LeaseHeld, match="ana"):
                store.merge(copy)
            assert writer.append("x", {}).seq == 1
    with pytest.raises(JournalError, match="is the store itself"):
        store.merge(store)


def test_a_damaged_other_store(store: Store, other: Store) -> None:
    """Of a damaged store nothing is taken."""
    _write(other, "a1", 9)
    execute(other.location, f"UPDATE packed SET at = at + 1 WHERE place = {PLACES + 9}")
    before = _record(store)
    with pytest.raises(StoreError, match="is damaged"):
        store.merge(other)
    assert _record(store) == before


def test_a_long_journal_from_one_kind_to_the_other(store: Store, tmp_path: Path) -> None:
    """A backup of either kind, merged into an empty store of either, is the same record, byte for byte."""
    rng = random.Random(7)
    _write(store, "c1", rng.randrange(1100, 1300))
    with _copied(store, tmp_path / "copy.db") as copy, Store.open(tmp_path / "new.db") as new:
        new.merge(copy)
        assert _record(new)["entries"] == _record(store)["entries"]
        assert _record(new)["heads"] == _record(store)["heads"]
