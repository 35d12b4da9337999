"""Stores of the first format, made by its own statements: read as they are, brought up to date by whoever writes."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from support.corpus import dump
from support.postgres import execute, rows

from sdl.journal import LeaseHeld, Store, StoreError, canonical, kinds

_JOURNALS = [(Path(__file__).parent / "corpus" / "0.1.0" / f"{name}.jsonl").read_text() for name in ("ended", "doubts")]
_TABLES = (
    'CREATE TABLE meta ("key" TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY ("key"))',
    "CREATE TABLE campaigns (id TEXT NOT NULL, name TEXT NOT NULL, created_at BIGINT NOT NULL, hash TEXT NOT NULL, "
    "PRIMARY KEY (id))",
    "CREATE TABLE entries (campaign TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, "
    "body TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (campaign, seq)){without}",
    "CREATE TABLE heads (campaign TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, epoch BIGINT NOT NULL, "
    "PRIMARY KEY (campaign))",
    "CREATE TABLE leases (campaign TEXT NOT NULL, epoch BIGINT NOT NULL, holder TEXT NOT NULL, host TEXT NOT NULL, "
    "machine TEXT NOT NULL, pid BIGINT NOT NULL, started TEXT NOT NULL, since BIGINT NOT NULL, "
    "heartbeat BIGINT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (campaign))",
)
"""What release 0.1.0 executed."""


def _make(place: str | Path) -> list[str]:
    """A store of the first format with two campaigns; returns their ids."""
    file = not isinstance(place, str)
    campaigns, inserts = [], [("INSERT INTO meta VALUES (?, ?)", ("format", "1"))]
    for text in _JOURNALS:
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        first, last = lines[0], lines[-1]
        one, name = first["campaign"], json.loads(first["body"])["spec"]["name"]
        seal = sha256(canonical([one, name, first["at"]]).encode()).hexdigest()
        campaigns.append(one)
        inserts.append(("INSERT INTO campaigns VALUES (?, ?, ?, ?)", (one, name, first["at"], seal)))
        inserts.append(("INSERT INTO heads VALUES (?, ?, ?, 3)", (one, last["seq"], last["hash"])))
        inserts.append(("INSERT INTO leases VALUES (?, 3, '', '', '', 0, '', 0, 0, '')", (one,)))
        inserts += [("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(line.values())) for line in lines]
    if file:
        with closing(sqlite3.connect(place)) as db, db:
            db.execute(f"PRAGMA application_id={0x53444C4A}")
            db.execute("PRAGMA journal_mode=WAL")
            for statement in _TABLES:
                db.execute(statement.format(without=" WITHOUT ROWID"))
            for statement, values in inserts:
                db.execute(statement, values)
    else:
        with psycopg.connect(place) as db:
            for statement in _TABLES:
                db.execute(statement.format(without=""))  # type: ignore[arg-type]
            for statement, values in inserts:
                db.execute(statement.replace("?", "%s"), values)  # type: ignore[arg-type]
    return campaigns


@pytest.fixture
def first(place: str | Path) -> tuple[str | Path, list[str]]:
    """Such a store of each kind, and its campaigns."""
    return place, _make(place)


def _format(place: str | Path) -> str:
    return str(rows(place, "SELECT value FROM meta")[0][0])


def test_it_is_read_as_it_is(first: tuple[str | Path, list[str]]) -> None:
    """Whoever only reads changes nothing of the record, and finds all of it sound."""
    place, campaigns = first
    with Store.open(place, create=False) as store:
        assert store.verify() == []
        for one, text in zip(campaigns, _JOURNALS, strict=True):
            lines = [json.loads(line) for line in text.split("\n")[:-1]]
            assert [e.hash for e in store.entries(one)] == [line["hash"] for line in lines]
            assert store.entry(one, 7).body == json.loads(lines[6]["body"])
            assert [e.seq for e in store.entries(one, kinds={kinds.DOCUMENT})] == [
                line["seq"] for line in lines if line["kind"] == kinds.DOCUMENT
            ]
            assert store.state(one).seq == len(lines)
        assert {row.id for row in store.list_campaigns()} == set(campaigns)
        assert store.check()[0] == []
    assert _format(place) == "1"
    assert [dump(place, one) for one in campaigns] == _JOURNALS


def test_whoever_writes_brings_it_up_to_date(first: tuple[str | Path, list[str]]) -> None:
    """The first writer changes the format, and no byte of what an entry says; who has the store open reads on."""
    place, campaigns = first
    with Store.open(place) as reader, Store.open(place) as store:
        before = list(reader.entries(campaigns[0]))
        with store.writer(campaigns[0]) as writer:
            assert writer.append(kinds.CAMPAIGN_PAUSED, {"message": "read", "advice": ""}).seq == len(before) + 1
        assert _format(place) == "2"
        for one in (store, reader):
            assert list(one.entries(campaigns[0]))[:-1] == before
            assert one.verify() == []
        store.create("new", "new")
    assert dump(place, campaigns[0]).startswith(_JOURNALS[0])
    assert dump(place, campaigns[1]) == _JOURNALS[1]


def test_compacting_brings_it_up_to_date(first: tuple[str | Path, list[str]]) -> None:
    """`sdl store compact` changes the format, and nothing else."""
    place, campaigns = first
    with Store.open(place) as store:
        store.compact()
        assert store.verify() == []
    assert _format(place) == "2"
    assert [dump(place, one) for one in campaigns] == _JOURNALS


def test_a_damaged_one_is_not_written(first: tuple[str | Path, list[str]]) -> None:
    """A changed entry is named; nothing is written, and everything is as it was."""
    place, campaigns = first
    last = max(campaigns)
    execute(place, f"UPDATE entries SET at = at + 1 WHERE campaign = '{last}' AND seq = 9")
    with Store.open(place) as store:
        assert [(d.campaign, d.seq) for d in store.verify()] == [(last, 9)]
        for action in (lambda: store.writer(min(campaigns)), lambda: store.create("new", "new"), store.compact):
            with pytest.raises(StoreError, match=rf"earlier release and damaged \(entry 9 of campaign {last}"):
                action()
        assert [e.seq for e in store.entries(min(campaigns))]
    assert _format(place) == "1"
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        rows(place, "SELECT * FROM packed")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE seq = 5",
        "UPDATE entries SET prev_hash = hash WHERE seq = 4",
        "DELETE FROM entries WHERE seq > 12",
        "DELETE FROM heads",
        "UPDATE campaigns SET id = 'other'",
    ],
)
def test_no_damage_is_lost_on_the_way(tmp_path: Path, statement: str) -> None:
    """What the audit of the first format finds, bringing it up to date finds as well."""
    place = tmp_path / "sdl.db"
    _make(place)
    execute(place, statement.replace("'other'", "id || 'x'"))
    with Store.open(place) as store:
        assert store.verify()
        with pytest.raises(StoreError, match="earlier release and damaged"):
            store.bring_up_to_date()


def test_one_that_is_written_is_left_alone(first: tuple[str | Path, list[str]]) -> None:
    """While a process of the earlier release writes a campaign, another campaign's writer is refused and told why."""
    place, campaigns = first
    with Store.open(place) as store:
        held = f"holder = 'ana', since = 1, heartbeat = {time.time_ns()}, host = 'there', machine = 'there'"
        execute(place, f"UPDATE leases SET {held} WHERE campaign = '{campaigns[1]}'")
        with pytest.raises(LeaseHeld, match="ana"):
            store.writer(campaigns[0])
    assert _format(place) == "1"


def test_copies(first: tuple[str | Path, list[str]], tmp_path: Path) -> None:
    """A backup of it is whole, and it can be merged into a store of this format."""
    place, campaigns = first
    with Store.open(place) as store, Store.open(tmp_path / "new.db") as new:
        store.backup(tmp_path / "backup.db")
        new.merge(store)
        assert new.verify() == []
    assert _format(place) == "1"
    for file in ("backup.db", "new.db"):
        assert [dump(tmp_path / file, one) for one in campaigns] == _JOURNALS
