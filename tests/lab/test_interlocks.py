"""Interlocks: read from the lab file, bound to connected devices, checked against what these read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ophyd_async.core import Array1D, SignalR, StandardReadable, soft_signal_rw

from sdl.devices._signal import link_signal_r
from sdl.devices.soft import SoftDetector
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.interlocks import Interlock, Trip, bind, check, check_bound, interlocks_of
from sdl.lab.labfile import load_lab
from sdl.model import Fault, InputError

Write = Callable[..., Path]
HEAD = "procedures:\n"


def declare(write_lab: Write, text: str) -> Path:
    return write_lab((HEAD, f"interlocks:\n{text}{HEAD}"))


def interlock(signal: str = "temperature", limit: float = 88.0, unit: str = "degC", **other: Any) -> Interlock:
    given: dict[str, Any] = {"name": "hot", "device": "heater", "relation": "<", "stations": ("bench",)}
    return Interlock(
        **{**given, "signal": signal, "limit": limit, "unit": unit, "file": "lab.yaml", "line": 7, **other}
    )


class Thermometer(StandardReadable):
    """Soft signals in several units."""

    def __init__(self, celsius: float = 20.0) -> None:
        self.temperature = soft_signal_rw(float, celsius, units="degC")
        self.kelvin = soft_signal_rw(float, celsius + 273.15, units="K")
        self.label = soft_signal_rw(str, "warm")
        self.trace = soft_signal_rw(Array1D[np.float64], np.zeros(3), units="degC")
        self.rate = soft_signal_rw(float, 3.0, units="K/min")
        super().__init__(name="heater")


class Plain:
    """An object without signals of its own: Bluesky's protocols, blocking."""

    parent = None

    def __init__(self, mark: str, value: Any) -> None:
        self.name, self.mark, self.value = "heater", mark, value

    def describe(self) -> dict[str, Any]:
        return {f"heater{self.mark}temperature": {"source": "x", "dtype": "number", "shape": [], "units": "degC"}}

    def read(self) -> dict[str, Any]:
        return {f"heater{self.mark}temperature": {"value": self.value, "timestamp": 0.0}}


def counted(value: float) -> tuple[StandardReadable, list[int]]:
    """A device whose signal counts how often it is asked."""
    asked: list[int] = []

    async def get() -> float:
        asked.append(1)
        return value

    class Counting(StandardReadable):
        def __init__(self) -> None:
            self.temperature: SignalR[float] = link_signal_r(float, "x", get, unit="degC")
            super().__init__(name="heater")

    return Counting(), asked


def test_a_lab_file_declares_interlocks(write_lab: Write) -> None:
    """A requirement alone, or with stations and advice; the station is that of the device unless others are named."""
    text = (
        '  bright: "detector.value < 3 mV"\n'
        "  dark: {require: 'other.value >= -1.5 1', stations: [bench, oven], message: open the lid}\n"
    )
    lab = load_lab(declare(write_lab, text))
    bright, dark = interlocks_of(lab.spec, lab.file)
    assert (bright.what, bright.requirement, bright.stations, bright.message) == (
        "detector.value",
        "< 3 mV",
        ("bench",),
        "",
    )
    assert (dark.requirement, dark.stations, dark.message) == (">= -1.5", ("bench", "oven"), "open the lid")
    assert (bright.line, dark.line) == (11, 12)
    assert bright.file == lab.file.name


def test_all_faults_of_interlocks_at_once(write_lab: Write) -> None:
    """Each interlock that cannot be understood is told with its line and what to write instead."""
    text = """\
  a: "detektor.value < 3 mV"
  b: "detector.value == 3 mV"
  c: "detector.value < 3"
  d: "detector.value < three mV"
  e: "detector.value < 3 mVolts"
  f: {require: "detector.value < nan mV", stations: [benhc]}
  g: "detector < 3 mV"
  h: "1 < detector.value < 3 mV"
  i: "detector.value < 3mV"
"""
    with pytest.raises(InputError) as caught:
        load_lab(declare(write_lab, text))
    found = {(f.line, f.path.split(".")[1]): f.message for f in caught.value.faults}
    assert len(found) == len(caught.value.faults) - 1 == 9
    example = "write it as in 'heater.temperature < 88 degC', with one of < <= > >="
    assert found[11, "a"] == "no device 'detektor'; did you mean 'detector'?"
    assert found[12, "b"] == f"'detector.value == 3 mV' cannot be understood; {example}"
    assert found[13, "c"] == "'3' has no unit; write it as in '88 degC', and '3 1' for a pure number"
    assert found[14, "d"] == "'three mV' is not a finite number, a blank and a unit, as in '88 degC'"
    assert found[15, "e"].startswith("unknown unit 'mVolts'")
    assert {f.message for f in caught.value.faults if f.line == 16} == {
        "no station 'benhc'; did you mean 'bench'?",
        "'nan mV' is not a finite number, a blank and a unit, as in '88 degC'",
    }
    assert found[17, "g"].endswith(example)
    assert found[18, "h"].endswith(example)
    assert "a blank and a unit" in found[19, "i"]


