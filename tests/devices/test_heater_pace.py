"""How often a heater that is on its way is looked at, and how soon its waiting ends."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.devices._heater_pace import Pace
from sdl.devices.modbus_heater import ModbusHeater, Register
from sdl.lab.clock import LabClock
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.heater import FirstOrderPlant, HeaterServer
from sdl.virtual import VirtualClock, VirtualLoop


class Watched:
    """A slow heater, its driver, and when it was looked at."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        plant = FirstOrderPlant(clock, gain=600.0, time_constant=300.0)
        self.server = HeaterServer(Probe("heater", clock.now), clock, plant, high=600.0, closed=40.0)
        self.looks: list[float] = []

    async def start(self, **options: Any) -> None:
        address = await self.server.start()
        self.heater = ModbusHeater(address, name="heater", clock=self.clock, high="600 degC", **options)
        await self.heater.connect()
        read = self.heater.link.read

        async def noted(register: int, count: int = 1) -> list[int]:
            if register == Register.PV:
                self.looks.append(self.clock.now())
            return await read(register, count)

        self.heater.link.read = noted  # type: ignore[method-assign]

    async def stop(self) -> None:
        await self.heater.close()
        await self.server.stop()


def on_virtual_time(value: float, **options: Any) -> Watched:
    """Go to `value` on virtual time."""
    loop = VirtualLoop()
    watched = Watched(VirtualClock(loop))

    async def go() -> None:
        await watched.start(**options)
        await watched.heater.set(value)
        await watched.stop()

    try:
        loop.run_until_complete(go())
    finally:
        loop.close()
    return watched


@pytest.mark.parametrize(
    ("value", "ramp", "most"), [(500.0, "5 K/min", 115), (60.0, "5 K/min", 25), (500.0, 0.0, 35), (30.0, 0.0, 25)]
)
def test_looks_are_few_and_miss_no_arrival(value: float, ramp: Any, most: int) -> None:
    """One to sixty seconds apart; and a move takes little longer than it has to, dwell included."""
    watched = on_virtual_time(value, ramp=ramp, tolerance="1 K", dwell="40 s")
    gaps = [b - a for a, b in zip(watched.looks, watched.looks[1:], strict=False)][1:]
    assert 1.0 - 1e-6 <= min(gaps) <= max(gaps) <= 60.0 + 1e-6
    assert len(watched.looks) < most
    plant = watched.server.loop.plant
    assert isinstance(plant, FirstOrderPlant)
    times, temperatures = plant.history(watched.looks[0], watched.looks[-1], 0.5)
    # The register has tenths.
    arrived = times[[abs(temperature - value) < 1.05 for temperature in temperatures]][0]
    assert 40.0 <= watched.looks[-1] - arrived < 40.0 + 20.0


def test_a_long_dwell_is_looked_at_once_a_minute() -> None:
    """In the dwell it sleeps what is left of it, and a minute at most."""
    watched = on_virtual_time(40.0, dwell="150 s", tolerance="1 K")
    last = [round(b - a, 3) for a, b in zip(watched.looks, watched.looks[1:], strict=False)][-3:]
    assert last == [60.0, 60.0, 30.0]


@pytest.mark.parametrize("success", [True, False])
async def test_stopping_does_not_wait_for_the_next_look(success: bool) -> None:
    """At the speed of life, amid a pause of a minute: the waiting ends at once."""
    watched = Watched(LabClock(1.0))
    await watched.start(ramp="2 K/min", tolerance="1 K")
    status = watched.heater.set(300.0)
    while len(watched.looks) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    begin = time.monotonic()
    await watched.heater.stop(success=success)
    (result,) = await asyncio.gather(status, return_exceptions=True)
    assert time.monotonic() - begin < 5
    assert (result is None) is success
    assert success or isinstance(result, Fault)
    assert watched.server.loop.target == 300.0
    await watched.stop()


@given(
    tolerance=st.floats(0.1, 10), ramp=st.floats(0, 100),
    looks=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 600)), min_size=1, max_size=20),
)  # fmt: skip
def test_pauses_are_bounded(tolerance: float, ramp: float, looks: list[tuple[float, float]]) -> None:
    """Whatever the temperature does, and also when no time passes: one to sixty seconds."""
    pace, now = Pace(tolerance, ramp, 0.0), 0.0
    for passed, distance in looks:
        now += passed
        pause = pace.pause(now, distance)
        assert math.isfinite(pause)
        assert 1.0 <= pause <= 60.0
