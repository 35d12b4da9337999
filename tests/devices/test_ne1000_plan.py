from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus

from sdl.devices.ne1000 import Ne1000Pump
from sdl.lab.clock import LabClock
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump


class Station:
    """A RunEngine with one pump; the pump's server lives in the same loop."""

    def __init__(self, engine: RunEngine) -> None:
        self.engine = engine
        self.clock = LabClock(200.0)
        self.simulated = SimulatedPump(Probe("pump", self.clock.now), self.clock)
        self.server = Ne1000Server({0: self.simulated})
        self.address = self.call(self.server.start())
        self.pump = Ne1000Pump(self.address, name="pump", clock=self.clock, timeout=0.8)
        self.call(self.pump.connect())

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.engine.loop).result(10)


@pytest.fixture
def station(run_engine: RunEngine) -> Iterator[Station]:
    station = Station(run_engine)
    yield station
    station.call(station.pump.close())
    station.call(station.server.stop())


def test_a_plan_sets_a_rate_and_reads(station: Station) -> None:
    """In a staged run every event has the rate and a dispensed volume of its own, and the flow goes on after it."""
    pump, events = station.pump, []

    @bpp.stage_decorator([pump])
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.abs_set(pump.rate, 300, wait=True)
        for _ in range(3):
            yield from bps.sleep(0.02)
            yield from bps.trigger_and_read([pump])

    station.engine(plan(), lambda name, doc: events.append(doc["data"]) if name == "event" else None)
    volumes = [event["pump-dispensed"] for event in events]
    assert [event["pump-rate"] for event in events] == [300.0] * 3
    assert 0 < volumes[0] < volumes[1] < volumes[2]
    assert station.simulated.running


def test_a_plan_dispenses(station: Station) -> None:
    """`bps.mv(pump.dispense, …)` is done when the volume is out."""

    def plan() -> Any:
        yield from bps.mv(station.pump.dispense.rate, 1000)
        yield from bps.mv(station.pump.dispense, 100)
        return (yield from bps.rd(station.pump.dispensed))

    station.engine(plan())
    assert station.simulated.moved["INF"] == pytest.approx(100.0)
    assert not station.simulated.running


def test_a_fault_in_a_plan_is_the_devices_own(station: Station) -> None:
    """A pump that hangs fails the plan, and the fault that names it is the cause."""
    station.simulated.probe.faults.inject("hang")
    with pytest.raises(FailedStatus) as caught:
        station.engine(bps.mv(station.pump.rate, 10))
    assert isinstance(caught.value.__cause__, Fault)
    assert "pump: tcp://127.0.0.1" in str(caught.value.__cause__)
    station.simulated.probe.faults.clear()
    station.engine(bps.mv(station.pump.rate, 10))
    assert station.simulated.running
