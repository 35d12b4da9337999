"""The stage on virtual time: IOC, driver and the library's threads in one process, and hours in seconds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import pytest

from sdl.devices._epics_motion import travel_time
from sdl.devices.epics_stage import EpicsStage
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.epics_stage import StageIoc
from sdl.virtual import VirtualClock, VirtualLoop
from tests.devices.staging import begin_library


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """What lasts as long as the process begins before the first test."""
    begin_library()


_MOVES = 1000 if os.environ.get("SDL_CHAOS") == "full" else 250
Work = Callable[[StageIoc, EpicsStage, VirtualClock], Awaitable[None]]


def virtually(work: Work, timeout: float = 2.0) -> StageIoc:
    """Do something with a stage on virtual time."""
    loop = VirtualLoop()

    async def use() -> StageIoc:
        clock = VirtualClock(loop)
        ioc = StageIoc(None, Probe("stage", clock.now), clock)
        stage = EpicsStage(await ioc.start(), name="stage", clock=clock, timeout=timeout)
        await stage.connect()
        try:
            await work(ioc, stage, clock)
        finally:
            await stage.close()
            await ioc.stop()
        return ioc

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(use())


@pytest.mark.slow
def test_moves_for_hours() -> None:
    """Each takes exactly what the motor takes, in a few milliseconds of this computer."""

    async def drive(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        began = time.process_time()
        for n in range(_MOVES):
            await stage.set((n * 37) % 118)
            await clock.sleep(53.0)
        assert time.process_time() - began < 0.03 * _MOVES  # a fifth of that on an idle machine
        assert 54 * _MOVES < clock.now() < 58 * _MOVES
        moves = [entry for entry in ioc.probe.log if entry["action"] == "move"]
        arrivals = [entry for entry in ioc.probe.log if entry["action"] == "arrive"]
        assert len(moves) == len(arrivals) == _MOVES
        for move, arrival in zip(moves, arrivals, strict=True):
            expected = travel_time(move["target"] - move["start"], 20.0, 0.2)
            assert arrival["at"] - move["at"] == pytest.approx(expected, abs=1e-6)

    virtually(drive)


def test_twice_the_same() -> None:
    """Whatever the threads do meanwhile, all happens at the same moments of virtual time, ejects and stops too."""
    logs: list[list[float]] = []

    async def drive(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        for n in range(30):
            await stage.set((n * 37) % 118)
            await stage.read()
            going = asyncio.ensure_future(stage.set(118.0).task)
            await clock.sleep(0.25)
            await stage.stop()
            await asyncio.gather(going, return_exceptions=True)
            await stage.eject.trigger()
            logs[-1].append(clock.now())
        logs[-1] += [entry["at"] for entry in ioc.probe.log]

    for _ in range(2):
        logs.append([])
        virtually(drive)
    assert logs[0] == logs[1]
    assert len(logs[0]) > 200


def test_connecting_and_reading_take_no_virtual_time() -> None:
    """While the library's threads work, time stands still, although somebody else's timers are due."""

    async def read(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                await clock.sleep(1.0)
                ticks.append(clock.now())

        assert clock.now() == 0.0
        ticking = asyncio.create_task(tick())
        for _ in range(50):
            assert (await stage.read())["stage-position"]["value"] == 0.0
        assert ticks == []
        await clock.sleep(3.5)
        assert ticks == [1.0, 2.0, 3.0]
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)

    virtually(read)


def test_a_motor_of_an_hour_does_not_run_into_its_time_out() -> None:
    """A move of 118 mm at 0.03 mm/s takes 65 virtual minutes, and no time-out comes early."""

    async def crawl(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        await stage.motor.velocity.set(0.03)
        began = clock.now()
        await stage.set(118.0)
        assert clock.now() - began == pytest.approx(118 / 0.03 + 0.2, abs=0.2)

    virtually(crawl)


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "lose"])
def test_faults_come_by_wall_time(kind: str) -> None:
    """An IOC that keeps silent is given up after the wall time it is given, and does not hold time up for ever."""

    async def ask(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        ioc.probe.faults.inject(kind)
        began, virtual = time.monotonic(), clock.now()
        with pytest.raises(Fault, match="stage: ca://"):
            await stage.read()
        assert time.monotonic() - began < 10
        assert clock.now() == virtual
        ioc.probe.faults.clear()
        while True:  # as a campaign tries a step again; the library takes its time to look for what went silent
            try:
                await stage.set(30.0)
            except Fault:
                assert time.monotonic() - began < 40
            else:
                break
        assert ioc.position == 30.0

    virtually(ask, timeout=1.0)


def test_a_stuck_motor_is_given_up_in_virtual_time() -> None:
    """Nothing in the real world is waited for."""

    async def try_it(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        ioc.probe.faults.inject("stuck")
        with pytest.raises(Fault, match="did not come to 100 mm: it is at 0 mm after"):
            await stage.set(100.0)
        assert 5.2 < clock.now() < 20

    began = time.monotonic()
    virtually(try_it)
    assert time.monotonic() - began < 5


def test_ejecting_and_its_receipt() -> None:
    """The counter counts in virtual time as in any other, and an eject takes what its two ways take."""

    async def eject(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        for _ in range(3):
            await stage.set(60.0)
            began = clock.now()
            await stage.eject.trigger()
            assert clock.now() - began == pytest.approx(
                travel_time(60.0, 20.0, 0.2) + travel_time(120.0, 20.0, 0.2), abs=0.01
            )
            assert (ioc.position, ioc.moving) == (0.0, False)

    assert virtually(eject).ejected == 3


def test_a_move_that_is_cancelled_stops() -> None:
    """Cancelling leaves nothing that holds time."""

    async def cancel(ioc: StageIoc, stage: EpicsStage, clock: VirtualClock) -> None:
        going = asyncio.ensure_future(stage.set(100.0).task)
        await clock.sleep(2.0)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await clock.sleep(1.0)
        assert not ioc.moving
        assert 0 < ioc.position < 100
        assert clock.loop._held == 0

    virtually(cancel)
