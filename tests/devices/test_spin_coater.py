"""The spin coater's driver against its simulated instrument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine

from sdl.devices import LimitError
from sdl.devices.spin_coater import SpinCoater
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, _current, acts_of, find_target
from sdl.lab.stopcards import device_stops, press, read_cards, write_card
from sdl.lab.watchdog import attach
from sdl.model import Fault, Refusal
from sdl.protocols import ActionRecord, Acts, Clock, Effect
from sdl.simulators._faults import Probe
from sdl.simulators.spin_coater import CoaterMemory, SmallPlant, SpinCoaterServer
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.3
FILM = {"rpm": 3000, "seconds": 30, "acceleration": 2000}


class Book:
    """One action: what its driver put on record."""

    def __init__(self, path: str, id_: str = "c/1/coat/1") -> None:
        self.id, self.path = id_, path
        self.carried: dict[str, Any] = {}
        self.evidence: dict[str, Any] = {}
        self.armed = False

    async def perform(self, coater: SpinCoater, *args: Any) -> None:
        """Try once."""
        self.evidence, self.armed = {}, False

        async def arm(evidence: Mapping[str, Any]) -> None:
            self.evidence |= evidence
            self.armed = True

        token = _current.set(Action(self.id, self.carried, arm, self.evidence.update))
        try:
            part = getattr(coater, self.path)
            status = part.set(*args) if args else part.trigger()
        finally:
            _current.reset(token)
        await status

    def record(self) -> ActionRecord:
        """As the journal has it."""
        arguments: dict[str, Any] = {"args": [], "kwargs": {}}
        evidence = {**self.carried, **self.evidence}
        effect = Effect.NON_REPEATABLE
        return ActionRecord(self.id, "coater", self.path, "set", arguments, effect, self.armed, evidence)


class Rig:
    """A coater with its driver."""

    def __init__(self, clock: Clock | None = None, *, substrates: int = 5, deadman: float | None = None) -> None:
        self.clock = clock or LabClock(200.0)
        self.plant, self.memory = SmallPlant(substrates), CoaterMemory()
        self.server = self.machine_of(deadman)

    def machine_of(self, deadman: float | None = None) -> SpinCoaterServer:
        """A coater with the memory and the world that there are."""
        probe = Probe("coater", self.clock.now)
        return SpinCoaterServer(probe, self.clock, self.plant, memory=self.memory, deadman=deadman)

    @property
    def faults(self) -> Any:
        return self.server.probe.faults

    @property
    def log(self) -> list[dict[str, Any]]:
        return self.server.probe.log

    def did(self, action: str) -> list[dict[str, Any]]:
        """What it did of one kind."""
        return [entry for entry in self.log if entry["action"] == action]

    async def start(self, **options: Any) -> None:
        self.address = await self.server.start()
        self.coater = await self.driver(**options)

    async def driver(self, **options: Any) -> SpinCoater:
        """A connected driver."""
        coater = SpinCoater(self.address, name="coater", clock=self.clock, timeout=TIMEOUT, **options)
        await coater.connect()
        return coater

    async def restart(self) -> None:
        """The process ends, and another one connects."""
        await self.coater.close()
        self.coater = await self.driver()

    async def power_cut(self) -> None:
        """Another life with the same memory, at the same address."""
        self.server.machine.cut_power()
        await self.server.stop()
        self.server = self.machine_of()
        self.server._port = int(self.address.rpartition(":")[2])
        await self.server.start()

    async def until(self, state: str) -> None:
        """Wait until the coater is in a state."""
        async with asyncio.timeout(10):
            while self.server.machine.state != state:
                await asyncio.sleep(0.002)
                self.server.machine.advance()

    async def stop(self) -> None:
        await self.coater.close()
        await self.server.stop()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A connected coater with five substrates."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
async def slow() -> AsyncIterator[Rig]:
    """The same for tests that come in the middle of something: what it does takes long enough for a busy computer."""
    rig = Rig(LabClock(20.0))
    await rig.start()
    yield rig
    await rig.stop()


async def test_a_film_is_made(rig: Rig) -> None:
    """Load, dispense, spin: each is over when its status is, takes its lab time, and reaches the physical world."""
    begin = rig.clock.now()
    await rig.coater.load.trigger()
    assert (rig.plant.taken, rig.plant.left) == (True, 4)
    assert 8.0 <= rig.clock.now() - begin < 8.0 + 2 * rig.clock.speed
    await rig.coater.dispense.set(120.5)
    assert rig.plant.ink == pytest.approx(120.5)
    begin = rig.clock.now()
    await rig.coater.spin.set(FILM)
    assert rig.plant.spins == [(3000.0, pytest.approx(30.0))]
    assert 31.0 <= rig.clock.now() - begin < 31.0 + 2 * rig.clock.speed
    reading = {key: item["value"] for key, item in (await rig.coater.read()).items()}
    assert reading == {
        "coater-speed": 0.0, "coater-dispensed": 120.5, "coater-magazine": 4, "coater-lid": 1, "coater-vacuum": 1,
    }  # fmt: skip
    units = {key: item["units"] for key, item in (await rig.coater.describe()).items()}
    assert units == {
        "coater-speed": "rpm", "coater-dispensed": "uL", "coater-magazine": "1", "coater-lid": "1",
        "coater-vacuum": "1",
    }  # fmt: skip


async def test_the_ways_to_say_how_to_spin(rig: Rig) -> None:
    """A speed alone takes length and acceleration from the signals; of several segments the fastest makes the film."""
    await rig.coater.load.trigger()
    await rig.coater.spin.seconds.set(6.0)
    await rig.coater.spin.acceleration.set(800.0)
    await rig.coater.spin.set(1200)
    await rig.coater.spin.set([{"rpm": 500, "seconds": 2}, {"rpm": 2500, "seconds": 4}, {"rpm": 300, "seconds": 3}])
    assert rig.plant.spins == [(1200.0, pytest.approx(6.0)), (2500.0, pytest.approx(4.0))]
    assert [entry["of"] for entry in rig.did("spin")] == [6.0, 9.0]


async def test_speed_is_measured_on_the_way(rig: Rig) -> None:
    """While the rotor speeds up and holds, the signal follows it, also for a driver beside the one that spins."""
    await rig.coater.load.trigger()
    beside = SpinCoater(rig.address, name="beside", clock=rig.clock, timeout=TIMEOUT)
    await attach(beside)
    spinning = rig.coater.spin.set({"rpm": 4000, "seconds": 3000, "acceleration": 50})
    await rig.until("SPIN")
    assert 0 <= await beside.speed.get_value() < 4000
    async with asyncio.timeout(10):
        while await beside.speed.get_value() < 4000:
            await asyncio.sleep(0.002)
    assert len(rig.did("accept")) == 2
    await beside.close()
    await rig.coater.stop()
    with pytest.raises(Fault, match="was stopped"):
        await spinning


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("dispense", 0.5, r"coater-dispense: 0.5 uL is outside its limits, 1 to 300 uL"),
        ("dispense", float("nan"), "nan uL"),
        ("spin", 7000, r"coater-spin: 7000 rpm is outside its limits, 100 to 6000 rpm"),
        ("spin", {"rpm": 3000, "seconds": 9000}, r"coater-spin seconds: 9000 s is outside its limits, 0.1 to 3600 s"),
        ("spin", {"rpm": 3000, "acceleration": 1}, r"coater-spin acceleration: 1 rpm/s is outside its limits"),
        ("spin", [{"rpm": 500}] * 11, r"number of segments: 11 segments is outside its limits, 1 to 10"),
        ("spin", [{"rpm": 500}, {"speed": 3}], r"is no segment of a spin program; write \{"),
        ("spin", [], "at least one segment"),
        ("spin", "fast", "'fast'.* is no segment"),
        ("vacuum", 2, "coater-vacuum: 2  ?is outside its limits, 0 to 1"),
    ],
)
async def test_what_is_out_of_limits_sends_nothing(part: str, value: Any, says: str) -> None:
    """Each limit is checked by name, value and unit before a byte leaves, also by the check before a plan runs."""
    rig = Rig()
    await rig.start(max_speed="6000 rpm", max_volume="0.3 mL")
    signal = getattr(rig.coater, part)
    with pytest.raises((LimitError, ValueError), match=says):
        await signal.set(value)
    with pytest.raises((LimitError, ValueError), match=says):
        signal.check_value(value)
    assert rig.log == []
    await rig.stop()


def test_options_have_limits() -> None:
    """Options are quantities within what a coater can be; one that is not is refused by name."""
    with pytest.raises(LimitError, match="max_speed: 50 rpm is outside its limits, 100 to 20000 rpm"):
        SpinCoater("tcp://127.0.0.1:9", max_speed=50)
    with pytest.raises(LimitError, match="acceleration: 1 rpm/s"):
        SpinCoater("tcp://127.0.0.1:9", acceleration="1 rpm/s")
    with pytest.raises(ValueError, match="cannot convert"):
        SpinCoater("tcp://127.0.0.1:9", min_volume="3 s")


async def test_what_cannot_be_done_is_refused_and_not_done(rig: Rig) -> None:
    """The coater's own reasons come as clean refusals with number and words, and the driver goes on afterwards."""
    with pytest.raises(Refusal, match=r"coater: tcp://\S+: refused 'DISP \w+ 50.00': error 23, no substrate") as caught:
        await rig.coater.dispense.set(50)
    assert caught.value.clean
    with pytest.raises(Refusal, match="error 23, no substrate on the chuck"):
        await rig.coater.spin.set(FILM)
    await rig.coater.load.trigger()
    with pytest.raises(Refusal, match="error 22, the chuck is taken"):
        await rig.coater.load.trigger()
    await rig.coater.vacuum.set(0)
    with pytest.raises(Refusal, match="error 25, no vacuum under the substrate"):
        await rig.coater.spin.set(FILM)
    await rig.coater.vacuum.set(1)
    with pytest.raises(Refusal, match=r"error 12, out of limits: a ramp of 6.0 s in a segment of 5 s"):
        await rig.coater.spin.set({"rpm": 3000, "seconds": 5, "acceleration": 500})
    rig.server.machine.open_lid()
    with pytest.raises(Refusal, match="error 24, the lid is open"):
        await rig.coater.dispense.set(50)
    assert await rig.coater.lid.get_value() == 0
    rig.server.machine.close_lid()
    await rig.coater.dispense.set(50)
    assert (rig.plant.ink, rig.plant.spins) == (50.0, [])


