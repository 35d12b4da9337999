"""Connecting beside another driver: signals can be read, and the instrument is told nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.devices.soft import SoftDetector
from sdl.lab.clock import LabClock
from sdl.lab.watchdog import attach
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump
from sdl.simulators.spectrometer import SpectrometerServer
from tests.devices.pumping import TIMEOUT
from tests.devices.test_spectrometer import Sample

CLOCK = LabClock(100.0)


class Line:
    """A simulated pump, its driver, and a second one that is attached."""

    def __init__(self) -> None:
        self.simulated = SimulatedPump(Probe("pump", CLOCK.now), CLOCK)
        self.server = Ne1000Server({0: self.simulated})
        self.opened: list[Ne1000Pump] = []

    def driver(self, **options: Any) -> Ne1000Pump:
        self.opened.append(Ne1000Pump(self.address, name="pump", clock=CLOCK, timeout=TIMEOUT, **options))
        return self.opened[-1]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A pump that was just switched on."""
    line = Line()
    line.address = await line.server.start()  # type: ignore[attr-defined]
    yield line
    for pump in line.opened:
        await pump.close()
    await line.server.stop()


@pytest.mark.parametrize("watchdog", [0, 30])
async def test_attaching_leaves_an_alarm_pending(line: Line, watchdog: int) -> None:
    """In either framing the alarm, the settings and the watchdog's time stay as they were."""
    await line.driver(watchdog=watchdog).connect()
    line.simulated.execute("VOL50")
    line.simulated.reset()
    heard = line.simulated._heard
    pump = line.driver(diameter="10 mm", watchdog=30 - watchdog)
    await attach(pump)
    assert (line.simulated.alarm, line.simulated._heard) == ("R", heard)
    assert (line.simulated.watchdog, line.simulated.diameter, line.simulated.target) == (watchdog, 14.43, 50.0)


async def test_a_running_pump_is_read_beside_its_driver(line: Line) -> None:
    """An attached driver reads rate and volume of a pump that another one runs, and leaving does not stop it."""
    pump, beside = line.driver(), line.driver()
    await pump.connect()
    await pump.rate.set(600.0)
    await beside.attach()
    assert await beside.rate.get_value() == 600.0
    assert await beside.dispensed.get_value() >= 0
    assert (await beside.read())["pump-rate"]["value"] == 600.0
    await beside.close()
    assert line.simulated.running


async def test_an_attached_driver_follows_the_framing(line: Line) -> None:
    """A pump that is switched to safe mode later can still be read, whoever in whichever process switched it."""
    beside = line.driver()
    await beside.attach()
    assert not line.simulated.safe
    await line.driver().connect()
    assert line.simulated.safe
    assert await beside.rate.get_value() == 0.0
    line.simulated.watchdog = 0
    with pytest.raises(Fault):
        await beside.rate.get_value()
    assert await beside.rate.get_value() == 0.0


async def test_an_alarm_told_to_one_is_known_to_the_other(line: Line) -> None:
    """A pump tells an alarm once; the driver that runs it hears of it all the same, and sends nothing before."""
    pump, beside = line.driver(), line.driver()
    await pump.connect()
    await pump.rate.set(25.0)
    await beside.attach()
    line.simulated.reset()
    with pytest.raises(Fault, match="the pump was reset"):
        await beside.rate.get_value()
    assert line.simulated.alarm == ""
    with pytest.raises(Fault, match=r"the pump was reset .* RAT was not sent"):
        await pump.rate.set(50.0)
    await pump.rate.set(50.0)
    assert line.simulated.rate == 50.0


async def test_a_heater_and_a_spectrometer_are_told_nothing() -> None:
    """Their signals can be read after attaching, and the settings are not those of the attached driver."""
    heating = HeaterServer(Probe("heater", CLOCK.now), CLOCK)
    looking = SpectrometerServer(Sample(), Probe("spectrometer"), CLOCK)
    heater = ModbusHeater(await heating.start(), name="heater", clock=CLOCK, ramp=7.0)
    spectrometer = ScpiSpectrometer(await looking.start(), name="spectrometer", clock=CLOCK, integration_time="20 ms")
    for device in (heater, spectrometer):
        await attach(device)
    assert await heater.temperature.get_value() == pytest.approx(20.0, abs=5)
    assert await heater.ramp.get_value() == 0.0
    assert (await spectrometer.wavelength.get_value()).size == 481
    assert await spectrometer.integration_time.get_value() == 100.0
    assert heating.probe.log == looking.probe.log == []
    for device in (heater, spectrometer):
        await device.close()
    await asyncio.gather(heating.stop(), looking.stop())


async def test_a_soft_detector_attaches() -> None:
    """Without an instrument there is nothing to tell."""
    detector = SoftDetector(name="det", value=2.0)
    await attach(detector)
    assert await detector.value.get_value() == 2.0
