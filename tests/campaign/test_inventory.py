"""What is left of each lot: a view of the effects on record, true or pessimistic, never optimistic."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.film import DAY, LAB, Lab, Session, film_spec, into_store

from sdl.campaign.labbook import LabBook, lab_spec, record
from sdl.journal import Store, kinds
from sdl.journal.labs import is_lab, lab_chain
from sdl.model import InputError


@pytest.fixture
def lab() -> Lab:
    """2 mL of ink, ten substrates and ten tips, received as lot A."""
    lab = Lab()
    for item, amount in (("ink", 2.0), ("substrate", 10), ("tip", 10)):
        lab.receive(item, amount)
    return lab


def lot(lab: Lab, item: str = "ink", name: str = "A") -> tuple[float, float, float]:
    """Left, set aside and free, in the stock's unit."""
    found = lab.inventory.lots[item, name]
    return round(found.left, 9), round(found.reserved, 9), round(found.free, 9)


# ── use follows the record of effects ──


def test_a_reservation_is_not_free(lab: Lab) -> None:
    """What is set aside is left but not free; 200 uL of a stock in mL are 0.2 mL."""
    Session(lab).propose()
    assert lot(lab) == (2.0, 0.2, 1.8)
    assert lot(lab, "substrate") == (10, 1, 9)


def dispense(session: Session, *records: tuple[str, dict[str, Any]]) -> None:
    session.propose()
    session.start(1, "coat")
    id_ = session.dispatch(1, "coater", "dispense")
    for kind, body in records:
        session.action(kind, id_, **body)


def verdict(said: str, **evidence: Any) -> tuple[str, dict[str, Any]]:
    return kinds.ACTION_RESOLVED, {"verdict": said, "by": "person:hana", "note": "n", "evidence": evidence}


ACKED = (kinds.ACTION_ACKED, {})
DONE = (kinds.ACTION_DONE, {"evidence": {}})
FAILED = (kinds.ACTION_FAILED, {"message": "refused"})
DOUBTFUL = (kinds.ACTION_DOUBTFUL, {"cause": "fault", "message": "no answer"})
PART = {"delivered": 50.0, "unit": "uL"}


@pytest.mark.parametrize(
    ("records", "used"),
    [
        ((), 0.2),
        ((ACKED,), 0.2),
        ((DONE,), 0.2),
        ((FAILED,), 0.0),
        ((DOUBTFUL,), 0.2),
        ((DOUBTFUL, verdict("done")), 0.2),
        ((DOUBTFUL, verdict("not_done")), 0.0),
        ((DOUBTFUL, verdict("quarantine")), 0.2),
        ((DOUBTFUL, verdict("partial", **PART)), 0.05),
        ((DOUBTFUL, verdict("partial")), 0.2),
        (((kinds.ACTION_ABORTED, {"evidence": PART}),), 0.05),
        (((kinds.ACTION_ABORTED, {"evidence": {"delivered": 50.0}}),), 0.2),
        (((kinds.ACTION_ABORTED, {"evidence": {"delivered": -1.0, "unit": "uL"}}),), 0.2),
        (((kinds.ACTION_ABORTED, {"evidence": {"delivered": 50.0, "unit": "kg"}}),), 0.2),
    ],
)
def test_use_follows_the_action(lab: Lab, records: tuple[Any, ...], used: float) -> None:
    """An action counts in full unless it is known not to have happened, or its evidence says how much was delivered."""
    dispense(Session(lab), *records)
    left, aside, free = lot(lab)
    assert left == pytest.approx(2.0 - used)
    assert aside == pytest.approx(0.2 - used)
    assert free == pytest.approx(1.8)


def test_an_action_of_several_tries_counts_once(lab: Lab) -> None:
    """A step that is done again repeats the ids of its actions: what was stopped part-way and went on counts once."""
    session = Session(lab)
    dispense(session, (kinds.ACTION_ABORTED, {"evidence": PART}))
    session.end(1, "fault")
    session.start(1, "coat")
    id_ = session.dispatch(1, "coater", "dispense")
    assert lot(lab)[0] == pytest.approx(1.8)
    session.action(*FAILED[:1], id_, message="refused")
    assert lot(lab)[0] == pytest.approx(1.95), "the part of the first try is gone, nothing of the second"


def test_a_failure_of_what_may_be_repeated_says_nothing(lab: Lab) -> None:
    """Only of an action that must not be repeated does a failure on record say that it has not happened."""
    session = Session(lab)
    session.propose()
    session.start(1, "coat")
    session.action(*FAILED[:1], session.dispatch(1, "coater", "dispense", effect="absolute"), message="no answer")
    assert lot(lab)[0] == pytest.approx(1.8)


def test_parts_of_the_named_part_count_others_do_not(lab: Lab) -> None:
    """`dispense.volume` is a part of `dispense`; `dispenser` and the same part of another device are not."""
    session = Session(lab)
    session.propose()
    session.start(1, "coat")
    session.act(1, "coater", "dispenser")
    session.act(1, "robot", "dispense")
    assert lot(lab)[0] == 2.0
    session.act(1, "coater", "dispense.volume")
    assert lot(lab)[0] == pytest.approx(1.8)