async def test_an_empty_magazine(rig: Rig) -> None:
    """The last substrate can be loaded, and no other one."""
    rig.plant.left = 1
    await rig.coater.load.trigger()
    rig.plant.taken = False
    with pytest.raises(Refusal, match="error 21, the magazine is empty"):
        await rig.coater.load.trigger()


async def test_one_action_at_a_time(slow: Rig) -> None:
    """A second one is refused by the driver, and one of another driver before it is armed."""
    loading = slow.coater.load.trigger()
    await slow.until("LOAD")
    with pytest.raises(Fault, match="cannot dispense 50 uL: it is to load a substrate already"):
        await slow.coater.dispense.set(50)
    other, book = await slow.driver(), Book("dispense")
    with pytest.raises(Fault, match=r"cannot dispense 50 uL: it is busy for another [\d.]+ s with tag \w+"):
        await book.perform(other, 50)
    assert not book.armed
    await other.close()
    await loading


async def test_an_open_lid_trips_the_interlock(rig: Rig) -> None:
    """The rotor is braked, the spin fails with the reason; nothing acts before a reset, which needs the lid shut."""
    await rig.coater.load.trigger()
    spinning = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    rig.server.machine.open_lid()
    with pytest.raises(Fault, match=r"was stopped: .*it has done [\d.]+ of 3000 s \(fault 1: the lid was opened while"):
        await spinning
    with pytest.raises(Refusal, match="error 30, a fault is latched: 1"):
        await rig.coater.dispense.set(50)
    with pytest.raises(Refusal, match="error 31, the cause of the fault persists: close the lid"):
        await rig.coater.reset.trigger()
    rig.server.machine.close_lid()
    await rig.coater.reset.trigger()
    await rig.coater.dispense.set(50)


