"""Setting stock aside, choosing slots, and the entries that follow from what became of steps."""

from __future__ import annotations

from typing import Any

import pytest
from support.film import DAY, LAB, UNITS, Lab, Session, film_spec

from sdl.campaign.keeper import Keeper
from sdl.campaign.samplekeeper import NoRoom, SampleKeeper, sample_id
from sdl.campaign.stockkeeper import StockKeeper
from sdl.journal import kinds
from sdl.journal.samples import SampleStatus
from sdl.model import InputError

ID = "4f9a1c-1"


@pytest.fixture
def lab() -> Lab:
    lab = Lab()
    for item in ("ink", "substrate", "tip"):
        lab.receive(item, 10)
    return lab


@pytest.fixture
def session(lab: Lab) -> Session:
    """A campaign whose first trial has its stock."""
    session = Session(lab)
    assert session.propose() is None
    return session


def since(session: Session, before: int) -> list[str]:
    return [entry.kind for entry in session.entries[before:]]


# ── stock ──


def test_needs() -> None:
    """A parameter in uL is an amount in mL; constants, defaults and bare numbers are in the stock's unit."""
    text = LAB.replace("uses: {tip: 1}", "uses: {tip: tips, ink: dose}, with: {dose: 30 uL}")
    keeper = StockKeeper(film_spec(text), "film", UNITS, {"measure": {"tips": 2}})
    found = [(n.step, n.item, n.amount, n.unit, n.devices, n.path) for n in keeper.needs({"volume": 150.0})]
    assert found == [
        ("coat", "substrate", 1.0, "1", ("coater",), "load"),
        ("coat", "ink", pytest.approx(0.15), "mL", ("coater",), "dispense"),
        ("measure", "tip", 2.0, "1", (), ""),
        ("measure", "ink", pytest.approx(0.03), "mL", (), ""),
    ]


def test_uses_that_cannot_be_are_refused_together() -> None:
    """An argument that nobody gives and a parameter of another kind are refused at once, each with its step."""
    spec = film_spec(LAB.replace("uses: {tip: 1}", "uses: {tip: tips, ink: -1 mL}"))
    with pytest.raises(InputError) as caught:
        StockKeeper(spec, "film", {"volume": "rpm"})
    texts = [fault.message for fault in caught.value.faults]
    assert len(texts) == 3
    assert "step 'coat', uses 'ink': cannot convert 0 rpm to mL" in texts[0]
    assert "'tips' is neither an amount, as in '0.2', nor an argument" in texts[1]
    assert "is below 0" in texts[2]
    with pytest.raises(InputError, match=r"uses 'ink': -0\.005 mL is below 0"):
        StockKeeper(film_spec(), "film", UNITS).needs({"volume": -5.0})


def test_shortage_says_what_to_do(lab: Lab) -> None:
    """A shortage names each item with what is wanted, free, left and set aside, and how to say that there is more."""
    lab.receive("ink", 3.0, "old", "2026-11-21")
    lab.count("ink", 0.5)
    lab.count("tip", 0)
    session = Session(lab)
    short = session.propose(1, 600.0)
    assert str(short) == (
        "not enough ink: 0.6 mL wanted, 0.5 mL free (3.5 mL left, 3 mL in lots that have expired); once there is more, "
        "say so with: sdl stock receive ink 'AMOUNT mL' --lot LOT; not enough tip: 1 wanted, 0 free (0 left); once "
        "there is more, say so with: sdl stock receive tip AMOUNT --lot LOT"
    )
    assert session.state.reserved == {}


def test_reserving_twice_adds_nothing(session: Session) -> None:
    """What is set aside is not set aside again, also by the next session; a step done again needs its tip again."""
    before = len(session.entries)
    assert session.reserve(1) is None
    session.through(1, "coat", "carry", "anneal")
    for _ in range(2):
        assert session.reserve(1, step="measure") is None
        session.start(1, "measure")
        session.end(1, "fault")
    assert since(session, before).count(kinds.STOCK_RESERVED) == 1


def test_release(session: Session) -> None:
    """What a trial that has ended did not use is free again, once; nothing is released before."""
    session.start(1, "coat")
    session.act(1, "coater", "load")
    session.end(1, "fault")
    assert session.keeper.stock.release(session.state, 1) == []
    session.finish(1, kinds.TRIAL_FAILED)
    (released,) = [e for e in session.entries if e.kind == kinds.STOCK_RELEASED]
    assert {item["item"]: item["amount"] for item in released.body["items"]} == {"ink": 0.2, "tip": 1}
    assert session.keeper.missing(session.state) == []
    assert session.lab.inventory.lots["ink", "A"].free == 10


