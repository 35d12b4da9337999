"""The simulated robot over its own two protocols, without our driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators._plant import PlantError
from sdl.simulators.ur_robot import Slots, UrRobotServer

GREETING = "Connected: Universal Robots Dashboard Server"


class Wire:
    """A raw connection, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> str:
        return (await asyncio.wait_for(self.reader.readline(), 5)).decode("latin-1").rstrip("\n")

    async def ask(self, command: str) -> str:
        self.writer.write(f"{command}\n".encode())
        return await self.line()


class Bench:
    """A robot with something on the chuck, and raw connections to its two ports."""

    def __init__(self, speed: float = 50.0, **settings: Any) -> None:
        self.clock = LabClock(speed)
        self.slots = Slots(("chuck", "bed_a", "bed_b"), ["chuck"])
        self.server = UrRobotServer(
            Probe("robot", self.clock.now), self.clock, self.slots, places=("chuck", "bed_a", "bed_b"), **settings
        )
        self.wires: list[Wire] = []

    async def start(self) -> None:
        address = await self.server.start()
        dashboard, _, self.program_port = address.removeprefix("tcp://127.0.0.1:").partition("/")
        self.dashboard_port = dashboard
        self.dashboard, self.program = await self.dial(dashboard), await self.dial(self.program_port)
        assert await self.dashboard.line() == GREETING

    async def dial(self, port: str) -> Wire:
        self.wires.append(Wire(*await asyncio.open_connection("127.0.0.1", int(port))))
        return self.wires[-1]

    async def ready(self) -> None:
        """Power on, release the brakes, load and play."""
        await self.dashboard.ask("power on")
        await self.becomes("robotmode", "Robotmode: IDLE")
        await self.dashboard.ask("brake release")
        await self.becomes("robotmode", "Robotmode: RUNNING")
        assert await self.dashboard.ask("load carry.urp") == "Loading program: carry.urp"
        assert await self.dashboard.ask("play") == "Starting program"

    async def becomes(self, query: str, reply: str) -> None:
        async with asyncio.timeout(5):
            while await self.dashboard.ask(query) != reply:
                await asyncio.sleep(0.005)

    async def idle(self) -> None:
        async with asyncio.timeout(5):
            while await self.program.ask("STATE?") != "STATE IDLE 0.000 -":
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for wire in self.wires:
            wire.writer.close()
            await wire.writer.wait_closed()
        await self.server.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A robot that was just switched on."""
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


@pytest.fixture
async def slow() -> AsyncIterator[Bench]:
    """A robot whose phases can be told apart on a busy computer."""
    bench = Bench(speed=20.0)
    await bench.start()
    yield bench
    await bench.stop()


async def test_the_dashboard_in_the_words_of_its_manual(bench: Bench) -> None:
    """From power off to a program that plays, is paused and stopped; what cannot be done says so."""
    ask = bench.dashboard.ask
    assert await ask("robotmode") == "Robotmode: POWER_OFF"
    assert await ask("safetystatus") == "Safetystatus: NORMAL"
    assert await ask("get loaded program") == "No program loaded"
    assert await ask("play") == "Failed to execute: play"
    assert await ask("load none.urp") == "File not found: none.urp"
    assert await ask("brake release") == "Brake releasing"
    assert await ask("power on") == "Powering on"
    assert await ask("robotmode") == "Robotmode: BOOTING"
    await bench.becomes("robotmode", "Robotmode: IDLE")
    await bench.ready()
    assert await ask("running") == "Program running: true"
    assert await ask("programState") == "PLAYING carry.urp"
    assert await ask("load carry.urp") == "Error while loading program: carry.urp"
    assert await ask("play") == "Failed to execute: play"
    assert await ask("pause") == "Pausing program"
    assert await ask("programState") == "PAUSED carry.urp"
    assert await ask("pause") == "Failed to execute: pause"
    assert await ask("play") == "Starting program"
    assert await ask("stop") == "Stopped"
    assert await ask("stop") == "Failed to execute: stop"
    assert await ask("running") == "Program running: false"
    assert await ask("get loaded program") == "Loaded program: carry.urp"
    assert await ask("is in remote control") == "true"
    assert await ask("dance") == 'could not understand: "dance"'
    assert await ask("power off") == "Powering off"
    assert await ask("robotmode") == "Robotmode: POWER_OFF"


async def test_a_carry_goes_through_its_phases(slow: Bench) -> None:
    """Counted when it is taken; the gripper closes and opens at the end of its phases; the record tells the end."""
    bench = slow
    await bench.ready()
    ask = bench.program.ask
    assert await ask("ID?") == "ID sdl-carry 1"
    assert await ask("PLACES?") == "PLACES chuck bed_a bed_b"
    assert await ask("LAST?") == "CARRY -"
    assert await ask("CARRY t1 chuck bed_a") == "OK CARRY 1"
    assert (await ask("COUNT?")).split()[:2] == ["COUNT", "1"]
    phases, grips = [], set()
    while (state := (await ask("STATE?")).split())[1] != "IDLE":
        assert state[3] == "t1"
        phases.append((state[1], float(state[2])))
        if state[1] in ("APPROACH", "TRAVEL"):
            grips.add((state[1], await ask("GRIP?")))
        await asyncio.sleep(0.002)
    names = list(dict.fromkeys(name for name, _ in phases))
    assert names[0] == "APPROACH"
    assert set(names) <= {"APPROACH", "GRIP", "TRAVEL", "PLACE"}
    lefts = [left for _, left in phases]
    assert lefts == sorted(lefts, reverse=True)
    assert ("APPROACH", "GRIP EMPTY") in grips
    assert await ask("CARRY? t1") == await ask("LAST?") == "CARRY t1 1 chuck bed_a DONE"
    assert await ask("CARRY? t2") == "CARRY -"
    assert (bench.slots.full["chuck"], bench.slots.full["bed_a"]) == (False, True)


async def test_it_acts_on_time_though_nobody_asks(slow: Bench) -> None:
    """The sample is picked and put by the robot's own timer."""
    bench = slow
    await bench.ready()
    begun = bench.clock.now()
    await bench.program.ask("CARRY t1 chuck bed_a")
    async with asyncio.timeout(5):
        while not bench.slots.full["bed_a"]:
            await asyncio.sleep(0.005)
    entries = {entry["action"]: entry["at"] - begun for entry in bench.server.probe.log}
    assert entries["pick"] == pytest.approx(6.5, abs=4)
    assert entries["put"] == pytest.approx(17.0, abs=8)


