"""A robot and its driver: carries, faults, the safe state, and what is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import Msg, RunEngine
from bluesky.utils import FailedStatus

from sdl.devices.ur_robot import UrRobot
from sdl.lab.clock import LabClock
from sdl.lab.effects import acts_of, find_target
from sdl.lab.preflight import PlanRules, preflight
from sdl.lab.stopcards import HasStopExchanges, device_stops, press, read_cards, write_card
from sdl.lab.watchdog import attach
from sdl.model import Fault, InputError, Refusal, UnsafeState
from sdl.protocols import Acts, Effect
from sdl.simulators._faults import Probe
from sdl.simulators.ur_robot import UrRobotServer
from sdl.virtual import VirtualClock, VirtualLoop

TIMEOUT = 0.6
TRIP = {"source": "chuck", "target": "bed_a"}
KINDS = {
    "refuse": "could not understand|refused 'GRIP\\?'",
    "hang": "no complete reply to .* within 0.6 s",
    "cut": "connection closed by the instrument|cannot connect",
    "garbage": "makes no sense",
}


class Rig:
    """A robot with something on the chuck, and its driver."""

    def __init__(self, speed: float = 100.0, **settings: Any) -> None:
        self.clock = LabClock(speed)
        self.server = UrRobotServer(Probe("robot", self.clock.now), self.clock, **settings)
        self.faults = self.server.probe.faults
        self.opened: list[UrRobot] = []

    async def start(self, **options: Any) -> UrRobot:
        self.address = await self.server.start()
        self.dashboard = self.address.rpartition("/")[0]
        return await self.driver(**options)

    async def driver(self, **options: Any) -> UrRobot:
        """A connected driver; `robot` is the last one."""
        self.robot = UrRobot(self.address, name="robot", clock=self.clock, timeout=TIMEOUT, **options)
        self.opened.append(self.robot)
        await self.robot.connect()
        return self.robot

    async def restart(self, **options: Any) -> None:
        """The process ends, and another one connects."""
        await self.robot.close()
        await self.driver(**options)

    async def stop(self) -> None:
        for robot in self.opened:
            await robot.close()
        await self.server.stop()

    @property
    def full(self) -> list[str]:
        """Where something lies."""
        self.server.arm.advance()
        slots: Any = self.server.arm.plant
        return [place for place, full in slots.full.items() if full] + (["gripper"] if slots.gripped else [])

    def acts(self, *actions: str) -> list[str]:
        """What the robot really did."""
        return [entry["action"] for entry in self.server.probe.log if entry["action"] in actions]

    async def until(self, phase: str) -> None:
        """Wait until a phase of a carry is under way."""
        async with asyncio.timeout(10):
            while self.server.arm.state().phase != phase:
                await asyncio.sleep(0.002)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A robot that was just switched on."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.stop()


async def test_the_first_carry_readies_the_robot(rig: Rig) -> None:
    """Power, brakes, program, then the carry; the next carry needs none of it."""
    await rig.robot.carry.set(TRIP)
    did = [entry["action"] for entry in rig.server.probe.log]
    assert did == ["power", "brake_release", "load", "play", "carry", "pick", "put", "carried"]
    assert rig.full == ["bed_a"]
    begun = rig.clock.now()
    await rig.robot.carry.set("bed_a -> probe_stage")
    assert 17.0 <= rig.clock.now() - begun < 200.0
    assert [entry["action"] for entry in rig.server.probe.log][8:] == ["carry", "pick", "put", "carried"]
    assert rig.full == ["probe_stage"]


async def test_what_is_read(rig: Rig) -> None:
    """Gripper, counter, last route and mode, each asked from the robot; the gripper is the hint."""
    before = {key: reading["value"] for key, reading in (await rig.robot.read()).items()}
    assert before == {
        "robot-holding": False, "robot-carries": 0, "robot-last_source": "", "robot-last_target": "",
        "robot-mode": "POWER_OFF",
    }  # fmt: skip
    await rig.robot.carry.set(("chuck", "bed_b"))
    after = {key: reading["value"] for key, reading in (await rig.robot.read()).items()}
    assert after == {
        "robot-holding": False, "robot-carries": 1, "robot-last_source": "chuck", "robot-last_target": "bed_b",
        "robot-mode": "RUNNING",
    }  # fmt: skip
    assert (await rig.robot.describe())["robot-holding"]["dtype"] == "boolean"
    assert rig.robot.hints == {"fields": ["robot-holding"]}
    assert await rig.robot.safety.get_value() == "NORMAL"


async def test_a_plan_carries(run_engine: RunEngine) -> None:
    """`bps.mv(robot.carry, …)` is done when the sample lies at its target; a fault is the device's own."""
    rig = Rig()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, run_engine.loop).result(10)

    def work() -> None:
        call(rig.start())
        run_engine(bps.mv(rig.robot.carry, TRIP))
        run_engine(bps.abs_set(rig.robot.carry, "bed_a -> bed_b", wait=True))
        assert rig.full == ["bed_b"]
        with pytest.raises(FailedStatus) as caught:
            run_engine(bps.mv(rig.robot.carry, TRIP))
        assert isinstance(caught.value.__cause__, Fault)
        call(rig.stop())

    await asyncio.to_thread(work)
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"source": "chuck", "target": "bed_c"}, "knows no place 'bed_c'; did you mean 'bed_"),
        ({"source": "gripper", "target": "gripper"}, "knows no place 'gripper'"),
        ({"source": "chuck", "target": "chuck"}, "'chuck' is both source and target"),
        ({"source": "chuck"}, "is no carry; write"),
        ("chuck", "'chuck' is no carry; write"),
        ("chuck -> ", "is no carry"),
        (("chuck", 3), "is no carry"),
        (7.0, "is no carry"),
    ],
)
async def test_what_is_no_carry_is_refused_before_anything_is_sent(rig: Rig, value: Any, says: str) -> None:
    """The check before a run, and the carry itself, refuse in words; the robot hears nothing."""
    asked = rig.robot.dashboard.link.asked_at, rig.robot.program.link.asked_at
    with pytest.raises(InputError, match=says):
        rig.robot.carry.check_value(value)
    with pytest.raises(InputError, match=says):
        await rig.robot.carry.set(value)
    rules = PlanRules({"robot": rig.robot}, [], ["set"])
    (fault,) = await preflight(iter([Msg("set", rig.robot.carry, value)]), rules)
    assert "robot.carry cannot be set to" in str(fault)
    assert (rig.robot.dashboard.link.asked_at, rig.robot.program.link.asked_at) == asked


