"""The MT-SICS balance's driver against its simulated instrument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine

from sdl.devices import LimitError
from sdl.devices.mtsics_balance import MtSicsBalance
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, _current, acts_of, find_target
from sdl.lab.stopcards import device_stops, press, read_cards, write_card
from sdl.lab.watchdog import attach
from sdl.model import Fault, Refusal, UnsafeState
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipts, Verdict
from sdl.simulators._faults import Probe
from sdl.simulators.balance import SERIAL, BalanceServer
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.3
QUERIES = 2
"""How many requests of a tare come before the one that acts."""
MESSAGES = {
    "refuse": r"answered EL to '\w+': the balance cannot execute this command",
    "hang": r"no complete reply to '\w+\\r\\n' within [\d.]+ s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": r"reply to '\w+\\r\\n' makes no sense .*received '.*garbage",
    "lose": r"no complete reply to '\w+\\r\\n' within [\d.]+ s",
}


class Bench:
    """A balance, what lies on it, and its driver."""

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        self.clock = clock or LabClock(200.0)
        self.grams = 0.0
        self.server = BalanceServer(Probe("balance", self.clock.now), self.clock, lambda: self.grams, **options)
        self.faults = self.server.probe.faults

    async def start(self, **options: Any) -> None:
        self.address = await self.server.start()
        given = {"stability_timeout": "40 s", **options}
        self.balance = MtSicsBalance(self.address, name="balance", clock=self.clock, timeout=TIMEOUT, **given)
        await self.balance.connect()

    async def weigh(self) -> float:
        await self.balance.trigger()
        return float((await self.balance.read())["balance-mass"]["value"])

    def did(self, action: str) -> int:
        return sum(entry["action"] == action for entry in self.server.probe.log)

    async def stop(self) -> None:
        await self.balance.close()
        await self.server.stop()


class Book:
    """One tare or zero: what its driver put on record."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.evidence: dict[str, Any] = {}
        self.armed = False
        self.on_arm: Callable[[], None] = lambda: None

    async def perform(self, balance: MtSicsBalance) -> None:
        self.evidence, self.armed = {}, False

        async def arm(evidence: Mapping[str, Any]) -> None:
            self.evidence |= evidence
            self.armed = True
            self.on_arm()

        token = _current.set(Action("c/1/weigh/1", {}, arm, self.evidence.update))
        try:
            status = getattr(balance, self.path).trigger()
        finally:
            _current.reset(token)
        await status

    def record(self) -> ActionRecord:
        arguments: dict[str, Any] = {"args": [], "kwargs": {}}
        effect = Effect.NON_REPEATABLE
        return ActionRecord(
            "c/1/weigh/1", "balance", self.path, "trigger", arguments, effect, self.armed, self.evidence
        )


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A connected balance with an empty pan."""
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


async def test_a_weight_is_stable_and_in_grams(bench: Bench) -> None:
    """A trigger waits for the settling time after a change; the reading is what lies on the pan."""
    assert await bench.weigh() == pytest.approx(0.0, abs=3e-4)
    bench.grams = 52.3071
    begin = bench.clock.now()
    assert await bench.weigh() == pytest.approx(52.3071, abs=3e-4)
    assert 2.0 <= bench.clock.now() - begin < 2.0 + 2 * bench.clock.speed
    key = (await bench.balance.describe())["balance-mass"]
    assert (key["units"], key["dtype"], key["precision"]) == ("g", "number", 4)
    bench.grams = 10.0
    assert (await bench.balance.mass.get_value()) == pytest.approx(52.3071, abs=3e-4), "until the next trigger"
    assert await bench.weigh() == pytest.approx(10.0, abs=3e-4)


async def test_tare_and_zero_move_the_reference(bench: Bench) -> None:
    """After a tare only what is added counts; a zero of a nearly empty pan takes drift away."""
    bench.grams = 80.0
    await bench.balance.tare.trigger()
    bench.grams = 80.75
    assert await bench.weigh() == pytest.approx(0.75, abs=5e-4)
    bench.grams = 0.012
    await bench.balance.zero.trigger()
    bench.grams = 5.012
    assert await bench.weigh() == pytest.approx(5.0, abs=5e-4)


@pytest.mark.parametrize(
    ("grams", "says"),
    [(230.0, r"answered '\+' to 'S': it is overloaded: take weight off"), (-3.0, "'-' to 'S': it is underloaded")],
)
async def test_out_of_its_range(bench: Bench, grams: float, says: str) -> None:
    """Overload and underload are faults that say what to do, and pass with the weight."""
    bench.grams = grams
    with pytest.raises(Fault, match=f"balance: {bench.address}: .*{says}"):
        await bench.balance.trigger()
    with pytest.raises(Fault, match=says.replace("'S'", "'SI'")):
        await bench.balance.present.get_value()
    bench.grams = 1.0
    assert await bench.weigh() == pytest.approx(1.0, abs=3e-4)


async def test_a_weight_that_never_settles(bench: Bench) -> None:
    """The balance gives up in its own time, and the fault says what to look at; at once it shows what it has."""
    bench.faults.inject("stuck")
    begin = bench.clock.now()
    with pytest.raises(Fault, match=r"answered 'I' to 'S': .*not become stable in its time; check its draught shield"):
        await bench.balance.trigger()
    assert 20.0 <= bench.clock.now() - begin < 20.0 + 2 * bench.clock.speed
    assert await bench.balance.present.get_value() == pytest.approx(0.0, abs=3e-4)
    book = Book("tare")
    with pytest.raises(Fault, match="answered 'I' to 'S'"):
        await book.perform(bench.balance)
    assert not book.armed


async def test_what_cannot_be_tared_or_zeroed_is_refused(bench: Bench) -> None:
    """Out of the range of a zero, or overloaded: a clean refusal, and the reference stays."""
    bench.grams = 50.0
    with pytest.raises(Refusal, match=r"answered 'Z \+' to 'Z': the upper limit of its range is exceeded") as caught:
        await bench.balance.zero.trigger()
    assert caught.value.clean
    assert await bench.weigh() == pytest.approx(50.0, abs=3e-4)
    bench.grams = 300.0
    with pytest.raises(Fault, match="it is overloaded"):
        await bench.balance.tare.trigger()
    assert (bench.server.tare, bench.server.offset) == (0.0, 0.0)


async def test_an_attached_driver_reads_the_present(bench: Bench) -> None:
    """A driver that never triggers reads a stable weight each time, and `present` reads at once."""
    beside = MtSicsBalance(bench.address, name="beside", clock=bench.clock, timeout=TIMEOUT)
    await attach(beside)
    for grams in (3.0, 4.0):
        bench.grams = grams
        assert await beside.mass.get_value() == pytest.approx(grams, abs=3e-4)
    bench.grams = 9.0
    assert 3.9 < await beside.present.get_value() < 8.9, "it is on its way from 4 g to 9 g"
    await beside.close()
    assert bench.server.probe.log == [], "weighing changes nothing"


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_fault_is_clear_bounded_and_passes(bench: Bench, kind: str) -> None:
    """Each fault names device, address, command and bytes in time, and is over once it is gone."""
    bench.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(Fault, match=f"balance: {bench.address}: .*({MESSAGES[kind]})") as caught:
        await bench.balance.trigger()
    assert not caught.value.clean
    assert time.monotonic() - start < TIMEOUT + 40 / bench.clock.speed + 1
    bench.faults.clear()
    bench.grams = 7.0
    assert await bench.weigh() == pytest.approx(7.0, abs=3e-4)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A balance that does not answer properly cannot be connected, and can be once the fault is gone."""
    bench = Bench()
    address = await bench.server.start()
    bench.faults.inject(kind)
    balance = MtSicsBalance(address, name="balance", clock=bench.clock, timeout=TIMEOUT)
    with pytest.raises(Fault, match=f"balance: {address}: "):
        await balance.connect()
    bench.faults.clear()
    await balance.connect()
    await balance.close()
    await bench.server.stop()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_the_safe_state_is_that_it_answers(bench: Bench, kind: str) -> None:
    """There is nothing to stop; one fault is outlived, and a balance that stays silent is told in bounded time."""
    bench.faults.inject(kind, count=1)
    await bench.balance.safe_state()
    bench.faults.inject(kind)
    start = time.monotonic()
    with pytest.raises(UnsafeState, match="a balance needs no stopping, but this one does not answer"):
        await bench.balance.safe_state()
    assert time.monotonic() - start < 3 * TIMEOUT + 1
    bench.faults.clear()
    await bench.balance.safe_state()
    assert bench.server.probe.log == []