async def test_lost_vacuum_trips_the_interlock(rig: Rig) -> None:
    """A substrate that comes loose stops the rotor; the signal says that the chuck holds nothing."""
    await rig.coater.load.trigger()
    rig.server.machine.leak()
    assert await rig.coater.vacuum.get_value() == 0
    rig.server.machine.leak(False)
    spinning = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    rig.server.machine.leak()
    with pytest.raises(Fault, match="fault 2: the vacuum was lost while the rotor turned"):
        await spinning


@pytest.mark.parametrize("way", ["stop", "safe_state", "cancel", "part"])
async def test_a_spin_that_is_stopped(rig: Rig, way: str) -> None:
    """However it is stopped, the rotor stands still afterwards, the vacuum holds, and the spin has failed at once."""
    await rig.coater.load.trigger()
    status = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    begin = time.monotonic()
    if way == "cancel":
        status.task.cancel()
    else:
        await {"stop": rig.coater.stop, "safe_state": rig.coater.safe_state, "part": rig.coater.spin.stop}[way]()
    with pytest.raises(asyncio.CancelledError if way == "cancel" else Fault):
        await status
    assert time.monotonic() - begin < 2
    assert (rig.server.machine.state, rig.server.machine.speed, rig.server.machine.pump_on) == ("IDLE", 0.0, True)
    assert len(rig.plant.spins) == 1
    await rig.coater.safe_state()
    await rig.coater.spin.stop()
    assert len(rig.did("stop")) == 1
    await rig.coater.spin.set(FILM)


