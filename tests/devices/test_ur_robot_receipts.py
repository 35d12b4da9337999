"""What the robot's program says of a carry afterwards, and what is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import bluesky.plan_stubs as bps
import pytest

from sdl.devices._ur_protocol import REMEMBERED, Carried, Count, State
from sdl.devices._ur_receipt import Armed, judge
from sdl.devices.ur_robot import UrRobot
from sdl.lab.effects import Action, _current
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from sdl.model import Fault, Refusal
from sdl.protocols import ActionRecord, Effect, Receipt, Receipts, Verdict
from tests.devices.test_ur_robot import TRIP, Rig

CARRY = 6
"""How many requests of a carry come before `CARRY`, on a robot that is ready."""


class Book:
    """One action: what its driver put on record, try by try."""

    def __init__(self, value: Any = None, id_: str = "c/1/move/1") -> None:
        self.id, self.value = id_, TRIP if value is None else value
        self.carried: dict[str, Any] = {}
        self.evidence: dict[str, Any] = {}
        self.armed = False

    async def perform(self, robot: UrRobot) -> None:
        """Try once."""
        self.evidence, self.armed = {}, False

        async def arm(evidence: Mapping[str, Any]) -> None:
            self.evidence |= evidence
            self.armed = True

        token = _current.set(Action(self.id, self.carried, arm, self.evidence.update))
        try:
            status = robot.carry.set(self.value)
        finally:
            _current.reset(token)
        await status

    def record(self) -> ActionRecord:
        """As the journal has it."""
        arguments = {"args": [self.value], "kwargs": {}}
        evidence = {**self.carried, **self.evidence}
        return ActionRecord(self.id, "robot", "carry", "set", arguments, Effect.NON_REPEATABLE, self.armed, evidence)

    def carry(self, receipt: Receipt) -> None:
        """How far it came is known."""
        self.carried |= receipt.evidence


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A robot that is ready: it has carried a sample from `probe_stage` to `chuck`."""
    rig = Rig(durations={"APPROACH": 2.0, "TRAVEL": 3.0})
    await rig.start()
    slots: Any = rig.server.arm.plant
    slots.full.update(chuck=False, probe_stage=True)
    await rig.robot.carry.set("probe_stage -> chuck")
    yield rig
    await rig.stop()


async def test_a_carry_that_is_over_is_done(rig: Rig) -> None:
    """The evidence is noted before the bytes that act, the number after; another process finds the same."""
    book = Book()
    await book.perform(rig.robot)
    assert isinstance(rig.robot, Receipts)
    assert book.evidence == {
        "tag": book.evidence["tag"], "record": rig.server.arm.record_id, "taken": 1, "source": "chuck",
        "target": "bed_a", "number": 2,
    }  # fmt: skip
    for _ in range(2):
        receipt = await rig.robot.receipt(book.record())
        assert receipt.verdict is Verdict.DONE
        assert receipt.text == "carry 2, chuck -> bed_a: DONE, the gripper is empty"
        await rig.restart()


@pytest.mark.parametrize("kind", ["hang", "cut", "garbage"])
async def test_a_carry_that_never_reached_the_robot_is_not_done(rig: Rig, kind: str) -> None:
    """The connection breaks as `CARRY` is on its way: the receipt says so, and the second try carries."""
    book = Book()
    rig.faults.inject(kind, count=1, after=CARRY)
    with pytest.raises(Fault) as caught:
        await book.perform(rig.robot)
    assert (caught.value.clean, book.armed) == (False, True)
    await rig.restart()
    receipt = await rig.robot.receipt(book.record())
    assert receipt.verdict is Verdict.NOT_DONE
    assert receipt.text == "the program never took chuck -> bed_a; 1 carries taken, 1 before it, the gripper is empty"
    await book.perform(rig.robot)
    assert rig.full == ["bed_a"]


async def test_a_refused_carry_did_not_happen(rig: Rig) -> None:
    """The program's own refusal is clean."""
    book = Book()
    rig.faults.inject("refuse", count=1, after=CARRY)
    with pytest.raises(Refusal, match=r"the program refused 'CARRY [0-9a-f]+-2 chuck bed_a': NOT_NOW") as caught:
        await book.perform(rig.robot)
    assert caught.value.clean
    assert (rig.full, rig.server.arm.taken) == (["chuck"], 1)


async def test_a_carry_whose_answer_is_lost_is_done(rig: Rig) -> None:
    """It comes to its end unheard; the record tells, and the same carry is not taken again."""
    book = Book()
    rig.faults.inject("lose", count=1, after=CARRY)
    with pytest.raises(Fault, match="no complete reply to"):
        await book.perform(rig.robot)
    assert "number" not in book.evidence
    await rig.restart()
    assert (await rig.robot.receipt(book.record())).verdict is Verdict.DONE
    assert rig.full == ["bed_a"]
    with pytest.raises(Refusal, match=r"KNOWN .* was taken before, and is not carried again"):
        await rig.robot.program.start(book.evidence["tag"], "bed_a", "chuck")