def test_an_unknown_key_of_an_interlock(write_lab: Write) -> None:
    """A key that there is not is refused with the nearest there is."""
    with pytest.raises(InputError, match=r"lab\.yaml:11: interlocks\.a\.requires: unknown key; did you mean 'require'"):
        load_lab(declare(write_lab, "  a: {requires: 'detector.value < 3 mV'}\n"))


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("<", [True, False, False]),
        ("<=", [True, True, False]),
        (">", [False, False, True]),
        (">=", [False, True, True]),
    ],
)
async def test_relations(relation: str, holds: list[bool]) -> None:
    """Below, at and above the limit, each relation means what it says."""
    (bound,) = await bind([interlock(relation=relation)], {"heater": Thermometer()})
    assert [bound.holds(value) for value in (87.9, 88.0, 88.1)] == holds


async def test_a_violation_is_told_in_the_unit_of_the_lab_file() -> None:
    """The limit is converted to the signal's unit, offsets of temperature included, and the value shown as written."""
    thermometer = Thermometer(91.3)
    hot = interlock()
    kelvin = interlock("kelvin", name="hot_k", message="open the window")
    fahrenheit = interlock("temperature", 196.0, "degF", name="hot_f")
    steep = interlock("rate", 2.0, "degC/min", name="steep")
    trips = await check([hot, kelvin, fahrenheit, steep], {"heater": thermometer})
    assert [str(trip) for trip in trips] == [
        "hot: heater.temperature is 91.3 degC, must be < 88 degC",
        "hot_k: heater.kelvin is 91.3 degC, must be < 88 degC; open the window",
        "hot_f: heater.temperature is 196.34 degF, must be < 196 degF",
        "steep: heater.rate is 3 degC/min, must be < 2 degC/min",
    ]
    assert trips[1] == Trip("hot_k", trips[1].text, "violated", ("bench",), pytest.approx(364.45))
    await thermometer.kelvin.set(300.0)
    assert await check([kelvin], {"heater": thermometer}) == []


async def test_a_value_hardly_beyond_the_limit_is_told_apart_from_it() -> None:
    """The text never says that 88 degC must be < 88 degC unless it is 88 degC."""
    (trip,) = await check([interlock(relation="<=")], {"heater": Thermometer(88.0000001)})
    assert trip.text == "hot: heater.temperature is 88.0000001 degC, must be <= 88 degC"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("relation", ["<", ">"])
async def test_what_is_no_finite_number_is_a_trip(value: float, relation: str) -> None:
    """NaN and infinities violate every interlock: the sensor is broken."""
    (trip,) = await check([interlock(relation=relation)], {"heater": Thermometer(value)})
    assert trip.text == f"hot: heater.temperature is {value:g} degC, must be {relation} 88 degC"


@pytest.mark.parametrize("mark", ["-", "_"])
async def test_readings_of_an_object_without_signals(mark: str) -> None:
    """`heater.temperature` is also the reading `heater-temperature` or `heater_temperature`."""
    (trip,) = await check([interlock()], {"heater": Plain(mark, 90.0)})
    assert trip.text == "hot: heater.temperature is 90 degC, must be < 88 degC"
    assert await check([interlock()], {"heater": Plain(mark, 80)}) == []


async def test_a_dotted_path() -> None:
    """A signal may lie deeper, as an outcome of a tabulated instrument does."""
    tester = TabulatedInstrument("tcp://127.0.0.1:1", name="heater", inputs={"n": "1"}, outcomes={"toughness": "J"})
    (bound,) = await bind([interlock("outcomes.toughness", 1.0, "kJ")], {"heater": tester})
    assert (bound.signal.owner, bound.signal.unit, bound.limit) == (tester.outcomes["toughness"], "J", 1000.0)


