"""What drivers say stops their instruments, sent to simulated instruments over their own protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.devices.soft import SoftDetector
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.clock import LabClock
from sdl.lab.stopcards import HasStopExchanges, Pressed, device_stops, press, read_cards, write_card
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump
from sdl.simulators.spectrometer import SpectrometerServer
from sdl.simulators.tabulated import TabulatedSimulation

SAFE = {"safe"}
PASSING = ("refuse", "hang", "cut", "garbage", "lose")


@pytest.fixture(autouse=True)
async def no_threads_of_the_executor() -> AsyncIterator[None]:
    """End the threads in which `press` was called."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of the test's own."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))


async def pressed(devices: Mapping[str, Any], folder: Path) -> dict[str, Pressed]:
    """Write the card of these devices, read it back, and send what it says."""
    card = write_card("bench", str(folder / "lab.yaml"), {}, device_stops(devices, {}))
    results = await asyncio.to_thread(press, read_cards())
    card.remove()
    return {result.device: result for result in results}


class Chain:
    """Two pumps on one line."""

    def __init__(self) -> None:
        self.clock = LabClock(60.0)
        self.pumps = {unit: SimulatedPump(Probe(f"pump{unit}", self.clock.now), self.clock) for unit in (0, 7)}
        self.server = Ne1000Server(self.pumps)
        self.drivers: dict[str, Ne1000Pump] = {}

    async def start(self, **options: Any) -> None:
        address = await self.server.start()
        for unit in self.pumps:
            name = f"pump{unit}"
            self.drivers[name] = Ne1000Pump(f"{address}/{unit}", name=name, clock=self.clock, timeout=0.5, **options)
            await self.drivers[name].connect()

    async def stop(self) -> None:
        for driver in self.drivers.values():
            await driver.close()
        await self.server.stop()

    def standing(self) -> bool:
        return all(pump.state == "S" and pump.flow() == 0 for pump in self.pumps.values())


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    chain = Chain()
    yield chain
    await chain.stop()


@pytest.mark.parametrize("watchdog", [0, 30], ids=["basic mode", "safe mode"])
async def test_running_pumps_stand_still(chain: Chain, tmp_path: Path, watchdog: int) -> None:
    """Pumps of a chain, one running and one dispensing, stand still for good, in either mode; twice is the same."""
    await chain.start(watchdog=watchdog)
    await chain.drivers["pump0"].rate.set(120.0)
    delivery = chain.drivers["pump7"].dispense.set(2000.0)
    while not all(pump.running for pump in chain.pumps.values()):
        await asyncio.sleep(0.01)
    for _ in range(2):
        results = await pressed(chain.drivers, tmp_path)
        assert {result.state for result in results.values()} == SAFE, results
        assert chain.standing()
    with pytest.raises(Exception, match="was stopped after"):
        await delivery


@pytest.mark.parametrize("watchdog", [0, 30], ids=["basic mode", "safe mode"])
async def test_a_pump_in_the_other_mode(chain: Chain, tmp_path: Path, watchdog: int) -> None:
    """A pump that is not in the mode its driver puts it into is stopped all the same."""
    await chain.start(watchdog=watchdog)
    await chain.drivers["pump0"].rate.set(120.0)
    for pump in chain.pumps.values():
        pump.watchdog = 0 if watchdog else 30
    results = await pressed(chain.drivers, tmp_path)
    assert {result.state for result in results.values()} == SAFE, results
    assert chain.standing()


@pytest.mark.parametrize("alarm", ["R", "S", "T", "E"])
async def test_a_pump_in_alarm(chain: Chain, tmp_path: Path, alarm: str) -> None:
    """A pump that has an alarm to tell first is confirmed to stand still after it."""
    await chain.start()
    for pump in chain.pumps.values():
        pump.alarm = alarm
    results = await pressed(chain.drivers, tmp_path)
    assert {result.state for result in results.values()} == SAFE, results


@pytest.mark.parametrize("kind", PASSING)
async def test_one_fault_does_not_save_a_pump(chain: Chain, tmp_path: Path, kind: str) -> None:
    """One refused, lost or garbled exchange keeps neither its pump nor the other of the chain from being stopped."""
    await chain.start()
    for driver in chain.drivers.values():
        await driver.rate.set(60.0)
    chain.pumps[0].probe.faults.inject(kind, count=1)
    results = await pressed(chain.drivers, tmp_path)
    assert {result.state for result in results.values()} == SAFE, results
    assert chain.standing()


async def test_a_dumb_pump_is_stopped_and_not_called_safe(chain: Chain, tmp_path: Path) -> None:
    """A pump whose answers are lost gets its commands, is not called safe, and does not hold up its neighbour."""
    await chain.start()
    for driver in chain.drivers.values():
        await driver.rate.set(60.0)
    chain.pumps[0].probe.faults.inject("lose")
    results = await pressed(chain.drivers, tmp_path)
    assert (results["pump0"].state, results["pump7"].state) == ("unconfirmed", "safe")
    assert "did not reply" in results["pump0"].message
    assert chain.standing()
    seconds = results["pump7"].seconds
    assert seconds is not None
    assert seconds < 2


async def test_a_pump_that_refuses_is_not_called_safe(chain: Chain, tmp_path: Path) -> None:
    """A pump that goes on running is unconfirmed, and its last reply is shown."""
    await chain.start()
    await chain.drivers["pump0"].rate.set(60.0)
    chain.pumps[0].probe.faults.inject("refuse")
    result = (await pressed(chain.drivers, tmp_path))["pump0"]
    assert result.state == "unconfirmed"
    assert "?NA" in result.message
    assert chain.pumps[0].running