def test_a_done_step_without_any_such_action_counts(lab: Lab) -> None:
    """Where a step is done and nothing of what is said to take ink was recorded, it is taken to have been used."""
    session = Session(lab)
    session.propose()
    session.start(1, "coat")
    session.end(1)
    assert lot(lab)[0] == pytest.approx(1.8)


def test_without_a_device_each_attempt_counts_from_its_start(lab: Lab) -> None:
    """A tip counts once the step has started, again for each further attempt, and not when a worker refused it."""
    session = Session(lab)
    session.propose()
    session.through(1, "coat", "carry", "anneal")
    assert lot(lab, "tip") == (10, 1, 9)
    for cause, left in (("fault", 9), ("refused", 9), ("interrupted", 8)):
        assert session.reserve(1, step="measure") is None
        session.start(1, "measure")
        session.end(1, cause)
        assert lot(lab, "tip")[0] == left
    assert lot(lab, "tip") == (8, 0, 8)


def test_another_station_takes_it_with_its_own_device() -> None:
    """The device that stands in on another station takes the item, too."""
    old = "other_stations: {furnace_b: {oven_a: oven_b}}}"
    lab = Lab(film_spec(LAB.replace(old, old[:-1] + ", uses: {tip: {amount: 1, device: oven_a}}}")))
    lab.receive("tip", 10)
    lab.receive("ink", 2)
    lab.receive("substrate", 2)
    session = Session(lab)
    assert session.propose() is None
    session.through(1, "coat", "carry")
    session.start(1, "anneal", "furnace_b")
    assert lot(lab, "tip") == (10, 2, 8)
    session.act(1, "oven_b", "", verb="stage", effect="absolute")
    session.act(1, "oven_b", "ramp", effect="absolute")
    assert lot(lab, "tip")[0] == 10, "what leads to a state takes nothing, where no part is named"
    session.act(1, "oven_b", "gas")
    assert lot(lab, "tip") == (9, 1, 8)


# ── counts and lots ──


def test_a_count_holds_what_was_used_before(lab: Lab) -> None:
    """From a count on only later use is taken off; what is under way while somebody counts counts as later."""
    session = Session(lab)
    dispense(session, DONE)
    lab.count("ink", 1.5)
    assert lot(lab)[0] == 1.5
    session.end(1)
    session.through(1, "carry")
    session.propose(2)
    session.start(2, "coat")
    id_ = session.dispatch(2, "coater", "dispense")
    lab.count("ink", 1.4)
    assert lot(lab)[0] == pytest.approx(1.2), "nobody knows whether it had flown when the bottle was weighed"
    session.action(kinds.ACTION_DONE, id_)
    assert lot(lab)[0] == pytest.approx(1.2)
    lab.receive("ink", 1.0)
    assert lot(lab)[0] == pytest.approx(2.2)


def test_what_never_came_to_an_end_ends_with_its_trial(lab: Lab) -> None:
    """An action left open by a kill is taken off a count before the end of its trial, and not off one after it."""
    session = Session(lab)
    session.propose()
    session.start(1, "coat")
    session.dispatch(1, "coater", "dispense", effect="absolute")
    session.end(1, "interrupted")
    lab.count("ink", 1.9)
    assert lot(lab)[0] == pytest.approx(1.7)
    session.finish(1, kinds.TRIAL_FAILED)
    lab.count("ink", 1.9)
    assert lot(lab)[0] == pytest.approx(1.9)


def test_lots_one_after_the_other() -> None:
    """What is set aside of two lots is taken of the first first; what is used beyond them, of the last."""
    lab = Lab()
    for item in ("substrate", "tip"):
        lab.receive(item, 10)
    lab.receive("ink", 0.05, "late", "2027-05-01")
    lab.receive("ink", 0.3, "soon", "2027-01-01")
    lab.receive("ink", 9.0, "gone", "2026-11-21")
    lab.receive("ink", 0.01, "keeps")
    session = Session(lab)
    assert session.propose(1, 250.0) is None
    assert lot(lab, name="soon") == (0.3, 0.25, 0.05)
    assert session.propose(2, 105.0) is None
    assert (lot(lab, name="soon")[2], lot(lab, name="late")[2], lot(lab, name="keeps")[2]) == (0, 0, 0.005)
    assert lot(lab, name="gone") == (9, 0, 9)
    session.start(2, "coat")
    session.act(2, "coater", "dispense")
    assert [lot(lab, name=n)[0] for n in ("soon", "late", "keeps")] == [0.25, 0, 0.005]
    session.act(2, "coater", "dispense.again")
    assert lot(lab, name="keeps")[0] == pytest.approx(-0.1)