async def test_what_is_not_carried(bench: Bench) -> None:
    """Each refusal has its code, and none of them counts."""
    ask = bench.program.ask
    assert (await ask("CARRY t1 chuck bed_a")).startswith("ERR NOT_PLAYING")
    assert (await ask("HOME")).startswith("ERR NOT_PLAYING")
    await bench.ready()
    assert await ask("CARRY t1 chuck bed_z") == "ERR PLACE bed_z is not taught"
    assert await ask("CARRY t1 gripper bed_a") == "ERR NOT_HOLDING the gripper is empty"
    assert await ask("CARRY t1 chuck") == "ERR SYNTAX CARRY t1 chuck is no command"
    assert (await ask("COUNT?")).split()[1] == "0"
    assert await ask("HOME") == "OK HOME 4"
    assert await ask("CARRY t1 chuck bed_a") == "ERR BUSY it moves"
    await bench.idle()
    assert await ask("CARRY t1 chuck bed_a") == "OK CARRY 1"
    assert await ask("CARRY t2 chuck bed_a") == "ERR BUSY it moves"
    await bench.idle()
    assert (await ask("CARRY t1 bed_a chuck")).startswith("ERR KNOWN t1 was taken before")
    assert (await ask("COUNT?")).split()[1] == "1"


async def test_what_the_places_do_not_allow(bench: Bench) -> None:
    """Nothing to pick, and a target that is taken: outcomes with the cause; what is held can be put elsewhere."""
    await bench.ready()
    ask = bench.program.ask
    assert await ask("CARRY t1 bed_a bed_b") == "OK CARRY 1"
    await bench.idle()
    assert await ask("LAST?") == "CARRY t1 1 bed_a bed_b NOT_PICKED nothing lies at bed_a"
    bench.slots.full["bed_a"] = True
    assert await ask("CARRY t2 chuck bed_a") == "OK CARRY 2"
    await bench.idle()
    assert await ask("LAST?") == "CARRY t2 2 chuck bed_a PARTIAL bed_a is taken"
    assert await ask("GRIP?") == "GRIP HELD"
    assert await ask("CARRY t3 bed_a bed_b") == "ERR HOLDING the gripper holds something"
    assert await ask("CARRY t3 gripper bed_b") == "OK CARRY 3"
    await bench.idle()
    assert await ask("LAST?") == "CARRY t3 3 gripper bed_b DONE"