async def test_sdl_stop_has_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop card says so, without asking anybody."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    balance = MtSicsBalance("tcp://127.0.0.1:9", name="balance")
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"balance": balance}, {}))
    (result,) = await asyncio.to_thread(press, read_cards())
    card.remove()
    assert (result.state, result.message) == ("none", "nothing to stop")
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_trigger_that_is_cancelled() -> None:
    """The wait ends at once, and the next reading is its own."""
    bench = Bench(LabClock(20.0), settling=10.0)
    await bench.start()
    bench.grams = 20.0
    status = bench.balance.trigger()
    await asyncio.sleep(0.02)
    status.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await status
    bench.grams = 30.0
    assert await bench.weigh() == pytest.approx(30.0, abs=3e-4)
    await bench.stop()


async def test_it_connects_again(bench: Bench) -> None:
    """A balance that was unplugged for a while is found again at the next command."""
    port = int(bench.address.rpartition(":")[2])
    await bench.server.stop()
    with pytest.raises(Fault, match=r"cannot connect|connection closed"):
        await bench.balance.trigger()
    bench.server._port = port
    await bench.server.start()
    assert await bench.weigh() == pytest.approx(0.0, abs=3e-4)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"S S 12.3 lb\r\n", r"'S 12.3 lb' is not a status, a weight and one of the units g, mg, kg, ug"),
        (b"S S       nan g\r\n", "is not a status"),
        (b"T S   12.3 g\r\n", "does not begin with 'S'"),
        (b"S\r\n", "does not begin with 'S'"),
        (b"ET\r\n", "the command arrived damaged"),
        (b"ES\r\n", "does not know this command"),
        (b"S S     12.3 g\r\nS S     12.3 g\r\n", "20 bytes follow the reply|16 bytes follow"),
        (b"\xffS\r\n", "can't decode"),
        (b"S " + 500 * b" ", "no end of message within 400 bytes"),
    ],
)
async def test_answers_that_are_no_weights(bench: Bench, answer: bytes, says: str) -> None:
    """Each is a fault that tells what is wrong with it."""
    bench.server.garbage = lambda request: answer  # type: ignore[method-assign]
    bench.faults.inject("garbage", count=1)
    with pytest.raises(Fault, match=says):
        await bench.balance.trigger()
    assert await bench.weigh() == pytest.approx(0.0, abs=3e-4)


