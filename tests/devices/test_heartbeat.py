"""Heartbeats against instruments that make themselves safe when nobody talks to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sdl.devices import LimitError
from sdl.devices.modbus_heater import ModbusHeater
from sdl.devices.scpi_spectrometer import ScpiSpectrometer
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.clock import LabClock
from sdl.lab.tables import ColumnSpec, read_table
from sdl.model import Fault
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.spectrometer import SpectrometerServer
from sdl.simulators.tabulated import TabulatedServer
from tests.devices.test_spectrometer import Sample

CLOCK = LabClock(100.0)
DEADMAN = 0.3
KINDS = ["heater", "spectrometer", "table"]


class Bench:
    """One of the instruments with a dead-man lease, and how to make a driver of it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        probe = Probe(kind, CLOCK.now)
        self.server: Any
        if kind == "heater":
            self.server = HeaterServer(probe, CLOCK, deadman=DEADMAN)
        elif kind == "spectrometer":
            self.server = SpectrometerServer(Sample(), probe, CLOCK, deadman=DEADMAN)
        else:
            (folder / "t.csv").write_text("x,y\n1,2\n")
            table = read_table(folder / "t.csv", {"x": ColumnSpec(column="x")}, {"y": ColumnSpec(column="y")})
            self.server = TabulatedServer(table, probe, CLOCK, seed=1, deadman=DEADMAN)

    async def connect(self, heartbeat: str | float | None) -> None:
        address = await self.server.start()
        given: dict[str, Any] = {"name": self.kind, "clock": CLOCK, "timeout": 0.2, "heartbeat": heartbeat}
        self.device: Any
        if self.kind == "heater":
            self.device = ModbusHeater(address, **given)
        elif self.kind == "spectrometer":
            self.device = ScpiSpectrometer(address, **given)
        else:
            self.device = TabulatedInstrument(address, inputs={"x": "1"}, outcomes={"y": "1"}, **given)
        await self.device.connect()

    @property
    def given_up(self) -> bool:
        """Whether the instrument took its driver for dead."""
        return any(entry["action"] == "deadman" for entry in self.server.probe.log)


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(request.param, tmp_path)
    yield bench
    await bench.device.close()
    await bench.server.stop()


async def test_a_heartbeat_keeps_an_instrument_from_giving_up(bench: Bench) -> None:
    """Nothing is asked for longer than the lease, and the instrument goes on; once closed, it gives up."""
    await bench.connect("0.1 s")
    await asyncio.sleep(2 * DEADMAN)
    assert not bench.given_up
    await bench.device.close()
    await asyncio.sleep(1.5 * DEADMAN)
    assert bench.given_up


async def test_without_a_heartbeat_it_gives_up(bench: Bench) -> None:
    """By default nothing is sent that nobody asked for."""
    await bench.connect(None)
    await asyncio.sleep(1.5 * DEADMAN)
    assert bench.given_up


@pytest.mark.parametrize("kind", ["refuse", "cut"])
async def test_a_heartbeat_outlives_faults(bench: Bench, kind: str) -> None:
    """A query that fails is no error; when the fault is gone the heart beats on, and commands work."""
    await bench.connect(0.05)
    bench.server.probe.faults.inject(kind)
    await asyncio.sleep(0.3)
    bench.server.probe.faults.clear()
    for _ in range(2):  # an error that the fault left in the instrument's queue belongs to nobody
        try:
            await bench.device.read()
        except Fault:
            continue
    before = len(bench.server.probe.log)
    await asyncio.sleep(2 * DEADMAN)
    assert not any(entry["action"] == "deadman" for entry in bench.server.probe.log[before:])


def test_a_heartbeat_has_limits() -> None:
    """An interval is a quantity of time, within what makes sense."""
    with pytest.raises(LimitError, match=r"heartbeat: 0\.001 s is outside its limits, 0.02 to 3600 s"):
        ModbusHeater("tcp://127.0.0.1:9/1", heartbeat="1 ms")
