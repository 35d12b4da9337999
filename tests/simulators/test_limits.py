"""Limits and ramps that instruments hold themselves, whatever a driver asks for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sdl.devices.modbus_heater import Register
from sdl.lab.clock import LabClock
from sdl.model import InputError
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.silver_flow import SilverFlowSimulation

Dial = Callable[[str], Awaitable[Any]]
WRITE, READ = 16, 3


class Heater:
    """A heater with limits and a raw connection to it."""

    def __init__(self, speed: float = 100.0, **limits: float) -> None:
        self.clock = LabClock(speed)
        self.server = HeaterServer(Probe("heater", self.clock.now), self.clock, **limits)  # type: ignore[arg-type]

    async def start(self, dial: Dial) -> None:
        self.line = await dial(await self.server.start())

    async def write(self, register: int, *values: int) -> list[int]:
        return list(await self.line.modbus(WRITE, register, *values))

    async def read(self, register: int) -> int:
        return int((await self.line.modbus(READ, register, 1))[0])

    async def steps(self, count: int) -> list[tuple[float, float]]:
        """Lab time and working setpoint, again and again."""
        seen = []
        for _ in range(count):
            seen.append((self.clock.now(), await self.read(Register.WORKING) / 10))
            await asyncio.sleep(0.01)
        return seen


@pytest.fixture
async def heaters(dial: Dial) -> AsyncIterator[Callable[..., Awaitable[Heater]]]:
    """Starts heaters with limits."""
    started: list[Heater] = []

    async def start(**limits: float) -> Heater:
        started.append(Heater(**limits))
        await started[-1].start(dial)
        return started[-1]

    yield start
    for heater in started:
        await heater.server.stop()


async def test_setpoints_outside_the_limits_are_refused(heaters: Callable[..., Awaitable[Heater]]) -> None:
    """Exception 3, illegal data value, and nothing changes; on the limits and within them it is written."""
    heater = await heaters(low=10.0, high=90.0)
    assert await heater.write(Register.TARGET, 500) == []
    for value in (99, 901, -10, 32767):
        assert await heater.write(Register.TARGET, value) == [-3]
        assert await heater.read(Register.TARGET) == 500
    for value in (100, 900):
        assert await heater.write(Register.TARGET, value) == []
        assert await heater.read(Register.TARGET) == value
    written = [entry["value"] for entry in heater.server.probe.log if entry["action"] == "write"]
    assert written == [500, 100, 900]


async def test_a_write_is_taken_whole_or_not_at_all(heaters: Callable[..., Awaitable[Heater]]) -> None:
    """Of several registers in one write none is changed when one of them is refused."""
    heater = await heaters()
    await heater.write(Register.MANUAL, 1)
    assert await heater.write(Register.TARGET, 600, 2000) == [-3]
    assert (await heater.read(Register.TARGET), await heater.read(Register.OUTPUT)) == (200, 0)
    assert await heater.write(Register.TARGET, 600, 250) == []
    assert (await heater.read(Register.TARGET), await heater.read(Register.OUTPUT)) == (600, 250)


@pytest.mark.parametrize(("register", "value"), [(Register.RATE, -1), (Register.MANUAL, 2), (Register.OUTPUT, 10)])
async def test_other_illegal_values(heaters: Callable[..., Awaitable[Heater]], register: int, value: int) -> None:
    """A negative rate, a mode that there is not, an output in automatic mode: exception 3, nothing is written."""
    heater = await heaters()
    assert await heater.write(register, value) == [-3]
    assert heater.server.probe.log == []


@pytest.mark.parametrize("rate", [0, 6000, 30])
async def test_the_working_setpoint_never_moves_faster_than_the_limit(
    heaters: Callable[..., Awaitable[Heater]], rate: int
) -> None:
    """Whatever the rate register says, and however often the target is written; a slower rate holds as it is."""
    heater = await heaters(max_ramp=12.0)
    await heater.write(Register.RATE, rate)
    assert await heater.read(Register.RATE) == rate
    seen = []
    for target in (800, 900, 300, 850):
        await heater.write(Register.TARGET, target)
        seen += await heater.steps(12)
    fastest = min(12.0, rate / 10 or 12.0)
    begin, first = seen[0]
    for (before, low), (after, high) in itertools.pairwise(seen):
        # The register has tenths, and time passes between the reading and the clock.
        assert abs(high - low) <= fastest * (after - before + 2.0) / 60 + 0.1
    assert any(value > first + 0.3 for _, value in seen), "it does move"
    assert heater.server.loop.working - first <= fastest * (heater.clock.now() - begin) / 60 + 0.2


async def test_without_a_limit_the_setpoint_jumps(heaters: Callable[..., Awaitable[Heater]]) -> None:
    """No `max_ramp` and no rate: the working setpoint is the target at once."""
    heater = await heaters()
    await heater.write(Register.TARGET, 800)
    assert await heater.read(Register.WORKING) == 800


async def test_back_from_manual_mode_the_ramp_starts_at_the_temperature(
    heaters: Callable[..., Awaitable[Heater]],
) -> None:
    """Heated by hand and switched to automatic, the setpoint begins where the temperature is, not where it was."""
    heater = await heaters(max_ramp=6.0)
    await heater.write(Register.MANUAL, 1)
    await heater.write(Register.OUTPUT, 1000)
    await asyncio.sleep(0.4)
    await heater.write(Register.TARGET, 900)
    reached = await heater.read(Register.PV)
    assert reached > 400
    await heater.write(Register.MANUAL, 0)
    assert await heater.read(Register.WORKING) == pytest.approx(reached, abs=60)


async def test_a_spectrometer_refuses_what_is_out_of_its_limits(dial: Dial) -> None:
    """Integration time and averages outside the lab file's limits: error -222 that names them, nothing changes."""
    setting = {"role": "spectrometer", "min_integration": "5 ms", "max_integration": "50 ms", "max_averages": 8}
    simulation = SilverFlowSimulation({"s": setting}, seed=1, speed=100.0)
    try:
        line = await dial((await simulation.start())["s"])
        assert await line.scpi("SENS:INT:TIME?;AVER:COUN?;:SENS:AVER:COUN?;*CLS") == "0.05;1"
        for command, limits in (
            ("SENS:INT:TIME 51 MS", "51 ms, limits 5 to 50 ms"),
            ("SENS:INT:TIME 4.9 MS", "4.9 ms, limits 5 to 50 ms"),
            ("SENS:AVER:COUN 9", "9 averages, limits 1 to 8"),
            ("SENS:AVER:COUN 0", "0 averages, limits 1 to 8"),
        ):
            error = await line.scpi(f"{command};:SYST:ERR?")
            assert error.startswith("-222,")
            assert limits in error
        assert await line.scpi("SENS:INT:TIME?;:SENS:AVER:COUN?") == "0.05;1"
        taken = await line.scpi("SENS:INT:TIME 5 MS;:SENS:AVER:COUN 8;:SENS:INT:TIME?;:SENS:AVER:COUN?;:SYST:ERR?")
        assert taken == '0.005;8;0,"No error"'
    finally:
        await simulation.stop()