def test_low_is_said_once_until_there_is_more(lab: Lab) -> None:
    """What falls below its limit is an entry; not again before somebody received or counted some."""
    lab.count("ink", 1.0)
    session = Session(lab)
    for number in (1, 2, 3, 4):
        session.propose(number)
    low = [e.body for e in session.entries if e.kind == kinds.STOCK_LOW]
    assert low == [{"item": "ink", "left": pytest.approx(0.4), "warn_below": 0.5, "unit": "mL"}]
    lab.count("ink", 1.1)
    assert [body["item"] for _, body in session.keeper.stock.low(session.state, lab.inventory, day=DAY)] == ["ink"]
    lab.receive("ink", 5)
    assert session.keeper.stock.low(session.state, lab.inventory, day=DAY) == []


# ── samples ──


def test_a_sample_from_step_to_step(session: Session) -> None:
    """It is made of the lots that were used, moved into the first free slot, and archived by the step that says so."""
    session.through(1, "coat", "carry", "anneal", "measure")
    sample = session.state.samples[ID]
    assert (sample.status, sample.spot, sample.stock) == (
        SampleStatus.ARCHIVED, ("tray", 1), (("substrate", "A"), ("ink", "A")),
    )  # fmt: skip
    told = [(e.what, e.place) for e in sample.history]
    assert told == [("created", "chuck"), ("moved", "bed_a"), ("moved", "tray"), ("archived", "tray")]
    moved = next(e.body for e in session.entries if e.kind == kinds.SAMPLE_MOVED)
    assert (moved["from"], moved["step"], moved["attempt"]) == ({"place": "chuck", "slot": 1}, "carry", 1)
    assert sample_id("c1", 3) == "c1-3"


def test_slots_are_taken_in_turn(session: Session) -> None:
    """The second sample goes into the second bed and slot; while both beds are taken, the third has no room."""
    session.through(1, "coat", "carry")
    for number in (2, 3):
        assert session.propose(number) is None
    session.through(2, "coat", "carry")
    session.through(3, "coat")
    room = session.start(3, "carry")
    assert isinstance(room, NoRoom)
    assert room.waits
    assert str(room) == "no free slot in bed_a or bed_b: bed_a slot 1: 4f9a1c-1 (live); bed_b slot 1: 4f9a1c-2 (live)"
    session.through(1, "anneal", "measure")
    session.through(3, "carry")
    assert session.state.samples["4f9a1c-3"].spot == ("bed_a", 1)
    target = session.keeper.samples.target
    assert target(session.state, 2, "measure", session.lab.inventory) == ("tray", 2)
    assert target(session.state, 2, "anneal", session.lab.inventory) is None
    assert isinstance(target(session.state, 2, "carry", session.lab.inventory, "bed_a"), NoRoom)


def test_no_room_that_only_a_person_can_make(session: Session) -> None:
    """Where what holds a slot is in quarantine, that is said with the command that takes it away."""
    session.start(1, "coat")
    session.act(1, "coater", "load")
    session.end(1, "fault")
    session.finish(1, kinds.TRIAL_FAILED)
    assert session.state.samples[ID].status is SampleStatus.QUARANTINED
    session.propose(2)
    room = session.start(2, "coat")
    assert isinstance(room, NoRoom)
    assert not room.waits
    assert "chuck slot 1: 4f9a1c-1 (quarantined). Take one away and say so: sdl samples locate 4f9a1c-1 --out" in str(
        room
    )
    session.lab.locate(ID, "", 0)
    assert session.start(2, "coat") is None


def test_a_step_done_again_keeps_its_slot(session: Session) -> None:
    """The slot that an earlier attempt had chosen is chosen again, though the one before it is free by now."""
    other = Session(session.lab, "20261122t010204-aaaaaa")
    other.propose()
    other.through(1, "coat", "carry")
    session.through(1, "coat")
    session.start(1, "carry")
    session.act(1, "robot", "carry")
    session.end(1, "fault")
    other.through(1, "anneal", "measure")
    session.start(1, "carry")
    assert session.state.trials[1].steps[-1].into == ("bed_b", 1)


@pytest.mark.parametrize("loaded", [True, False])
def test_a_trial_that_fails_while_it_is_made(session: Session, loaded: bool) -> None:
    """A substrate that was loaded is a sample in quarantine; where nothing happened there is none."""
    session.start(1, "coat")
    id_ = session.dispatch(1, "coater", "load")
    session.action(*((kinds.ACTION_DONE, id_) if loaded else (kinds.ACTION_FAILED, id_)), message="m")
    session.end(1, "fault")
    assert session.state.samples == {}, "the step may be done again"
    session.finish(1, kinds.TRIAL_FAILED)
    assert [s.status for s in session.state.samples.values()] == ([SampleStatus.QUARANTINED] if loaded else [])


