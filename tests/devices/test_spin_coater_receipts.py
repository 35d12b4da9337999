"""What a spin coater says of an action afterwards, and what is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import bluesky.plan_stubs as bps
import pytest

from sdl.devices.spin_coater import SpinCoater
from sdl.lab.clock import LabClock
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from sdl.model import Fault, Refusal
from sdl.protocols import Receipts, Verdict
from sdl.simulators.spin_coater import CoaterMemory
from tests.devices.test_spin_coater import FILM, TIMEOUT, Book, Rig
from tests.devices.test_spin_coater_faults import QUERIES

VERBS: dict[str, tuple[Any, ...]] = {"load": (), "dispense": (50.0,), "spin": (FILM,)}
LONG: dict[str, tuple[Any, ...]] = {**VERBS, "dispense": (1000.0,)}
KINDS = {"load": "load", "dispense": "dispense", "spin": "spin"}


async def _ready(verb: str, speed: float = 200.0) -> Rig:
    rig = Rig(LabClock(speed))
    await rig.start()
    rig.verb = verb  # type: ignore[attr-defined]
    if verb != "load":
        await rig.coater.load.trigger()
    return rig


@pytest.fixture(params=VERBS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A coater that is ready for the verb `rig.verb`."""
    rig = await _ready(request.param)
    yield rig
    await rig.stop()


@pytest.fixture(params=VERBS)
async def slow(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """The same for tests that come in the middle of something."""
    rig = await _ready(request.param, 40.0)
    yield rig
    await rig.stop()


@pytest.fixture
async def loaded() -> AsyncIterator[Rig]:
    """A coater with a substrate on its chuck, slow enough to come in the middle of a dispense."""
    rig = await _ready("spin", 40.0)
    yield rig
    await rig.stop()


def _done(rig: Any) -> int:
    return len(rig.did(KINDS[rig.verb]))


async def test_an_action_that_was_done_is_done(rig: Any) -> None:
    """Tag, counter and memory are noted before it acts; the receipt says the same to another process."""
    book = Book(rig.verb)
    await book.perform(rig.coater, *VERBS[rig.verb])
    assert isinstance(rig.coater, Receipts)
    kind, asked = {"load": ("LOAD", 1.0), "dispense": ("DISP", 50.0), "spin": ("SPIN", 30.0)}[rig.verb]
    tag = book.evidence.pop("tag")
    assert book.evidence.pop("left") > 0
    unit = {"load": "substrate", "dispense": "uL", "spin": "s"}[rig.verb]
    assert book.evidence == {
        "kind": kind, "asked": asked, "unit": unit, "memory": rig.memory.id, "count": 0, "volume": 0.0,
    }  # fmt: skip
    book.evidence["tag"] = tag
    for _ in range(2):
        receipt = await rig.coater.receipt(book.record())
        assert receipt.verdict is Verdict.DONE
        assert receipt.text.startswith(f"tag {tag}: {asked:g} of {asked:g} {unit}, DONE; counter of ")
        await rig.restart()
    assert _done(rig) == 1


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "refuse"])
async def test_what_never_reached_the_coater_is_not_done(rig: Any, kind: str) -> None:
    """The command is lost on its way: nothing happened, the receipt says so, and the second try does it once."""
    book = Book(rig.verb)
    rig.faults.inject(kind, count=1, after=QUERIES)
    with pytest.raises(Refusal if kind == "refuse" else Fault):
        await book.perform(rig.coater, *VERBS[rig.verb])
    assert book.armed
    await rig.restart()
    receipt = await rig.coater.receipt(book.record())
    assert receipt.verdict is Verdict.NOT_DONE
    assert "it never accepted tag" in receipt.text
    await book.perform(rig.coater, *VERBS[rig.verb])
    assert _done(rig) == 1