async def test_a_lab_file_sets_the_limits_of_the_heater(dial: Dial) -> None:
    """`low`, `high` and `max_ramp` with units, differences of temperature included."""
    setting = {"role": "heater", "low": "283.15 kelvin", "high": "90 degC", "max_ramp": "0.1 K/s"}
    simulation = SilverFlowSimulation({"h": setting}, seed=1, speed=100.0)
    try:
        line = await dial((await simulation.start())["h"])
        replies = [await line.modbus(WRITE, Register.TARGET, value) for value in (99, 100, 900, 901)]
        assert replies == [[-3], [], [], [-3]]
        server = simulation._servers[0][0]
        assert isinstance(server, HeaterServer)
        assert server.loop.max_rate == pytest.approx(6.0)
    finally:
        await simulation.stop()


def test_every_bad_setting_is_reported_with_its_limits() -> None:
    """Units that do not fit, values out of range, limits in the wrong order, unknown keys: all at once."""
    with pytest.raises(InputError) as caught:
        SilverFlowSimulation(
            {
                "h": {"role": "heater", "low": "90 degC", "high": "20 degC"},
                "p": {"role": "silver", "max_volume": "5 mm", "deadman": "0 s"},
                "q": {"role": "seed", "max_volum": "5 mL"},
                "s": {"role": "spectrometer", "max_averages": 0, "min_integration": "2 h", "deadman": "soon"},
                "t": {"role": ["heater"]},
            },
            seed=1,
            speed=1.0,
            deadman="1 mm",
            tanks=0,
        )
    found = {fault.path: fault.message for fault in caught.value.faults}
    assert found["instruments.h"] == "low, 90 degC, must be below high, 20 degC"
    assert "cannot convert 5 mm to uL" in found["instruments.p.max_volume"]
    assert found["instruments.p.deadman"] == "0 s is outside its limits, 0.05 to 1e+06 s"
    assert found["instruments.q.max_volum"] == "unknown key; did you mean 'max_volume'?"
    assert "greater than or equal to 1" in found["instruments.s.max_averages"]
    assert found["instruments.s.min_integration"] == "7200 s is outside its limits, 1e-06 to 3600 s"
    assert "'soon' is not a finite number with a unit" in found["instruments.s.deadman"]
    assert "no role ['heater']" in found["instruments.t.role"]
    assert "cannot convert 1 mm to s" in found["options.deadman"]
    assert "options.tanks" in found
    assert len(found) == 10


def test_a_safe_temperature_outside_the_limits_is_reported() -> None:
    """The setpoint of the safe state must be one that the controller takes."""
    setting = {"role": "heater", "high": "90 degC", "safe_temperature": "95 degC"}
    with pytest.raises(InputError, match="safe_temperature, 95 degC, is outside low and high, 0 to 90 degC"):
        SilverFlowSimulation({"h": setting}, seed=1, speed=1.0)
