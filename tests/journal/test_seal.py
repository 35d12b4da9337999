"""Derived tables: damage to them is told, and those of another release are derived anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.corpus import load
from support.postgres import execute

from sdl.journal import Store
from sdl.journal._views import tables

_ENDED = Path(__file__).parent / "corpus" / "0.1.0" / "ended.jsonl"


@pytest.fixture
def derived(place: str | Path) -> str | Path:
    load(_ENDED.read_text(), place)
    with Store.open(place) as store:
        store.sync_views()
    return place


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
        "UPDATE trial_values SET value = value + 1 WHERE role = 'parameter' AND trial = 2",
        "DELETE FROM trial_names",
    ],
)
def test_a_changed_row(derived: str | Path, statement: str) -> None:
    """A changed, missing or added row of a derived table is told with what to do, and doing that mends it."""
    with Store.open(derived) as store:
        assert store.verify() == []
    execute(derived, statement)
    with Store.open(derived) as store:
        (damage,) = store.verify()
        assert damage.seq == 0
        assert "run `sdl store rebuild`" in damage.message
    execute(derived, *(f"DROP TABLE {table.name}" for table in tables))
    with Store.open(derived) as store:
        (row,) = store.list_campaigns()
        assert (row.name, row.trials) == ("soft", 4)
        assert store.verify() == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE view_campaigns DROP COLUMN seal",
        "ALTER TABLE view_runs ADD COLUMN more TEXT",
        "DROP TABLE view_steps",
    ],
)
def test_tables_of_another_release(derived: str | Path, statement: str) -> None:
    """Derived tables with other columns than this release's are no damage; they are derived anew when wanted."""
    with Store.open(derived) as store:
        before = store.list_campaigns()
    execute(derived, statement)
    with Store.open(derived) as store:
        assert store.verify() == []
        assert store.list_campaigns() == before
        assert store.verify() == []


def test_a_changed_declaration(derived: str | Path) -> None:
    """A table of the record whose declaration was changed is told: the type of a column decides what is stored next."""
    if isinstance(derived, str):
        execute(derived, "DROP VIEW entries", "ALTER TABLE packed ALTER COLUMN body TYPE varchar(100000)")
    else:
        execute(
            derived,
            "PRAGMA writable_schema=ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'body TEXT', 'body REAL') WHERE name = 'packed'",
        )
    with Store.open(derived) as store:
        assert "the declaration of the table packed was changed" in [item.message for item in store.verify()]
