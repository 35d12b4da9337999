"""The stage's driver against a simulated IOC, over Channel Access on loopback."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from bluesky import RunEngine

from sdl.devices._limits import LimitError
from sdl.devices.epics_stage import EpicsStage
from sdl.lab.devices import connect_devices
from sdl.lab.effects import acts_of, find_target
from sdl.lab.stopcards import HasStopExchanges
from sdl.lab.watchdog import attach
from sdl.model import Fault, InputError, Refusal, UnsafeState
from sdl.protocols import Acts, Effect, HasSafeState, Receipts
from tests.devices.staging import TIMEOUT, Rig, begin_library


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


async def test_a_move_ends_where_it_should(rig: Rig) -> None:
    """The stage is where it was sent when the status is done, and its reading has a unit."""
    await rig.stage.set(30.0)
    assert rig.ioc.position == 30.0
    assert not rig.ioc.moving
    reading = await rig.stage.read()
    assert reading["stage-position"]["value"] == 30.0
    described = await rig.stage.describe()
    assert (described["stage-position"]["units"], described["stage-position"]["dtype"]) == ("mm", "number")
    assert rig.stage.hints == {"fields": ["stage-position"]}
    assert await rig.stage.locate() == {"setpoint": 30.0, "readback": 30.0}
    assert (await rig.stage.read_configuration())["stage-motor-velocity"]["value"] == 20.0


async def test_a_move_takes_as_long_as_the_motor() -> None:
    """90 mm at 20 mm/s take 4.7 s of lab time with 0.2 s to accelerate."""
    rig = Rig(speed=20.0)
    await rig.start()
    began = rig.clock.now()
    await rig.stage.set(90.0)
    assert 4.7 <= rig.clock.now() - began < 4.7 + 8
    (arrived,) = rig.actions("arrive")
    (moved,) = rig.actions("move")
    assert arrived["at"] - moved["at"] == pytest.approx(4.7, abs=2)  # type: ignore[operator]
    await rig.stop()


@pytest.mark.parametrize("position", [-0.001, 119.5, 120.0, 1e6, float("nan")])
async def test_positions_outside_its_limits_are_refused_before_anything_is_sent(rig: Rig, position: float) -> None:
    """The record goes to 120 mm, where the ejector is; the driver keeps 1 mm clear of that."""
    with pytest.raises(LimitError, match=r"limits, 0 to 119 mm"):
        rig.stage.check_value(position)
    with pytest.raises(LimitError):
        await rig.stage.set(position)
    assert rig.ioc.probe.log == []


async def test_limits_can_be_narrower(rig: Rig) -> None:
    """Those of the lab file and those of the record both count."""
    stage = await rig.driver(low="10 mm", high="5 cm")
    assert (stage.low, stage.high) == (10.0, 50.0)
    with pytest.raises(Fault, match="no position is left: limits 200 to 119 mm"):
        await rig.driver(low=200)


async def test_the_records_limits_count_when_they_change(rig: Rig) -> None:
    """Somebody narrows the record's limits while the driver is connected: nothing is sent."""
    await rig.stage.motor.high_limit_travel.set(40.0)
    with pytest.raises(LimitError, match="50 mm is outside its limits, 0 to 40 mm"):
        await rig.stage.set(50.0)
    assert rig.ioc.probe.log == []


async def test_a_refused_put_is_a_refusal(rig: Rig) -> None:
    """The record's own refusal is clean: nothing has happened."""
    rig.faults.inject("refuse", count=1, after=6)
    with pytest.raises(Refusal, match=r"stage: ca://127.0.0.1:\d+/SIM\d+:STAGE: put 30.0 to .*VAL failed: .*write"):
        await rig.stage.set(30.0)
    assert rig.ioc.position == 0.0
    rig.faults.clear()
    await rig.stage.set(30.0)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refuse", "failed: Channel read request failed"),
        ("hang", r"no answer to get .*\.RBV.* within 1 s; is the IOC running\?"),
        ("lose", r"no answer to get .*\.RBV.* within 1 s; is the IOC running\?"),
        ("cut", "the connection ended during get|no answer to get"),
        ("garbage", "the connection ended during get|no answer to get"),
    ],
)
async def test_every_fault_is_told_in_words_and_gone_with_its_cause(rig: Rig, kind: str, words: str) -> None:
    """The fault names device and address within its time; when its cause has gone the next move works."""
    rig.faults.inject(kind)
    began = time.monotonic()
    with pytest.raises(Fault, match=f"^stage: {rig.address}: .*({words})"):
        await rig.stage.set(30.0)
    with pytest.raises(Fault, match=f"^stage: {rig.address}: "):
        await rig.stage.read()
    assert time.monotonic() - began < 5 * TIMEOUT + 1
    rig.faults.clear()
    began = time.monotonic()
    await rig.stage.set(30.0)
    assert time.monotonic() - began < 6  # libca itself would wait for 10 s and longer
    assert rig.ioc.position == 30.0


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage"])
async def test_a_put_that_gets_lost_moves_nothing(rig: Rig, kind: str) -> None:
    """The put to VAL itself is hit: a fault, and the stage stands where it was."""
    rig.faults.inject(kind, count=1, after=6)
    with pytest.raises(Fault):
        await rig.stage.set(30.0)
    assert rig.actions("move") == []
    rig.faults.clear()
    await rig.stage.set(30.0)