async def test_what_was_done_unheard_is_done(rig: Any) -> None:
    """The answer is lost: the coater goes on by itself, the receipt waits for the end, and nothing is repeated."""
    book = Book(rig.verb)
    rig.faults.inject("lose", count=1, after=QUERIES)
    with pytest.raises(Fault, match="no complete reply") as caught:
        await book.perform(rig.coater, *VERBS[rig.verb])
    assert not caught.value.clean
    receipt = await rig.coater.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert _done(rig) == 1


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "refuse", "lose"])
async def test_a_fault_on_the_way_leaves_no_doubt(rig: Any, kind: str) -> None:
    """Whatever becomes of the connection while it acts, the counters tell that it was done."""
    book = Book(rig.verb)
    rig.faults.inject(kind, count=1, after=QUERIES + 1)
    with pytest.raises(Fault) as caught:
        await book.perform(rig.coater, *VERBS[rig.verb])
    assert not caught.value.clean
    assert (await rig.coater.receipt(book.record())).verdict is Verdict.DONE
    assert _done(rig) == 1


async def test_a_process_that_ends_leaves_an_action_that_is_waited_for(slow: Any) -> None:
    """The next process finds the coater at work, lets it, waits for the end, and says that it is done."""
    book = Book(slow.verb)
    trying = asyncio.ensure_future(book.perform(slow.coater, *LONG[slow.verb]))
    await slow.until({"load": "LOAD", "dispense": "DISP", "spin": "SPIN"}[slow.verb])
    await slow.server.stop()  # the driver cannot stop the coater any more, as a process that was killed cannot
    with pytest.raises(Fault):
        await trying
    slow.server._port = int(slow.address.rpartition(":")[2])
    await slow.server.start()
    await slow.restart()
    receipt = await slow.coater.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert _done(slow) == 1


async def test_what_is_stuck_is_not_done(rig: Any) -> None:
    """Acknowledged, and nothing moved: the counters say so, and it is done at the second try."""
    book = Book(rig.verb)
    rig.faults.inject("stuck")
    with pytest.raises(Fault, match="reports that it is done, and is not"):
        await book.perform(rig.coater, *VERBS[rig.verb])
    assert (await rig.coater.receipt(book.record())).verdict is Verdict.NOT_DONE
    rig.faults.clear()
    await book.perform(rig.coater, *VERBS[rig.verb])
    assert (await rig.coater.receipt(book.record())).verdict is Verdict.DONE
    assert _done(rig) == 1


async def test_pauses_add_up_to_the_volume(loaded: Rig) -> None:
    """Stopped twice on its way, the dispense as a whole is exact; nothing is left after that."""
    book = Book("dispense")
    for _ in range(2):
        trying = asyncio.ensure_future(book.perform(loaded.coater, 1000.0))
        await loaded.until("DISP")
        await asyncio.sleep(0.01)
        await loaded.coater.dispense.stop()
        with pytest.raises(Fault, match=r"was stopped: .*it has done [\d.]+ of [\d.]+ uL"):
            await trying
        receipt = await loaded.coater.receipt(book.record())
        assert receipt.verdict is Verdict.PARTIAL
        assert receipt.evidence["delivered"] == pytest.approx(loaded.plant.ink, abs=0.011)
        book.carried |= receipt.evidence
    await book.perform(loaded.coater, 1000.0)
    assert (await loaded.coater.receipt(book.record())).verdict is Verdict.DONE
    assert loaded.plant.ink == pytest.approx(1000.0, abs=0.02)
    book.carried["delivered"] = 999.995
    await book.perform(loaded.coater, 1000.0)
    assert not book.armed