def test_quarantined_with_its_action(session: Session) -> None:
    """Once nobody can say whether an action happened, the sample is in quarantine, in transit if it may have moved."""
    session.through(1, "coat")
    session.start(1, "carry")
    id_ = session.dispatch(1, "robot", "carry")
    session.action(kinds.ACTION_DOUBTFUL, id_, cause="fault", message="no answer")
    session.end(1, "doubt")
    session.action(kinds.ACTION_RESOLVED, id_, verdict="quarantine", by="person:hana", note="n")
    sample = session.state.samples[ID]
    assert sample.status is SampleStatus.QUARANTINED
    assert "carry of robot (200): nobody can say" in sample.message
    assert "in transit from chuck to bed_a" in sample.message
    assert set(session.lab.inventory.taken) == {("chuck", 1), ("bed_a", 1)}


def test_an_interrupted_step_taken_for_done(session: Session) -> None:
    """When a person says that an interrupted move was done, the next step's start puts the move on record."""
    session.through(1, "coat")
    session.start(1, "carry")
    session.act(1, "robot", "carry")
    session.end(1, "interrupted")
    assert session.state.samples[ID].place == "chuck"
    session.start(1, "anneal")
    assert session.state.samples[ID].spot == ("bed_a", 1)


def test_a_step_that_uses_it_up(lab: Lab) -> None:
    """What a step consumes is nowhere afterwards, and its slot is free; a trial that ends leaves it so."""
    lab.spec = film_spec(LAB.replace("into: [tray], archives: true", "consumes: true"))
    session = Session(lab)
    session.propose()
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    assert session.state.samples[ID].status is SampleStatus.CONSUMED
    assert lab.inventory.taken == {}


def test_what_no_step_archives_is_kept_where_it_is(lab: Lab) -> None:
    """A good trial's sample that no step puts away is archived where the last step left it."""
    lab.spec = film_spec(LAB.replace(", archives: true", ""))
    session = Session(lab)
    session.propose()
    session.through(1, "coat", "carry", "anneal", "measure")
    assert session.state.samples[ID].status is SampleStatus.LIVE
    session.finish(1)
    assert (session.state.samples[ID].status, session.state.samples[ID].place) == (SampleStatus.ARCHIVED, "tray")


def test_objections(session: Session) -> None:
    """A sample that somebody put in quarantine or took out of the lab stands in the way of its trial's next step."""
    session.through(1, "coat")
    objection = session.keeper.samples.objection
    assert objection(1, session.lab.inventory, session.state.id) == ""
    session.lab.locate(ID, "", 0)
    assert "is out of the lab, says person:hana: seen" in objection(1, session.lab.inventory, session.state.id)
    session.lab.say(kinds.SAMPLE_QUARANTINED, trial=1, sample=ID, by="person:hana", message="a scratch")
    assert "in quarantine: a scratch" in objection(1, session.lab.inventory, session.state.id)
    assert objection(9, session.lab.inventory, session.state.id) == ""


# ── kills ──


def test_whatever_a_kill_left_out_is_found(session: Session) -> None:
    """From each prefix of the record, what is missing is added once, and gives the sample that it should."""
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    wanted = session.state.samples[ID]
    for cut in range(len(session.entries)):
        if session.entries[cut].kind.startswith(("sample.", "stock.released")):
            again = Session(Lab(), session.state.id)
            again.write(*((e.kind, e.body) for e in session.entries[1:cut]))
            again.write(*again.keeper.missing(again.state))
            assert again.keeper.missing(again.state) == []
            rest = [e for e in session.entries[cut:] if not e.kind.startswith(("sample.", "stock."))]
            for entry in rest:
                again.record((entry.kind, entry.body))
            found = again.state.samples[ID]
            assert (found.status, found.spot, found.stock) == (wanted.status, wanted.spot, wanted.stock)
            assert [e.what for e in found.history] == [e.what for e in wanted.history]


def test_a_lab_without_samples_and_stock(lab: Lab) -> None:
    """Where the lab file declares neither, nothing is added, and no step has a slot."""
    text = LAB.replace("    sample: {made_by: coat, place: chuck}\n", "").replace(", into: [tray], archives: true", "")
    spec = film_spec(text.replace(", into: [bed_a, bed_b]", ""))
    keeper = Keeper(StockKeeper(spec, "film", UNITS), SampleKeeper(spec, "film"))
    session = Session(lab)
    session.propose()
    entries: list[Any] = [(kinds.TRIAL_OBSERVED, {"trial": 1, "outcomes": {}})]
    assert keeper.samples.target(session.state, 1, "coat", lab.inventory) is None
    assert [kind for kind, _ in keeper.complete(session.state, entries)] == [kinds.TRIAL_OBSERVED, kinds.STOCK_RELEASED]
    assert keeper.complete(session.state, [(kinds.SESSION_OPENED, {})]) == [(kinds.SESSION_OPENED, {})]