async def test_a_move_whose_answer_is_lost_is_a_fault(rig: Rig) -> None:
    """The stage is there, but the put was never answered."""
    rig.faults.inject("lose", count=1, after=6)
    with pytest.raises(Fault, match=r"stands at 30 mm, but the put of 30 mm was not answered within 1 s"):
        await rig.stage.set(30.0)


async def test_a_stuck_motor_is_noticed(rig: Rig) -> None:
    """It acknowledges everything and stands still; the fault says where it is, and it is told to stop."""
    rig.faults.inject("stuck")
    with pytest.raises(Fault, match="did not come to 30 mm: it is at 0 mm after"):
        await rig.stage.set(30.0)
    assert not rig.ioc.moving
    rig.faults.clear()
    await rig.stage.set(30.0)


async def test_a_motor_that_gets_stuck_on_its_way() -> None:
    """It stands where it was caught, and goes on from there when it is loose again."""
    rig = Rig(speed=10.0)
    await rig.start()
    going = asyncio.ensure_future(_set(rig.stage, 60.0))
    await rig.moving()
    rig.faults.inject("stuck")
    caught = rig.ioc.position
    await asyncio.sleep(0.05)
    assert rig.ioc.position == caught
    rig.faults.clear()
    await going
    assert rig.ioc.position == 60.0
    await rig.stop()


async def _set(stage: EpicsStage, value: float) -> None:
    await stage.set(value)


async def test_an_ioc_that_ends_is_noticed_in_the_middle_of_a_move() -> None:
    """No silent wait for the end of a move of a minute: each look is bounded."""
    rig = Rig(speed=1.0)
    await rig.start()
    await rig.stage.motor.velocity.set(1.0)
    going = asyncio.ensure_future(_set(rig.stage, 60.0))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await rig.ioc.stop()
    with pytest.raises(Fault, match=f"{rig.address}: "):
        await going
    assert time.monotonic() - began < 5
    await rig.stop()


async def test_connecting_to_nobody_is_told_at_once() -> None:
    """A closed port is refused at once, an address that is none before that, and another record within its time."""
    stage = EpicsStage("ca://127.0.0.1:9/NO:STAGE", name="stage", timeout=TIMEOUT)
    began = time.monotonic()
    with pytest.raises(Fault, match=r"ca://127.0.0.1:9/NO:STAGE: .*refused.*; is the IOC running"):
        await connect_devices({"stage": stage})
    assert time.monotonic() - began < 1
    for address in ("ca://host/STAGE", "tcp://127.0.0.1:5064", "ca://127.0.0.1:99999/X", "ca://127.0.0.1:5064/"):
        with pytest.raises(InputError, match="is not the address of an EPICS record"):
            EpicsStage(address, name="stage")


async def test_a_record_that_is_not_there(rig: Rig) -> None:
    """The IOC answers and has no such record: a fault within the time-out, not 10 s later."""
    other = EpicsStage(f"{rig.address}2", name="other", timeout=TIMEOUT)
    began = time.monotonic()
    with pytest.raises(Fault, match=r"STAGE2.*"):
        await other.connect()
    assert time.monotonic() - began < 12
    await other.close()


async def test_it_connects_at_once(rig: Rig) -> None:
    """Names are found through the directory of this process, without broadcasts and beacons."""
    await rig.stage.close()
    began = time.monotonic()
    await rig.stage.connect()
    assert time.monotonic() - began < 3


async def test_it_reconnects_when_the_ioc_was_started_again(rig: Rig) -> None:
    """The same driver goes on at once, and nothing has to be told to it; libca itself would wait for 10 s."""
    await rig.stage.set(30.0)
    await rig.ioc.stop()
    with pytest.raises(Fault):
        await rig.stage.set(40.0)
    assert await rig.ioc.start() == rig.address
    began = time.monotonic()
    await rig.stage.set(50.0)
    assert time.monotonic() - began < 6


async def test_it_reconnects_when_nobody_has_asked_meanwhile(rig: Rig) -> None:
    """A restart between two moves goes unnoticed."""
    await rig.stage.set(30.0)
    await rig.ioc.stop()
    await rig.ioc.start()
    await asyncio.sleep(0.1)
    await rig.stage.set(50.0)
    assert rig.ioc.position == 50.0


@pytest.mark.parametrize("way", ["stop", "cancel"])
async def test_a_move_can_be_stopped(way: str) -> None:
    """It stands still between start and target; after that it moves again."""
    rig = Rig(speed=20.0)
    await rig.start()
    going = asyncio.ensure_future(_set(rig.stage, 100.0))
    await rig.moving()
    if way == "stop":
        await rig.stage.stop()
        with pytest.raises(Fault, match="was stopped on its way to 100 mm"):
            await going
    else:
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        await asyncio.sleep(0.2)
    assert not rig.ioc.moving
    assert 0 < rig.ioc.position < 100
    assert len(rig.actions("stop")) == 1
    await rig.stage.stop()
    await rig.stage.set(10.0)
    assert rig.ioc.position == 10.0
    await rig.stop()


