"""What a pump says of a delivery afterwards, and what is done with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from sdl.devices._ne1000_memory import MARK
from sdl.model import Fault, Refusal
from sdl.protocols import Receipts, Verdict
from tests.devices.pumping import RUN, TIMEOUT, Book, Rig

WAYS = [("INF", 30), ("WDR", 0)]


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{'safe' if way[1] else 'basic'}")
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A pump in either direction and either framing."""
    rig = Rig(*request.param)
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
async def one() -> AsyncIterator[Rig]:
    """A pump that infuses in safe mode."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.stop()


async def test_a_delivery_that_is_out_is_done(rig: Rig) -> None:
    """The evidence is noted before the pump runs, its answer after; the receipt goes by the counter."""
    book = Book(50.0)
    await book.perform(rig.pump)
    assert isinstance(rig.pump, Receipts)
    assert book.evidence == {
        "baseline": 0.0, "volume": 50.0, "rate": 100.0, "direction": rig.direction, "unit": "uL", "diameter": 14.43,
        "status": rig.direction[0],
    }  # fmt: skip
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert receipt.text == f"dispensed counter 50.00 uL of 50 uL ({rig.direction}), standing still"
    await rig.restart()
    assert (await rig.pump.receipt(book.record())).verdict is Verdict.DONE
    assert rig.delivered == pytest.approx(50.0)


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage"])
async def test_a_run_that_never_reached_the_pump_is_not_done(rig: Rig, kind: str) -> None:
    """The connection breaks as `RUN` is on its way: nothing moved, the receipt says so, and the second try delivers."""
    book = Book(50.0)
    rig.faults.inject(kind, count=1, after=RUN)
    with pytest.raises(Fault) as caught:
        await book.perform(rig.pump)
    assert not caught.value.clean
    assert book.armed
    receipt = await rig.pump.receipt(book.record())
    assert (receipt.verdict, rig.delivered) == (Verdict.NOT_DONE, 0.0)
    await rig.restart()
    assert (await rig.pump.receipt(book.record())).verdict is Verdict.NOT_DONE
    await book.perform(rig.pump)
    assert rig.delivered == pytest.approx(50.0)


async def test_a_run_whose_answer_is_lost_is_partly_done_and_gone_on_with(rig: Rig) -> None:
    """The driver stops what it started unheard; the counter says how much, and the second try delivers the rest."""
    book = Book(90.0)
    rig.faults.inject("lose", count=1, after=RUN)
    with pytest.raises(Fault, match="no complete reply"):
        await book.perform(rig.pump)
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict is Verdict.PARTIAL
    assert receipt.evidence["delivered"] == pytest.approx(rig.delivered, abs=0.01)
    assert 0 < rig.delivered < 90
    book.carry(receipt)
    await rig.restart()
    await book.perform(rig.pump)
    assert rig.delivered == pytest.approx(90.0, abs=0.011)
    assert rig.runs == 2


async def test_pauses_add_up_to_the_volume(rig: Rig) -> None:
    """Stopped three times on its way, the delivery as a whole is exact; nothing is left after that."""
    book = Book(60.0)
    for end in (13.0, 27.0, 41.0):
        trying = asyncio.ensure_future(book.perform(rig.pump))
        await rig.until(end)
        await rig.pump.dispense.stop()
        with pytest.raises(Fault, match=r"was stopped after [\d.]+ uL of 60 uL"):
            await trying
        receipt = await rig.pump.receipt(book.record())
        assert receipt.verdict is Verdict.PARTIAL
        assert receipt.evidence["delivered"] == pytest.approx(rig.delivered, abs=0.031)
        book.carry(receipt)
    await book.perform(rig.pump)
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert "uL delivered before that" in receipt.text
    assert rig.delivered == pytest.approx(60.0, abs=0.041)
    book.carried["delivered"] = 59.995
    await book.perform(rig.pump)
    assert not book.armed
    assert rig.runs == 4


async def test_a_process_that_ends_leaves_a_delivery_that_is_waited_for(rig: Rig) -> None:
    """The next process finds the pump running, leaves it running, waits for the end, and says that it is done."""
    book = Book(60.0)
    trying = asyncio.ensure_future(book.perform(rig.pump))
    await rig.until(10.0)
    await rig.server.stop()  # the driver cannot stop the pump any more, as a process that was killed cannot
    with pytest.raises(Fault):
        await trying
    await rig.server.start()
    await rig.restart()
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert (rig.delivered, rig.runs) == (pytest.approx(60.0), 1)


@pytest.mark.parametrize("kind", ["cut", "hang", "garbage", "refuse"])
async def test_a_fault_during_a_delivery_is_judged_by_the_counter(rig: Rig, kind: str) -> None:
    """A line that fails on the way and comes back: stopped part-way or run to its end, the receipt says which."""
    book = Book(50.0)
    rig.faults.inject(kind, count=1, after=RUN + 3)
    with pytest.raises(Fault) as caught:
        await book.perform(rig.pump)
    assert not caught.value.clean, "the pump had begun"
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict in (Verdict.PARTIAL, Verdict.DONE)
    if receipt.verdict is Verdict.PARTIAL:
        assert receipt.evidence["delivered"] == pytest.approx(rig.delivered, abs=0.01)
        book.carry(receipt)
        await book.perform(rig.pump)
    assert rig.delivered == pytest.approx(50.0, abs=0.011)


async def test_a_pump_that_does_not_answer_gives_no_receipt(one: Rig) -> None:
    """No answer is a fault, not a verdict; the volume is told once the pump answers again."""
    book = Book(50.0)
    trying = asyncio.ensure_future(book.perform(one.pump))
    await one.until(10.0)
    one.faults.inject("hang")
    with pytest.raises(Fault, match="did not confirm that it stopped"):
        await trying
    with pytest.raises(Fault, match=f"no complete reply to .* within {TIMEOUT}"):
        await one.pump.receipt(book.record())
    one.faults.clear()
    assert (await one.pump.receipt(book.record())).verdict is Verdict.DONE


async def test_waiting_feeds_the_watchdog() -> None:
    """A delivery that lasts longer than the pump's watchdog comes to its end while its receipt is asked for."""
    rig = Rig(watchdog=3, speed=10.0)
    await rig.start()
    book = Book(60.0)
    trying = asyncio.ensure_future(book.perform(rig.pump))
    await rig.until(1.0)
    trying.cancel()
    rig.faults.inject("hang", count=2)
    with pytest.raises(Fault):
        await trying
    receipt = await rig.pump.receipt(book.record())
    await rig.stop()
    assert receipt.verdict is Verdict.DONE, receipt.text
    assert rig.simulated.alarm == ""


