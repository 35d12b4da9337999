"""A dispense in a plan that is paused and resumed on a station: what the pump delivered in the end is exact."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import bluesky.plan_stubs as bps
import pytest

from sdl.devices.ne1000 import Ne1000Pump
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from tests.devices.pumping import Rig


class Entries:
    """Keeps what a station records, as a journal does."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kinds.append(kind)

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        self.kinds.append(kind)
        return ""


class Bench(NamedTuple):
    rig: Rig
    pump: Ne1000Pump
    station: Station


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A station with one pump."""
    rig = Rig()
    await rig.start()
    pump = Ne1000Pump(rig.address, name="pump", clock=rig.clock, timeout=1.0, dispense_rate=100.0)
    station = Station("bench", {"pump": pump}, rig.clock)
    await station.open()
    yield Bench(rig, pump, station)
    await station.close()
    await rig.stop()
    await asyncio.get_running_loop().shutdown_default_executor()


async def _stands_still(rig: Rig) -> None:
    while rig.simulated.state != "S":
        await asyncio.sleep(0.01)
    held = rig.delivered
    await asyncio.sleep(0.1)
    assert rig.delivered == held


@pytest.mark.parametrize(("pauses", "at_once"), [(1, False), (3, False), (3, True)])
async def test_pauses_in_the_middle_of_a_dispense(bench: Bench, pauses: int, at_once: bool) -> None:
    """Each pause stops the pump, each resumption delivers what is left, and the sum is what the plan asked for."""
    rig, pump, station = bench
    entries = Entries()

    def plan() -> Any:
        yield from bps.mv(pump.dispense, 60)
        yield from bps.mv(pump.dispense, 20)

    order = StepOrder("c", 1, "make", 1, "bench", 1, entries)
    running = asyncio.ensure_future(station.run(plan(), lambda name, document: None, {}, None, order))
    async with asyncio.timeout(20):
        for end in itertools.islice((15.0, 30.0, 45.0), pauses):
            await rig.until(end)
            await station.pause()
            if not at_once:
                await _stands_still(rig)
            station.resume()
        await running
    assert rig.delivered == pytest.approx(80.0, abs=0.011 * pauses)
    assert rig.runs == 2 + pauses
    assert entries.kinds.count("action.aborted") == pauses
    assert entries.kinds.count("action.done") == 2
