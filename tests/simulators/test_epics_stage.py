"""The simulated stage against clients of others: caproto's own, and the motor of ophyd-async as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from ophyd_async.epics.motor import Motor

from sdl.devices._epics_ca import CaLink
from sdl.devices._epics_motion import travel_time, travelled
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.epics_stage import EJECT, StageIoc
from sdl.virtual import VirtualClock, VirtualLoop

Ask = Callable[..., Awaitable[Any]]


class Plant:
    """Notes where the stage came to rest."""

    def __init__(self) -> None:
        self.rests: list[float] = []

    def moved(self, position_mm: float) -> None:
        self.rests.append(position_mm)


class Bench:
    """A stage without a driver."""

    def __init__(self, clock: Any = None) -> None:
        self.plant, self.clock = Plant(), clock or LabClock(100.0)
        self.ioc = StageIoc(self.plant, Probe("stage", self.clock.now), self.clock)

    async def start(self) -> Bench:
        self.address = await self.ioc.start()
        self.link = CaLink(self.address, lambda: "stage", 2.0)
        return self

    async def stop(self) -> None:
        self.link.drop()
        await self.ioc.stop()


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """The library keeps threads and sockets of its own as long as the process lives; here they begin."""

    async def use() -> None:
        bench = await Bench().start()
        await bench.link.open()
        await bench.link.get(".RBV")
        await bench.stop()

    asyncio.run(use())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A stage that listens."""
    bench = await Bench().start()
    await bench.link.open()
    yield bench
    bench.ioc.probe.faults.clear()
    await bench.stop()


@pytest.fixture
def caproto_client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> tuple[Ask, Ask]:
    """Gets and puts by caproto's client, which finds the IOC by searching its port."""
    from caproto.sync import client

    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "127.0.0.1")
    monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
    monkeypatch.setenv("EPICS_CA_SERVER_PORT", str(bench.link.address.port))

    async def get(field: str) -> Any:
        name = bench.link.name_of(field)
        return (await asyncio.to_thread(client.read, name, timeout=5, repeater=False)).data[0]

    async def put(field: str, value: Any) -> None:
        name = bench.link.name_of(field)
        await asyncio.to_thread(client.write, name, value, notify=True, timeout=5, repeater=False)

    return get, put


async def test_a_client_of_caproto_finds_and_moves_it(bench: Bench, caproto_client: tuple[Ask, Ask]) -> None:
    """Searched for over UDP, as any EPICS client does; the put is answered when the stage has arrived."""
    get, put = caproto_client
    await put("", 42.0)
    assert await get(".RBV") == 42.0
    assert (await get(".EGU"), await get(".DMOV"), await get(".VAL")) == (b"mm", 1, 42.0)
    assert bench.plant.rests == [42.0]


async def test_the_motor_of_ophyd_async_works_as_it_comes(bench: Bench) -> None:
    """All its signals connect, and `set` with its own limits, time-outs and put completion arrives."""
    motor = Motor(f"ca://{bench.link.address.prefix}", name="motor")
    await motor.connect()
    await motor.set(10.0)
    assert (await motor.read())["motor"]["value"] == 10.0
    values: list[float] = []
    motor.user_readback.subscribe_reading(lambda reading: values.append(reading["motor"]["value"]))
    await motor.set(20.0)
    for _ in range(100):
        if values[-1:] == [20.0]:
            break
        await asyncio.sleep(0.01)
    assert values[-1] == 20.0
    motor.user_readback.clear_sub(next(iter(motor.user_readback._cache._listeners)))  # type: ignore[union-attr]


async def test_the_record_enforces_its_own_limits(bench: Bench) -> None:
    """A position outside sets LVIO and is forgotten, as in the motor record; nothing moves."""
    await bench.link.send(".VAL", 200.0)
    assert await bench.link.get(".LVIO", ".VAL", ".DMOV", ".RBV") == [1, 0.0, 1, 0.0]
    await bench.link.send(".HLM", 50.0)
    await bench.link.send(".VAL", 60.0)
    assert await bench.link.get(".LVIO", ".RBV") == [1, 0.0]
    await bench.link.send(".VAL", 40.0)
    assert (await bench.link.get(".LVIO"))[0] == 0
    assert [entry["action"] for entry in bench.ioc.probe.log][:1] == ["move"]


async def test_values_that_are_read_only_stay(bench: Bench) -> None:
    """A put to the readback or to the counter changes nothing."""
    for field in (".RBV", ":EJECTED", ".DMOV"):
        with contextlib.suppress(Exception):
            await bench.link.send(field, 7)
    assert await bench.link.get(".RBV", ":EJECTED", ".DMOV") == [0.0, 0, 1]


async def test_it_moves_while_it_is_looked_at(bench: Bench) -> None:
    """The readback is between start and target on the way, DMOV 0 and MOVN 1."""
    bench.clock.speed = 20.0
    await bench.link.send(".VAL", 100.0)
    await asyncio.sleep(0.05)
    still, moving, here = await bench.link.get(".DMOV", ".MOVN", ".RBV")
    assert (still, moving) == (0, 1)
    assert 0 < here < 100
    await bench.link.send(".STOP", 1)
    still, setpoint, here = await bench.link.get(".DMOV", ".VAL", ".RBV")
    assert still == 1
    assert setpoint == here == bench.plant.rests[-1]
    assert 0 < here < 100


async def test_a_new_target_on_the_way(bench: Bench) -> None:
    """The motor turns to the new one from where it is."""
    bench.clock.speed = 20.0
    await bench.link.send(".VAL", 100.0)
    await asyncio.sleep(0.05)
    await bench.link.send(".VAL", 0.0)
    for _ in range(300):
        if not bench.ioc.moving:
            break
        await asyncio.sleep(0.01)
    assert bench.plant.rests == [0.0]


