"""The simulated spin coater without our driver: its lines, its interlocks, and what it does when nobody asks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.devices._spin_coater_protocol import Segment
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators._plant import PlantError
from sdl.simulators._spin_coater_spin import BRAKE, Rotation
from sdl.simulators.spin_coater import CoaterLimits, SmallPlant, SpinCoaterServer

Dial = Callable[[str], Awaitable[Any]]


class Bench:
    """A coater, and a raw connection to it."""

    def __init__(self, speed: float = 200.0, **options: Any) -> None:
        self.clock = LabClock(speed)
        self.plant = options.pop("plant", None) or SmallPlant(3)
        self.server = SpinCoaterServer(Probe("coater", self.clock.now), self.clock, self.plant, **options)

    async def start(self, dial: Dial) -> None:
        self.line = await dial(await self.server.start())

    async def ask(self, request: str) -> str:
        """The answer to a line, without its end."""
        self.line.send(request.encode() + b"\r\n")
        answer = await asyncio.wait_for(self.line._reader.readuntil(b"\r\n"), 5)
        return str(answer[:-2].decode("ascii"))

    async def field(self, request: str, key: str) -> str:
        """One value of an answer."""
        return dict(pair.split("=") for pair in (await self.ask(request)).split()[1:])[key]

    def actions(self) -> list[str]:
        return [entry["action"] for entry in self.server.probe.log]


@pytest.fixture
async def bench(dial: Dial) -> AsyncIterator[Bench]:
    """A coater with three substrates."""
    bench = Bench()
    await bench.start(dial)
    yield bench
    await bench.server.stop()


@pytest.fixture
async def slow(dial: Dial) -> AsyncIterator[Bench]:
    """The same for tests that come in the middle of something: what it does takes long enough for a busy computer."""
    bench = Bench(20.0)
    await bench.start(dial)
    yield bench
    await bench.server.stop()


async def test_the_answers_are_as_documented(bench: Bench) -> None:
    """Identity, status and counters before anything was done; the end of a line may be a line feed alone."""
    assert await bench.ask("ID?") == "OK sdl,SPC-200 simulator,0,1.0"
    assert await bench.ask("ST?") == (
        "OK state=IDLE left=0.000 rpm=0.0 lid=1 vacuum=0 chuck=0 magazine=3 fault=0 tag=-"
    )
    memory = bench.server.machine.memory.id
    nothing = "loads=0 dispenses=0 volume=0.00 spins=0 tag=- kind=- result=- done=0.00 of=0.00 left=0.000"
    assert await bench.ask("CN?") == f"OK memory={memory} {nothing}"
    bench.line.send(b"ID?\n")
    assert await bench.line._reader.readuntil(b"\n") == b"OK sdl,SPC-200 simulator,0,1.0\r\n"


async def test_a_film_by_hand(bench: Bench) -> None:
    """Each action is accepted at once with the time it takes, and counted when it is over."""
    assert await bench.ask("LOAD a1") == "OK left=8.000 tag=a1"
    assert await bench.field("CN?", "result") == "RUN"
    assert (await bench.ask("ST? 10")).startswith("OK state=IDLE left=0.000 rpm=0.0 lid=1 vacuum=1 chuck=1 magazine=2")
    assert await bench.ask("DISP a2 150") == "OK left=1.500 tag=a2"
    await bench.ask("ST? 10")
    assert await bench.ask("SPIN a3 500,500,2;3000,2500,4") == "OK left=7.000 tag=a3"
    await bench.ask("ST? 10")
    counters = await bench.ask("CN?")
    assert "loads=1 dispenses=1 volume=150.00 spins=1 tag=a3 kind=SPIN result=DONE done=6.00 of=6.00" in counters
    assert (bench.plant.ink, bench.plant.spins) == (150.0, [(3000.0, 4.0)])
    assert bench.actions() == ["accept", "load", "accept", "dispense", "accept", "spin"]
    spin = bench.server.probe.log[-1]
    assert {key: spin[key] for key in ("tag", "rpm", "seconds", "of", "number", "complete")} == {
        "tag": "a3", "rpm": 3000.0, "seconds": 4.0, "of": 6.0, "number": 1, "complete": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ("", "ERR 10 unknown command"),
        ("st?", "ERR 10 unknown command: st?"),
        ("DANCE", "ERR 10 unknown command: DANCE"),
        ("LOAD", "ERR 11 wrong parameters: LOAD"),
        ("LOAD a b", "ERR 11 wrong parameters: LOAD"),
        ("LOAD -", "ERR 11 wrong parameters: LOAD"),
        ("LOAD a/b", "ERR 11 wrong parameters: LOAD"),
        (f"LOAD {33 * 'x'}", "ERR 11 wrong parameters: LOAD"),
        ("DISP a nan", "ERR 11 wrong parameters: DISP"),
        ("DISP a -5", "ERR 11 wrong parameters: DISP"),
        ("DISP a 5000", "ERR 12 out of limits: volume 5000 uL, limits 0.01 to 2000 uL"),
        ("DISP a 5", "ERR 23 no substrate on the chuck"),
        ("SPIN a 3000", "ERR 11 wrong parameters: SPIN"),
        ("SPIN a 3000,1000,30,4", "ERR 11 wrong parameters: SPIN"),
        ("SPIN a 30000,1000,30", "ERR 12 out of limits: speed 30000 rpm, limits 50 to 10000 rpm"),
        ("SPIN a 3000,1,30", "ERR 12 out of limits: acceleration 1 rpm/s, limits 10 to 10000 rpm/s"),
        ("SPIN a 3000,1000,9000", "ERR 12 out of limits: segment 9000 s, limits 0.1 to 3600 s"),
        ("SPIN a 3000,1000,2", "ERR 12 out of limits: a ramp of 3.0 s in a segment of 2 s"),
        ("SPIN a " + ";".join(["500,500,2"] * 11), "ERR 12 out of limits: 11 segments, limits 1 to 10"),
        ("SPIN a 3000,1000,30", "ERR 23 no substrate on the chuck"),
        ("VAC 2", "ERR 11 wrong parameters: VAC"),
        ("ST? 60", "ERR 11 wrong parameters: ST?"),
        ("ID? x", "ERR 11 wrong parameters: ID?"),
    ],
)
async def test_what_cannot_be_done_changes_nothing(bench: Bench, request_: str, says: str) -> None:
    """Every error has its number and words, and nothing has happened."""
    assert await bench.ask(request_) == says
    assert bench.server.probe.log == []
    assert await bench.field("ST?", "tag") == "-"


async def test_it_does_one_thing_at_a_time(slow: Bench) -> None:
    """While something moves other actions, the valve and the reset are refused as busy."""
    await slow.ask("LOAD a1")
    for request in ("LOAD a2", "DISP a2 5", "SPIN a2 500,500,2", "VAC 0", "RST"):
        if request == "LOAD a2":
            slow.plant.taken = False
        assert (await slow.ask(request)).startswith("ERR 20 busy: LOAD")


async def test_a_process_ends_though_nobody_asks(bench: Bench) -> None:
    """Films are made by the coater's own time, also after the connection was closed."""
    await bench.ask("LOAD a1")
    await bench.line.close()
    async with asyncio.timeout(2):
        while "load" not in bench.actions():
            await asyncio.sleep(0.005)
    accept, load = bench.server.probe.log
    assert load["at"] - accept["at"] == pytest.approx(108.0, abs=100.0)


