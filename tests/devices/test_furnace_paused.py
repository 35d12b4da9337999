"""A hold in a plan that is paused, or fails and is done again, on a station: the film is annealed once, and exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import bluesky.plan_stubs as bps
import pytest

from sdl.devices.furnace import Furnace
from sdl.journal.actions import ActionState, apply
from sdl.lab.clock import LabClock
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.furnace import FurnaceServer


class Entries:
    """Keeps what a station records, as a journal does."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.actions: Mapping[str, ActionState] = {}

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        self.post(kind, body)

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        self.kinds.append(kind)
        self.actions = apply(self.actions, kind, body, 0)
        return ""


class Bench(NamedTuple):
    server: FurnaceServer
    furnace: Furnace
    station: Station
    entries: Entries

    def plan(self) -> Any:
        yield from bps.mv(self.furnace.hold.temperature, 60)
        yield from bps.mv(self.furnace.hold, 200)

    def run(self) -> asyncio.Future[Any]:
        order = StepOrder("c", 1, "anneal", 1, "bench", 1, self.entries, self.entries.actions)
        running = self.station.run(self.plan(), lambda name, document: None, {}, None, order)
        return asyncio.ensure_future(running)

    async def annealing(self, least: float) -> None:
        while not (self.server.timer.status == 1 and self.server.timer.elapsed > least):
            await asyncio.sleep(0.01)

    def starts(self) -> list[Mapping[str, Any]]:
        return [entry for entry in self.server.probe.log if entry["action"] == "timer"]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A station with one furnace."""
    clock = LabClock(100.0)
    server = FurnaceServer(Probe("furnace", clock.now), clock)
    furnace = Furnace(
        await server.start(), name="furnace", clock=clock, timeout=1.0, tolerance="1 K", dwell="5 s", rest="30 degC"
    )
    station = Station("bench", {"furnace": furnace}, clock)
    await station.open()
    yield Bench(server, furnace, station, Entries())
    await station.close()
    await server.stop()
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_pause_does_not_anneal_twice(bench: Bench, at_once: bool) -> None:
    """The timer runs on while the plan is paused, and the plan waits for the rest of it when it goes on."""
    running = bench.run()
    async with asyncio.timeout(20):
        await bench.annealing(40.0)
        await bench.station.pause()
        while not at_once and "action.aborted" not in bench.entries.kinds:
            await asyncio.sleep(0.01)
        bench.station.resume()
        await running
    (start,) = bench.starts()
    assert (start["duration"], bench.server.timer.elapsed) == (200, 200)
    assert bench.entries.kinds.count("action.armed") == 2
    assert bench.server.loop.target == 30.0


async def test_a_failed_step_is_gone_on_with(bench: Bench) -> None:
    """What ends the waiting fails the step; done again it takes the same hold up, which has ended meanwhile."""
    running = bench.run()
    async with asyncio.timeout(20):
        await bench.annealing(40.0)
        loop = bench.furnace.link._loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(bench.furnace.hold.stop(), loop)
        with pytest.raises(Fault, match="the waiting for its hold was stopped"):
            await running
        assert bench.server.timer.status == 1
        await asyncio.sleep(2.5)
        assert bench.server.timer.status == 3
        await bench.run()
    assert len(bench.starts()) == 1
    assert (bench.entries.kinds.count("action.aborted"), bench.entries.kinds.count("action.done")) == (1, 3)
    assert "action.doubtful" not in bench.entries.kinds
