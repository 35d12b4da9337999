"""Runs put together from documents."""

from __future__ import annotations

import pytest

from sdl.journal import kinds
from sdl.journal.runs import runs_of


def test_run_holds_its_documents_in_order(new_journal, spectrum_documents) -> None:
    """A run has its start, descriptor, events and stop, and gives readings and units by key."""
    journal = new_journal().create()
    journal.propose(1, {"flow": 3.0}).start(1, "measure", "optics")
    journal.documents(1, "measure", 1, spectrum_documents("r1", 450.0)).done(1, "measure", runs=("r1",))
    [run] = runs_of(journal.entries, 1)
    assert (run.step, run.start["uid"], run.stop["exit_status"]) == ("measure", "r1", "success")
    assert len(run.readings("uvvis-absorbance")[0]) == 201
    assert run.units("uvvis-wavelength") == "nm"


def test_only_the_last_attempt_counts(new_journal, spectrum_documents) -> None:
    """A successful run of an attempt that was followed by another is left out, also when the later one has none."""
    journal = new_journal().create().propose(1, {}).start(1, "measure", "optics", 1)
    journal.documents(1, "measure", 1, spectrum_documents("first", 450.0)).start(1, "measure", "optics", 2)
    assert runs_of(journal.entries, 1) == []
    journal.documents(1, "measure", 2, spectrum_documents("second", 451.0))
    assert [run.start["uid"] for run in runs_of(journal.entries, 1)] == ["second"]


@pytest.mark.parametrize("status", ["fail", "abort"])
def test_unsuccessful_runs_are_left_out(new_journal, spectrum_documents, status) -> None:
    """A run whose stop document tells of failure or abortion is no run of the analysis."""
    journal = new_journal().create().propose(1, {}).start(1, "measure", "optics")
    journal.documents(1, "measure", 1, spectrum_documents("bad", 450.0, status))
    journal.documents(1, "measure", 1, spectrum_documents("good", 450.0))
    assert [run.start["uid"] for run in runs_of(journal.entries, 1)] == ["good"]


def test_interrupted_and_open_runs_are_left_out(new_journal, spectrum_documents) -> None:
    """A run that a crash cut off is left out, whether or not the journal has closed it since."""
    docs = spectrum_documents("cut", 450.0)[:-1]
    journal = new_journal().create().propose(1, {}).start(1, "measure", "optics")
    journal.documents(1, "measure", 1, docs)
    assert runs_of(journal.entries, 1) == []
    stop = {"uid": "s", "run_start": "cut", "time": 3.0, "exit_status": "success"}
    journal.add(kinds.RUN_INTERRUPTED, trial=1, step="measure", attempt=1, doc=stop)
    assert runs_of(journal.entries, 1) == []


def test_runs_come_in_the_order_they_ended(new_journal, spectrum_documents) -> None:
    """Of interleaved runs the one that stops first comes first, and each keeps its own events."""
    journal = new_journal().create().propose(1, {})
    journal.start(1, "mix", "flow").start(1, "measure", "optics")
    slow, quick = spectrum_documents("slow", 400.0), spectrum_documents("quick", 500.0)
    journal.documents(1, "mix", 1, slow[:2]).documents(1, "measure", 1, quick[:3])
    journal.documents(1, "mix", 1, slow[2:3]).documents(1, "measure", 1, quick[3:])
    journal.documents(1, "mix", 1, slow[3:])
    runs = runs_of(journal.entries, 1)
    assert [run.step for run in runs] == ["measure", "mix"]
    assert [len(run.events) for run in runs] == [1, 1]
    assert runs[0].readings("uvvis-absorbance") != runs[1].readings("uvvis-absorbance")


def test_other_trials_are_passed_over(journal) -> None:
    """A trial gets its own runs only."""
    assert [run.start["uid"] for run in runs_of(journal.entries, 2)] == ["run-2"]
    assert runs_of(journal.entries, 99) == []


def test_event_pages_are_unpacked(new_journal) -> None:
    """An event page gives as many events as it has rows, each with its own values."""
    page = {
        "descriptor": "d",
        "uid": ["e1", "e2"],
        "time": [1.0, 2.0],
        "seq_num": [1, 2],
        "data": {"x": [10.0, 20.0]},
        "timestamps": {"x": [1.0, 2.0]},
        "filled": {},
    }
    docs = [
        ("start", {"uid": "r", "time": 0.0}),
        ("descriptor", {"uid": "d", "run_start": "r", "name": "primary", "data_keys": {"x": {}}}),
        ("event_page", page),
        ("stop", {"uid": "s", "run_start": "r", "exit_status": "success"}),
    ]
    journal = new_journal().create().propose(1, {}).start(1, "measure", "optics")
    [run] = runs_of(journal.documents(1, "measure", 1, docs).entries, 1)
    assert run.readings("x") == [10.0, 20.0]
    assert [event["seq_num"] for event in run.events] == [1, 2]
