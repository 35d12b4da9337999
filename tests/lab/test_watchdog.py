"""The watchdog on simulated instruments: real servers on loopback, real connections, its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdl.devices.modbus_heater import ModbusHeater, Register
from sdl.devices.ne1000 import Ne1000Pump
from sdl.lab.clock import LabClock
from sdl.lab.interlocks import Trip
from sdl.lab.labfile import load_lab
from sdl.lab.watchdog import Watchdog, attach
from sdl.model import InputError
from sdl.simulators._faults import Probe
from sdl.simulators.heater import HeaterServer
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump

LAB = """\
name: hot
devices:
  heater: {{driver: modbus_heater, address: "{heater}", options: {{timeout: 0.5}}}}
  pump: {{driver: ne1000_pump, address: "{pump}", options: {{timeout: 0.5}}}}
  idle: {{driver: "plans.py:Unbuildable"}}
stations:
  reactor: {{devices: [heater, idle]}}
  flow: {{devices: [pump]}}
procedures:
  none: {{steps: [{{name: a, station: flow, plan: "plans.py:nothing"}}], analysis: {{name: "plans.py:nothing"}}}}
interlocks:
{interlocks}
"""
HOT = '  hot: "heater.temperature < 60 degC"\n'
FAST = '  fast: {require: "pump.rate <= 200 uL/min", stations: [flow, reactor]}\n'
CODE = """\
class Unbuildable:
    def __init__(self):
        raise AssertionError("only devices with an interlock are built")


def nothing():
    yield
"""


class Plant:
    """Something that is as hot as it is told to be."""

    def __init__(self) -> None:
        self.now = 22.0

    def temperature(self) -> float:
        return self.now

    def set_power(self, fraction: float) -> None:
        return None


class Bench:
    """Two instruments, a lab file about them, and what its watchdog has told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = LabClock(1000.0)
        self.plant = Plant()
        self.heater = HeaterServer(Probe("heater", self.clock.now), self.clock, self.plant)
        self.pump = SimulatedPump(Probe("pump", self.clock.now), self.clock)
        self.pumps = Ne1000Server({0: self.pump})
        self.told: list[list[Trip]] = []
        self.threads: set[str] = set()

    async def start(self) -> None:
        self.addresses = {"heater": await self.heater.start(), "pump": await self.pumps.start() + "/0"}
        (self.folder / "plans.py").write_text(CODE)

    async def stop(self) -> None:
        await self.heater.stop()
        await self.pumps.stop()

    def hear(self, trips: list[Trip]) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.append(trips)

    def watchdog(self, declared: str, **options: Any) -> Watchdog:
        path = self.folder / "lab.yaml"
        path.write_text(LAB.format(interlocks=declared or "  {}", **self.addresses))
        given = {"interval": 0.02, "grace": 1.0, "on_trip": self.hear, **options}
        return Watchdog(load_lab(path), {}, self.clock, given.pop("on_trip"), **given)

    @property
    def texts(self) -> list[str]:
        return [trip.text for trips in self.told for trip in trips]


def _sockets() -> int:
    targets = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            targets.append(os.readlink(f"/proc/self/fd/{entry}"))
    return sum(target.startswith("socket:") for target in targets)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench; the test that leaves a watchdog's thread or socket behind fails."""
    before = _sockets()
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name == "watchdog"] == []
    for _ in range(100):
        if _sockets() <= before:
            return
        await asyncio.sleep(0.01)
    pytest.fail("a socket was left behind")


