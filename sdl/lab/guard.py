"""The guard of a station: every action on a device goes through it, on its way from the RunEngine to the driver.

It numbers the actions of a plan, puts DISPATCHED on the disk before a driver is called, completes a replayed message
whose action is done without touching the instrument, goes on after a pause, and calls doubtful what it cannot know.
The RunEngine is composed: the guard registers its own commands in place of those that act, and hands on to the old.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bluesky import Msg, RunEngine
from ophyd_async.core import AsyncStatus

from sdl.journal.actions import ActionState
from sdl.lab._acting import Acting
from sdl.lab._origin import origin
from sdl.lab._performance import Performance, Surroundings
from sdl.lab.effects import ACTING, InDoubt, Recorder, Target, acts_of, find_target
from sdl.lab.preflight import PlanRules, check_message
from sdl.model import Fault
from sdl.protocols import Acts, Effect
from sdl.virtual import held_for

__all__ = ["Guard", "StepOrder"]

_SETTLE = 30.0
"""Wall seconds in which an action that was stopped has what became of it on record."""
_POSITION = "sdl_position"
"""Keyword that carries an action's position in its message, through rewinds; taken out before a device sees it."""


@dataclass(frozen=True)
class StepOrder:
    """Which step of which trial a plan is, and what became of its actions before."""

    campaign: str
    trial: int
    step: str
    attempt: int
    station: str
    epoch: int
    recorder: Recorder
    actions: Mapping[str, ActionState] = field(default_factory=dict)
    """Actions of the trial by id."""


@dataclass
class _UnderWay:
    """An action that was begun."""

    status: AsyncStatus[Any]
    group: Any
    device: Any
    """What the message acts on."""
    performance: Performance
    stopped: bool = False
    """A pause has stopped its device while it was under way."""


