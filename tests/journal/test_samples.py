"""Samples in the fold: what each entry makes of them, and where they are by what is known of their steps."""

from __future__ import annotations

from typing import Any

import pytest
from support.film import Lab, Session

from sdl.journal import kinds
from sdl.journal.samples import SampleState, SampleStatus, apply, claims, where
from sdl.journal.state import fold_all

ID = "4f9a1c-1"
MADE = {
    "trial": 1, "sample": ID, "label": "films-0001", "barcode": ID, "step": "coat", "attempt": 1, "place": "chuck",
    "slot": 1, "stock": [{"item": "ink", "lot": "A"}], "parents": ["p"],
}  # fmt: skip


def fold(*items: tuple[str, dict[str, Any]]) -> SampleState:
    samples: Any = {}
    for at, (kind, body) in enumerate(items, 1):
        samples = apply(samples, kind, {"trial": 1, "sample": ID, **body}, at)
    found = samples[ID]
    assert isinstance(found, SampleState)
    return found


def test_a_life() -> None:
    """A sample is made, moved, archived; each entry is in its history."""
    moved = {"step": "carry", "attempt": 1, "place": "bed_a", "slot": 1, "from": {"place": "chuck", "slot": 1}}
    kept = {"step": "measure", "attempt": 2, "place": "tray", "slot": 3}
    sample = fold((kinds.SAMPLE_CREATED, MADE), (kinds.SAMPLE_MOVED, moved), (kinds.SAMPLE_ARCHIVED, kept))
    assert (sample.status, sample.spot, sample.placed_by) == (SampleStatus.ARCHIVED, ("tray", 3), ("measure", 2))
    assert (sample.stock, sample.parents, sample.label) == ((("ink", "A"),), ("p",), "films-0001")
    assert [(e.at, e.what, e.place, e.step) for e in sample.history] == [
        (1, "created", "chuck", "coat"), (2, "moved", "bed_a", "carry"), (3, "archived", "tray", "measure"),
    ]  # fmt: skip


def test_what_is_gone_stays_gone() -> None:
    """What is consumed is nowhere and nothing else; quarantine outlives being archived and being found."""
    quarantined = (kinds.SAMPLE_QUARANTINED, {"by": "campaign", "message": "it broke"})
    located = (kinds.SAMPLE_LOCATED, {"place": "tray", "slot": 2, "by": "person:hana", "note": "seen"})
    archived = (kinds.SAMPLE_ARCHIVED, {"place": "tray", "slot": 2, "step": "measure", "attempt": 1})
    gone = fold((kinds.SAMPLE_CREATED, MADE), (kinds.SAMPLE_CONSUMED, {"message": "dissolved"}), quarantined, archived)
    assert (gone.status, gone.spot, gone.message) == (SampleStatus.CONSUMED, None, "dissolved")
    assert where(gone, None).spots == ()
    held = fold((kinds.SAMPLE_CREATED, MADE), quarantined, located, archived)
    assert (held.status, held.spot, held.message) == (SampleStatus.QUARANTINED, ("tray", 2), "it broke")
    assert held.history[2].by == "person:hana"
    away = fold((kinds.SAMPLE_CREATED, MADE), (kinds.SAMPLE_LOCATED, {"place": "", "slot": 0, "by": "h", "note": "n"}))
    assert (away.spot, away.status, where(away, None).in_words()) == (None, SampleStatus.LIVE, "out of the lab")


def test_unknown_samples_and_second_makings_change_nothing() -> None:
    """An entry about a sample that is not on record changes nothing, nor does one that makes it again."""
    assert apply({}, kinds.SAMPLE_MOVED, {"sample": "x", "place": "p", "slot": 1}, 1) == {}
    again = fold((kinds.SAMPLE_CREATED, MADE), (kinds.SAMPLE_CREATED, {**MADE, "place": "tray"}))
    assert again.place == "chuck"


@pytest.fixture
def session() -> Session:
    lab = Lab()
    for item in ("ink", "substrate", "tip"):
        lab.receive(item, 10)
    session = Session(lab)
    session.propose()
    return session


def at(session: Session) -> str:
    return where(session.state.samples[ID], session.state.trials[1]).in_words({"chuck": 1, "bed_a": 1, "bed_b": 1})


def test_in_transit_while_and_after_a_move_that_came_to_no_end(session: Session) -> None:
    """While a step moves a sample it is in transit; after one that failed, as long as something may have happened."""
    session.through(1, "coat")
    assert at(session) == "chuck"
    session.start(1, "carry")
    assert at(session) == "in transit from chuck to bed_a"
    session.end(1, "refused")
    assert at(session) == "chuck", "nothing was dispatched"
    session.start(1, "carry")
    id_ = session.dispatch(1, "robot", "carry")
    session.action(kinds.ACTION_DOUBTFUL, id_, cause="fault", message="no answer")
    session.end(1, "doubt")
    assert at(session) == "in transit from chuck to bed_a"
    session.action(kinds.ACTION_RESOLVED, id_, verdict="not_done", by="person:hana", note="n")
    assert at(session) == "chuck"
    session.through(1, "carry")
    assert at(session) == "bed_a"


def test_a_stage_that_is_staged_moves_nothing(session: Session) -> None:
    """The verbs that bracket a run leave a sample where it is; any other of a step that moves it may have moved it."""
    session.through(1, "coat", "carry", "anneal")
    session.start(1, "measure")
    session.act(1, "stage", "", verb="stage", effect="absolute")
    session.end(1, "fault")
    assert at(session) == "bed_a"
    session.start(1, "measure")
    session.action(kinds.ACTION_FAILED, session.dispatch(1, "stage", "position", effect="absolute"), message="m")
    session.end(1, "fault")
    assert at(session) == "in transit from bed_a to tray, slot 1"


def test_before_it_is_on_record_its_slot_is_claimed(session: Session) -> None:
    """A sample that is being made holds its slot; when nothing can have been made, and once its trial is over, not."""
    trial = lambda: session.state.trials[1]  # noqa: E731
    assert claims(trial()) == ()
    session.start(1, "coat")
    assert claims(trial()) == (("chuck", 1),)
    session.end(1, "fault")
    assert claims(trial()) == ()
    session.start(1, "coat")
    session.act(1, "coater", "load")
    session.end(1, "fault")
    assert claims(trial()) == (("chuck", 1),)
    session.finish(1, kinds.TRIAL_FAILED)
    assert claims(trial()) == ()
    assert session.state.samples[ID].spot == ("chuck", 1)


def test_a_person_who_looks_is_right_until_it_moves_again(session: Session) -> None:
    """Said after a move that failed, a place holds; a move that begins after that puts it in transit from there."""
    session.through(1, "coat")
    session.start(1, "carry")
    session.act(1, "robot", "carry")
    session.end(1, "fault")
    located = {"sample": ID, "place": "tray", "slot": 2, "by": "person:hana", "note": "it fell"}
    session.write((kinds.SAMPLE_LOCATED, located))
    assert at(session) == "tray, slot 2"
    session.start(1, "carry")
    assert at(session) == "in transit from tray, slot 2 to bed_a"


def test_the_fold_is_the_same_from_the_beginning(session: Session) -> None:
    """Samples and what is set aside are folded alike at once and entry by entry."""
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    again = fold_all(session.state.id, session.entries)
    assert (again.samples, again.reserved, again.low) == (
        session.state.samples, session.state.reserved, session.state.low,
    )  # fmt: skip
    assert again.samples[ID].status is SampleStatus.ARCHIVED
    assert {item.item for item in again.reserved[1]} == {"ink", "substrate", "tip"}
