"""The simulated source-measure unit, without our driver: what it answers, and what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.smu import Resistor, SourceMeterServer

Dial = Callable[[str], Awaitable[Any]]
READY = '*RST;:SOUR:FUNC CURR;:SENS:FUNC "VOLT";:SYST:RSEN ON;:SOUR:CURR 1e-3;:OUTP ON;:SYST:ERR?'


class Meter:
    """A source-measure unit and a raw connection to it."""

    def __init__(self, **options: Any) -> None:
        self.plant = Resistor(100.0)
        self.clock = LabClock(options.pop("speed", 100.0))
        self.server = SourceMeterServer(self.plant, Probe("smu", self.clock.now), self.clock, **options)
        self.probe = self.server.probe

    async def read(self) -> list[float]:
        return [float(part) for part in (await self.line.scpi("READ?")).split(",")]


@pytest.fixture
async def meters(dial: Dial) -> AsyncIterator[Callable[..., Awaitable[Meter]]]:
    """Starts source-measure units; all are stopped in the end."""
    started: list[Meter] = []

    async def start(**options: Any) -> Meter:
        meter = Meter(**options)
        started.append(meter)
        meter.line = await dial(await meter.server.start())  # type: ignore[attr-defined]
        return meter

    yield start
    for meter in started:
        await meter.server.stop()


Meters = Callable[..., Awaitable[Meter]]


async def test_a_reading_has_five_elements(meters: Meters) -> None:
    """Voltage, programmed current, no resistance, time, and a status that tells of source, sense and wires."""
    meter = await meters(noise=0.0, offset=0.0)
    assert await meter.line.scpi(READY) == '0,"No error"'
    voltage, current, resistance, stamp, status = await meter.read()
    assert (voltage, current, resistance) == (0.1, 1e-3, 9.91e37)
    assert stamp > 0
    assert int(status) == 1 << 11 | 1 << 15 | 1 << 22
    assert await meter.line.scpi("FORM:ELEM STAT,VOLT;:FORM:ELEM?;:READ?") == f"VOLT,STAT;+1.000000E-01,{status:+.6E}"


async def test_two_wires_measure_their_contacts_as_well(meters: Meters) -> None:
    """Without remote sensing contacts and leads are in series with the film."""
    meter = await meters(noise=0.0, offset=0.0, contacts=7.0)
    await meter.line.scpi(READY)
    await meter.line.scpi("SYST:RSEN OFF;:SYST:ERR?")
    assert (await meter.read())[0] == pytest.approx(0.114)


@pytest.mark.parametrize("sign", [1, -1])
async def test_the_voltage_stays_within_its_limit(meters: Meters, sign: int) -> None:
    """An open circuit drives the voltage to its limit and sets the compliance bit, in either direction."""
    meter = await meters(noise=0.0)
    await meter.line.scpi(READY)
    await meter.line.scpi(f"SENS:VOLT:PROT 5;:SOUR:CURR {sign}e-3;:SYST:ERR?")
    meter.plant.ohms = None
    voltage, *_, status = await meter.read()
    assert (voltage, int(status) & 8) == (sign * 5.0, 8)
    assert await meter.line.scpi("SENS:VOLT:PROT:TRIP?") == "1"
    meter.plant.ohms = 10.0
    assert int((await meter.read())[-1]) & 8 == 0


async def test_noise_is_seeded_and_falls_with_integration(meters: Meters) -> None:
    """One seed gives one sequence of readings; a hundred times the time gives a tenth of the noise."""
    sequences = []
    for seed in (3, 3, 4):
        meter = await meters(seed=seed, noise=1e-4, speed=5000.0)
        await meter.line.scpi(READY)
        sequences.append([(await meter.read())[0] for _ in range(3)])
    assert sequences[0] == sequences[1] != sequences[2]
    spread = []
    for cycles in (0.1, 10):
        await meter.line.scpi(f"SENS:VOLT:NPLC {cycles};:SYST:ERR?")
        values = [(await meter.read())[0] for _ in range(40)]
        spread.append(max(values) - min(values))
    assert spread[0] > 4 * spread[1]


async def test_a_reading_takes_its_time_and_can_be_aborted(meters: Meters, dial: Dial) -> None:
    """Ten cycles at 50 Hz take 0.2 s of lab time; ABORt from beside ends a reading without a result."""
    meter = await meters(speed=1.0)
    await meter.line.scpi(READY)
    await meter.line.scpi("SENS:VOLT:NPLC 10;:SYST:ERR?")
    begin = meter.clock.now()
    await meter.read()
    assert 0.19 < meter.clock.now() - begin < 1.0
    beside = await dial(f"tcp://127.0.0.1:{meter.server._port}")
    reading = asyncio.create_task(meter.line.scpi("READ?;:SYST:ERR?"))
    while await beside.scpi("STAT:OPER:COND?") != "16":
        await asyncio.sleep(0.005)
    assert await beside.scpi("ABOR;:STAT:OPER:COND?") == "0"
    assert (await reading).startswith("-230,")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("OUTP OFF;:READ?", 803),
        ("SOUR:FUNC VOLT;:READ?", -221),
        ("SOUR:CURR 1.06", -222),
        ("SENS:VOLT:PROT 211", -222),
        ("SENS:VOLT:NPLC 0", -222),
        ('SENS:FUNC "CURR"', -224),
        ("FORM:ELEM VOLT,PHAS", -224),
        ("FORM:ELEM", -109),
        ("OUTP MAYBE", -224),
        ("OUTP", -109),
        ("SOUR:VOLT 1", -113),
    ],
)
async def test_what_is_refused_changes_nothing(meters: Meters, message: str, code: int) -> None:
    """Each refusal has the number that the manual gives it, and leaves no trace in the log."""
    meter = await meters()
    await meter.line.scpi(READY)
    before = [entry for entry in meter.probe.log if entry["action"] != "output"]
    assert (await meter.line.scpi(f"{message};:SYST:ERR?")).startswith(f"{code},")
    assert [entry for entry in meter.probe.log if entry["action"] != "output"] == before


async def test_nobody_there_switches_the_output_off(meters: Meters) -> None:
    """Without a request for the time of its lease it switches its output off by itself."""
    meter = await meters(deadman=0.15)
    await meter.line.scpi(READY)
    assert meter.server.output
    await asyncio.sleep(0.5)
    assert not meter.server.output
    assert [entry["action"] for entry in meter.probe.log] == ["output", "deadman", "output"]