async def test_a_pause_holds_the_arm(bench: Bench) -> None:
    """Paused at the pendant it stands where it is, and goes on from there."""
    bench.server.arm.durations["APPROACH"] = 100.0
    await bench.ready()
    await bench.program.ask("CARRY t1 chuck bed_a")
    await bench.dashboard.ask("pause")
    left = await bench.program.ask("STATE?")
    await asyncio.sleep(0.1)
    assert await bench.program.ask("STATE?") == left
    await bench.dashboard.ask("play")
    await bench.idle()
    assert (await bench.program.ask("LAST?")).endswith("DONE")


async def test_a_protective_stop_and_its_release(bench: Bench) -> None:
    """It pauses the program, cannot be unlocked at once, and lets the program go on afterwards."""
    await bench.ready()
    bench.server.arm.durations["TRAVEL"] = 1000.0
    await bench.program.ask("CARRY t1 chuck bed_a")
    async with asyncio.timeout(5):
        while await bench.program.ask("GRIP?") != "GRIP HELD":
            await asyncio.sleep(0.005)
    bench.server.protective_stop()
    ask = bench.dashboard.ask
    assert await ask("safetystatus") == "Safetystatus: PROTECTIVE_STOP"
    assert await ask("programState") == "PAUSED carry.urp"
    assert await ask("play") == "Failed to execute: play"
    bench.server.controller._stopped_at = bench.clock.now() + 1000
    assert (await ask("unlock protective stop")).startswith("Cannot unlock protective stop until 5s after occurrence")
    bench.server.controller._stopped_at = bench.clock.now() - 5
    assert await ask("close safety popup") == "closing safety popup"
    assert await ask("unlock protective stop") == "Protective stop releasing"
    assert await ask("play") == "Starting program"
    assert (await bench.program.ask("STATE?")).startswith("STATE TRAVEL")
    bench.server.emergency_stop()
    assert await ask("safetystatus") == "Safetystatus: ROBOT_EMERGENCY_STOP"
    assert await ask("robotmode") == "Robotmode: POWER_OFF"
    assert await bench.program.ask("LAST?") == "CARRY t1 1 chuck bed_a PARTIAL emergency stop"
    assert await ask("power on") == "Powering on"
    await bench.clock.sleep(10)
    assert await ask("robotmode") == "Robotmode: POWER_OFF"


@pytest.mark.parametrize(
    ("kind", "dashboard", "program"),
    [
        ("refuse", 'could not understand: "robotmode"', "ERR NOT_NOW it does not take commands"),
        ("cut", "", ""),
        ("garbage", "\xff\x00\x15~garbage~\x7f\x00\r", "\xff\x00\x15~garbage~\x7f\x00\r"),
    ],
)
async def test_faults_hit_both_ports(bench: Bench, kind: str, dashboard: str, program: str) -> None:
    """Refusals in the words of each protocol, cuts and garbage; nothing happens by them."""
    bench.server.probe.faults.inject(kind, count=2)
    assert await bench.dashboard.ask("robotmode") == dashboard
    assert await bench.program.ask("CARRY t1 chuck bed_a") == program
    assert (bench.server.arm.taken, bench.server.probe.log) == (0, [])