async def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> float:
    """Wait for a condition, while the instruments go on answering; return the wall seconds it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"waited in vain: {what}"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun


@contextlib.asynccontextmanager
async def watching(dog: Watchdog) -> AsyncIterator[Watchdog]:
    """Start it and wait for its first verdicts; stop it without holding up the instruments."""
    dog.start()
    try:
        await until(dog.ready.is_set, "the first look")
        yield dog
    finally:
        await asyncio.to_thread(dog.stop)
        assert not dog.alive


async def test_a_trip_is_told_once_until_it_has_cleared(bench: Bench) -> None:
    """Crossing the limit is told within a look or two, once; crossing it again after it has cleared, again."""
    async with watching(bench.watchdog(HOT)) as dog:
        assert (dog.trips, bench.told) == ((), [])
        for turn in (1, 2):
            bench.plant.now = 61.3
            assert await until(lambda: dog.trips, "a trip") < 1
            await asyncio.sleep(0.2)
            assert bench.texts == ["hot: heater.temperature is 61.3 degC, must be < 60 degC"] * turn
            (trip,) = dog.trips
            assert (trip.kind, trip.stations, trip.value) == ("violated", ("reactor",), 61.3)
            bench.plant.now = 59.0
            await until(lambda: not dog.trips, "the end of the trip")
    assert bench.threads == {"watchdog"}


async def test_several_interlocks(bench: Bench) -> None:
    """Interlocks of one signal are told together, those of another on their own, each with its stations."""
    warm = '  warm: {require: "heater.temperature <= 334 K", message: open the window}\n'
    await (driver := Ne1000Pump(bench.addresses["pump"], name="pump", clock=bench.clock, max_rate=500)).connect()
    async with watching(bench.watchdog(HOT + warm + FAST)) as dog:
        await driver.rate.set(250.0)
        await until(lambda: bench.told, "the pump's trip")
        assert [(t.interlock, t.text, t.stations) for t in bench.told.pop()] == [
            ("fast", "fast: pump.rate is 250 uL/min, must be <= 200 uL/min", ("flow", "reactor"))
        ]
        bench.plant.now = 70.0
        await until(lambda: bench.told, "the heater's trips")
        assert [t.interlock for t in bench.told.pop()] == ["hot", "warm"]
        assert {t.interlock for t in dog.trips} == {"hot", "warm", "fast"}
    await driver.stop()
    await driver.close()


async def test_it_disturbs_nothing(bench: Bench) -> None:
    """A pump that delivers and a heater that heats go on as they were: only queries are sent."""
    pump = Ne1000Pump(bench.addresses["pump"], name="pump", clock=bench.clock, watchdog=60, diameter=4.7)
    heater = ModbusHeater(bench.addresses["heater"], name="heater", clock=bench.clock, ramp=3.0)
    await asyncio.gather(pump.connect(), heater.connect())
    await heater.write_setpoint(40.0)
    await pump.rate.set(150.0)
    registers = [Register.TARGET, Register.RATE, Register.MANUAL]
    before = [await heater.link.read(register) for register in registers]
    acted = len(bench.pump.probe.log), len(bench.heater.probe.log)
    async with watching(bench.watchdog(HOT + FAST)):
        await asyncio.sleep(0.3)
        assert (len(bench.pump.probe.log), len(bench.heater.probe.log)) == acted
    assert (bench.pump.watchdog, bench.pump.diameter, await pump.rate.get_value()) == (60, 4.7, 150.0)
    assert [await heater.link.read(register) for register in registers] == before
    assert bench.told == []
    await pump.stop()
    await asyncio.gather(pump.close(), heater.close())


async def test_a_pump_in_basic_mode(bench: Bench) -> None:
    """The mode in which a pump listens is found out and left as it is, and found out again when it has changed."""
    await (driver := Ne1000Pump(bench.addresses["pump"], name="pump", clock=bench.clock, watchdog=0)).connect()
    async with watching(bench.watchdog(FAST, grace=0.5)) as dog:
        assert dog.trips == ()
        assert bench.pump.watchdog == 0
        bench.pump.watchdog = 60  # as when somebody has set it at its keypad
        await until(lambda: bench.told, "a trip")
        await until(lambda: not dog.trips, "the end of the trip")
        assert bench.pump.watchdog == 60
    await driver.close()


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "refuse"])
async def test_one_failure_is_none(bench: Bench, kind: str) -> None:
    """A single request that goes wrong is nothing; the connection is taken up again."""
    async with watching(bench.watchdog(HOT, grace=1.5)) as dog:
        bench.heater.probe.faults.inject(kind, count=1)
        await asyncio.sleep(1.0)
        assert bench.told == []
        bench.plant.now = 99.0
        await until(lambda: dog.trips, "a trip over a connection that works again")


async def test_one_failure_is_none_however_seldom_it_looks(bench: Bench) -> None:
    """Where the next look comes later than the grace, a single failure is nothing all the same."""
    async with watching(bench.watchdog(HOT, interval=0.6, grace=0.5)):
        bench.heater.probe.faults.inject("refuse", count=1)
        await asyncio.sleep(1.5)
        assert bench.told == []


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage", "refuse"])
async def test_an_instrument_that_does_not_answer(bench: Bench, kind: str) -> None:
    """No reading for the grace is a trip with the reason; it clears when the instrument answers again."""
    async with watching(bench.watchdog(HOT, grace=0.5)) as dog:
        bench.heater.probe.faults.inject(kind)
        took = await until(lambda: dog.trips, "a trip")
        assert 0.4 < took < 2.0
        (trip,) = dog.trips
        assert trip.kind == "unreadable"
        assert trip.text.startswith("hot: heater.temperature cannot be read (no reading for ")
        assert trip.text.endswith("), must be < 60 degC")
        await asyncio.sleep(0.5)
        assert len(bench.told) == 1
        bench.plant.now = 75.0
        bench.heater.probe.faults.clear()
        await until(lambda: len(bench.told) == 2, "the violation behind the silence")
        assert bench.texts[1] == "hot: heater.temperature is 75 degC, must be < 60 degC"
        bench.plant.now = 22.0
        await until(lambda: not dog.trips, "the end of the trip")


async def test_a_process_that_stood_still(bench: Bench) -> None:
    """When the watchdog itself was held up for longer than the grace, the instrument is not blamed."""
    bench.heater.latency = 0.05  # so that a request is under way at any time
    held = iter([0.0] * 5 + [1.2])

    def stopped() -> None:
        time.sleep(next(held, 0.0))

    async with watching(bench.watchdog(HOT, grace=0.5, stopped=stopped)):
        await asyncio.sleep(2.0)
    assert next(held, None) is None
    assert bench.told == []


async def test_an_instrument_that_is_not_there_from_the_start(bench: Bench) -> None:
    """It is a trip after the grace; the other instruments are watched all the same."""
    await bench.heater.stop()
    await (driver := Ne1000Pump(bench.addresses["pump"], name="pump", clock=bench.clock, max_rate=500)).connect()
    async with watching(bench.watchdog(HOT + FAST)) as dog:
        assert [(t.interlock, t.kind) for t in dog.trips] == [("hot", "unreadable")]
        await driver.rate.set(250.0)
        await until(lambda: len(dog.trips) == 2, "the pump's trip")
    await driver.stop()
    await driver.close()


async def test_a_hung_instrument_does_not_hide_another(bench: Bench) -> None:
    """While one instrument hangs, a violation on another is told as soon as ever."""
    await (driver := Ne1000Pump(bench.addresses["pump"], name="pump", clock=bench.clock)).connect()
    async with watching(bench.watchdog(HOT + FAST, grace=20.0)) as dog:
        bench.pump.probe.faults.inject("hang")
        await asyncio.sleep(0.1)
        assert dog.trips == ()
        bench.plant.now = 90.0
        assert await until(lambda: dog.trips, "a trip") < 0.5
        assert [trip.interlock for trip in dog.trips] == ["hot"]
    await driver.close()


async def test_a_broken_sensor(bench: Bench) -> None:
    """A heater that says that its sensor is broken gives no reading, and the trip says why."""
    async with watching(bench.watchdog(HOT)) as dog:
        bench.heater.sensor_break = True
        await until(lambda: dog.trips, "a trip")
        assert "the controller reports that its sensor is broken" in dog.trips[0].text


async def test_a_signal_that_there_is_not(bench: Bench) -> None:
    """What the lab file gets wrong and only the device can tell is a trip at once, never silence."""
    async with watching(bench.watchdog('  odd: "heater.temprature < 60 degC"\n')) as dog:
        assert [trip.text for trip in dog.trips] == [
            "odd: heater.temprature cannot be read (device 'heater' has no signal 'temprature'; did you mean "
            "'temperature'?), must be < 60 degC"
        ]


async def test_a_request_to_stop(bench: Bench) -> None:
    """Somebody's request to stop is told once, with its reason, also where there are no interlocks."""
    mark: list[str] = []
    async with watching(bench.watchdog("", stopped=lambda: mark[0] if mark else None)) as dog:
        await asyncio.sleep(0.1)
        assert bench.told == []
        mark.append("smoke, says ada")
        assert await until(lambda: bench.told, "the request") < 1
        await asyncio.sleep(0.1)
        assert bench.told == [[Trip("", "smoke, says ada", "stopped")]]
        mark.clear()
        await until(lambda: not dog.trips, "the end of the request")