async def test_effects(rig: Rig) -> None:
    """A carry must not be repeated, is armed, and is gone on with."""
    target = find_target(rig.robot.carry, {"robot": rig.robot})
    assert target is not None
    acts = acts_of(target, "set", rig.robot, child=rig.robot.carry)
    assert acts == Acts(Effect.NON_REPEATABLE, arms=True, continues=True)


async def test_places_are_those_of_the_program_or_fewer() -> None:
    """Names that the program was not taught are a fault on connecting; fewer limit what may be carried."""
    rig = Rig()
    await rig.start()
    assert rig.robot.places == ("chuck", "bed_a", "bed_b", "probe_stage")
    await rig.restart(places=["chuck", "bed_a"])
    with pytest.raises(InputError, match="no place 'bed_b'; did you mean 'bed_a'"):
        rig.robot.carry.check_value("chuck -> bed_b")
    with pytest.raises(Fault, match="knows no place 'bed_1'; did you mean 'bed_"):
        await rig.restart(places=["chuck", "bed_1"])
    await rig.stop()


@pytest.mark.parametrize("places", ["chuck", ["a b"], ["gripper"], ["bed", "bed"], [3], 3])
def test_names_that_cannot_be_places(places: Any) -> None:
    """Such a lab file is refused."""
    with pytest.raises(InputError, match="places: "):
        UrRobot("tcp://127.0.0.1:9/10", name="robot", places=places)


