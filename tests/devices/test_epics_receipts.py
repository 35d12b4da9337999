"""Ejecting, and what the IOC's counter says of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from sdl.devices.epics_stage import EpicsStage
from sdl.lab.effects import Action, _current
from sdl.model import Fault, Refusal
from sdl.protocols import ActionRecord, Effect, Verdict
from tests.devices.staging import Rig, begin_library

PUT = 11
"""How many requests of an eject come before the put that moves."""


class Book:
    """One action: what its driver put on record."""

    def __init__(self) -> None:
        self.evidence: dict[str, Any] = {}
        self.armed = False

    async def perform(self, stage: EpicsStage) -> None:
        """Try once."""
        self.evidence, self.armed = {}, False

        async def arm(evidence: Mapping[str, Any]) -> None:
            self.evidence |= evidence
            self.armed = True

        token = _current.set(Action("c/1/measure/1", {}, arm, self.evidence.update))
        try:
            status = stage.eject.trigger()
        finally:
            _current.reset(token)
        await status

    def record(self, path: str = "eject") -> ActionRecord:
        """As the journal has it."""
        arguments: dict[str, Any] = {"args": [], "kwargs": {}}
        return ActionRecord(
            "c/1/measure/1", "stage", path, "trigger", arguments, Effect.NON_REPEATABLE, self.armed, self.evidence
        )


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """What lasts as long as the process begins before the first test."""
    begin_library()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A stage that is connected."""
    rig = Rig()
    await rig.start()
    yield rig
    rig.faults.clear()
    await rig.stop()


@pytest.fixture
def book() -> Book:
    """An action."""
    return Book()


async def test_an_eject_that_has_happened_is_done(rig: Rig, book: Book) -> None:
    """The counter is noted before the stage moves, and one more afterwards; also for the next process."""
    await rig.stage.set(30.0)
    await book.perform(rig.stage)
    assert rig.ioc.ejected == 1
    assert (book.evidence["baseline"], book.evidence["position"], book.evidence["unit"]) == (0, 120.0, "mm")
    receipt = await rig.stage.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert receipt.text == "ejected counter 1, 0 before; the stage is at 0 mm"
    await rig.stage.close()
    rig.stage = await rig.driver()
    assert (await rig.stage.receipt(book.record())).verdict is Verdict.DONE


async def test_ejecting_twice_ejects_twice(rig: Rig) -> None:
    """Each time the stage comes to the ejector and goes home, and the eject is over when it stands there."""
    for count in (1, 2):
        await rig.stage.eject.trigger()
        assert (rig.ioc.ejected, rig.ioc.position, rig.ioc.moving) == (count, 0.0, False)
    assert [entry["target"] for entry in rig.actions("move")] == [120.0, 120.0]
    assert [entry["position"] for entry in rig.actions("arrive")] == [120.0, 0.0, 120.0, 0.0]


async def test_stopped_on_its_way_home_is_done(rig: Rig, book: Book) -> None:
    """The film has fallen, though the eject is not over: a fault, and the receipt says DONE."""
    rig.clock.speed = 20.0
    trying = asyncio.ensure_future(book.perform(rig.stage))
    while not rig.ioc.ejected:
        await asyncio.sleep(0.005)
    await rig.stage.stop()
    with pytest.raises(Fault, match="was stopped on its way to 120 mm"):
        await trying
    assert 0 < rig.ioc.position <= 120
    assert (await rig.stage.receipt(book.record())).verdict is Verdict.DONE
    await rig.stage.eject.trigger()
    assert (rig.ioc.ejected, rig.ioc.position) == (2, 0.0)


async def test_no_move_ejects(rig: Rig) -> None:
    """Whatever positions a plan may ask for, nothing falls into the tray."""
    for position in (119.0, 0.0, 118.5):
        await rig.stage.set(position)
    assert rig.ioc.ejected == 0


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage"])
async def test_a_put_that_never_arrived_is_not_done(rig: Rig, book: Book, kind: str) -> None:
    """The connection breaks as the put is on its way: nothing moved, the receipt says so, and the second try ejects."""
    rig.faults.inject(kind, count=1, after=PUT)
    with pytest.raises(Fault) as caught:
        await book.perform(rig.stage)
    assert not caught.value.clean
    assert book.armed
    rig.faults.clear()
    receipt = await rig.stage.receipt(book.record())
    assert (receipt.verdict, rig.ioc.ejected) == (Verdict.NOT_DONE, 0)
    assert "ejected counter 0, 0 before" in receipt.text
    await book.perform(rig.stage)
    assert rig.ioc.ejected == 1