@pytest.mark.parametrize(
    ("answer", "grams"),
    [(b"S S   1234.5 mg\r\n", 1.2345), (b"S S    -0.01 kg\r\n", -10.0), (b"S S       12 g\r\n", 12)],
)
async def test_other_units_become_grams(bench: Bench, answer: bytes, grams: float) -> None:
    """A balance that is set to another unit of mass is read all the same."""
    bench.server.garbage = lambda request: answer  # type: ignore[method-assign]
    bench.faults.inject("garbage", count=1)
    assert await bench.weigh() == pytest.approx(grams)


@pytest.mark.parametrize("path", ["tare", "zero"])
@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "refuse"])
async def test_what_never_reached_the_balance_is_not_done(bench: Bench, path: str, kind: str) -> None:
    """The receipt goes by tare memory and reading; the second try does it once."""
    bench.grams = 2.5
    book = Book(path)
    bench.faults.inject(kind, count=1, after=QUERIES)
    with pytest.raises(Fault) as caught:
        await book.perform(bench.balance)
    assert book.armed
    assert caught.value.clean == (kind == "refuse")
    receipt = await bench.balance.receipt(book.record())
    assert receipt.verdict is Verdict.NOT_DONE
    assert "it shows 2.5" in receipt.text
    await book.perform(bench.balance)
    assert (await bench.balance.receipt(book.record())).verdict is Verdict.DONE
    assert bench.did(path) == 1


@pytest.mark.parametrize("path", ["tare", "zero"])
async def test_what_was_done_unheard_is_done(bench: Bench, path: str) -> None:
    """The answer is lost: the balance has done it, says so, and it is not repeated."""
    bench.grams = 2.5
    book = Book(path)
    bench.faults.inject("lose", count=1, after=QUERIES)
    with pytest.raises(Fault, match="no complete reply"):
        await book.perform(bench.balance)
    assert isinstance(bench.balance, Receipts)
    assert (await bench.balance.receipt(book.record())).verdict is Verdict.DONE
    assert bench.did(path) == 1


