"""Derived tables: damage to them is told, and those of another release are derived anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.corpus import load

from sdl.journal import Store

_ENDED = Path(__file__).parent / "corpus" / "0.1.0" / "ended.jsonl"
_TABLES = ("view_campaigns", "view_trials", "view_outcomes", "view_steps", "view_runs")


@pytest.fixture
def derived(tmp_path: Path) -> Path:
    path = tmp_path / "sdl.db"
    load(_ENDED.read_text(), path)
    with Store.open(path) as store:
        store.sync_views()
    return path


def _sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE view_campaigns SET best = best + 1",
        "UPDATE view_trials SET message = 'x' WHERE trial = 1",
        "UPDATE view_outcomes SET sem = NULL WHERE trial = (SELECT min(trial) FROM view_outcomes)",
        "UPDATE view_steps SET started = started + 1 WHERE trial = 1 AND step = 'read'",
        "DELETE FROM view_runs WHERE trial = 1 AND step = 'read'",
        "DELETE FROM view_campaigns",
        "INSERT INTO view_trials (campaign, trial) VALUES ('no such', 1)",
    ],
)
def test_a_changed_row(derived: Path, statement: str) -> None:
    """A changed, missing or added row of a derived table is told with what to do, and doing that mends it."""
    with Store.open(derived) as store:
        assert store.verify() == []
    _sql(derived, statement)
    with Store.open(derived) as store:
        (damage,) = store.verify()
        assert damage.seq == 0
        assert "drop the tables whose names begin with `view_`" in damage.message
    _sql(derived, *(f"DROP TABLE {name}" for name in _TABLES))
    with Store.open(derived) as store:
        (row,) = store.list_campaigns()
        assert (row.name, row.trials) == ("soft", 4)
        assert store.verify() == []


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE view_campaigns DROP COLUMN seal", "ALTER TABLE view_runs ADD COLUMN more", "DROP TABLE view_steps"],
)
def test_tables_of_another_release(derived: Path, statement: str) -> None:
    """Derived tables with other columns than this release's are no damage; they are derived anew when wanted."""
    with Store.open(derived) as store:
        before = store.list_campaigns()
    _sql(derived, statement)
    with Store.open(derived) as store:
        assert store.verify() == []
        assert store.list_campaigns() == before
        assert store.verify() == []


def test_a_changed_declaration(derived: Path) -> None:
    """A table of the record whose declaration was changed is told: the type of a column decides what is stored next."""
    with closing(sqlite3.connect(derived)) as db, db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, 'body TEXT', 'body REAL') WHERE name = 'entries'")
    with Store.open(derived) as store:
        assert "the declaration of the table entries was changed" in [item.message for item in store.verify()]