async def test_a_put_whose_answer_is_lost_is_done(rig: Rig, book: Book) -> None:
    """The film has fallen and nobody was told: a fault, and the receipt says DONE."""
    rig.faults.inject("lose", count=1, after=PUT)
    with pytest.raises(Fault, match="was not answered"):
        await book.perform(rig.stage)
    receipt = await rig.stage.receipt(book.record())
    assert (receipt.verdict, rig.ioc.ejected) == (Verdict.DONE, 1)


async def test_a_refused_put_is_clean(rig: Rig, book: Book) -> None:
    """The record's refusal says by itself that nothing has happened."""
    rig.faults.inject("refuse", count=1, after=PUT)
    with pytest.raises(Refusal):
        await book.perform(rig.stage)
    assert (await rig.stage.receipt(book.record())).verdict is Verdict.NOT_DONE


async def test_a_fault_before_it_is_armed_leaves_nothing_to_ask_about(rig: Rig, book: Book) -> None:
    """Whatever fails while it is prepared, the action is not armed."""
    rig.faults.inject("hang", count=1)
    with pytest.raises(Fault):
        await book.perform(rig.stage)
    assert not book.armed


async def test_stopped_half_way_is_not_done(rig: Rig, book: Book) -> None:
    """A stop between start and ejector: nothing has fallen."""
    rig.clock.speed = 20.0
    trying = asyncio.ensure_future(book.perform(rig.stage))
    await rig.moving()
    await rig.stage.stop()
    with pytest.raises(Fault, match="was stopped on its way to 120 mm"):
        await trying
    assert (await rig.stage.receipt(book.record())).verdict is Verdict.NOT_DONE


async def test_a_process_that_ends_leaves_an_eject_that_is_waited_for(rig: Rig, book: Book) -> None:
    """The stage moves on without its driver; whoever asks waits for it to come to rest."""
    rig.clock.speed = 20.0
    before = int((await rig.stage.link.get(":EJECTED"))[0])
    booted = float((await rig.stage.link.get(":BOOTED"))[0])
    book.evidence, book.armed = {"baseline": before, "booted": booted, "position": 120.0, "unit": "mm"}, True
    await rig.stage.link.send(".VAL", 120.0)
    await rig.moving()
    receipt = await rig.stage.receipt(book.record())
    assert (receipt.verdict, rig.ioc.ejected) == (Verdict.DONE, 1)


async def test_an_ioc_that_was_started_again_has_forgotten(rig: Rig, book: Book) -> None:
    """Its counter begins at 0, so nobody can tell; a person has to look into the tray."""
    await book.perform(rig.stage)
    await rig.ioc.stop()
    await rig.ioc.start()
    receipt = await rig.stage.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "the IOC was started again meanwhile" in receipt.text


async def test_a_counter_that_others_have_used_tells_nothing(rig: Rig, book: Book) -> None:
    """Two ejects since it was noted: which of them was the action's is not known."""
    await book.perform(rig.stage)
    await rig.stage.eject.trigger()
    receipt = await rig.stage.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "ejected counter 2, 0 before" in receipt.text


async def test_other_actions_have_no_receipt(rig: Rig, book: Book) -> None:
    """Only ejecting is counted; evidence that says nothing is said so."""
    assert (await rig.stage.receipt(book.record(path=""))).verdict is Verdict.UNKNOWN
    assert (await rig.stage.receipt(book.record())).verdict is Verdict.UNKNOWN


async def test_an_ioc_that_has_gone_cannot_be_asked(rig: Rig, book: Book) -> None:
    """A fault, which leaves the action in doubt."""
    await book.perform(rig.stage)
    await rig.ioc.stop()
    with pytest.raises(Fault):
        await rig.stage.receipt(book.record())
