"""What became of a carry: from what was noted when it was armed, the program's record and the gripper's sensor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from sdl.devices._ur_links import ProgramChannel
from sdl.devices._ur_protocol import REMEMBERED, Carried, Count
from sdl.protocols import ActionRecord, Clock, Receipt, Verdict

__all__ = ["Armed", "judge", "receipt_of"]

SECOND_LOOK = 0.2
"""Wall seconds between two looks at a record without the carry: what is on its way to the robot arrives meanwhile."""
_LOOK = 5.0
"""Lab seconds between two looks at a carry under way."""


class Asked(Protocol):
    """What is needed of the robot."""

    clock: Clock
    program: ProgramChannel

    @property
    def name(self) -> str: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...


@dataclass(frozen=True)
class Armed:
    """A carry as it was prepared: the evidence of an action on `carry`."""

    tag: str
    record: str
    taken: int
    """Carries that the program had taken before."""
    source: str
    target: str
    acknowledged: bool
    """Whether the program answered that it takes it."""

    @classmethod
    def read(cls, evidence: Mapping[str, Any]) -> Self | None:
        """None when the evidence is of no carry."""
        try:
            words = [str(evidence[key]) for key in ("tag", "record", "source", "target")]
            tag, record, source, target = words
            return cls(tag, record, int(evidence["taken"]), source, target, "number" in evidence)
        except (KeyError, TypeError, ValueError):
            return None


async def receipt_of(robot: Asked, action: ActionRecord) -> Receipt:
    """The receipt of an action on `carry`; see `judge`. Waits for a carry that is still under way.

    Raises:
        Fault: the robot does not answer.
    """
    armed = Armed.read(action.evidence) if action.path == "carry" else None
    if armed is None:
        return Receipt(Verdict.UNKNOWN, f"{robot.name} keeps no record of {action.path or action.verb}")
    carried = await robot.program.carry(armed.tag)
    if carried is None:
        await asyncio.sleep(SECOND_LOOK)
    carried = await _settled(robot, armed.tag)
    return judge(armed, carried, await robot.program.count(), await robot.program.holding())


async def _settled(robot: Asked, tag: str) -> Carried | None:
    """The carry once it is over; as it is when it does not come to its end in time."""
    program, clock = robot.program, robot.clock
    state = await program.state()
    end = clock.now() + 1.2 * state.left + 10 + 2 * clock.speed
    while state.tag == tag and clock.now() < end:
        await robot.poll_pause(min(max(state.left, 0.01), _LOOK))
        state = await program.state()
    return await program.carry(tag)


def judge(armed: Armed, carried: Carried | None, count: Count, holding: bool) -> Receipt:
    """The receipt of a carry.

    Args:
        armed: the carry as it was prepared.
        carried: as the program's record has it now; None when it has no such carry.
        count: of the record.
        holding: what the gripper's sensor says.
    """
    what = f"{armed.source} -> {armed.target}"
    grip = f"the gripper {'holds something' if holding else 'is empty'}"
    said = f"{count.taken} carries taken, {armed.taken} before it, {grip}"
    if count.record != armed.record or count.taken < armed.taken:
        return Receipt(Verdict.UNKNOWN, f"the record of the robot's program was begun anew since; {said}")
    if carried is None:
        if armed.acknowledged or count.taken - armed.taken >= REMEMBERED:
            return Receipt(Verdict.UNKNOWN, f"the program's record does not go back to {what}; {said}")
        return Receipt(Verdict.NOT_DONE, f"the program never took {what}; {said}")
    said = f"carry {carried.number}, {carried.source} -> {carried.target}: {carried.outcome}"
    said += (f" ({carried.cause})" if carried.cause else "") + f", {grip}"
    match carried.outcome:
        case "DONE":
            return Receipt(Verdict.DONE, said)
        case "NOT_PICKED":
            return Receipt(Verdict.NOT_DONE, said)
        case "PARTIAL" if holding and count.taken == carried.number:
            return Receipt(Verdict.PARTIAL, said, {"held": True})
        case "PARTIAL":
            used = f", {count.taken - carried.number} carries since" if count.taken > carried.number else ""
            return Receipt(Verdict.UNKNOWN, f"{said}{used}: where the sample is now has to be looked up")
    return Receipt(Verdict.UNKNOWN, f"{said}: it does not come to its end")