async def test_a_spin_that_was_stopped_is_told_with_its_seconds(loaded: Rig) -> None:
    """Part of a spin is no film as asked for: the receipt says how long it was, and no second try is begun."""
    book = Book("spin")
    trying = asyncio.ensure_future(book.perform(loaded.coater, {**FILM, "seconds": 3000}))
    await loaded.until("SPIN")
    await asyncio.sleep(0.05)
    await loaded.coater.stop()
    with pytest.raises(Fault, match=r"was stopped: asked to spin at 3000 rpm for 3000 s, it has done"):
        await trying
    receipt = await loaded.coater.receipt(book.record())
    assert receipt.verdict is Verdict.PARTIAL
    ((rpm, seconds),) = loaded.plant.spins
    assert receipt.evidence == {"spun": pytest.approx(seconds, abs=0.01)}
    assert 0 < rpm <= 3000


async def test_a_power_cut_is_told_by_the_counters(loaded: Rig) -> None:
    """They outlive it: what came out before is known; in another memory nothing is."""
    book = Book("dispense")
    trying = asyncio.ensure_future(book.perform(loaded.coater, 1000.0))
    await loaded.until("DISP")
    await asyncio.sleep(0.01)
    await loaded.power_cut()
    with pytest.raises(Fault):
        await trying
    receipt = await loaded.coater.receipt(book.record())
    assert receipt.verdict is Verdict.PARTIAL
    assert receipt.evidence["delivered"] == pytest.approx(loaded.plant.ink, abs=0.01)
    loaded.memory = CoaterMemory()
    await loaded.power_cut()
    receipt = await loaded.coater.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "its counters are others than before" in receipt.text


async def test_what_others_did_since(loaded: Rig) -> None:
    """Another kind of action since changes nothing; another one of the same kind makes it unknown."""
    book = Book("spin")
    loaded.faults.inject("hang", count=1, after=QUERIES)
    with pytest.raises(Fault):
        await book.perform(loaded.coater, FILM)
    await loaded.coater.dispense.set(20)
    assert (await loaded.coater.receipt(book.record())).verdict is Verdict.NOT_DONE
    await loaded.coater.spin.set(FILM)
    receipt = await loaded.coater.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "counter of spin programs at 1, 0 before; its last tag is" in receipt.text


async def test_no_record_no_verdict(loaded: Rig) -> None:
    """Evidence of nothing that can be judged is unknown; a coater that does not answer is a fault."""
    book = Book("dispense")
    assert (await loaded.coater.receipt(book.record())).verdict is Verdict.UNKNOWN
    await book.perform(loaded.coater, 20.0)
    loaded.faults.inject("hang")
    with pytest.raises(Fault, match="no complete reply"):
        await loaded.coater.receipt(book.record())


async def test_a_tag_is_taken_once(loaded: Rig) -> None:
    """Bytes that arrive twice, however late, act once."""
    link = loaded.coater.link
    await link.command("DISP once 10.00")
    await loaded.until("IDLE")
    with pytest.raises(Refusal, match="error 13, this tag was accepted before"):
        await link.command("DISP once 10.00")
    assert loaded.plant.ink == pytest.approx(10.0)


class Entries:
    """Keeps what a station records, as a journal does."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kinds.append(kind)

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        self.kinds.append(kind)
        return ""


@pytest.mark.parametrize("after", [QUERIES, QUERIES + 1])
async def test_a_station_goes_on_after_a_lost_answer(loaded: Rig, after: int) -> None:
    """Under the guard of a station a lost answer costs its time-out: the plan goes on, and all was done once."""
    coater = SpinCoater(loaded.address, name="coater", clock=loaded.clock, timeout=TIMEOUT)
    station, entries = Station("bench", {"coater": coater}, loaded.clock), Entries()
    await station.open()
    loaded.faults.inject("lose", count=1, after=after)

    def plan() -> Any:
        yield from bps.mv(coater.dispense, 60)
        yield from bps.mv(coater.spin, FILM)

    order = StepOrder("c", 1, "coat", 1, "bench", 1, entries)
    async with asyncio.timeout(20):
        await station.run(plan(), lambda name, document: None, {}, None, order)
    await station.close()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert entries.kinds.count("action.done") == 2
    assert (loaded.plant.ink, len(loaded.plant.spins)) == (60.0, 1)
