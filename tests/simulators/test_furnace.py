"""The simulated furnace's control loop in closed form, its past, and its timer."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.devices.furnace import EndType, TimerRegister
from sdl.devices.modbus_heater import Register
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators._heater_course import Course
from sdl.simulators._heater_loop import ControlLoop, ExactLoop, FirstOrderPlant, loop_for
from sdl.simulators.furnace import DwellTimer, FurnaceServer, furnace_plant
from sdl.simulators.heater import HeaterServer

Array = npt.NDArray[np.float64]
Orders = Mapping[float, Callable[[ExactLoop], None]]
GAIN, TAU, AMBIENT, CLOSED = 750.0, 600.0, 22.0, 60.0
HOURS = 3600.0


class Hands:
    """A clock that stands where it is put."""

    speed = 1.0

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def furnace(**options: Any) -> tuple[Hands, FirstOrderPlant, ExactLoop]:
    clock = Hands()
    plant = FirstOrderPlant(clock, gain=GAIN, time_constant=TAU, ambient=AMBIENT)
    return clock, plant, ExactLoop(plant, clock, closed=CLOSED, **options)


def _rate(value: float) -> Callable[[ExactLoop], None]:
    return lambda loop: setattr(loop, "rate", value)


def _target(value: float) -> Callable[[ExactLoop], None]:
    return lambda loop: loop.retarget(value)


def _by_hand(loop: ExactLoop) -> None:
    loop.manual = True
    loop.output = 0.35


def _automatic(loop: ExactLoop) -> None:
    loop.manual = False


ORDERS: Orders = {
    0.0: _rate(6.0),
    60.0: _target(420.0),
    9000.0: _rate(40.0),
    9001.0: _target(590.0),  # more than full power can follow
    12000.0: _target(150.0),  # faster than it cools
    20000.0: _by_hand,
    21000.0: _automatic,
    26000.0: lambda loop: loop.step(heating=False),
    27000.0: lambda loop: loop.step(heating=True),
    30000.0: _rate(0.0),
    30001.0: _target(300.0),
    34000.0: lambda loop: loop.retarget_at(35000.5, 80.0),
}


def _follow(times: Array, orders: Orders = ORDERS) -> tuple[Array, FirstOrderPlant]:
    """Temperatures at `times`, asked for one after the other while the orders are given."""
    clock, plant, loop = furnace()
    seen = []
    pending = sorted(orders.items())
    for moment in times:
        while pending and pending[0][0] <= moment:
            clock.at, order = pending.pop(0)
            order(loop)
        clock.at = float(moment)
        seen.append(plant.temperature())
    return np.array(seen), plant


def test_the_temperature_does_not_depend_on_how_often_it_is_asked() -> None:
    """Asked once in 17 minutes or three times a second: the same temperatures, and as many changes remembered."""
    coarse = np.arange(0.0, 40000.0, 1000.0)
    fine = np.unique(np.concatenate([coarse, np.arange(0.0, 40000.0, 1 / 3)]))
    few, plant = _follow(coarse)
    assert _follow(np.array([0.0, 39000.0]))[0][1] == pytest.approx(few[39], abs=1e-9)
    many, busy = _follow(fine)
    assert many[np.searchsorted(fine, coarse)] == pytest.approx(few, abs=1e-9)
    assert len(busy._legs) == len(plant._legs) < 40


def test_it_is_the_controller_that_it_says_it_is() -> None:
    """A PI controller with external reset in steps of 50 ms, ramp, limits of its power and all, gives the same."""
    step, gain = 0.05, TAU / (GAIN * CLOSED)
    times = np.arange(0.0, 40000.0, 50.0)
    seen, _ = _follow(times)
    temperature, integral, working, target, rate = AMBIENT, 0.0, AMBIENT, 20.0, 0.0
    manual, heating, reference = False, True, []
    changes: dict[float, tuple[str, float]] = {
        0.0: ("rate", 6.0), 60.0: ("target", 420.0), 9000.0: ("rate", 40.0), 9001.0: ("target", 590.0),
        12000.0: ("target", 150.0), 20000.0: ("manual", 1), 21000.0: ("manual", 0), 26000.0: ("heating", 0),
        27000.0: ("heating", 1), 30000.0: ("rate", 0.0), 30001.0: ("target", 300.0), 35000.5: ("target", 80.0),
    }  # fmt: skip
    for index in range(round(40000.0 / step)):
        change, value = changes.get(round(index * step, 6), ("", 0.0))
        if change == "target":
            target, working = value, temperature
        rate = value if change == "rate" else rate
        manual = bool(value) if change == "manual" else manual
        heating = bool(value) if change == "heating" else heating
        if index % 1000 == 0:
            reference.append(temperature)
        reach = rate / 60 * step if rate else math.inf
        working += max(-reach, min(reach, target - working))
        power = 0.35 if manual else min(max(gain * (working - temperature) + integral, 0.0), 1.0)
        power *= heating
        temperature += step * (AMBIENT + GAIN * power - temperature) / TAU
        integral += step * (power - integral) / TAU
    assert seen == pytest.approx(np.array(reference), abs=0.05)
    assert seen.max() > 580


def _give(loop: ExactLoop, what: str, value: float) -> None:
    if what == "target":
        loop.retarget(600 * value)
    elif what == "rate":
        loop.rate = 50 * round(value, 1)
    elif what == "manual":
        loop.manual = value > 0.5
    elif what == "output":
        loop.output = value
    else:
        loop.step(heating=value > 0.5)


@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(
        st.tuples(
            st.floats(1, 4000), st.sampled_from(["target", "rate", "manual", "output", "heating"]), st.floats(0, 1)
        ),
        max_size=12,
    ),
    max_rate=st.sampled_from([0.0, 5.0]),
)
def test_whatever_is_ordered_it_goes_on_within_its_bounds(
    orders: list[tuple[float, str, float]], max_rate: float
) -> None:
    """Any orders: no jump of the temperature, power within 0 and 1, nothing beyond ambient and full power; and another
    that nobody looks at meanwhile goes the same way.
    """
    clock, plant, loop = furnace(max_rate=max_rate)
    unseen_clock, unseen, beside = furnace(max_rate=max_rate)
    for wait, what, value in orders:
        unseen_clock.at = clock.at
        for each in (loop, beside):
            _give(each, what, value)
        before = plant.temperature()
        clock.at += 1e-3
        assert abs(plant.temperature() - before) < 0.01
        clock.at += wait
        assert AMBIENT - 1e-6 <= plant.temperature() <= AMBIENT + GAIN
        assert 0 <= loop.output <= 1
    assert len(plant._legs) < 20 * (len(orders) + 1)
    unseen_clock.at = clock.at
    assert unseen.temperature() == pytest.approx(plant.temperature(), abs=1e-6)
    clock.at += 1e6
    if not loop._heating:
        assert plant.temperature() == pytest.approx(AMBIENT)
    elif not loop.manual and 30 <= loop.target <= 600:
        assert plant.temperature() == pytest.approx(loop.target, abs=0.01)


def test_ten_hours_cost_nothing() -> None:
    """A gap of ten hours with a ramp, a dwell and a cooling in it is worked out within a millisecond."""
    clock, plant, loop = furnace()
    loop.rate = 2.0
    loop.retarget(600.0)
    loop.retarget_at(6 * HOURS, 100.0)
    begin = time.process_time()
    for _ in range(20):
        clock.at += 10 * HOURS
        plant.temperature()
        loop.retarget(600.0)
        loop.retarget_at(clock.at + 6 * HOURS, 100.0)
    assert (time.process_time() - begin) / 20 < 5e-3


def test_the_past_of_a_film() -> None:
    """What it was like, from any moment to any other, though nobody looked; and a rate integrated over it."""
    seen, plant = _follow(np.array([0.0, 40000.0]))
    times, temperatures = plant.history(100.0, 39000.0, 7.0)
    assert (times[0], times[-1], times.shape) == (100.0, 39000.0, temperatures.shape)
    assert np.diff(times).max() <= 7.0
    assert temperatures == pytest.approx(_follow(times)[0], abs=1e-6)

    def rate(celsius: Array) -> Array:
        return np.asarray(1e9 * np.exp(-1.4 / (8.617e-5 * (celsius + 273.15))))

    times, temperatures = plant.history(100.0, 39000.0, 0.2)
    expected = np.trapezoid(rate(temperatures), times)
    assert plant.integrate(rate, 100.0, 39000.0) == pytest.approx(expected, rel=1e-5)
    parts = [plant.integrate(rate, begin, begin + 3890.0) for begin in np.arange(100.0, 39000.0, 3890.0)]
    assert sum(parts) == pytest.approx(expected, rel=1e-5)
    assert plant.integrate(np.ones_like, 100.0, 39000.0) == pytest.approx(38900.0)
    assert plant.integrate(rate, 500.0, 500.0) == 0.0
    assert seen.shape == (2,)


def test_the_past_ends_where_memory_does() -> None:
    """Memory is bounded; a span that is forgotten, or lies in the future, is refused and not made up."""
    clock = Hands()
    plant = FirstOrderPlant(clock, memory=8)
    for power in range(30):
        clock.at += 10.0
        plant.set_power(power % 2)
    assert len(plant._legs) == 8
    first = plant._legs[0].start
    plant.history(first, 300.0)
    for start, end in ((first - 1.0, 300.0), (290.0, 301.0), (280.0, 270.0)):
        with pytest.raises(ValueError, match=r"lab times .* are not within .* s to 300 s"):
            plant.history(start, end)
        with pytest.raises(ValueError, match="are not within"):
            plant.integrate(np.ones_like, start, end)


def test_a_governed_plant_takes_its_power_from_its_controller() -> None:
    """Two who set the power of one plant would be one too many."""
    _, plant, _ = furnace()
    with pytest.raises(RuntimeError, match="a controller governs this plant"):
        plant.set_power(1.0)


@settings(max_examples=200, deadline=None)
@given(
    level=st.floats(-5, 5), slope=st.floats(-0.1, 0.1), swing=st.floats(-5, 5), theta=st.floats(1, 1000),
    horizon=st.floats(1, 1e5),
)  # fmt: skip
def test_crossings_are_the_first(level: float, slope: float, swing: float, theta: float, horizon: float) -> None:
    """No earlier moment lies above the bound, and right after the crossing it does."""
    course = Course(level, slope, swing, theta)
    found = course.rises_over(1.0, horizon)
    grid = np.linspace(0, min(horizon, found), 500)
    inside = grid[grid < found * (1 - 1e-6)] if math.isfinite(found) else grid
    assert not np.any(course.values(inside) > 1.0 + 1e-9)
    if math.isfinite(found):
        assert course.at(found) > 1.0 - 1e-6


def test_a_plant_of_its_own_kind_is_regulated_by_ticks() -> None:
    """What acts at the present only, as the heated block of silver-flow does, is stepped as it goes."""

    class Block:
        def temperature(self) -> float:
            return 25.0

        def set_power(self, fraction: float) -> None:
            self.power = fraction

    clock = LabClock(100.0)
    assert isinstance(loop_for(Block(), clock), ControlLoop)
    assert HeaterServer(Probe("h"), clock, Block()).loop.ticks
    assert not HeaterServer(Probe("h"), clock).loop.ticks


def test_the_timer_counts_lab_time() -> None:
    """Run, hold, run on, end, reset; an order that makes no difference makes none."""
    clock = Hands()
    timer = DwellTimer(clock)
    timer.duration = 100
    assert (timer.status, timer.elapsed, timer.ends) == (0, 0, None)
    timer.command(2)
    assert timer.status == 0
    timer.command(1)
    clock.at = 30.0
    timer.command(1)
    assert (timer.status, timer.elapsed, timer.ends) == (1, 30, 100)
    timer.command(2)
    clock.at = 1000.0
    assert (timer.status, timer.elapsed, timer.ends) == (2, 30, None)
    timer.command(1)
    assert timer.ends == 1070.0
    clock.at = 1070.0
    assert (timer.status, timer.elapsed) == (3, 100)
    timer.command(1)
    assert timer.status == 3
    timer.command(0)
    assert (timer.status, timer.elapsed) == (0, 0)


async def test_no_frame_closes_the_connection(dial: Callable[[str], Awaitable[Any]]) -> None:
    """A header that announces nothing is no Modbus: the connection ends, and the next one is served."""
    server = HeaterServer(Probe("h"), LabClock(100.0))
    address = await server.start()
    try:
        broken = await dial(address)
        broken.send(bytes(7))
        assert await broken._reader.read() == b""
        assert await (await dial(address)).modbus(3, Register.TARGET, 1) == [200]
    finally:
        await server.stop()


async def test_the_timer_over_modbus(dial: Callable[[str], Awaitable[Any]]) -> None:
    """Registers of the handbook; what makes no sense is exception 3; the dead man's switch holds the timer."""
    clock = LabClock(100.0)
    server = FurnaceServer(Probe("f", clock.now), clock, furnace_plant(clock), high=500.0)
    line = await dial(await server.start())
    try:
        for register, value in (
            (TimerRegister.DURATION, 0), (TimerRegister.DURATION, 6000), (TimerRegister.STATUS, 3),
            (TimerRegister.END_TYPE, 4), (TimerRegister.SETPOINT_2, 5001), (Register.TARGET, 5001),
        ):  # fmt: skip
            assert await line.modbus(16, register, value) == [-3], register
        assert await line.modbus(16, TimerRegister.ELAPSED, 1) == [-2]
        assert server.probe.log == []
        assert await line.modbus(16, TimerRegister.DURATION, 500) == []
        assert await line.modbus(16, TimerRegister.SETPOINT_2, 450) == []
        assert await line.modbus(16, TimerRegister.END_TYPE, EndType.SETPOINT_2) == []
        assert await line.modbus(16, Register.TARGET, 3000) == []
        assert await line.modbus(16, TimerRegister.STATUS, 1) == []
        assert await line.modbus(16, TimerRegister.DURATION, 400) == [-3]
        duration, elapsed, remaining = await line.modbus(3, TimerRegister.DURATION, 3)
        assert (duration, elapsed + remaining) == (500, 500)
        await server.make_safe()
        assert (server.loop.manual, server.loop.output, server.timer.status) == (True, 0.0, 2)
        await clock.sleep(20.0)
        assert await line.modbus(3, TimerRegister.STATUS, 1) == [2]
    finally:
        await server.stop()