async def test_a_carry_stopped_on_its_way_is_gone_on_with(rig: Rig) -> None:
    """The gripper holds the sample: partly done, and the next try puts it to the target, be it stopped again."""
    rig.server.arm.durations["TRAVEL"] = 300.0
    book = Book()
    for _ in range(2):
        carrying = asyncio.ensure_future(book.perform(rig.robot))
        await rig.until("TRAVEL")
        await rig.robot.carry.stop()
        with pytest.raises(Fault, match="the gripper holds the sample"):
            await carrying
        receipt = await rig.robot.receipt(book.record())
        assert (receipt.verdict, receipt.evidence) == (Verdict.PARTIAL, {"held": True})
        book.carry(receipt)
        await rig.restart()
    rig.server.arm.durations["TRAVEL"] = 3.0
    await book.perform(rig.robot)
    receipt = await rig.robot.receipt(book.record())
    assert receipt.verdict is Verdict.DONE
    assert receipt.text == "carry 4, gripper -> bed_a: DONE, the gripper is empty"
    assert rig.full == ["bed_a"]
    assert rig.acts("pick", "put")[2:] == ["pick", "put"]


async def test_a_carry_stopped_before_the_grip_is_not_done(rig: Rig) -> None:
    """Nothing was taken, so the sample is where it was."""
    rig.server.arm.durations["APPROACH"] = 300.0
    book = Book()
    carrying = asyncio.ensure_future(book.perform(rig.robot))
    await rig.until("APPROACH")
    await rig.robot.carry.stop()
    with pytest.raises(Fault, match="so the sample is where it was"):
        await carrying
    receipt = await rig.robot.receipt(book.record())
    assert receipt.verdict is Verdict.NOT_DONE
    assert receipt.text == "carry 2, chuck -> bed_a: NOT_PICKED (stopped), the gripper is empty"


async def test_a_process_that_ends_leaves_a_carry_that_is_waited_for(rig: Rig) -> None:
    """The next process finds it under way, leaves it so, waits for its end, and says that it is done."""
    rig.server.arm.durations["TRAVEL"] = 200.0
    book = Book()
    carrying = asyncio.ensure_future(book.perform(rig.robot))
    await rig.until("TRAVEL")
    await rig.server.stop()  # the driver cannot stop it any more, as a process that was killed cannot
    with pytest.raises(Fault):
        await carrying
    await rig.server.start()
    await rig.restart()
    assert rig.server.arm.state().phase in ("TRAVEL", "PLACE")
    assert (await rig.robot.receipt(book.record())).verdict is Verdict.DONE
    assert (rig.full, rig.acts("stop")) == (["bed_a"], [])


async def test_a_robot_that_does_not_answer_gives_no_receipt(rig: Rig) -> None:
    """No answer is a fault, not a verdict; it is told once the robot answers again."""
    book = Book()
    await book.perform(rig.robot)
    rig.faults.inject("hang")
    with pytest.raises(Fault, match="no complete reply"):
        await rig.robot.receipt(book.record())
    rig.faults.clear()
    assert (await rig.robot.receipt(book.record())).verdict is Verdict.DONE


async def test_a_sample_that_was_taken_out_is_for_a_person(rig: Rig) -> None:
    """Stopped on its way, and the gripper is empty since: unknown; the next try says what to do."""
    rig.server.arm.durations["TRAVEL"] = 300.0
    book = Book()
    carrying = asyncio.ensure_future(book.perform(rig.robot))
    await rig.until("TRAVEL")
    await rig.robot.carry.stop()
    with pytest.raises(Fault):
        await carrying
    slots: Any = rig.server.arm.plant
    slots.gripped = False
    receipt = await rig.robot.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert receipt.text.endswith("the gripper is empty: where the sample is now has to be looked up")
    book.carried["held"] = True
    with pytest.raises(Fault, match="somebody has taken out what it held"):
        await book.perform(rig.robot)
    assert not book.armed


async def test_a_carry_that_stands_still_is_unknown(rig: Rig) -> None:
    """Asked while nothing moves: it does not come to its end, and nobody says that it did."""
    book = Book()
    book.evidence = {
        "tag": "t-2", "record": rig.server.arm.record_id, "taken": 1, "source": "chuck", "target": "bed_a",
    }  # fmt: skip
    book.armed = True
    rig.faults.inject("stuck")
    assert await rig.robot.program.start("t-2", "chuck", "bed_a") == 2
    receipt = await rig.robot.receipt(book.record())
    assert receipt.verdict is Verdict.UNKNOWN
    assert receipt.text.endswith("RUNNING, the gripper is empty: it does not come to its end")
    await rig.robot.safe_state()
    assert (await rig.robot.receipt(book.record())).verdict is Verdict.NOT_DONE


