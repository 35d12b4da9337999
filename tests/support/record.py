"""Read a store from outside, and check what must hold in every record."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from sdl.journal import Entry, Store, kinds

__all__ = ["check_record", "entries_of", "journal_length", "ledger"]

_TOLD = (kinds.TRIAL_OBSERVED, kinds.TRIAL_FAILED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_REJECTED)


def journal_length(path: Path) -> int:
    """Number of entries in a store, read by a second connection; 0 while there is none."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return int(connection.execute("select count(*) from entries").fetchone()[0])
    except sqlite3.OperationalError:  # the store is being made
        return 0
    finally:
        connection.close()


def entries_of(path: Path, name: str = "") -> list[Entry]:
    """Entries of a campaign; of the only one when no name is given."""
    with Store.open(path, create=False) as store:
        return list(store.entries(store.resolve(name) if name else store.campaigns()[-1].id))


def ledger(path: Path) -> dict[int, tuple[str, int, str]]:
    """seq → kind, time and hash of the only campaign's entries."""
    return {e.seq: (e.kind, e.at, e.hash) for e in entries_of(path)}


def check_record(path: Path) -> dict[str, Any]:
    """Check a store whose campaign is at rest: chain, views, one proposal and at most one end a trial, no open run.

    Returns the numbers of trials by the kind of entry that ended them, and of the interrupted runs.
    """
    with Store.open(path, create=False) as store:
        assert store.verify() == []
        (head,) = store.campaigns()
        entries = list(store.entries(head.id))
        store.rebuild_views()
        (row,) = store.list_campaigns()
        state = store.state(head.id)
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    proposed = [e.body["trial"] for e in entries if e.kind == kinds.TRIAL_PROPOSED]
    assert proposed == list(range(1, len(proposed) + 1)), "each trial is proposed exactly once, in order"
    assert row.trials == len(proposed)
    told = Counter(e.body["trial"] for e in entries if e.kind in _TOLD)
    assert set(told.values()) <= {1}, f"told twice: {told}"
    assert not state.open_runs
    _check_runs(entries)
    attempts = [(e.body["trial"], e.body["step"], e.body["attempt"]) for e in entries if e.kind == kinds.STEP_STARTED]
    assert len(set(attempts)) == len(attempts), "an attempt of a step began twice"
    ends = Counter(e.kind for e in entries if e.kind in _TOLD)
    return {
        **ends,
        "proposed": len(proposed),
        "interrupted": sum(e.kind == kinds.RUN_INTERRUPTED for e in entries),
    }


def _check_runs(entries: list[Entry]) -> None:
    """Every run has one start and one end: its own stop document, or the entry that says it was interrupted."""
    started: list[str] = []
    ended: list[str] = []
    for entry in entries:
        if entry.kind == kinds.DOCUMENT and entry.body["name"] == "start":
            started.append(entry.body["doc"]["uid"])
        elif entry.kind == kinds.RUN_INTERRUPTED or (entry.kind == kinds.DOCUMENT and entry.body["name"] == "stop"):
            ended.append(entry.body["doc"]["run_start"])
    assert len(set(started)) == len(started)
    assert sorted(started) == sorted(ended), "a run without an end, or with two"