async def test_the_rotor_follows_its_program(slow: Bench) -> None:
    """The measured speed is that of the ramp, and after a stop that of the brake, until it stands still."""
    await slow.ask("LOAD a1")
    await slow.ask("ST? 10")
    await slow.ask("SPIN a2 9000,1000,3600")
    before = slow.clock.now() - 0.1 * slow.clock.speed
    speed = float(await slow.field("ST?", "rpm"))
    assert 0 < speed <= 1000 * (slow.clock.now() - before + 1)
    while float(await slow.field("ST?", "rpm")) < 3000:
        await asyncio.sleep(0.01)
    left = float(await slow.field("STOP", "left"))
    assert 3000 / BRAKE <= left <= 9000 / BRAKE
    assert await slow.field("ST?", "state") == "BRAKE"
    assert "state=IDLE" in await slow.ask("ST? 5")
    assert await slow.field("CN?", "result") == "STOPPED"
    ((rpm, seconds),) = slow.plant.spins
    assert rpm == pytest.approx(min(1000 * seconds, 9000), rel=1e-6)
    assert left == pytest.approx(rpm / BRAKE, abs=2e-3)


async def test_a_stop_ends_a_dispense_at_once(slow: Bench) -> None:
    """What came out is counted, told to the world once, and logged as incomplete."""
    await slow.ask("LOAD a1")
    await slow.ask("ST? 10")
    await slow.ask("DISP a2 2000")
    await asyncio.sleep(0.02)
    assert await slow.ask("STOP") == "OK left=0.000"
    assert await slow.ask("STOP") == "OK left=0.000"
    done = float(await slow.field("CN?", "done"))
    assert 0 < done < 2000
    assert slow.plant.ink == pytest.approx(done, abs=0.01)
    last = slow.server.probe.log[-1]
    assert (last["action"], last["complete"], last["volume"]) == ("dispense", False, pytest.approx(done, abs=0.01))