@pytest.mark.parametrize("path", ["tare", "zero"])
@pytest.mark.parametrize(("added", "verdict"), [(0.0001, Verdict.DONE), (0.8, None)])
async def test_a_receipt_waits_for_a_balance_that_is_still_at_it(
    path: str, added: float, verdict: Verdict | None
) -> None:
    """The process ends before the balance is stable again: the receipt comes when it is, and is right."""
    bench = Bench(LabClock(20.0))
    await bench.start()
    bench.grams = 2.5
    book = Book(path)

    def disturb() -> None:
        bench.grams += added

    book.on_arm = disturb
    trying = asyncio.ensure_future(book.perform(bench.balance))
    async with asyncio.timeout(10):
        while not bench.server._busy:
            await asyncio.sleep(0)
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    assert bench.did(path) == 0
    receipt = await bench.balance.receipt(book.record())
    assert bench.did(path) == 1
    # A tare of another weight than the one it was armed at is not taken for it.
    assert receipt.verdict is (verdict or (Verdict.DONE if path == "zero" else Verdict.UNKNOWN))
    await bench.stop()


async def test_a_power_cut_is_no_tare(bench: Bench) -> None:
    """A tare memory that was cleared, or set otherwise, is not taken for the tare that was asked for."""
    bench.grams = 30.0
    await bench.balance.tare.trigger()
    bench.grams = 40.0
    book = Book("tare")
    bench.faults.inject("hang", count=1, after=QUERIES)
    with pytest.raises(Fault):
        await book.perform(bench.balance)
    await bench.balance.link.ask("TAC")
    assert (await bench.balance.receipt(book.record())).verdict is Verdict.UNKNOWN


async def test_no_record_no_verdict(bench: Bench) -> None:
    """Evidence of nothing is unknown; a balance that never settles is unknown; one that is silent is a fault."""
    book = Book("tare")
    assert (await bench.balance.receipt(book.record())).verdict is Verdict.UNKNOWN
    bench.grams = 4.0
    await book.perform(bench.balance)
    bench.faults.inject("stuck")
    receipt = await bench.balance.receipt(book.record())
    assert (receipt.verdict, receipt.text[-17:]) == (Verdict.UNKNOWN, "and it is not stable"[-17:])
    bench.faults.inject("hang")
    with pytest.raises(Fault, match="no complete reply"):
        await bench.balance.receipt(book.record())


def test_effects() -> None:
    """Weighing may be repeated; what moves the reference may not."""
    balance = MtSicsBalance("tcp://127.0.0.1:9", name="balance")
    found = {}
    for path, part in {"": balance, "tare": balance.tare, "zero": balance.zero}.items():
        target = find_target(part, {"balance": balance})
        assert target is not None
        found[path] = acts_of(target, "trigger", balance, child=part)
    once = Acts(Effect.NON_REPEATABLE, arms=True)
    assert found == {"": Acts(Effect.READ), "tare": once, "zero": once}


def test_options_have_limits() -> None:
    """The time to become stable is a quantity within limits."""
    with pytest.raises(LimitError, match=r"stability_timeout: 3600 s is outside its limits, 0.1 to 600 s"):
        MtSicsBalance("tcp://127.0.0.1:9", stability_timeout="1 h")


def test_a_plan_weighs(run_engine: RunEngine) -> None:
    """Counting and the verbs work from plans."""

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)

    bench = Bench()
    call(bench.start())
    bench.grams = 12.0
    read: list[float] = []
    run_engine.subscribe(lambda name, doc: read.append(doc["data"]["balance-mass"]) if name == "event" else None)

    def plan() -> Any:
        yield from bps.trigger(bench.balance.tare, wait=True)
        yield from bp.count([bench.balance], num=2)

    run_engine(plan())
    assert read == [pytest.approx(0.0, abs=5e-4)] * 2
    assert bench.did("tare") == 1
    call(bench.stop())


def test_hours_of_weighing_pass_at_once_on_virtual_time() -> None:
    """Each change takes its settling time exactly; a thousand of them well under two seconds of wall time."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def weighings() -> None:
        bench = Bench(clock, settling=5.0)
        await bench.start()
        for number in range(1, 1001):
            bench.grams = number / 10
            assert await bench.weigh() == pytest.approx(number / 10, abs=5e-4)
        await bench.stop()

    begin = time.perf_counter()
    loop.run_until_complete(weighings())
    loop.close()
    assert time.perf_counter() - begin < 2
    assert clock.now() == pytest.approx(5000, abs=1)


async def test_the_identity_is_that_of_a_balance(bench: Bench) -> None:
    """The serial number is what I4 gives; another instrument at the address is named with its answer."""
    assert await bench.balance._serial_number() == SERIAL
    bench.server.garbage = lambda request: b"I4 oven\r\n"  # type: ignore[method-assign]
    bench.faults.inject("garbage")
    other = MtSicsBalance(bench.address, name="other", timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"other: .*answered 'oven' to 'I4', which is no serial number"):
        await other.connect()
    await other.close()