def test_the_two_ports() -> None:
    """The program's port is the address's unit, or an option; not two, and not none that exists."""
    assert UrRobot("tcp://10.0.0.5:29999").program.link.address.port == 50010
    assert UrRobot("tcp://10.0.0.5:29999/5000").program.link.address.port == 5000
    assert UrRobot("tcp://10.0.0.5:29999", program_port=5000).program.link.address.port == 5000
    assert str(UrRobot("tcp://10.0.0.5:29999/5000").dashboard.link.address) == "tcp://10.0.0.5:29999"
    for address, port in (("tcp://h:29999/5000", 5001), ("tcp://h:29999", 0), ("tcp://h:29999", "x")):
        with pytest.raises(InputError, match="program_port"):
            UrRobot(address, program_port=port)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_is_clear_bounded_and_passes(rig: Rig, kind: str) -> None:
    """Each fault on each port: an error that names address and command in bounded time; it recovers afterwards."""
    for signal, address in ((rig.robot.mode, rig.dashboard), (rig.robot.holding, "tcp://127.0.0.1:")):
        rig.faults.inject(kind)
        start = time.monotonic()
        with pytest.raises(Fault, match=f"robot: {address}.*({KINDS[kind]})"):
            await signal.get_value()
        assert time.monotonic() - start < 2 * TIMEOUT + 1
        rig.faults.clear()
    await rig.robot.carry.set(TRIP)
    assert rig.full == ["bed_a"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_during_a_carry_stops_it(rig: Rig, kind: str) -> None:
    """A line that fails on the way: the carry fails, the arm stands still, and what it held it still holds."""
    rig.server.arm.durations["TRAVEL"] = 2000.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("TRAVEL")
    rig.faults.inject(kind, count=1)
    with pytest.raises(Fault, match="robot: tcp://127"):
        await carrying
    assert (rig.server.controller.program, rig.full) == ("STOPPED", ["gripper"])


@pytest.mark.parametrize("kind", KINDS)
async def test_connecting_with_a_fault(kind: str) -> None:
    """A robot that does not answer properly cannot be connected, and can be once the fault is gone."""
    rig = Rig()
    rig.faults.inject(kind)
    with pytest.raises(Fault, match="robot: tcp://127"):
        await rig.start()
    rig.faults.clear()
    await rig.robot.connect()
    await rig.stop()


async def test_nobody_there() -> None:
    """A port where nobody listens is a fault that says what to check."""
    robot = UrRobot("tcp://127.0.0.1:9/10", name="robot", timeout=TIMEOUT)
    with pytest.raises(Fault, match=r"robot: tcp://127.0.0.1:9: cannot connect .*check its power, cable and address"):
        await robot.connect()
    await robot.close()


async def test_two_ports_that_were_mixed_up(rig: Rig) -> None:
    """The dashboard in place of the program channel, or the reverse, is told by what it answers."""
    host, _, program = rig.address.removeprefix("tcp://").partition("/")
    port = host.partition(":")[2]
    for address, says in (
        (f"tcp://127.0.0.1:{port}/{port}", "'ID\\?', which makes no sense; is this the program channel"),
        (f"tcp://127.0.0.1:{program}/{port}", "is this the Dashboard Server of a robot"),
    ):
        robot = UrRobot(address, name="robot", timeout=TIMEOUT)
        with pytest.raises(Fault, match=says):
            await robot.connect()
        await robot.close()


async def test_a_robot_that_stands_still(rig: Rig) -> None:
    """Everything is accepted and nothing moves: the carry fails in bounded lab time, naming the phase."""
    rig.faults.inject("stuck")
    with pytest.raises(Fault, match=r"does not come to the end of chuck -> bed_a: it is at APPROACH with 17 s to go"):
        await rig.robot.carry.set(TRIP)
    assert (rig.full, rig.server.controller.program) == (["chuck"], "STOPPED")
    rig.faults.clear()
    await rig.robot.carry.set(TRIP)
    assert rig.full == ["bed_a"]


async def test_a_protective_stop(rig: Rig) -> None:
    """It is told in words, the carry ends with the sample in the gripper, and nothing resets it but a person."""
    rig.server.arm.durations["TRAVEL"] = 500.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("TRAVEL")
    rig.server.protective_stop()
    with pytest.raises(Fault, match=r"protective stop: it touched something.*unlock.*PROTECTIVE_STOP"):
        await carrying
    rest = {"source": "gripper", "target": "bed_a"}
    with pytest.raises(Fault, match="protective stop"):
        await rig.robot.carry.set(rest)
    assert rig.server.controller.safety == "PROTECTIVE_STOP"
    rig.server.controller._stopped_at = rig.clock.now() + 1000
    with pytest.raises(Refusal, match="Cannot unlock protective stop until 5s after occurrence"):
        await rig.robot.unlock()
    rig.server.controller._stopped_at = rig.clock.now() - 5
    await rig.robot.unlock()
    rig.server.arm.durations["TRAVEL"] = 8.0
    await rig.robot.carry.set(rest)
    assert rig.full == ["bed_a"]


async def test_an_emergency_stop(rig: Rig) -> None:
    """The arm loses its power and keeps what it holds; released, the next carry powers it on again."""
    rig.server.arm.durations["TRAVEL"] = 500.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("TRAVEL")
    rig.server.emergency_stop()
    with pytest.raises(Fault, match=r"(emergency stop: release the button|\(emergency stop\), and the gripper holds)"):
        await carrying
    assert await rig.robot.mode.get_value() == "POWER_OFF"
    with pytest.raises(Fault, match="emergency stop: release the button at the pendant"):
        await rig.robot.carry.set("gripper -> bed_a")
    rig.server.controller.release()
    rig.server.arm.durations["TRAVEL"] = 8.0
    await rig.robot.carry.set("gripper -> bed_a")
    assert rig.full == ["bed_a"]


async def test_what_the_world_does_not_allow(rig: Rig) -> None:
    """Nothing there, or somebody in the way: the fault says where the sample is."""
    with pytest.raises(Fault, match=r"took nothing \(nothing lies at bed_a\), so the sample is where it was"):
        await rig.robot.carry.set("bed_a -> bed_b")
    slots: Any = rig.server.arm.plant
    slots.full["bed_a"] = True
    with pytest.raises(Fault, match=r"stopped on its way \(bed_a is taken\), and the gripper holds the sample"):
        await rig.robot.carry.set(TRIP)
    with pytest.raises(Fault, match="the gripper holds something since carry 2, chuck -> bed_a; deliver that first"):
        await rig.robot.carry.set("bed_a -> bed_b")
    assert rig.full == ["bed_a", "gripper"]
    await rig.robot.carry.set("gripper -> bed_b")
    with pytest.raises(Fault, match="the gripper is empty, so somebody has taken out what it held"):
        await rig.robot.carry.set("gripper -> bed_a")


async def test_a_program_that_cannot_be_played(rig: Rig) -> None:
    """A file that is not there, another program under way, a pendant in local control: refused, with what to do."""
    await rig.restart(program="other.urp")
    with pytest.raises(Refusal, match=r"refused 'load other.urp': 'File not found: other.urp'; copy the program"):
        await rig.robot.carry.set(TRIP)
    await rig.restart()
    rig.server.controller.remote = False
    with pytest.raises(Refusal, match=r"refused 'play': .*look whether the pendant is in Remote Control"):
        await rig.robot.carry.set(TRIP)
    rig.server.controller.remote, rig.server.controller.loaded = True, "third.urp"
    rig.server.controller.program = "PLAYING"
    with pytest.raises(Fault, match=r"runs another program than 'carry\.urp'"):
        await rig.robot.carry.set(TRIP)
    assert (rig.full, rig.acts("carry")) == (["chuck"], [])


async def test_stopping_and_cancelling(rig: Rig) -> None:
    """`stop` ends a carry at once, after success it does nothing; a cancelled one stands still as well."""
    await rig.robot.carry.set(TRIP)
    await rig.robot.stop()
    assert rig.server.controller.program == "PLAYING"
    rig.server.arm.durations["TRAVEL"] = 5000.0
    carrying = rig.robot.carry.set("bed_a -> bed_b")
    await rig.until("TRAVEL")
    begun = time.monotonic()
    await rig.robot.carry.stop()
    with pytest.raises(Fault, match=r"stopped on its way \(stopped\), and the gripper holds the sample"):
        await carrying
    assert time.monotonic() - begun < 1.0
    again = asyncio.ensure_future(rig.robot.carry.set("gripper -> bed_b").task)
    await rig.until("TRAVEL")
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    assert (rig.server.controller.program, rig.full) == ("STOPPED", ["gripper"])


async def test_one_carry_at_a_time(rig: Rig) -> None:
    """A second one is refused, and the first goes on."""
    first = rig.robot.carry.set(TRIP)
    await asyncio.sleep(0)
    with pytest.raises(Fault, match="cannot carry bed_a -> bed_b: it is carrying already"):
        await rig.robot.carry.set("bed_a -> bed_b")
    await first
    assert rig.full == ["bed_a"]


async def test_the_safe_state_stops_and_keeps_hold(rig: Rig) -> None:
    """It stops the arm, confirmed, twice as well; the gripper keeps what it holds."""
    rig.server.arm.durations["TRAVEL"] = 2000.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("TRAVEL")
    for _ in range(2):
        await rig.robot.safe_state()
        assert (rig.server.controller.program, rig.full) == ("STOPPED", ["gripper"])
    with pytest.raises(Fault, match="the gripper holds the sample"):
        await carrying


@pytest.mark.parametrize("kind", KINDS)
async def test_the_safe_state_is_reached_or_said_not_to_be(rig: Rig, kind: str) -> None:
    """With the fault in place nothing is confirmed, in bounded time; after one fault it is reached all the same."""
    rig.faults.inject(kind)
    begun = time.monotonic()
    with pytest.raises(UnsafeState, match=r"robot: tcp.* did not confirm that it stopped .*press its emergency stop"):
        await rig.robot.safe_state()
    assert time.monotonic() - begun < 6 * TIMEOUT
    for after in (0, 1):
        rig.faults.clear()
        rig.server.controller.program = "PLAYING"
        rig.faults.inject(kind, count=1, after=after)
        await rig.robot.safe_state()
        assert rig.server.controller.program == "STOPPED"


async def test_attaching_tells_the_robot_nothing(rig: Rig) -> None:
    """A second driver reads beside the first, and leaving stops nothing."""
    rig.server.arm.durations["APPROACH"] = 100.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("APPROACH")
    beside = UrRobot(rig.address, name="robot", clock=rig.clock, timeout=TIMEOUT)
    log = list(rig.server.probe.log)
    await attach(beside)
    assert await beside.carries.get_value() == 1
    assert rig.server.probe.log[: len(log)] == log
    await beside.close()
    await carrying
    assert rig.full == ["bed_a"]


async def test_a_robot_that_comes_back(rig: Rig) -> None:
    """After its ports were closed and opened again the driver goes on without being told."""
    await rig.robot.carry.set(TRIP)
    await rig.server.stop()
    with pytest.raises(Fault):
        await rig.robot.mode.get_value()
    await rig.server.start()
    await rig.robot.carry.set("bed_a -> chuck")
    assert await rig.robot.carries.get_value() == 2


@pytest.mark.parametrize("kind", [None, "refuse", "hang", "cut", "garbage", "lose"])
async def test_the_stop_card_stops_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """What `sdl stop` sends stops a carry and is confirmed, past one fault of each kind; twice is the same."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    rig.server.arm.durations["TRAVEL"] = 20000.0
    carrying = rig.robot.carry.set(TRIP)
    await rig.until("TRAVEL")
    assert isinstance(rig.robot, HasStopExchanges)
    card = write_card("bench", str(tmp_path / "lab.yaml"), {}, device_stops({"robot": rig.robot}, {}))
    for _ in range(2):
        if kind is not None:
            rig.faults.inject(kind, count=1)
        (pressed,) = await asyncio.to_thread(press, read_cards())
        assert (pressed.state, rig.server.controller.program) == ("safe", "STOPPED"), pressed
    card.remove()
    rig.faults.clear()
    with pytest.raises(Fault):
        await carrying
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_heartbeat_keeps_the_robot_awake() -> None:
    """A robot that stops when nobody talks to it carries on while a driver lives, and stops once it has gone."""
    rig = Rig(speed=20.0, deadman=0.25, durations={"TRAVEL": 12.0})
    await rig.start(heartbeat="50 ms")
    await rig.robot.carry.set(TRIP)
    await asyncio.sleep(0.4)
    assert rig.server.controller.program == "PLAYING"
    await rig.robot.close()
    await asyncio.sleep(0.5)
    assert (rig.server.controller.program, rig.acts("deadman")) == ("STOPPED", ["deadman"])
    await rig.stop()


async def test_a_mock_talks_to_nobody() -> None:
    """A mocked driver connects without a robot."""
    robot = UrRobot("tcp://127.0.0.1:9/10", name="robot")
    await robot.connect(mock=True)


def test_hours_of_carries_on_virtual_time() -> None:
    """Three hundred carries, an hour and a half of the lab, in seconds, and on time to the last of them."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)

    async def work() -> float:
        server = UrRobotServer(Probe("robot", clock.now), clock)
        robot = UrRobot(await server.start(), name="robot", clock=clock)
        await robot.connect()
        await robot.carry.set(TRIP)
        begun = clock.now()
        for _ in range(150):
            await robot.carry.set("bed_a -> bed_b")
            await robot.carry.set("bed_b -> bed_a")
        assert await robot.carries.get_value() == 301
        await robot.close()
        await server.stop()
        return clock.now() - begun

    cpu = time.process_time()
    took = loop.run_until_complete(work())
    cpu = time.process_time() - cpu
    loop.close()
    assert took == pytest.approx(300 * 17.0, rel=0.01)
    assert cpu < 15