async def test_a_watchdog_that_stopped_the_pump_leaves_a_counter_that_counts(one: Rig) -> None:
    """Alarm T says nothing against the counter."""
    book = Book(50.0)
    trying = asyncio.ensure_future(book.perform(one.pump))
    await one.until(10.0)
    one.simulated._heard -= 100  # type: ignore[operator]
    one.simulated.advance()
    with pytest.raises(Fault, match="the pump heard nothing"):
        await trying
    receipt = await one.pump.receipt(book.record())
    assert receipt.verdict is Verdict.PARTIAL
    assert "alarm T (its watchdog stopped it)" in receipt.text
    assert receipt.evidence["delivered"] == pytest.approx(one.delivered, abs=0.01)


@pytest.mark.parametrize("cleared", [False, True], ids=["counter-kept", "counter-cleared"])
async def test_a_pump_without_power_is_never_believed(rig: Rig, cleared: bool) -> None:
    """After a power cut the verdict is unknown, with readings: at once, in the next process, and in the one after."""
    book = Book(50.0)
    trying = asyncio.ensure_future(book.perform(rig.pump))
    await rig.until(10.0)
    rig.simulated.reset()
    if cleared:
        rig.simulated.moved = {"INF": 0.0, "WDR": 0.0}
    with pytest.raises(Fault, match="the pump was reset"):
        await trying
    counter = r"0\.000 uL" if cleared else r"1\d\.\d\d uL"
    expected = rf"dispensed counter {counter} of 50 uL \({rig.direction}\), standing still, alarm R \(its power was"
    for _ in range(3):
        receipt = await rig.pump.receipt(book.record())
        assert receipt.verdict is Verdict.UNKNOWN
        assert re.match(expected, receipt.text), receipt.text
        await rig.restart()
        expected = rf"dispensed counter {counter} .*its volume is set to 0.001 UL, as drivers set it when its power"
    assert rig.simulated.target == MARK


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_a_power_cut_between_two_processes(rig: Rig, acknowledged: bool) -> None:
    """The alarm that connecting acknowledges is remembered: an empty counter is no proof that nothing happened."""
    book = Book(50.0)
    rig.faults.inject("hang", count=2, after=RUN + 2)
    with pytest.raises(Fault):
        await book.perform(rig.pump)
    rig.simulated.reset()
    rig.simulated.moved = {"INF": 0.0, "WDR": 0.0}
    if not acknowledged:
        del book.evidence["status"]
    await rig.restart()
    receipt = await rig.pump.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "alarm R (its power was interrupted)" in receipt.text


async def test_an_empty_counter_after_an_answer_is_no_proof_either(one: Rig) -> None:
    """A pump that answered that it runs and has counted nothing may have lost its power while nobody listened."""
    book = Book(50.0)
    await book.perform(one.pump)
    one.simulated.moved = {"INF": 0.0, "WDR": 0.0}
    await one.restart()
    receipt = await one.pump.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert receipt.text.endswith("was its power interrupted?")