class Guard:
    """Stands between a RunEngine and the devices of its station.

    Args:
        devices: the station's devices by name.
        declared: effects that the lab file declares, by device.
        stopped: gives the reason why nothing may act any more; empty while all is well.
    """

    def __init__(
        self,
        devices: Mapping[str, Any],
        declared: Mapping[str, Mapping[str, Effect]] | None = None,
        stopped: Callable[[], str] = lambda: "",
    ) -> None:
        self.devices = devices
        self.doubts: dict[str, ActionState] = {}
        """Device → action in doubt that blocks it."""
        self.stopped = stopped
        self._declared = declared or {}
        self._engine: RunEngine | None = None
        self._originals: dict[str, Callable[[Msg], Any]] = {}
        self._order: StepOrder | None = None
        self._actions: dict[str, ActionState] = {}
        self._under_way: dict[str, _UnderWay] = {}
        """By id of the action."""
        self._targets: dict[int, tuple[Any, Target | None]] = {}
        self._suspended = False
        self._ending = False
        self.rules: PlanRules | None = None
        """What messages may be; None while everything may be."""

    def install(self, engine: RunEngine) -> None:
        """Take the place of the engine's commands that act."""
        self._engine = engine
        for command in ACTING:
            self._replace(command, self._act)
        self._replace("wait", self._wait)
        self._replace("_start_suspender", self._suspend)
        self._replace("_resume_from_suspender", self._unsuspend)

    def _replace(self, command: str, handler: Callable[[Msg], Any]) -> None:
        assert self._engine is not None
        # The engine has no public way to read what is registered.
        self._originals[command] = self._engine._command_registry[command]
        self._engine.register_command(command, handler)  # type: ignore[no-untyped-call]

    # ── one step ──

    def begin(self, order: StepOrder) -> None:
        """A step begins: its actions are recorded from here on."""
        self._order = order
        self._actions = dict(order.actions)
        self._under_way.clear()
        self._suspended = self._ending = False

    async def settle(self) -> None:
        """Wait until every action has its end on record. The plan is over by now, and what moved has been stopped.

        Raises:
            InDoubt: whether one of them happened is not known.
        """
        self._ending = True
        for one in list(self._under_way.values()):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(asyncio.shield(one.status.task), _SETTLE)
        self._order = None
        left, self._under_way = self._under_way, {}
        for one in left.values():
            error = one.status.exception(timeout=0) if one.status.done else None
            if isinstance(error, InDoubt):
                raise error

    async def at_rest(self) -> None:
        """Wait until it is on record what became of the actions that a pause has stopped; before, nothing may go on.

        Raises:
            Fault: of one of them that is not known in time.
        """
        for one in [one for one in self._under_way.values() if one.stopped]:
            held = asyncio.ensure_future(one.performance.held.wait())
            known, _ = await asyncio.wait({one.status.task, held}, timeout=_SETTLE, return_when=asyncio.FIRST_COMPLETED)
            held.cancel()
            if not known:
                raise Fault(
                    one.performance.device,
                    f"the pause stopped {one.performance.in_words()} and it has not ended {_SETTLE:g} s after going on "
                    "was asked for, so the plan is given up; see what the device does before the step is done again",
                )
            one.stopped = False

    def block(self, action: ActionState) -> None:
        """Let nothing act on the action's device until it is settled."""
        self.doubts[action.device] = action

    def unblock(self, action: str) -> None:
        """An action (id) is settled."""
        for device in [name for name, doubt in self.doubts.items() if doubt.id == action]:
            del self.doubts[device]

    @property
    def idle(self) -> bool:
        """Whether no action is under way or has failed."""
        return all(one.status.done and one.status.success for one in self._under_way.values())

    def give_up(self) -> None:
        """The plan is being aborted: what is stopped now is not taken up again."""
        self._ending = True

    def numbered(self, plan: Iterator[Any]) -> Generator[Any, Any, Any]:
        """The plan with a position in each message that acts.

        Positions count what must not be repeated (`1`, `2` …) apart from what may (`a1`, `a2` …), so that a plan
        that adapts to readings still names a dispense alike when it is replayed. What a plan does after an exception
        was thrown into it counts anew behind `!`, so that its cleaning up is not taken for what would have come.
        """
        branch, guarded, other = "", 0, 0
        reply: Any = None
        error: BaseException | None = None
        while True:
            try:
                msg = plan.send(reply) if error is None else plan.throw(error)  # type: ignore[attr-defined]
            except StopIteration as stop:
                return stop.value
            error = None
            if (refusal := self._refusal(msg)) is not None:
                error = Fault("", f"{_place(plan)}{refusal}")
                branch, guarded, other = f"{branch}{guarded}!", 0, 0
                continue
            if msg.command in ACTING and (acts := self._acts(msg)[1]).effect is not Effect.READ:
                if acts.effect is Effect.ABSOLUTE:
                    other += 1
                    position = f"{branch}a{other}"
                else:
                    guarded += 1
                    position = f"{branch}{guarded}"
                msg = msg._replace(kwargs={**msg.kwargs, _POSITION: position})
            try:
                reply = yield msg
            except GeneratorExit:
                plan.close()  # type: ignore[attr-defined]
                raise
            except BaseException as thrown:
                error = thrown
                branch, guarded, other = f"{branch}{guarded}!", 0, 0

    def _refusal(self, msg: Msg) -> str | None:
        """What is wrong with a message that the check before the run did not come to."""
        return None if self.rules is None else check_message(msg, self.rules)

    def _acts(self, msg: Msg) -> tuple[Target | None, Acts]:
        target = self._target(msg.obj)
        if target is None:
            return None, Acts(Effect.NON_REPEATABLE)
        declared = self._declared.get(target.device)
        return target, acts_of(target, msg.command, self.devices[target.device], declared, msg.obj)

    def _target(self, obj: Any) -> Target | None:
        known = self._targets.get(id(obj))
        if known is None or known[0] is not obj:
            known = self._targets[id(obj)] = (obj, find_target(obj, self.devices))
        return known[1]

    # ── commands, in the RunEngine's loop ──

    async def _act(self, msg: Msg) -> Any:
        original = self._originals[msg.command]
        position = msg.kwargs.get(_POSITION)
        if position is None:
            return held_for(await original(msg))
        kwargs = {key: value for key, value in msg.kwargs.items() if key != _POSITION}
        msg = msg._replace(kwargs=kwargs)
        if self._order is None:
            return await original(msg)
        target, acts = self._acts(msg)
        if target is None:
            raise Fault("", f"{msg.command} on {msg.obj!r}, which is no device of this station")
        self._may_act(target)
        performance = self._performance(self._order, msg, target, acts, position)
        if msg.command == "configure":  # the one verb that answers at once
            return await performance.at_once(lambda: original(msg))
        return await original(msg._replace(obj=Acting(msg.obj, self._status(performance, msg), self._has_stopped)))

    def _status(self, performance: Performance, msg: Msg) -> Callable[[Callable[[], Any]], AsyncStatus[Any]]:
        def begin(call: Callable[[], Any]) -> AsyncStatus[Any]:
            known = self._under_way.get(performance.id)
            if known is not None and not known.status.done:  # a rewind came across an action that is under way
                return known.status
            status = AsyncStatus(performance.run(call))
            self._under_way[performance.id] = _UnderWay(status, msg.kwargs.get("group"), msg.obj, performance)
            return status

        return begin

    def _has_stopped(self, device: Any) -> None:
        """The engine has stopped what a message acts on, because of a pause or in the end."""
        for one in self._under_way.values():
            one.stopped = one.stopped or (one.device is device and not one.status.done)

    def _may_act(self, target: Target) -> None:
        if reason := self.stopped():
            raise Fault(target.device, f"nothing is done any more: {reason}")
        doubt = self.doubts.get(target.device)
        if doubt is not None:
            raise InDoubt(doubt.id, f"{target.device} is blocked until it is known whether {doubt.in_words()} happened")

    def _performance(self, order: StepOrder, msg: Msg, target: Target, acts: Acts, position: str) -> Performance:
        return Performance(
            order,
            f"{order.campaign}/{order.trial}/{order.step}/{position}",
            target,
            msg,
            acts,
            Surroundings(self.devices[target.device], self._actions, self._paused, self._over, self.doubts),
        )

    async def _wait(self, msg: Msg) -> Any:
        answer = await self._originals["wait"](msg)
        # After a rewind the engine has forgotten what was begun before the checkpoint; the guard has not.
        group = msg.args[0] if msg.args else msg.kwargs.get("group")
        for one in list(self._under_way.values()):
            own, status = one.group, one.status
            if own == group and not status.done and group is not None and msg.kwargs.get("error_on_timeout", True):
                await status
        return answer

    async def _suspend(self, msg: Msg) -> Any:
        self._suspended = True
        return await self._originals["_start_suspender"](msg)

    async def _unsuspend(self, msg: Msg) -> Any:
        await self.at_rest()
        self._suspended = False
        return await self._originals["_resume_from_suspender"](msg)

    def _paused(self) -> bool:
        assert self._engine is not None
        return self._suspended or str(self._engine.state) in ("pausing", "paused", "suspending")

    def _over(self) -> bool:
        assert self._engine is not None
        return self._ending or str(self._engine.state) in ("aborting", "stopping", "halting", "idle")


def _place(plan: Iterator[Any]) -> str:
    """`procedure.py:31: `: the line of the plan that gave the last message."""
    place = origin(plan)
    return f"{place.file}:{place.line}: " if place is not None else ""