async def test_two_moves_at_once_are_refused(rig: Rig) -> None:
    """Whoever comes second hears of it, and the first arrives."""
    going = asyncio.ensure_future(_set(rig.stage, 100.0))
    await rig.moving()
    with pytest.raises(Fault, match="cannot go to 20 mm: it is on its way somewhere else"):
        await rig.stage.set(20.0)
    other = await rig.driver()
    await going
    await other.set(20.0)


async def test_somebody_else_stops_it(rig: Rig) -> None:
    """A stop from another client is a fault of the move, with the place where it stands."""
    rig.clock.speed = 20.0
    going = asyncio.ensure_future(_set(rig.stage, 100.0))
    await rig.moving()
    await rig.stage.link.send(".STOP", 1)
    with pytest.raises(Fault, match=r"stopped at [\d.]+ mm on its way to 100 mm"):
        await going


async def test_its_safe_state_stops_whatever_moves_it(rig: Rig) -> None:
    """A driver that has not been connected stops the motor that another one drives, and twice is no harm."""
    assert isinstance(rig.stage, HasSafeState)
    assert not isinstance(rig.stage, HasStopExchanges)
    rig.clock.speed = 20.0
    going = asyncio.ensure_future(_set(rig.stage, 100.0))
    await rig.moving()
    fresh = EpicsStage(rig.address, name="stage", timeout=TIMEOUT)
    await fresh.safe_state()
    await fresh.safe_state()
    assert not rig.ioc.moving
    with pytest.raises(Fault):
        await going


async def test_a_safe_state_that_is_not_confirmed(rig: Rig) -> None:
    """Of an IOC that has gone it says that somebody has to go and look."""
    await rig.ioc.stop()
    with pytest.raises(UnsafeState, match=r"safe state not confirmed: .*; stop the stage by hand"):
        await rig.stage.safe_state()


async def test_two_stages_on_two_ports(rig: Rig) -> None:
    """Each driver reaches its own IOC, although the library reads its list of addresses only once."""
    others = [Rig() for _ in range(3)]
    for other in others:
        await other.start()
    await asyncio.gather(*(_set(r.stage, 10.0 * n) for n, r in enumerate([rig, *others], 1)))
    assert [r.ioc.position for r in (rig, *others)] == [10.0, 20.0, 30.0, 40.0]
    for other in others:
        await other.stop()


async def test_a_second_instance_in_a_thread_of_its_own(rig: Rig) -> None:
    """As the watchdog's: it reads in its own loop, and closing it harms nobody."""
    found: list[float] = []

    async def watch() -> None:
        stage = EpicsStage(rig.address, name="stage", timeout=TIMEOUT)
        await attach(stage)
        for _ in range(3):
            found.append((await stage.read())["stage-position"]["value"])
            await asyncio.sleep(0.02)
        await stage.close()

    await rig.stage.set(25.0)
    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.01)
    thread.join()
    assert found == [25.0] * 3
    await rig.stage.set(35.0)


async def test_nothing_is_left_in_the_environment(rig: Rig) -> None:
    """What the library is told is no business of processes that this one starts."""
    assert not [key for key in os.environ if key.startswith("EPICS_")]


async def test_a_plan_moves_it(rig: Rig, run_engine: RunEngine) -> None:
    """`bps.mv`, a scan with readings, and `bps.trigger(stage.eject)`, in a RunEngine's own loop."""
    stage = EpicsStage(rig.address, name="stage", clock=rig.clock, timeout=TIMEOUT)
    loop = run_engine.loop
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stage.connect(), loop))
    values: list[float] = []

    def note(name: str, doc: dict[str, dict[str, float]]) -> None:
        if name == "event":
            values.append(doc["data"]["stage-position"])

    await asyncio.to_thread(run_engine, bp.scan([], stage, 10, 30, 3), note)
    await asyncio.to_thread(run_engine, bps.trigger(stage.eject, wait=True))
    assert values == [10.0, 20.0, 30.0]
    assert rig.ioc.ejected == 1
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stage.close(), loop))


def test_its_effects() -> None:
    """A move can be repeated, an eject cannot and is traceable; it gives receipts."""
    stage = EpicsStage("ca://127.0.0.1:5064/X", name="stage")
    target = find_target(stage.eject, {"stage": stage})
    assert target is not None
    assert acts_of(target, "trigger", stage, child=stage.eject) == Acts(Effect.NON_REPEATABLE, arms=True)
    whole = find_target(stage, {"stage": stage})
    assert whole is not None
    assert acts_of(whole, "set", stage).effect is Effect.ABSOLUTE
    assert isinstance(stage, Receipts)


async def test_a_mock_talks_to_nobody() -> None:
    """`connect(mock=True)` needs no IOC."""
    stage = EpicsStage("ca://127.0.0.1:9/NO:STAGE", name="stage")
    await stage.connect(mock=True)
    assert (await stage.read())["stage-position"]["value"] == 0.0