async def test_a_substrate_that_was_taken_away_stops_the_rotor(slow: Bench) -> None:
    """The vacuum is lost with it: fault 2, noticed at the next look, at the end at the latest."""
    await slow.ask("LOAD a1")
    await slow.ask("ST? 10")
    await slow.ask("SPIN a2 1000,1000,20")
    slow.plant.taken = False
    assert await slow.field("ST?", "fault") == "2"
    await slow.ask("ST? 10")
    assert "state=FAULT" in await slow.ask("ST?")
    assert await slow.field("CN?", "result") == "STOPPED"
    assert await slow.ask("RST") == "OK"
    slow.plant.taken = True
    await slow.ask("VAC 1")
    await slow.ask("SPIN a3 1000,1000,2")
    slow.plant.taken = False
    async with asyncio.timeout(2):
        while slow.server.machine.left:
            await asyncio.sleep(0.005)
    assert await slow.field("CN?", "result") == "FAILED"


async def test_a_handler_that_cannot(dial: Dial) -> None:
    """What the physical world does not allow is latched as fault 3 with its words, and nothing is counted."""

    class Jammed(SmallPlant):
        def load(self) -> None:
            raise PlantError("two substrates stick together")

    bench = Bench(plant=Jammed(3))
    await bench.start(dial)
    await bench.ask("LOAD a1")
    assert "state=FAULT" in await bench.ask("ST? 10")
    assert "loads=0" in await bench.ask("CN?")
    assert await bench.field("CN?", "result") == "FAILED"
    assert await bench.ask("DISP a2 5") == "ERR 30 a fault is latched: 3 two substrates stick together"
    assert await bench.ask("RST") == "OK"
    await bench.server.stop()


async def test_its_own_limits(dial: Dial) -> None:
    """Limits of the simulation are the instrument's own."""
    bench = Bench(limits=CoaterLimits(max_speed=4000, flow=50.0, load_time=2.0))
    await bench.start(dial)
    assert await bench.ask("LOAD a1") == "OK left=2.000 tag=a1"
    await bench.ask("ST? 10")
    assert "limits 50 to 4000 rpm" in await bench.ask("SPIN a2 5000,1000,30")
    assert await bench.ask("DISP a2 100") == "OK left=2.000 tag=a2"
    await bench.server.stop()


async def test_nobody_talks_to_it_any_more(dial: Dial) -> None:
    """Rotor and syringe stop by themselves after the dead-man time, and the vacuum holds the substrate."""
    bench = Bench(50.0, deadman=0.5)
    await bench.start(dial)
    await bench.ask("LOAD a1")
    await bench.ask("ST? 10")
    await bench.ask("SPIN a2 3000,1000,3600")
    for _ in range(7):
        await asyncio.sleep(0.1)
        await bench.ask("ST?")
    assert "deadman" not in bench.actions()
    for _ in range(8):
        await asyncio.sleep(0.1)
        bench.line.send(b"DANCE\r\n")  # noise does not count
    assert bench.actions()[3:] == ["deadman", "stop", "spin"]
    machine = bench.server.machine
    assert (machine.speed, machine.pump_on, machine.state) == (0.0, True, "IDLE")
    await bench.server.stop()


async def test_a_lid_that_is_opened_while_it_loads(slow: Bench) -> None:
    """The handler finishes, the fault is latched, and reset needs the lid shut."""
    await slow.ask("LOAD a1")
    slow.server.machine.open_lid()
    status = await slow.ask("ST? 10")
    assert "state=FAULT" in status
    assert "chuck=1" in status
    assert await slow.ask("RST") == "ERR 31 the cause of the fault persists: close the lid"
    slow.server.machine.close_lid()
    assert await slow.ask("RST") == "OK"


@st.composite
def _programs(draw: st.DrawFn) -> list[Segment]:
    """Programs that the coater takes: each ramp fits into its segment."""
    found, before = [], 0.0
    for _ in range(draw(st.integers(1, 5))):
        rpm, rate = draw(st.floats(50, 10_000)), draw(st.floats(10, 10_000))
        found.append(Segment(rpm, abs(rpm - before) / rate + draw(st.floats(0.1, 600)), rate))
        before = rpm
    return found


@given(_programs(), st.floats(0, 1))
def test_a_rotor_never_jumps(program: list[Segment], share: float) -> None:
    """Whatever the program and wherever it is stopped: from rest to rest, and never faster than its ramps allow."""
    whole = Rotation(program)
    stopped = Rotation(program, stopped_after=share * whole.length)
    for rotation in (whole, stopped):
        steepest = max(BRAKE, *(segment.acceleration for segment in program))
        times = [rotation.duration * k / 200 for k in range(201)]
        speeds = [rotation.speed(t) for t in times]
        assert speeds[0] == 0 or not rotation.length
        assert speeds[-1] == pytest.approx(0, abs=1e-6)
        for before, after, dt in zip(speeds[:-1], speeds[1:], [rotation.duration / 200] * 200, strict=True):
            assert abs(after - before) <= steepest * dt * (1 + 1e-9) + 1e-6
        rpm, seconds = rotation.amounts_to()
        assert rpm >= max(speeds) - 1e-6 or math.isclose(rpm, max(speeds))
        assert 0 <= seconds <= rotation.length + 1e-9