async def test_a_request_that_cannot_be_told(bench: Bench) -> None:
    """When nobody can say whether to stop, that is told as a request."""

    def stopped() -> str | None:
        raise PermissionError("not yours")

    async with watching(bench.watchdog("", stopped=stopped)):
        await until(lambda: bench.told, "the request")
    assert bench.texts == ["whether to stop cannot be told (PermissionError: not yours)"]


async def test_a_trip_that_nobody_takes_is_told_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """When whoever is told fails, it is told again at the next look, and the watchdog goes on."""
    calls: Iterator[int] = iter(range(100))

    def refuse(trips: list[Trip]) -> None:
        if next(calls) < 3:
            raise RuntimeError("not now")
        bench.hear(trips)

    bench.plant.now = 80.0
    async with watching(bench.watchdog(HOT, on_trip=refuse)):
        await until(lambda: bench.told, "the trip")
        await asyncio.sleep(0.1)
    assert len(bench.told) == 1
    assert caplog.text.count("nobody took the trip: hot: heater.temperature is 80 degC") == 3


async def test_a_watchdog_that_breaks_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog never ends in silence: its own failure is a trip of every station."""

    async def broken(self: Any) -> None:
        raise MemoryError("no more")

    dog = bench.watchdog(HOT)
    monkeypatch.setattr("sdl.lab.watchdog._Eye.look", broken)
    dog.start()
    await until(lambda: bench.told, "the failure")
    await until(lambda: not dog.alive, "the end")
    ((trip,),) = bench.told
    assert (trip.kind, trip.stations) == ("failed", ())
    assert trip.text.startswith("the watchdog failed (MemoryError: no more), so nobody looks at the interlocks")
    dog.stop()


async def test_stopping(bench: Bench) -> None:
    """It stops within a moment, also while an instrument hangs, twice, unstarted, and from inside its own call."""
    unstarted = bench.watchdog(HOT)
    unstarted.stop()
    dog = bench.watchdog(HOT, grace=20.0)
    bench.heater.probe.faults.inject("hang")
    dog.start()
    begun = time.monotonic()
    for _ in range(2):
        await asyncio.to_thread(dog.stop)
    assert time.monotonic() - begun < 1
    bench.heater.probe.faults.clear()
    bench.plant.now = 90.0
    suicidal: list[Watchdog] = []
    suicidal.append(bench.watchdog(HOT, on_trip=lambda trips: suicidal[0].stop()))
    suicidal[0].start()
    await until(lambda: not suicidal[0].alive, "the end")


async def test_a_blocked_loop_is_watched_all_the_same(bench: Bench) -> None:
    """The watchdog does not need the event loop of whoever started it."""
    mark: list[str] = []
    with bench.watchdog("", stopped=lambda: mark[0] if mark else None) as dog:
        mark.append("now")
        deadline = time.monotonic() + 5
        while not dog.trips and time.monotonic() < deadline:
            time.sleep(0.005)  # this loop answers nobody meanwhile
        assert bench.texts == ["now"]


async def test_interlocks_that_cannot_be_used(bench: Bench) -> None:
    """A driver that refuses its options is told when the watchdog is made, with its line."""
    path = bench.folder / "lab.yaml"
    path.write_text(LAB.format(interlocks=HOT, **bench.addresses).replace("timeout: 0.5", "timeout: 0.5, low: x", 1))
    with pytest.raises(InputError, match=r"lab\.yaml:3: devices\.heater: 'x' is not a finite number"):
        Watchdog(load_lab(path), {}, bench.clock, bench.hear)


async def test_some_of_the_interlocks(bench: Bench) -> None:
    """A process that has one station looks at its interlocks alone, and reaches for no other instrument."""
    await bench.pumps.stop()
    everything = bench.watchdog(HOT + FAST)
    mine = [item for item in everything.interlocks if item.device == "heater"]
    async with watching(bench.watchdog(HOT + FAST, interlocks=mine)) as dog:
        assert (list(everything.devices), list(dog.devices)) == (["heater", "pump"], ["heater"])
        assert dog.trips == ()
        bench.plant.now = 61.0
        await until(lambda: dog.trips, "a trip")


class Attachable(ModbusHeater):
    """A driver with an `attach` of its own."""

    attached = begun = 0

    async def attach(self) -> None:
        self.attached += 1

    async def begin(self) -> None:
        self.begun += 1


async def test_attaching(bench: Bench) -> None:
    """A driver's own `attach` is used where there is one; `connect`, which sets the instrument up, never is."""
    device = Attachable(bench.addresses["heater"], name="heater")
    await attach(device)
    assert (device.attached, device.begun) == (1, 0)
    log: list[str] = []

    class Plain(ModbusHeater):
        async def connect(self, *args: Any, **options: Any) -> None:
            log.append("connect")

    await attach(Plain(bench.addresses["heater"], name="heater"))
    await attach(object())
    assert log == []