@pytest.mark.parametrize("kind", [*PASSING, ""])
async def test_the_heating_is_off(tmp_path: Path, kind: str) -> None:
    """Manual mode, output 0 and the safe setpoint, read back, with or without one fault on the way."""
    clock = LabClock(100.0)
    server = HeaterServer(Probe("heater", clock.now), clock, unit=3)
    heater = ModbusHeater(await server.start(), name="heater", clock=clock, safe_temperature="15 degC")
    await heater.connect()
    await heater.write_setpoint(80.0)
    while server.loop.output == 0:
        await asyncio.sleep(0.01)
    if kind:
        server.probe.faults.inject(kind, count=1)
    result = (await pressed({"heater": heater}, tmp_path))["heater"]
    assert result.state == "safe", result
    assert (server.loop.manual, server.loop.output, server.loop.target) == (True, 0.0, 15.0)
    await heater.close()
    await server.stop()


async def test_heating_that_cannot_be_read_back_is_not_called_off(tmp_path: Path) -> None:
    """A controller that only says that it is busy is unconfirmed."""
    clock = LabClock(100.0)
    server = HeaterServer(Probe("heater", clock.now), clock)
    heater = ModbusHeater(await server.start(), name="heater", clock=clock)
    server.probe.faults.inject("refuse")
    result = (await pressed({"heater": heater}, tmp_path))["heater"]
    assert result.state == "unconfirmed"
    assert "replied" in result.message
    await server.stop()


class Sample:
    """A flat spectrum."""

    wavelength = np.linspace(300.0, 800.0, 11)

    def spectrum(self, integration_ms: float, averages: int) -> Any:
        return np.zeros(11)


async def test_the_shutter_is_closed(tmp_path: Path) -> None:
    """An acquisition is aborted and the lamp's shutter closed; a shutter that is stuck is told."""
    clock = LabClock(1.0)
    server = SpectrometerServer(Sample(), Probe("eye", clock.now), clock)
    eye = ScpiSpectrometer(await server.start(), name="eye", clock=clock, averages=100)
    await eye.connect()
    status = eye.trigger()
    while not server.measuring:
        await asyncio.sleep(0.01)
    result = (await pressed({"eye": eye}, tmp_path))["eye"]
    assert result.state == "safe", result
    assert not server.measuring
    assert server.probe.log[-1]["action"] == "shutter"
    assert server.probe.log[-1]["open"] is False
    status.task.cancel()
    await asyncio.gather(status.task, return_exceptions=True)
    await eye._link.command("OUTP ON")
    server.probe.faults.inject("stuck")
    stuck = (await pressed({"eye": eye}, tmp_path))["eye"]
    assert stuck.state == "unconfirmed"
    assert "0;1" in stuck.message
    await eye.close()
    await server.stop()


async def test_a_table_stops_measuring(tmp_path: Path) -> None:
    """The tabulated instrument's measurement is aborted."""
    (tmp_path / "table.csv").write_text("x,z\n1,2\n2,3\n")
    columns: dict[str, Any] = {"inputs": {"x": {"unit": "1"}}, "outcomes": {"z": {"unit": "1"}}}
    simulation = TabulatedSimulation(
        {"bench": {}}, seed=1, speed=1.0, table=tmp_path / "table.csv", duration="1 h", **columns
    )
    address = (await simulation.start())["bench"]
    bench = TabulatedInstrument(address, name="bench", **columns)
    await bench.connect()
    await bench.inputs["x"].set(1.0)
    await bench._link.command("INIT")
    assert int(await bench._link.query_number("STAT:OPER:COND?")) == 16
    assert (await pressed({"bench": bench}, tmp_path))["bench"].state == "safe"
    assert int(await bench._link.query_number("STAT:OPER:COND?")) == 0
    await bench.close()
    await simulation.stop()


async def test_nothing_to_stop(tmp_path: Path) -> None:
    """A detector without an instrument has nothing to stop, and says so."""
    detector = SoftDetector(name="detector")
    assert isinstance(detector, HasStopExchanges)
    result = (await pressed({"detector": detector}, tmp_path))["detector"]
    assert (result.state, result.message) == ("none", "nothing to stop")


async def test_unconnected_drivers_know_what_stops_their_instruments() -> None:
    """A driver that has talked to nobody says what it would send, and sends nothing."""
    heater = ModbusHeater("tcp://127.0.0.1:9/5", name="heater", safe_temperature=-5.0, low=-20.0)
    sent = [exchange.request.hex(" ") for exchange in heater.stop_exchanges()]
    # Modbus: transaction, protocol, length, unit, function, register, value; -5.0 degC are -50 tenths.
    assert sent == [
        "00 01 00 00 00 06 05 06 01 11 00 01",
        "00 02 00 00 00 06 05 06 00 03 00 00",
        "00 03 00 00 00 06 05 06 00 02 ff ce",
        "00 04 00 00 00 06 05 03 01 11 00 01",
        "00 05 00 00 00 06 05 03 00 02 00 02",
    ]
    pump = Ne1000Pump("tcp://127.0.0.1:9/4", name="pump")
    first, second, *_ = pump.stop_exchanges()
    assert first.request.startswith(b"\x02\x0904STP")
    assert second.request.startswith(b"\x02\x0604")
    assert {exchange.address for exchange in pump.stop_exchanges()} == {"tcp://127.0.0.1:9"}
