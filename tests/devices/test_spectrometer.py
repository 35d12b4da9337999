"""The SCPI spectrometer's driver against its simulated instrument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine

from sdl.devices._limits import LimitError
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.lab.clock import LabClock
from sdl.model import Fault, UnsafeState
from sdl.simulators._faults import Probe
from sdl.simulators.spectrometer import SpectrometerServer

CLOCK = LabClock(100.0)
TIMEOUT = 0.8


class Sample:
    """A sample that changes at every look."""

    def __init__(self) -> None:
        self.wavelength = np.arange(320.0, 801.0)
        self.looks = 0
        self.broken: Callable[[np.ndarray], np.ndarray] = lambda spectrum: spectrum

    def spectrum(self, integration_ms: float, averages: int) -> np.ndarray:
        self.looks += 1
        return self.broken(np.full(481, float(self.looks)))


class Bench:
    """A simulated spectrometer, its driver, and what it looks at."""

    def __init__(self) -> None:
        self.sample = Sample()
        self.server = SpectrometerServer(self.sample, Probe("spectrometer"), CLOCK)
        self.address = ""

    async def start(self) -> None:
        self.address = await self.server.start()
        self.device = ScpiSpectrometer(self.address, name="spectrometer", clock=CLOCK, timeout=TIMEOUT)
        await self.device.connect()

    async def stop(self) -> None:
        await self.device.close()
        await self.server.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A connected spectrometer on loopback."""
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


async def _spectrum(device: ScpiSpectrometer) -> np.ndarray:
    await device.trigger()
    return (await device.read())["spectrometer-spectrum"]["value"]


async def test_each_trigger_gives_its_own_spectrum(bench: Bench) -> None:
    """Also while staged, every trigger is followed by a reading of its own; units and shapes are described."""
    await bench.device.stage()
    assert [(await _spectrum(bench.device))[0] for _ in range(3)] == [1.0, 2.0, 3.0]
    await bench.device.unstage()
    key = (await bench.device.describe())["spectrometer-spectrum"]
    assert (key["shape"], key["units"]) == ([481], "1")
    configuration = await bench.device.read_configuration()
    assert configuration["spectrometer-wavelength"]["value"][[0, -1]].tolist() == [320.0, 800.0]
    assert configuration["spectrometer-integration_time"]["value"] == pytest.approx(100.0)
    assert configuration["spectrometer-averages"]["value"] == 4


async def test_settings_are_written_and_limited(bench: Bench) -> None:
    """Settings reach the instrument; a value outside its limits is refused by name before anything is sent."""
    await bench.device.integration_time.set(25.0)
    await bench.device.averages.set(9)
    assert await bench.device.integration_time.get_value() == pytest.approx(25.0)
    assert await bench.device.averages.get_value() == 9
    with pytest.raises(LimitError, match=r"integration_time: 900 ms is outside its limits, 1 to 150 ms"):
        await bench.device.integration_time.set(900.0)
    with pytest.raises(LimitError, match="lamp integration_time: 2000 ms"):
        ScpiSpectrometer(bench.address, name="lamp", integration_time="2 s")


async def test_safe_state_closes_the_shutter(bench: Bench) -> None:
    """The safe state ends an acquisition and closes the lamp's shutter, twice in a row as well as once."""
    await _spectrum(bench.device)
    await bench.device.safe_state()
    await bench.device.safe_state()
    shutter = [entry["open"] for entry in bench.server.probe.log if entry["action"] == "shutter"]
    assert shutter == [True, False]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("refuse", "Execution error"),
        ("hang", "no complete reply"),
        ("cut", "connection closed"),
        ("garbage", "makes no sense"),
        ("stuck", "still measuring"),
    ],
)
async def test_fault_is_named_bounded_and_gone_once_cleared(bench: Bench, fault: str, says: str) -> None:
    """A failing spectrometer is named with its address within the time-out, and works again afterwards."""
    await _spectrum(bench.device)
    bench.server.probe.faults.inject(fault)
    begin = time.monotonic()
    with pytest.raises(Fault, match=says) as caught:
        await bench.device.trigger()
    with pytest.raises(UnsafeState) as unsafe:
        await bench.device.safe_state()
    assert time.monotonic() - begin < 4 * TIMEOUT + 1
    for error in (caught.value, unsafe.value):
        assert error.device == "spectrometer"
        assert bench.address in str(error)
    bench.server.probe.faults.clear()
    assert (await _spectrum(bench.device)).shape == (481,)
    await bench.device.safe_state()


async def test_no_instrument_at_the_address(bench: Bench) -> None:
    """Nobody at the address: connecting names the device and what to check."""
    await bench.server.stop()
    lost = ScpiSpectrometer(bench.address, name="lost", timeout=TIMEOUT)
    with pytest.raises(Fault, match=rf"lost: {bench.address}: cannot connect.*check its power"):
        await lost.connect()
    await lost.close()


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda s: s[:-1], "spectrum of 480 points on 481 wavelengths"),
        (lambda s: np.where(np.arange(481) < 3, np.nan, s), "3 of 481 points of the spectrum are not finite"),
    ],
)
async def test_bad_spectrum_is_a_fault(bench: Bench, broken: Callable[[np.ndarray], np.ndarray], says: str) -> None:
    """A spectrum of the wrong length or with values that are not finite is a fault, not a reading."""
    bench.sample.broken = broken
    with pytest.raises(Fault, match=says):
        await _spectrum(bench.device)


def test_a_plan_takes_spectra(run_engine: RunEngine) -> None:
    """An ordinary Bluesky plan reads the spectrometer; the wavelengths are in the descriptor's configuration."""
    bench = Bench()
    documents: list[tuple[str, dict]] = []

    def on_loop(coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)  # type: ignore[arg-type]

    on_loop(bench.start())
    run_engine(bp.count([bench.device], num=3), lambda name, doc: documents.append((name, doc)))
    on_loop(bench.stop())
    events = [doc for name, doc in documents if name == "event"]
    (descriptor,) = [doc for name, doc in documents if name == "descriptor"]
    assert [event["data"]["spectrometer-spectrum"][0] for event in events] == [1.0, 2.0, 3.0]
    assert len(descriptor["configuration"]["spectrometer"]["data"]["spectrometer-wavelength"]) == 481