async def test_a_stalled_motor_is_for_a_person(one: Rig) -> None:
    """A motor that stalled drove steps that moved nothing, so its counter proves nothing."""
    one.simulated.stall_alarm = True
    book = Book(50.0)
    trying = asyncio.ensure_future(book.perform(one.pump))
    await one.until(10.0)
    one.faults.inject("stuck")
    with pytest.raises(Fault, match="stalled"):
        await trying
    one.faults.clear()
    receipt = await one.pump.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "alarm S (its motor stalled)" in receipt.text


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        (["VOL20"], "its volume is set to 20 UL, not to the 50 UL of the delivery"),
        (["RAT200"], "its rate is set to 200 uL/min, not to the 100 uL/min"),
        (["DIRREV"], "its direction is WDR, not INF"),
        (["DIA10"], "its syringe is set to 10 mm, not to 14.43 mm"),
        (["VOL3", "DIRREV", "RUN"], "its volume is set to 3 UL"),
    ],
)
async def test_settings_that_were_changed_since_prove_nothing(one: Rig, commands: list[str], says: str) -> None:
    """Whoever used the keypad since: unknown, naming what differs."""
    book = Book(50.0)
    await book.perform(one.pump)
    for command in commands:
        assert "?" not in one.simulated.execute(command)
    receipt = await one.pump.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert says in receipt.text
    assert "dispensed counter" in receipt.text


async def test_a_counter_beyond_the_volume_proves_nothing(one: Rig) -> None:
    """A pump that was run again with the same settings counted more than the delivery."""
    book = Book(50.0)
    await book.perform(one.pump)
    one.simulated.execute("RUN")
    await one.until(60.0)
    receipt = await one.pump.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "it counted more than it was to deliver" in receipt.text


async def test_a_pump_that_was_used_since_says_nothing(one: Rig) -> None:
    """The counters belong to the last delivery that this process prepared, equal settings or not."""
    first = Book(50.0)
    await first.perform(one.pump)
    await one.pump.dispense.set(50.0)
    receipt = await one.pump.receipt(first.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert "used for something else since" in receipt.text


async def test_only_deliveries_have_receipts(one: Rig) -> None:
    """An action without the evidence of a delivery is unknown, in words."""
    book = Book(50.0)
    receipt = await one.pump.receipt(book.record())
    assert (receipt.verdict, receipt.text) == (Verdict.UNKNOWN, "pump keeps no record of dispense")


async def test_another_syringe_waits_until_the_delivery_is_over(one: Rig) -> None:
    """A driver with another diameter neither stops the pump nor clears its counter; its first use writes it."""
    book = Book(60.0)
    trying = asyncio.ensure_future(book.perform(one.pump))
    await one.until(10.0)
    await one.server.stop()
    with pytest.raises(Fault):
        await trying
    await one.server.start()
    await one.restart(diameter="10 mm")
    assert one.simulated.running
    assert (await one.pump.receipt(book.record())).verdict is Verdict.DONE
    assert one.simulated.diameter == 14.43
    await Book(5.0, "c/1/make/2").perform(one.pump)
    assert one.simulated.diameter == 10.0
    assert one.delivered == pytest.approx(65.0)


async def test_a_refused_run_is_a_refusal(rig: Rig) -> None:
    """A pump that answers `?NA` to `RUN` and stands still has not delivered; other refusals prove nothing."""
    rig.faults.inject("refuse", count=1, after=RUN)
    with pytest.raises(Refusal, match=r"refused RUN: \?NA") as caught:
        await Book(50.0).perform(rig.pump)
    assert caught.value.clean
    rig.simulated.max_volume = 20.0
    with pytest.raises(Fault, match=r"refused VOL50\.00: \?OOR") as fault:
        await Book(50.0).perform(rig.pump)
    assert not fault.value.clean
    assert rig.delivered == 0


async def test_a_stop_while_it_is_being_armed_keeps_it_from_running(one: Rig) -> None:
    """A pause that comes between the record and the bytes: the pump does not run, and the receipt says so."""
    book = Book(50.0)
    with pytest.raises(Fault, match="was stopped before it began to deliver 50 uL"):
        await book.perform(one.pump, on_arm=one.pump.dispense.stop)
    assert book.armed
    assert (await one.pump.receipt(book.record())).verdict is Verdict.NOT_DONE
    assert one.runs == 0


async def test_nothing_is_armed_before_everything_is_prepared(one: Rig) -> None:
    """Whatever fails before the pump could run fails before the action is armed."""
    for after in range(RUN):
        book = Book(50.0)
        one.faults.inject("garbage", count=2, after=after)
        with pytest.raises(Fault):
            await book.perform(one.pump)
        one.faults.clear()
        assert not book.armed, after
    assert one.runs == 0
