"""The simulated gauge, line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.gauge import GaugeServer, SteadyFilm

SPEED = 100.0


@pytest.fixture
def film() -> SteadyFilm:
    """What lies under the gauge."""
    return SteadyFilm(123.4567)


@pytest.fixture
async def gauge(film: SteadyFilm) -> AsyncIterator[GaugeServer]:
    """A gauge that listens."""
    clock = LabClock(SPEED)
    gauge = GaugeServer(film, Probe("gauge", clock.now), clock, exposure=2.0)
    yield gauge
    await gauge.stop()


async def test_it_says_who_it_is_and_what_it_sees(
    gauge: GaugeServer, film: SteadyFilm, dial: Callable[..., Any]
) -> None:
    """Thickness in nm, a crack as 1; no film is not a number."""
    line = await dial(await gauge.start())
    assert await line.scpi("*IDN?") == "sdl,thickness gauge simulator,0,1.0"
    assert (await line.scpi("MEAS:THIC?"), await line.scpi("meas:crac?")) == ("123.457", "0")
    film.cracks = True
    assert await line.scpi("MEAS:CRAC?") == "1"
    film.nm = None
    assert await line.scpi("MEAS:THIC?") == "9.91E+37"
    assert [entry["thickness"] for entry in gauge.probe.log] == [123.4567, None]


async def test_a_measurement_takes_lab_time(gauge: GaugeServer, dial: Callable[..., Any]) -> None:
    """2 s of it."""
    line = await dial(await gauge.start())
    began = asyncio.get_running_loop().time()
    await line.scpi("MEAS:THIC?")
    assert asyncio.get_running_loop().time() - began >= 2.0 / SPEED


async def test_what_it_does_not_know_is_an_error(gauge: GaugeServer, dial: Callable[..., Any]) -> None:
    """Unknown headers and bytes that are no text are answered with the number of the standard."""
    line = await dial(await gauge.start())
    for request in ("MEAS:MASS?", "", "\xff"):
        assert await line.scpi(request) == 'ERR -113,"Undefined header"'
    gauge.probe.faults.inject("refuse", count=1)
    assert await line.scpi("MEAS:THIC?") == 'ERR -200,"Execution error"'
    assert gauge.probe.log == []


async def test_stuck_it_gives_its_last_reading(gauge: GaugeServer, film: SteadyFilm, dial: Callable[..., Any]) -> None:
    """The film has changed and the reading has not."""
    line = await dial(await gauge.start())
    await line.scpi("MEAS:THIC?")
    gauge.probe.faults.inject("stuck")
    film.nm = 50.0
    assert await line.scpi("MEAS:THIC?") == "123.457"
    gauge.probe.faults.clear()
    assert await line.scpi("MEAS:THIC?") == "50"
