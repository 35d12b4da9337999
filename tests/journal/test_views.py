"""Tables derived from the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.postgres import rows

from sdl.journal import Store, Writer, kinds
from sdl.journal._views import tables
from sdl.journal.state import fold_all

_SPEC: dict[str, Any] = {
    "name": "silver",
    "lab": "lab.yaml",
    "procedure": "make",
    "budget": {"trials": 9},
    "problem": {
        "parameters": [{"kind": "real", "name": "flow", "low": 0, "high": 10, "unit": "mL/min"}],
        "objectives": [{"kind": "match", "name": "peak", "unit": "nm", "target": 420}],
    },
}


def _begin(writer: Writer) -> None:
    writer.append(kinds.CAMPAIGN_CREATED, {"spec": _SPEC, "lab": {}, "inputs": {}, "procedure": {}})
    writer.append(kinds.SESSION_OPENED, {"holder": "me", "epoch": writer.epoch, "versions": {}, "lab_speed": 1})


def _trial(writer: Writer, number: int, peak: float | None) -> None:
    step = {"trial": number, "step": "coat", "attempt": 1}
    uid = f"run{number}"
    writer.append(
        kinds.TRIAL_PROPOSED,
        {"trial": number, "parameters": {"flow": 1.5 * number}, "reason": {"summary": "x"},
         "planner": {"name": "random", "version": "1", "options": {}}, "seed": 1, "known_seq": 1},
    )  # fmt: skip
    writer.append(kinds.TRIAL_APPROVED, {"trial": number, "by": "policy"})
    writer.append(kinds.STEP_STARTED, {**step, "station": "bench", "plan": "count", "arguments": {}})
    writer.post(kinds.DOCUMENT, {**step, "name": "start", "doc": {"uid": uid, "time": 1.0}})
    writer.post(kinds.DOCUMENT, {**step, "name": "event", "doc": {"data": {"peak": peak}}})
    if peak is None:
        return
    stop = {"uid": "s", "run_start": uid, "exit_status": "success"}
    writer.post(kinds.DOCUMENT, {**step, "name": "stop", "doc": stop})
    writer.append(kinds.STEP_DONE, {**step, "runs": [uid]})
    writer.append(
        kinds.TRIAL_OBSERVED,
        {"trial": number, "outcomes": {"peak": {"value": peak, "sem": 0.5, "unit": "nm"}},
         "analysis": {"name": "a", "version": "1", "options": {}}, "runs": [uid], "lab_seconds": 10.0 * number},
    )  # fmt: skip


def _dump(place: str | Path) -> dict[str, list[Any]]:
    return {table.name: sorted(rows(place, f"SELECT * FROM {table.name}"), key=repr) for table in tables}


def test_views_follow_the_journal(store: Store) -> None:
    """Synced step by step, the views equal views built at once, and dropping them loses nothing."""
    store.create("c2", "gold")
    assert [(r.id, r.status, r.trials, r.best) for r in store.list_campaigns()] == [
        ("c1", "created", 0, None),
        ("c2", "created", 0, None),
    ]
    with store.writer("c1") as writer:
        _begin(writer)
        for number, peak in enumerate([400.0, 415.5, 470.0, None], start=1):
            _trial(writer, number, peak)
            writer.flush()
            store.sync_views()
        step_by_step = _dump(store.location)
        store.rebuild_views()
        assert _dump(store.location) == step_by_step
        row = store.list_campaigns()[0]
        assert (row.name, row.status, row.trials, row.best, row.unit) == ("silver", "running", 4, 415.5, "nm")
    assert {name: len(found) for name, found in step_by_step.items()} == {
        "view_campaigns": 2, "view_outcomes": 3, "view_runs": 4, "view_steps": 4, "view_trials": 4,
        "trial_values": 11, "trial_names": 2,
    }  # fmt: skip
    assert store.verify() == []


def test_a_closed_interrupted_run(store: Store) -> None:
    """A run that a crash left open is listed without an exit status, and with one once it is closed as interrupted."""
    with store.writer("c1") as writer:
        _begin(writer)
        _trial(writer, 1, None)
        writer.flush()
        store.sync_views()
        query = "SELECT uid, trial, step, exit_status FROM view_runs"
        assert rows(store.location, query) == [("run1", 1, "coat", None)]
        doc = {"run_start": "run1", "exit_status": "abort"}
        writer.append(kinds.RUN_INTERRUPTED, {"trial": 1, "step": "coat", "attempt": 1, "doc": doc})
        store.sync_views()
        assert rows(store.location, query) == [("run1", 1, "coat", "abort")]


def test_state_is_the_fold(store: Store) -> None:
    """The store's state is the fold over its entries, up to the last."""
    with store.writer("c1") as writer:
        _begin(writer)
        _trial(writer, 1, 410.0)
    state = store.state("c1")
    assert state == fold_all("c1", store.entries("c1"))
    assert state.seq == store.campaigns()[0].seq
    assert state.trials[1].outcomes["peak"].value == 410.0
