"""Corrections, notes and withdrawals: entries that change what holds and nothing that was written."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sdl.campaign.corrections import REQUEST, annotation, asked_entries, correction, put_on_record, withdrawal
from sdl.campaign.doubts import NotAnswered
from sdl.cli._correct import annotate_command, correct_command, withdraw_command
from sdl.fair import campaign_json, export
from sdl.journal import Store, kinds
from sdl.journal.state import best_trial
from sdl.model import InputError


def test_a_correction_holds_and_what_was_stays(store: Store, journal: Any) -> None:
    """The corrected value is what planners, the best trial and exports see; the old one and who said so are kept."""
    before = store.state(journal.id)
    best = best_trial(before)
    assert best is not None
    said = correction(before, best.number, ["peak=0.6 um ± 2 nm"], "hana", "the lamp was off")
    written = put_on_record(store, journal.id, said)
    state = store.state(journal.id)
    trial = state.trials[best.number]
    assert trial.outcomes["peak"].value == pytest.approx(600)
    assert trial.as_trial().outcomes["peak"] == trial.outcomes["peak"]
    assert best_trial(state) != trial
    (change,) = trial.corrections
    assert change.before["peak"] == best.outcomes["peak"]
    assert (change.by, change.why, change.seq) == ("person:hana", "the lamp was off", written.seq)
    entries = list(store.entries(journal.id))
    assert [e.body for e in entries[:-1]] == [e.body for e in journal.entries]
    assert store.verify() == []
    told = campaign_json(store, journal.id)["trials"][best.number - 1]
    assert told["outcomes"]["peak"]["value"] == pytest.approx(600)


def test_a_standard_error_that_is_not_given_stays(journal: Any) -> None:
    """A value alone is put right in its unit, and keeps its standard error."""
    kind, body = correction(journal.state, 1, ["peak=451.5"], "person:hana", "read off the chart")
    assert kind == kinds.TRIAL_CORRECTED
    assert body["outcomes"] == {"peak": {"value": 451.5, "sem": 1.25, "unit": "nm"}}
    journal.add(kind, **body).add(kind, **{**body, "outcomes": {"peak": {"value": 452.0, "sem": None, "unit": "nm"}}})
    first, second = journal.state.trials[1].corrections
    assert second.before["peak"].value == first.outcomes["peak"].value == 451.5


@pytest.mark.parametrize(
    ("trial", "given", "why", "says"),
    [
        (1, ["peek=3"], "because", "'peak'"),
        (1, ["peak=3 kg"], "because", "measure different things"),
        (1, ["peak=nan"], "because", "not a finite number"),
        (1, ["peak=3 ± -1"], "because", "below 0"),
        (1, ["peak"], "because", "NAME=VALUE"),
        (1, [], "because", "--set"),
        (1, ["peak=3"], " ", "--why"),
        (4, ["peak=3"], "because", "infeasible"),
        (99, ["peak=3"], "because", "no trial 99"),
    ],
)
def test_what_cannot_be_corrected(journal: Any, trial: int, given: list[str], why: str, says: str) -> None:
    """Unknown names, units that do not fit, missing reasons and trials without outcomes are refused with what to do."""
    with pytest.raises(InputError, match=says):
        correction(journal.state, trial, given, "hana", why)


def test_notes_and_withdrawal(store: Store, journal: Any) -> None:
    """Notes add up; a withdrawal says who and why; neither changes a value."""
    before = store.state(journal.id)
    put_on_record(store, journal.id, annotation(before, 4, "hana", "a bubble in the cell"))
    put_on_record(store, journal.id, annotation(before, 4, "ken", "見た"))
    put_on_record(store, journal.id, withdrawal(before, "hana", "wrong silver lot"))
    state = store.state(journal.id)
    assert [(note.by, note.text) for note in state.trials[4].notes] == [
        ("person:hana", "a bubble in the cell"), ("person:ken", "見た"),
    ]  # fmt: skip
    assert state.withdrawn is not None
    assert (state.withdrawn.by, state.withdrawn.why) == ("person:hana", "wrong silver lot")
    assert {n: t.outcomes for n, t in state.trials.items()} == {n: t.outcomes for n, t in before.trials.items()}
    with pytest.raises(InputError, match="the note is empty"):
        annotation(state, 4, "hana", "")


def test_a_session_that_runs_writes_it(store: Store, journal: Any) -> None:
    """While a session holds the campaign it is asked, and what it writes is returned."""
    said = annotation(journal.state, 1, "hana", "seen while it ran")
    done = threading.Event()

    def session() -> None:
        with store.writer(journal.id) as writer:
            ready.set()
            while not (asked := store.requests(journal.id)):
                done.wait(0.01)
            assert asked[0].kind == REQUEST
            writer.submit_all(asked_entries(store.state(journal.id), asked[0].body))[-1].result()
            store.answer(asked[0].id, "recorded")
            done.wait(10)

    ready = threading.Event()
    thread = threading.Thread(target=session)
    thread.start()
    assert ready.wait(10)
    try:
        entry = put_on_record(store, journal.id, said)
    finally:
        done.set()
        thread.join()
    assert (entry.kind, entry.body) == said
    assert len(store.state(journal.id).trials[1].notes) == 1


def test_a_session_that_does_not_answer(store: Store, journal: Any) -> None:
    """Without an answer nothing is on record, no request stays behind, and one may say it again."""
    said = annotation(journal.state, 1, "hana", "again")
    with store.writer(journal.id), pytest.raises(NotAnswered, match="nothing is on record"):
        put_on_record(store, journal.id, said, wait=0.2)
    assert store.requests(journal.id) == []
    assert store.state(journal.id).trials[1].notes == ()
    assert put_on_record(store, journal.id, said).kind == kinds.TRIAL_ANNOTATED


def _taken_up(store: Store, campaign: str, ready: threading.Event, done: threading.Event, *, late: float) -> None:
    """A session that begins with a request at once, and puts it on record late, or never."""
    with store.writer(campaign) as writer:
        ready.set()
        while not (asked := store.requests(campaign)):
            done.wait(0.01)
        assert store.take(asked[0].id)
        if late < 10:
            done.wait(late)
            writer.submit_all(asked_entries(store.state(campaign), asked[0].body))[-1].result()
            store.answer(asked[0].id, "recorded")
        done.wait(10)


@pytest.mark.parametrize("late", [1.0, 99.0])
def test_what_a_session_has_begun_with_is_not_given_up(store: Store, journal: Any, late: float) -> None:
    """When time is up it is waited for as long again; then nobody is told that nothing is on record."""
    said = annotation(journal.state, 1, "hana", "slowly")
    ready, done = threading.Event(), threading.Event()
    options = {"late": late}
    thread = threading.Thread(target=_taken_up, args=(store, journal.id, ready, done), kwargs=options)
    thread.start()
    assert ready.wait(10)
    try:
        if late < 10:
            assert put_on_record(store, journal.id, said, wait=0.7).body == said[1]
        else:
            with pytest.raises(NotAnswered, match=r"has begun to put it on record.*look \(`sdl show silver`\)"):
                put_on_record(store, journal.id, said, wait=0.7)
    finally:
        done.set()
        thread.join()
    assert len(store.state(journal.id).trials[1].notes) == (late < 10)


def test_a_session_writes_nothing_else(journal: Any) -> None:
    """A request for any other kind of entry, or about a trial that is not there, is refused."""
    observed = {"kind": kinds.TRIAL_OBSERVED, "body": {"trial": 1, "outcomes": {}}}
    for body in (observed, {}, {"kind": kinds.TRIAL_ANNOTATED, "body": {"trial": 99, "by": "x", "text": "y"}}):
        with pytest.raises(InputError):
            asked_entries(journal.state, body)


def test_commands(store: Store, journal: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`sdl correct`, `annotate` and `withdraw` say what holds now; the CSV export has the corrected value."""
    path = tmp_path / "sdl.db"
    assert correct_command("silver", 1, ["peak=451.25 ± 0.5"], "wrong lamp", "hana", path, 5.0) == 0
    assert "peak is 451.25 ± 0.50 nm, was" in capsys.readouterr().out
    assert annotate_command("silver", 1, "seen", "hana", path, 5.0) == 0
    assert withdraw_command("silver", "wrong silver", "hana", path, 5.0) == 0
    assert "stay on record" in capsys.readouterr().out
    export(store, journal.id, "csv", tmp_path / "out.csv")
    assert "451.25" in (tmp_path / "out.csv").read_text()