async def test_a_load_goes_on_when_told_to_stop(slow: Rig) -> None:
    """The safe state is confirmed while the handler finishes, and the load is done."""
    status = slow.coater.load.trigger()
    await slow.until("LOAD")
    await slow.coater.safe_state()
    assert slow.server.machine.state == "LOAD"
    await status
    assert slow.plant.taken


async def test_the_wrong_instrument() -> None:
    """Another instrument at the address is named with what it answers."""

    class Other(SpinCoaterServer):
        async def answer(self, request: bytes) -> bytes:
            return b"OK acme,oven,1,2\r\n"

    clock = LabClock(100.0)
    server = Other(Probe("oven"), clock)
    coater = SpinCoater(await server.start(), name="coater", clock=clock, timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"coater: tcp://.* is not a spin coater with this command set: .*'acme,oven,1,2'"):
        await coater.connect()
    await coater.close()
    await server.stop()


async def test_nobody_there() -> None:
    """A port where nobody listens is a fault that says what to check."""
    coater = SpinCoater("tcp://127.0.0.1:9", name="coater", timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"coater: tcp://127.0.0.1:9: cannot connect within 0.3 s .*check its power"):
        await coater.connect()
    await coater.close()


async def test_it_connects_again_after_a_restart(rig: Rig) -> None:
    """A coater that was switched off and on is found again at the next command, and its counters are there."""
    await rig.coater.load.trigger()
    await rig.coater.dispense.set(30)
    await rig.power_cut()
    with pytest.raises(Refusal, match="error 25, no vacuum"):
        await rig.coater.spin.set(FILM)
    assert await rig.coater.dispensed.get_value() == 30.0
    await rig.coater.vacuum.set(1)
    await rig.coater.spin.set(FILM)


async def test_the_heartbeat_keeps_a_lease(rig: Rig) -> None:
    """With a heartbeat a long spin outlives the coater's dead-man time; without one the rotor is stopped."""
    ends = []
    for heartbeat in ("0.05 s", None):
        other = Rig(LabClock(50.0), deadman=0.4)
        await other.start(heartbeat=heartbeat)
        await other.coater.load.trigger()
        status = other.coater.spin.set({**FILM, "seconds": 40})
        await asyncio.wait([status.task])
        ends.append(status.success)
        await other.stop()
    assert ends == [True, False]