def test_what_was_overdrawn_is_owed_by_the_others() -> None:
    """More used of a lot than is on record came from somewhere: so much less is free."""
    lab = Lab()
    lab.receive("ink", 1.0, "A", "2027-01-01")
    lab.receive("ink", 1.0, "B", "2027-02-01")
    lab.count("ink", 0.0, "A")
    session = Session(lab)
    item = {"item": "ink", "lot": "A", "amount": 0.3, "unit": "mL", "step": "coat", "each": 0.3, "devices": []}
    session.write((kinds.STOCK_RESERVED, {"trial": 1, "items": [{**item, "path": ""}]}))
    assert lab.inventory.free("ink", DAY) == pytest.approx(0.7)
    assert [(found.lot, round(free, 9)) for found, free in lab.inventory.usable("ink", DAY)] == [("B", 0.7)]
    assert lab.inventory.lots["ink", "A"].expired(date(2027, 1, 2))
    assert not lab.inventory.lots["ink", "A"].expired(date(2027, 1, 1))


def test_a_unit_that_does_not_convert_is_refused(lab: Lab) -> None:
    """Where the lab file gives an item a unit of another kind, that is said with the lot."""
    spec = film_spec(LAB.replace("unit: mL, warn_below: 0.5 mL", "unit: g, warn_below: 0.5 g"))
    lab.spec = spec
    with pytest.raises(InputError, match="stock 'ink', lot 'A': cannot convert 2 mL to g"):
        _ = lab.inventory


def test_two_campaigns_share_the_stock(lab: Lab) -> None:
    """What one campaign sets aside is not free for another."""
    Session(lab).propose()
    Session(lab, "20261122t010204-aaaaaa").propose()
    assert lot(lab) == (2.0, 0.4, 1.6)


# ── from a store ──


def test_the_book_reads_only_what_is_new(lab: Lab, tmp_path: Path) -> None:
    """Read again and again as the journal grows, it says what one reading of the whole says."""
    session = Session(lab)
    session.propose()
    session.through(1, "coat")
    with Store.open(tmp_path / "sdl.db") as store:
        into_store(store, session)
        book = LabBook(store, "film")
        first = book.refresh().inventory(lab.spec.stock)
        assert first.lots["ink", "A"].left == pytest.approx(1.8)
        assert first.samples["4f9a1c-1"].at.spots == (("chuck", 1),)
        record(
            store, "film", kinds.SAMPLE_LOCATED, {"sample": "4f9a1c-1", "place": "", "slot": 0, "by": "x", "note": ""}
        )
        with store.writer(session.state.id) as writer:
            for kind, body in session.keeper.complete(
                session.state, [(kinds.TRIAL_FAILED, {"trial": 1, "message": ""})]
            ):
                writer.append(kind, body)
        again, whole = book.refresh().inventory(), LabBook(store, "film").refresh().inventory()
        assert again == whole
        assert again.samples["4f9a1c-1"].at.spots == ()
        assert LabBook(store, "other").refresh().inventory().lots == {}
        live = store.state(session.state.id)
        assert LabBook(store, "film").refresh(but={live.id}).inventory(None, live).samples == again.samples


def test_the_chain_of_a_lab_is_no_campaign(tmp_path: Path) -> None:
    """It is verified with the rest, and neither listed, resolved, nor shown as a campaign."""
    assert (lab_chain("film"), is_lab("lab-film"), is_lab("20261122t010203-4f9a1c")) == ("lab-film", True, False)
    with Store.open(tmp_path / "sdl.db") as store:
        body = {"item": "ink", "lot": "A", "amount": 1.0, "unit": "mL", "expires": "", "by": "x", "note": ""}
        record(store, "film", kinds.STOCK_RECEIVED, body)
        record(store, "film", kinds.STOCK_RECEIVED, body)
        assert (store.campaigns(), store.list_campaigns()) == ([], [])
        assert [(head.id, head.seq) for head in store.labs()] == [("lab-film", 2)]
        for text in ("lab-film", "film", "lab"):
            with pytest.raises(InputError, match="no campaign"):
                store.resolve(text)
        assert store.verify() == []


def test_which_lab_is_meant(lab: Lab, tmp_path: Path) -> None:
    """The only lab of a store is meant; with none or several a lab file is asked for."""
    with Store.open(tmp_path / "sdl.db") as store:
        with pytest.raises(InputError, match="no campaign yet; say which lab with --lab"):
            lab_spec(store, None)
        into_store(store, Session(lab))
        assert lab_spec(store, None).name == "film"
        other = Session(Lab(), "20261122t010204-aaaaaa")
        store.create("x", "x")
        with store.writer("x") as writer:
            body = dict(next(iter(store.entries(store.campaigns()[0].id))).body)
            writer.append(kinds.CAMPAIGN_CREATED, {**body, "lab": {**body["lab"], "name": "flow"}})
        assert other.state.trials == {}
        with pytest.raises(InputError, match="several labs: film, flow"):
            lab_spec(store, None)