async def test_binding_tells_every_fault_with_its_line() -> None:
    """Signals that are not there, are no numbers or are in another kind of unit, each with the line of the lab file."""
    wanted = [
        interlock("temprature", line=3),
        interlock("label", line=4),
        interlock("trace", line=5),
        interlock("temperature", 3.0, "bar", line=6),
        interlock("_secret", line=7),
        interlock(device="oven", line=8),
    ]
    with pytest.raises(InputError) as caught:
        await bind(wanted, {"heater": Thermometer()})
    assert [str(fault) for fault in caught.value.faults] == [
        "lab.yaml:3: interlocks.hot: device 'heater' has no signal 'temprature'; did you mean 'temperature'?",
        "lab.yaml:4: interlocks.hot: heater.label is no number: it reads 'string' of shape []",
        "lab.yaml:5: interlocks.hot: heater.trace is no number: it reads 'array' of shape [3]",
        "lab.yaml:6: interlocks.hot: heater.temperature is in degC: cannot convert 3 bar to degC: "
        "they measure different things",
        "lab.yaml:7: interlocks.hot: device 'heater' has no signal '_secret'; known: "
        "kelvin, label, rate, temperature, trace",
        "lab.yaml:8: interlocks.hot: device 'oven' is not here; known: heater",
    ]


class Mute:
    """A device that fails in a way of its own whenever it is asked."""

    name, parent = "heater", None

    def __init__(self, failure: Exception, *, describes: bool = False) -> None:
        self.failure, self.describes = failure, describes

    async def describe(self) -> Mapping[str, Any]:
        if not self.describes:
            raise self.failure
        return {"heater-temperature": {"source": "x", "dtype": "number", "shape": [], "units": "degC"}}

    async def read(self) -> Mapping[str, Any]:
        raise self.failure


@pytest.mark.parametrize("describes", [False, True])
async def test_what_cannot_be_read_is_a_trip(describes: bool) -> None:
    """A device that fails, one that is not there and a signal that is not there are trips with their reasons."""
    devices = {"heater": Mute(Fault("heater", "no answer on tcp://10.0.0.9:502"), describes=describes)}
    trips = await check([interlock(), interlock(device="oven", name="oven_hot")], devices)
    assert [trip.text for trip in trips] == [
        "hot: heater.temperature cannot be read (heater: no answer on tcp://10.0.0.9:502), must be < 88 degC",
        "oven_hot: oven.temperature cannot be read (device 'oven' is not here; known: heater), must be < 88 degC",
    ]
    assert {trip.kind for trip in trips} == {"unreadable"}
    assert {trip.value for trip in trips} == {None}


async def test_a_device_that_does_not_answer_when_binding_is_a_fault() -> None:
    """What the equipment does is no fault of the file."""
    with pytest.raises(Fault, match="heater: pump unplugged"):
        await bind([interlock()], {"heater": Mute(OSError("pump unplugged"))})


class Slow(Mute):
    async def read(self) -> Mapping[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError


async def test_a_silent_device_is_a_trip_in_time() -> None:
    """A device that does not answer holds the check up for the time limit and no longer."""
    begun = asyncio.get_running_loop().time()
    (trip,) = await check([interlock()], {"heater": Slow(ValueError(), describes=True)}, time_limit=0.1)
    assert trip.text == "hot: heater.temperature cannot be read (no answer within 0.1 s), must be < 88 degC"
    assert asyncio.get_running_loop().time() - begun < 2


async def test_a_reading_that_is_no_number() -> None:
    """A device that describes a number and reads something else cannot be read."""
    (trip,) = await check([interlock()], {"heater": Plain("-", "warm")})
    assert trip.text == "hot: heater.temperature cannot be read (its value 'warm' is no number), must be < 88 degC"


async def test_a_signal_is_read_once_however_many_interlocks_it_has() -> None:
    """Two limits of one signal cost one request, and each has its own verdict."""
    heater, asked = counted(90.0)
    bound = await bind(
        [interlock(), interlock(relation=">", name="cold"), interlock(limit=85.0, name="warm")], {"heater": heater}
    )
    assert asked == []
    assert [trip.interlock for trip in await check_bound(bound)] == ["hot", "warm"]
    assert len(asked) == 1


async def test_a_staged_signal_is_asked_all_the_same() -> None:
    """A value that a staged device keeps does not stand for the present one."""
    heater, asked = counted(20.0)
    signal: Any = heater.temperature  # type: ignore[attr-defined]
    await signal.stage()
    try:
        await signal.read()
        before = len(asked)
        assert await check([interlock()], {"heater": heater}) == []
        assert len(asked) == before + 1
    finally:
        await signal.unstage()


async def test_a_pure_number() -> None:
    """Signals without a unit are compared with pure numbers, whose unit is not shown."""
    detector = SoftDetector(name="heater", value=4.0)
    (trip,) = await check([interlock("value", 3.0, "1")], {"heater": detector})
    assert trip.text == "hot: heater.value is 4, must be < 3"