async def test_the_stop_button_of_the_record(bench: Bench) -> None:
    """SPMG at Stop stops the motor and takes no new positions until it is at Go."""
    bench.clock.speed = 20.0
    await bench.link.send(".VAL", 100.0)
    await bench.link.send(".SPMG", "Stop")
    (still,) = await bench.link.get(".DMOV")
    assert still == 1
    await bench.link.send(".VAL", 50.0)
    assert (await bench.link.get(".DMOV"))[0] == 1
    await bench.link.send(".SPMG", "Go")
    await bench.link.send(".VAL", 50.0)
    assert (await bench.link.get(".DMOV"))[0] == 0


async def test_coming_to_the_ejector_is_counted(bench: Bench) -> None:
    """The plant hears of each arrival, the counter only of those at the ejector, from where the stage goes home."""
    for position, rest in ((10.0, 10.0), (EJECT, 0.0), (20.0, 20.0), (EJECT, 0.0)):
        await bench.link.send(".VAL", position)
        await _still(bench)
        assert await bench.link.get(".VAL", ".RBV", ".DMOV") == [rest, rest, 1]
    assert bench.plant.rests == [10.0, EJECT, 0.0, 20.0, EJECT, 0.0]
    assert (await bench.link.get(":EJECTED"))[0] == bench.ioc.ejected == 2
    assert [entry["count"] for entry in bench.ioc.probe.log if entry["action"] == "eject"] == [1, 2]


async def _still(bench: Bench) -> None:
    """Wait until what was asked for has been done."""
    await bench.link.get(".DMOV")
    while bench.ioc.moving:
        await asyncio.sleep(0.005)


async def test_it_moves_until_it_is_home(bench: Bench) -> None:
    """DMOV is 0 on the way to the ejector and on the way from there, and a new target ends the way home."""
    bench.clock.speed = 20.0
    await bench.link.send(".VAL", EJECT)
    while not bench.ioc.ejected:
        await asyncio.sleep(0.005)
    assert (await bench.link.get(".DMOV"))[0] == 0
    await bench.link.send(".VAL", 30.0)
    await _still(bench)
    assert bench.ioc.position == 30.0
    assert bench.plant.rests == [EJECT, 30.0]


async def test_a_stop_at_the_ejector_drops_nothing(bench: Bench) -> None:
    """Only an arrival there does: what was put onto the stage meanwhile stays on it, and is not counted."""
    bench.clock.speed = 20.0
    await bench.link.send(".VAL", EJECT)
    while not bench.ioc.ejected:
        await asyncio.sleep(0.001)
    bench.ioc.probe.faults.inject("stuck")
    await bench.link.send(".STOP", 1)
    stood = bench.ioc.position
    bench.ioc.probe.faults.clear()
    await bench.link.send(".STOP", 1)
    await bench.link.get(".DMOV")
    assert bench.plant.rests.count(EJECT) == bench.ioc.ejected == 1
    assert bench.plant.rests[-1] == min(stood, EJECT - 1)


async def test_a_motor_that_is_stopped_as_it_leaves_drops_nothing(bench: Bench) -> None:
    """From where it stands at the ejector a move that is stopped at once has gone nowhere, and nothing falls."""
    bench.ioc._position = EJECT
    bench.ioc.probe.faults.inject("stuck")
    await bench.link.send(".VAL", 50.0)
    await bench.link.send(".STOP", 1)
    await bench.link.get(".DMOV")
    assert (bench.plant.rests, bench.ioc.ejected) == ([EJECT - 1], 0)
    assert [entry["action"] for entry in bench.ioc.probe.log] == ["move", "stop"]


async def test_a_client_that_ends_does_not_stop_the_motor(bench: Bench) -> None:
    """As with a real IOC: what was begun goes on."""
    await bench.link.send(".VAL", 100.0)
    await bench.link.get(".DMOV")
    bench.link.drop()
    for _ in range(300):
        if bench.plant.rests:
            break
        await asyncio.sleep(0.01)
    assert bench.plant.rests == [100.0]


async def test_its_log_is_of_plain_values(bench: Bench) -> None:
    """The truth is written as JSON."""
    await bench.link.send(".VAL", 12.5)
    await bench.link.get(".DMOV")
    assert [type(value) for value in bench.ioc.probe.log[0].values()] == [float, int, str, str, float, float]


@pytest.mark.parametrize("distance", [0.0, 0.5, 4.0, -118.0, 118.0])
def test_motion_is_smooth_and_ends_where_it_should(distance: float) -> None:
    """From rest to rest, never faster than the velocity, the second half as the first."""
    velocity, ramp = 20.0, 0.2
    whole = travel_time(distance, velocity, ramp)
    steps = [travelled(distance, velocity, ramp, whole * n / 200) for n in range(201)]
    assert steps[0] == 0
    assert steps[-1] == distance
    for n in range(200):
        assert abs(steps[n + 1] - steps[n]) <= velocity * whole / 200 * (1 + 1e-9)
        assert steps[n] + steps[200 - n] == pytest.approx(distance)


def test_it_needs_no_time_of_its_own_while_it_stands() -> None:
    """Days of virtual time without a move cost no look at all: nothing ticks."""
    loop = VirtualLoop()

    async def stand() -> None:
        bench = await Bench(VirtualClock(loop)).start()
        await bench.link.open()
        await bench.link.get(".RBV")
        jumps = loop.jumps
        await bench.clock.sleep(3 * 86400)
        assert loop.jumps - jumps <= 5
        await bench.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(stand())
