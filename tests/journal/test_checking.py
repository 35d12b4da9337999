"""`Store.check`, `rebuild_views` and `compact`; on SQLite and PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.corpus import load
from support.postgres import execute, rows

from sdl.journal import LeaseHeld, Store
from sdl.journal._schema import PLACES
from sdl.journal._views import _campaigns, _seal, _stored, tables

_ENDED = Path(__file__).parent / "corpus" / "0.1.0" / "ended.jsonl"


@pytest.fixture
def derived(place: str | Path) -> str | Path:
    load(_ENDED.read_text(), place)
    with Store.open(place) as store:
        store.sync_views()
    return place


def _own_advice(advice: list[str]) -> list[str]:
    """Without what is said of the server's settings."""
    return [line for line in advice if "server" not in line]


def test_a_sound_store(derived: str | Path) -> None:
    """Nothing is wrong with a sound store, and what is not derived yet is told as no damage."""
    with Store.open(derived) as store:
        damage, advice = store.check()
        assert (damage, _own_advice(advice)) == ([], [])
        store.create("c2", "gold")
        damage, advice = store.check()
        assert damage == []
        assert _own_advice(advice) == ["lists and queries are up to date except of 1 campaigns, until somebody asks"]


def test_a_row_that_was_changed_with_its_seal(derived: str | Path) -> None:
    """A derived row that somebody changed together with its seal passes the audit, and not the comparison."""
    execute(derived, "UPDATE view_trials SET planner = 'mine' WHERE trial = 2")
    with Store.open(derived) as store:
        (campaign,) = (head.id for head in store.campaigns())
        with store._write() as connection:
            seal = _seal({table: _stored(connection, table, campaign) for table in tables})
            connection.execute(_campaigns.update().values(seal=seal))
        assert store.verify() == []
        (damage,) = store.check()[0]
        assert "is not what the journal says; run `sdl store rebuild`" in damage.message
        store.rebuild_views()
        assert store.check()[0] == []


def test_a_missing_index(derived: str | Path) -> None:
    """An index of the derived tables that is gone is told by name, and made again by a rebuild."""
    execute(derived, "DROP INDEX trial_values_by_value")
    with Store.open(derived) as store:
        (damage,) = store.check()[0]
        assert "trial_values_by_value" in damage.message
        store.rebuild_views()
        assert store.check()[0] == []


def test_a_damaged_journal_is_no_traceback(derived: str | Path) -> None:
    """Where an entry was changed, the check says so, and does not fold what cannot be relied on."""
    execute(derived, f"UPDATE packed SET body = '{{}}' WHERE place = {PLACES + 5}")
    with Store.open(derived) as store:
        damage, _ = store.check()
    assert [item.seq for item in damage] == [5]


def test_compacting(derived: str | Path) -> None:
    """Compacting keeps the record and gives back what dropped rows took; a campaign under way is left alone."""
    with Store.open(derived) as store:
        store.create("c1", "long")
        with store.writer("c1") as writer:
            for _ in range(400):
                writer.post("x", {"pad": os.urandom(1000).hex()})
            with pytest.raises(LeaseHeld):
                store.compact()
        entries = rows(derived, "SELECT hash FROM entries ORDER BY campaign, seq")
    execute(derived, "CREATE TABLE photos AS SELECT * FROM entries", "DELETE FROM photos")
    with Store.open(derived) as store:
        before = store.size()
        store.compact()
        assert store.size() < before - 400_000
        assert store.verify() == []
        assert rows(derived, "SELECT hash FROM entries ORDER BY campaign, seq") == entries
        with store.writer("c1") as writer:
            assert writer.append("x", {}).seq == 401


def test_values_of_trials(derived: str | Path) -> None:
    """Every parameter and outcome of a trial is one row, with its unit; names tell their range."""
    with Store.open(derived) as store:
        (campaign,) = (head.id for head in store.campaigns())
        state = store.state(campaign)
    found = rows(derived, "SELECT trial, name, value FROM trial_values WHERE role = 'parameter' ORDER BY trial, name")
    assert [tuple(row) for row in found] == [
        (trial.number, name, trial.parameters[name]) for trial in state.trials.values() for name in ("x", "y")
    ]
    outcomes = rows(derived, "SELECT trial, value, sem, unit FROM trial_values WHERE role = 'outcome' ORDER BY trial")
    assert [tuple(row) for row in outcomes] == [
        (t.number, t.outcomes["z"].value, 0.01, "1") for t in state.trials.values() if t.outcomes
    ]
    xs = [trial.parameters["x"] for trial in state.trials.values()]
    (names,) = rows(derived, "SELECT trials, low, high FROM trial_names WHERE name = 'x'")
    assert tuple(names) == (len(xs), min(xs), max(xs))