class Entries:
    """Keeps what a station records, as a journal does."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kinds.append(kind)

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        self.kinds.append(kind)
        return ""


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_plan_that_is_paused_while_the_robot_carries(at_once: bool) -> None:
    """On a station: the pause stops the arm with the sample in its gripper, going on puts it to the target, once.

    That it is to go on may be said at once, or when the arm stands still.
    """
    rig = Rig(durations={"TRAVEL": 100.0})
    await rig.start()
    robot = UrRobot(rig.address, name="robot", clock=rig.clock, timeout=1.0)
    station, entries = Station("transport", {"robot": robot}, rig.clock), Entries()
    await station.open()

    def plan() -> Any:
        yield from bps.mv(robot.carry, TRIP)
        yield from bps.mv(robot.carry, "bed_a -> bed_b")

    order = StepOrder("c", 1, "move", 1, "transport", 1, entries)
    running = asyncio.ensure_future(station.run(plan(), lambda name, document: None, {}, None, order))
    async with asyncio.timeout(20):
        await rig.until("TRAVEL")
        await station.pause()
        while not at_once and "action.aborted" not in entries.kinds:  # how far it came is on record
            await asyncio.sleep(0.01)
        if not at_once:
            assert (rig.server.controller.program, rig.full) == ("STOPPED", ["gripper"])
        station.resume()
        await running
    assert (rig.full, rig.acts("pick", "put")) == (["bed_b"], ["pick", "put"] * 2)
    assert entries.kinds.count("action.aborted") == 1
    assert entries.kinds.count("action.done") == 2
    await station.close()
    await rig.stop()
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_other_actions_have_no_receipt(rig: Rig) -> None:
    """An action without the evidence of a carry is unknown, in words."""
    receipt = await rig.robot.receipt(Book().record())
    assert (receipt.verdict, receipt.text) == (Verdict.UNKNOWN, "robot keeps no record of carry")


ARMED = Armed("t-5", "r", 4, "chuck", "bed_a", acknowledged=False)


def _carried(outcome: str, number: int = 5) -> Carried:
    return Carried("t-5", number, "chuck", "bed_a", outcome)


@pytest.mark.parametrize(
    ("carried", "count", "holding", "verdict"),
    [
        (None, Count(4, "r"), False, Verdict.NOT_DONE),
        (None, Count(6, "r"), True, Verdict.NOT_DONE),
        (None, Count(4 + REMEMBERED, "r"), False, Verdict.UNKNOWN),
        (None, Count(4, "other"), False, Verdict.UNKNOWN),
        (None, Count(3, "r"), False, Verdict.UNKNOWN),
        (_carried("DONE"), Count(9, "r"), True, Verdict.DONE),
        (_carried("DONE"), Count(5, "other"), False, Verdict.UNKNOWN),
        (_carried("NOT_PICKED"), Count(5, "r"), False, Verdict.NOT_DONE),
        (_carried("PARTIAL"), Count(5, "r"), True, Verdict.PARTIAL),
        (_carried("PARTIAL"), Count(5, "r"), False, Verdict.UNKNOWN),
        (_carried("PARTIAL"), Count(6, "r"), True, Verdict.UNKNOWN),
        (_carried("RUNNING"), Count(5, "r"), True, Verdict.UNKNOWN),
    ],
)
def test_verdicts(carried: Carried | None, count: Count, holding: bool, verdict: Verdict) -> None:
    """Conclusive only where record, counter and gripper leave nothing open."""
    assert judge(ARMED, carried, count, holding).verdict is verdict


def test_a_record_that_forgot_what_it_took_is_unknown() -> None:
    """The program answered that it takes the carry, and knows nothing of it."""
    armed = Armed("t-5", "r", 4, "chuck", "bed_a", acknowledged=True)
    assert judge(armed, None, Count(4, "r"), False).verdict is Verdict.UNKNOWN


def test_lines_of_the_program_channel() -> None:
    """What is written can be read; anything else is refused."""
    carried = Carried("a-1", 3, "chuck", "bed_a", "PARTIAL", "bed_a is taken")
    assert Carried.read(carried.line()) == carried
    assert Carried.read("CARRY -") is None
    assert State.read(State("TRAVEL", 1.25, "a-1").line()) == State("TRAVEL", 1.25, "a-1")
    assert Count.read(Count(3, "r").line()) == Count(3, "r")
    for kind, line in ((Carried, "CARRY a-1 3 chuck bed_a GONE"), (State, "STATE TRAVEL -1 a"), (Count, "COUNT x r")):
        with pytest.raises(ValueError, match="is no such reply"):
            kind.read(line)