def test_effects() -> None:
    """None of its three verbs may be repeated; each arms, and only a dispense is gone on with."""
    coater = SpinCoater("tcp://127.0.0.1:9", name="coater")
    parts = {"load": "trigger", "dispense": "set", "spin": "set", "vacuum": "set", "reset": "trigger"}
    found = {}
    for part, verb in parts.items():
        child = getattr(coater, part)
        target = find_target(child, {"coater": coater})
        assert target is not None
        found[part] = acts_of(target, verb, coater, child=child)
    once = Acts(Effect.NON_REPEATABLE, arms=True)
    assert found == {
        "load": once,
        "dispense": Acts(Effect.NON_REPEATABLE, arms=True, continues=True),
        "spin": once,
        "vacuum": Acts(Effect.ABSOLUTE),
        "reset": Acts(Effect.ABSOLUTE),
    }
    for signal in (coater.spin.seconds, coater.spin.acceleration):
        target = find_target(signal, {"coater": coater})
        assert target is not None
        assert acts_of(target, "set", coater, child=signal).effect is Effect.ABSOLUTE


def test_a_plan_coats(run_engine: RunEngine) -> None:
    """The verbs work from plan stubs, and the stop that Bluesky sends afterwards stops nothing."""

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)

    rig = Rig()
    call(rig.start())

    def plan() -> Any:
        yield from bps.trigger(rig.coater.load, wait=True)
        yield from bps.mv(rig.coater.dispense, 80)
        yield from bps.mv(rig.coater.spin, [{"rpm": 500, "seconds": 3}, {"rpm": 2000, "seconds": 10}])
        yield from bps.mv(rig.coater.spin, 1500.0)
        yield from bps.mv(rig.coater.vacuum, 0)

    run_engine(plan())
    assert rig.plant.ink == 80.0
    assert rig.plant.spins == [(2000.0, 10.0), (1500.0, 30.0)]
    assert rig.did("stop") == []
    assert not rig.server.machine.pump_on
    call(rig.stop())


def test_a_day_of_films_passes_at_once_on_virtual_time() -> None:
    """Forty films of four minutes: exact lab times, and well under a second of wall time."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def films() -> None:
        rig = Rig(clock, substrates=40)
        await rig.start()
        for _ in range(40):
            await rig.coater.load.trigger()
            await rig.coater.dispense.set(100)
            await rig.coater.spin.set({"rpm": 3000, "seconds": 240})
            rig.plant.taken = False
        assert rig.plant.spins == [(3000.0, 240.0)] * 40
        await rig.stop()

    begin = time.perf_counter()
    loop.run_until_complete(films())
    loop.close()
    assert time.perf_counter() - begin < 1.5
    # 8 s to load, 1 s to dispense, 240 s to spin, 1 s to brake.
    assert clock.now() == pytest.approx(40 * 250, abs=0.5)


@pytest.mark.parametrize("kind", ["", "refuse", "hang", "cut", "garbage", "lose"])
async def test_sdl_stop_stops_the_rotor(rig: Rig, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The bytes on the stop card stop a spin and confirm it, with or without one fault; twice is the same."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    await rig.coater.load.trigger()
    status = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    if kind:
        rig.faults.inject(kind, count=1)
    for _ in range(2):
        card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"coater": rig.coater}, {}))
        (result,) = await asyncio.to_thread(press, read_cards())
        card.remove()
        assert result.state == "safe", result
    assert rig.server.machine.speed == 0
    status.task.cancel()
    await asyncio.gather(status.task, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_rotor_that_does_not_stop_is_not_called_safe(
    rig: Rig, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coater that refuses to stop goes on, and `sdl stop` shows what it replied."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    await rig.coater.load.trigger()
    status = rig.coater.spin.set({**FILM, "seconds": 3000})
    await rig.until("SPIN")
    rig.faults.inject("refuse")
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"coater": rig.coater}, {}))
    (result,) = await asyncio.to_thread(press, read_cards())
    card.remove()
    assert result.state == "unconfirmed"
    assert "ERR 90" in result.message
    assert rig.server.machine.state == "SPIN"
    rig.faults.clear()
    await rig.coater.stop()
    await asyncio.gather(status.task, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