async def test_a_lost_answer_was_carried_out(bench: Bench) -> None:
    """And one that hangs was not."""
    await bench.ready()
    for kind, taken in (("hang", 0), ("lose", 1)):
        bench.server.probe.faults.inject(kind, count=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bench.program.ask("CARRY t1 chuck bed_a"), 0.1)
        assert bench.server.arm.taken == taken


async def test_nothing_moves_while_it_is_stuck(bench: Bench) -> None:
    """It accepts the carry and tells that it approaches; once it is free it goes on from where it stood."""
    await bench.ready()
    bench.server.probe.faults.inject("stuck")
    assert await bench.program.ask("CARRY t1 chuck bed_a") == "OK CARRY 1"
    await asyncio.sleep(0.2)
    assert await bench.program.ask("STATE?") == "STATE APPROACH 17.000 t1"
    assert bench.slots.full["chuck"]
    bench.server.probe.faults.clear()
    await bench.idle()
    assert bench.slots.full["bed_a"]


async def test_the_record_outlives_a_restart(bench: Bench) -> None:
    """Its ports closed and opened again: the same record, with what was carried meanwhile."""
    await bench.ready()
    await bench.program.ask("CARRY t1 chuck bed_a")
    record = (await bench.program.ask("COUNT?")).split()[2]
    await bench.server.stop()
    await bench.clock.sleep(30)
    await bench.start()
    assert await bench.program.ask("COUNT?") == f"COUNT 1 {record}"
    await bench.idle()
    assert await bench.program.ask("CARRY? t1") == "CARRY t1 1 chuck bed_a DONE"


async def test_the_record_keeps_the_last_ones(bench: Bench) -> None:
    """Sixty-four carries are remembered, the first is forgotten by the sixty-fifth."""
    await bench.ready()
    bench.server.arm.durations.update(APPROACH=0.1, GRIP=0.1, TRAVEL=0.1, PLACE=0.1)
    places = ("chuck", "bed_a")
    for number in range(65):
        source, target = places[number % 2], places[1 - number % 2]
        assert await bench.program.ask(f"CARRY t{number} {source} {target}") == f"OK CARRY {number + 1}"
        await bench.idle()
    assert await bench.program.ask("CARRY? t0") == "CARRY -"
    assert (await bench.program.ask("CARRY? t1")).endswith("DONE")


async def test_nobody_talks_to_it_any_more() -> None:
    """It stops with what it holds; questions at either port keep it going."""
    bench = Bench(speed=20.0, deadman=0.2)
    await bench.start()
    await bench.ready()
    bench.server.arm.durations["TRAVEL"] = 2000.0
    await bench.program.ask("CARRY t1 chuck bed_a")
    for number in range(10):
        await asyncio.sleep(0.06)
        await (bench.program.ask("STATE?") if number % 2 else bench.dashboard.ask("robotmode"))
    assert bench.server.controller.program == "PLAYING"
    await asyncio.sleep(0.5)
    assert bench.server.controller.program == "STOPPED"
    assert bench.slots.gripped
    actions = [entry["action"] for entry in bench.server.probe.log]
    assert actions[-3:] == ["deadman", "stop", "carried"]
    await bench.stop()


def test_slots_allow_what_the_world_allows() -> None:
    """The default world of the robot: one thing a place."""
    slots = Slots(("a", "b"), ["a"])
    with pytest.raises(PlantError, match="the gripper is empty"):
        slots.put("b")
    slots.pick("a")
    assert (slots.occupied("a"), slots.holding()) == (False, True)
    with pytest.raises(PlantError, match="the gripper is taken"):
        slots.pick("a")
    slots.put("b")
    with pytest.raises(PlantError, match="nothing lies at a"):
        slots.pick("a")
    slots.pick("b")
    slots.full["a"] = True
    with pytest.raises(PlantError, match="a is taken"):
        slots.put("a")
