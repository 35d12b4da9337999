"""Carrying something from place to place, all of the way or what an earlier try has left."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from ophyd_async.core import AsyncStatus, Device

from sdl.devices._ur_links import ProgramChannel
from sdl.devices._ur_protocol import GRIPPER, Carried, tag_of
from sdl.devices._ur_route import Route, read_route
from sdl.lab.effects import Action, current_action
from sdl.model import Fault
from sdl.protocols import Clock

__all__ = ["Carry", "Carrying"]

_LOOK = 5.0
"""Lab seconds between two looks at most: so soon a protective stop is noticed."""


class Carrying(Protocol):
    """What a carry needs of its robot."""

    clock: Clock
    program: ProgramChannel
    places: tuple[str, ...]

    async def make_ready(self) -> None: ...
    async def check_safety(self) -> None: ...
    async def halt(self) -> None: ...
    def fault(self, message: str) -> Fault: ...


class Carry(Device):
    """Movable: set a source and a target; done when what lay at the source lies at the target.

    In a campaign an action that was stopped while the gripper held the sample is gone on with: it is put to the target.

    Args:
        robot: which carries.
    """

    def __init__(self, robot: Carrying) -> None:
        # Not a plain attribute: a device would take it for its child.
        self._of = (robot,)
        self.under_way = False
        """Whether something is being carried."""
        self._interrupted = asyncio.Event()
        super().__init__()

    @property
    def _robot(self) -> Carrying:
        return self._of[0]

    def check_value(self, value: Any) -> None:
        """Raise `InputError` when `value` is no carry between places that the robot knows; nothing is sent."""
        read_route(value, self._robot.places)

    @AsyncStatus.wrap
    async def set(self, value: Any) -> None:
        """Carry something.

        Args:
            value: `{"source": "chuck", "target": "bed_a"}`, `("chuck", "bed_a")` or `"chuck -> bed_a"`; the source
                `gripper` delivers what the gripper holds.

        Raises:
            InputError: no such place; nothing was sent.
            Refusal: the robot answered that it does not.
            Fault: the robot failed or was stopped; the message says where the sample is.
        """
        route = read_route(value, self._robot.places)
        if self.under_way:
            raise self._robot.fault(f"cannot carry {route}: it is carrying already")
        action = current_action()
        if action is not None and action.carried.get("held"):
            route = route._replace(source=GRIPPER)
        self._interrupted.clear()
        self.under_way = True
        try:
            await self._carry(route, action)
        except BaseException:
            await self._robot.halt()
            raise
        finally:
            self.under_way = False

    async def _carry(self, route: Route, action: Action | None) -> None:
        robot, program = self._robot, self._robot.program
        await robot.make_ready()
        await self._check_gripper(route)
        count = await program.count()
        tag = tag_of(action.id if action is not None else "", count.taken + 1)
        self._go_on(route)
        if action is not None:
            await action.arm(tag=tag, record=count.record, taken=count.taken, source=route.source, target=route.target)
            self._go_on(route)
        number = await program.start(tag, *route)
        if action is not None:
            action.acknowledge(number=number)
        await self._finish(tag, route)

    async def _check_gripper(self, route: Route) -> None:
        holding = await self._robot.program.holding()
        if holding and route.source != GRIPPER:
            last = await self._robot.program.last()
            since = f" since carry {last.number}, {last.source} -> {last.target}" if last is not None else ""
            raise self._robot.fault(
                f"cannot carry {route}: the gripper holds something{since}; deliver that first, with source {GRIPPER!r}"
            )
        if not holding and route.source == GRIPPER:
            raise self._robot.fault(
                f"cannot carry {route}: the gripper is empty, so somebody has taken out what it held; find the sample "
                "and say where it is"
            )

    def _go_on(self, route: Route) -> None:
        if self._interrupted.is_set():
            raise self._robot.fault(f"was stopped before it began to carry {route}")

    async def _finish(self, tag: str, route: Route) -> None:
        robot, clock = self._robot, self._robot.clock
        state = await robot.program.state()
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = clock.now() + 1.2 * state.left + 10 + 2 * clock.speed
        while state.tag == tag and not self._interrupted.is_set():
            await robot.check_safety()
            if clock.now() > end:
                raise robot.fault(
                    f"does not come to the end of {route}: it is at {state.phase} with {state.left:.3g} s to go; look "
                    "whether it stands still, or is paused at its pendant"
                )
            await self._pause(min(state.left, _LOOK))
            state = await robot.program.state()
        if state.tag == tag:
            await robot.halt()
        carried = await robot.program.carry(tag)
        if carried is None or carried.outcome != "DONE":
            raise robot.fault(f"did not carry {route}: {_in_words(carried)}")

    async def _pause(self, seconds: float) -> None:
        """Wait for so much lab time, or until the carry is stopped."""
        clock = self._robot.clock
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds / clock.speed, 0.005)):
                await self._interrupted.wait()

    async def stop(self, success: bool = True) -> None:
        """Stop a carry under way; Bluesky calls this also after one that is done, and then nothing happens."""
        if self.under_way:
            self.interrupt()
            await self._robot.halt()

    def interrupt(self) -> None:
        """Let a carry under way fail at once."""
        self._interrupted.set()


def _in_words(carried: Carried | None) -> str:
    if carried is None:
        return "its record knows nothing of it"
    why = f" ({carried.cause})" if carried.cause else ""
    match carried.outcome:
        case "NOT_PICKED":
            return f"it took nothing{why}, so the sample is where it was"
        case "PARTIAL":
            return f"it was stopped on its way{why}, and the gripper holds the sample"
    return f"its record says {carried.outcome}{why}"
