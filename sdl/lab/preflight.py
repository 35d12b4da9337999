"""Plans are checked before they run: whatever they would do to a device is held against what they may do.

The messages of a fresh instance of the plan are drawn and none is executed, so no instrument is asked or told
anything; the plan's own Python code does run. Readings are values that may be passed on and calculated with; as soon
as the plan decides by one, the check ends there, and the messages from there on are checked one by one when they are
executed (`check_message`).

What a message may be:

* it is about a device of the step, or a part of one;
* its command is one that the RunEngine knows, and none that runs code of the plan outside its messages;
* a `set` is within the limits of what is set: its `check_value`, else its `limits`;
* a `set` is within the interlocks on what is set. These are the interlocks on the signal itself, and, for a device or
  its child `setpoint` or `user_setpoint`, those on the one signal that the device hints at: with
  `heater.temperature < 88 degC` neither `heater` nor `heater.setpoint` can be set to 95 degC. Values are taken to be
  in the unit of that signal.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bluesky import Msg

from sdl.lab._origin import origin
from sdl.lab._signals import hinted_fields
from sdl.lab._unknown import Replies
from sdl.lab.effects import find_target
from sdl.lab.interlocks import Bound
from sdl.model import Fault, FileFault
from sdl.plugins import suggest

__all__ = ["REFUSED", "NeedsLoop", "PlanRules", "check_message", "preflight", "preflight_here"]

REFUSED: Mapping[str, str] = {
    "wait_for": "give the device a method for it and use bps.trigger or bps.abs_set, and bps.wait",
    "input": "nobody sits at the terminal; make it a parameter, or end the step there with on_interrupt: ask",
    "subscribe": "documents are in the journal; use an analysis for what depends on them",
    "install_suspender": "declare an interlock in the lab file, or retries of the step",
    "remove_suspender": "declare an interlock in the lab file, or retries of the step",
    "_start_suspender": "declare an interlock in the lab file, or retries of the step",
    "_resume_from_suspender": "declare an interlock in the lab file, or retries of the step",
    "pause": "nobody can resume a plan that pauses itself; split it into steps",
}
"""Commands that plans cannot use, and what to use instead: they run code, or wait, where no record is kept."""

MOST_MESSAGES = 10_000
TIME_LIMIT = 2.0
"""Wall seconds for the check of a plan, seen to between messages."""
MOST_FAULTS = 20
CHECK_LIMIT = 1.0
"""Wall seconds for a device to say whether it can be set to a value."""
_TURN = 0.005
"""Wall seconds after which the check lets others have the event loop."""
_NOT_ABOUT_THE_VALUE = (Fault, OSError, NotImplementedError)
"""Errors of a device's check that leave the question open: its `set` asks it again."""


class PlanRules:
    """What the messages of a step may do.

    Args:
        devices: those of the step, by name.
        interlocks: bound to these devices.
        commands: that the RunEngine knows: `RE.commands`.
    """

    def __init__(self, devices: Mapping[str, Any], interlocks: Iterable[Bound], commands: Iterable[str]) -> None:
        self._devices = dict(devices)
        self._paths: dict[int, str] = {id(device): name for name, device in devices.items()}
        self._kept: list[Any] = list(devices.values())  # an id is one object's as long as that object lives
        self._commands = frozenset(commands)
        self._allowed = self._commands - REFUSED.keys()
        self._interlocks: dict[int, list[Bound]] = {}
        for item in interlocks:
            if item.interlock.device in devices:
                self._lock(item, devices[item.interlock.device])

    def _lock(self, item: Bound, device: Any) -> None:
        signal = item.signal
        about = [signal.owner] if signal.owner is not device else []
        parent = device if signal.owner is device else getattr(signal.owner, "parent", device)
        if hinted_fields(parent) == [signal.key]:
            about += [parent, getattr(parent, "setpoint", None), getattr(parent, "user_setpoint", None)]
        for settable in about:
            if settable is not None:
                self._interlocks.setdefault(id(settable), []).append(item)
                self._kept.append(settable)

    def path(self, obj: Any) -> str | None:
        """`silver_pump.rate`; None for what is no device of the step nor part of one."""
        known = self._paths.get(id(obj))
        if known is not None:
            return known
        target = find_target(obj, self._devices)
        if target is None:
            return None
        path = f"{target.device}.{target.path}" if target.path else target.device
        self._paths[id(obj)] = path
        self._kept.append(obj)
        return path

    def check_command(self, command: str) -> str | None:
        """Why a command cannot be used; None when it can."""
        if command in self._allowed:
            return None
        if command in REFUSED:
            return f"{command!r} is an undeclared action, which cannot be recorded; {REFUSED[command]}"
        return f"the RunEngine has no command {command!r}{suggest(str(command), sorted(self._allowed))}"

    def check_object(self, obj: Any, command: str) -> str | None:
        """Why a message cannot be about an object; None when it can."""
        if id(obj) in self._paths or self.path(obj) is not None:
            return None
        name = getattr(obj, "name", None) or repr(obj)
        return (
            f"{command!r} of {name} is an undeclared action: it is no device of this step ({', '.join(self._devices)}) "
            "nor part of one; give it to the station, and take it as an argument of the plan"
        )

    def check_interlocks(self, obj: Any, value: Any) -> str | None:
        """Why an interlock keeps an object from being set to a value; None when none does."""
        for item in self._interlocks.get(id(obj), ()):
            if isinstance(value, str) or _holds(item, value):
                continue
            needed = f"{item.interlock.what} {item.interlock.requirement}"
            return f"{_cannot(self, obj, value, item.signal.unit)}: interlock {item.interlock.name} requires {needed}"
        return None


def _holds(item: Bound, value: Any) -> bool:
    try:
        return item.holds(float(value))
    except (TypeError, ValueError):
        return True  # whatever it is, it is no value of that signal


def check_message(msg: Msg, rules: PlanRules) -> str | None:
    """What is wrong with a message; None when it can be executed. Asks no instrument and never waits.

    A limit that only a coroutine function `check_value` knows is left to `preflight` and to the device's own `set`.
    """
    fault = _shape(msg, rules)
    if fault is not None or msg.command != "set":
        return fault
    value = _value(msg)
    check = _limit_check(msg.obj)
    if check is not None and not inspect.iscoroutinefunction(check):
        try:
            check(value)
        except _NOT_ABOUT_THE_VALUE:
            pass
        except Exception as error:  # whatever a driver raises here, it does not take the value
            return _refused(rules, msg.obj, value, error)
    return rules.check_interlocks(msg.obj, value)


def _shape(msg: Msg, rules: PlanRules) -> str | None:
    """What is wrong with a message apart from its value."""
    command = msg.command
    if command not in rules._allowed:
        return rules.check_command(command)
    obj = msg.obj
    if obj is not None and id(obj) not in rules._paths:
        fault = rules.check_object(obj, command)
        if fault is not None:
            return fault
    if command == "locate" or command == "declare_stream":
        return next((f for f in (rules.check_object(o, command) for o in msg.args) if f is not None), None)
    return None


def _value(msg: Msg) -> Any:
    return msg.args[0] if msg.args else msg.kwargs.get("value")


def _limit_check(obj: Any) -> Callable[[Any], Any] | None:
    check = getattr(obj, "check_value", None)
    if callable(check):
        return check  # type: ignore[no-any-return]
    limits = getattr(obj, "limits", None)
    if not isinstance(limits, tuple | list) or len(limits) != 2 or not limits[0] < limits[1]:
        return None
    low, high = limits

    def within(value: Any) -> None:
        if not low <= value <= high:
            raise ValueError(f"its limits are {low:g} to {high:g}")

    return within


def _cannot(rules: PlanRules, obj: Any, value: Any, unit: str) -> str:
    shown = f"{value:g}" if isinstance(value, int | float) else repr(value)
    return f"{rules.path(obj)} cannot be set to {shown}" + (f" {unit}" if unit not in ("", "1") else "")


def _refused(rules: PlanRules, obj: Any, value: Any, error: Exception) -> str:
    unit = str(getattr(error, "unit", ""))
    low, high = getattr(error, "low", None), getattr(error, "high", None)
    if low is not None and high is not None:
        return f"{_cannot(rules, obj, value, unit)}: its limits are {low:g} to {high:g} {unit}".rstrip()
    return f"{_cannot(rules, obj, value, unit)}: {' '.join(str(error).split()) or type(error).__name__}"


async def _check_async(msg: Msg, rules: PlanRules) -> str | None:
    """What a coroutine function `check_value` says against a value."""
    check = _limit_check(msg.obj)
    if check is None or not inspect.iscoroutinefunction(check):
        return None
    if asyncio._get_running_loop() is None:
        raise NeedsLoop
    value = _value(msg)
    try:
        async with asyncio.timeout(CHECK_LIMIT):
            await check(value)
    except _NOT_ABOUT_THE_VALUE:
        pass
    except Exception as error:  # whatever a driver raises here, it does not take the value
        return _refused(rules, msg.obj, value, error)
    return None


class NeedsLoop(Exception):
    """A device has to be asked in its event loop."""


def preflight_here(plan: Iterator[Any], rules: PlanRules) -> list[FileFault]:
    """`preflight` in a thread without an event loop, which saves a change of threads where no device has to be asked.

    Raises:
        NeedsLoop: one has to be; call `preflight` with a fresh instance of the plan.
    """
    checking = preflight(plan, rules)
    while True:
        try:
            checking.send(None)
        except StopIteration as end:
            faults: list[FileFault] = end.value
            return faults


async def preflight(
    plan: Iterator[Any], rules: PlanRules, *, most_messages: int = MOST_MESSAGES, time_limit: float = TIME_LIMIT
) -> list[FileFault]:
    """Check a fresh instance of a plan, which is used up by it. Run in the event loop of the step's devices.

    A plan that raises is none of this check's business: it does so again when it is executed, and is heard then.

    Args:
        plan: as the step would execute it.
        rules: of the step.
        most_messages: after which the check ends.
        time_limit: wall seconds after which it ends; a plan that computes between two messages is not interrupted.

    Returns:
        Every fault found, at most `MOST_FAULTS`, with the line of the plan.
    """
    try:
        drawn = iter(plan)
    except TypeError:
        return [
            FileFault(f"the plan is {plan!r:.80}, which gives no messages; write it as a function with `yield from`")
        ]
    faults: dict[FileFault, None] = {}
    replies = Replies()
    end = turn = time.monotonic()
    end += time_limit
    reply: Any = None
    try:
        for _ in range(most_messages):
            ended, msg = _draw(drawn, reply)
            now = time.monotonic()
            if ended or replies.asked or now > end or len(faults) == MOST_FAULTS:
                break
            message = await _check(msg, rules, replies)
            if message is not None:
                place = origin(drawn)
                faults[FileFault(message, place.file, place.line) if place else FileFault(message)] = None
            if not isinstance(msg, Msg):
                break
            reply = replies.to(msg)
            if now - turn > _TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()
    finally:
        replies.over = True
        _close(drawn)
    return list(faults)


async def _check(msg: Any, rules: PlanRules, replies: Replies) -> str | None:
    if not isinstance(msg, Msg):
        if hasattr(msg, "close"):
            _close(msg)  # a plan: say so once, and let nobody warn that it was never used
            return f"yields {type(msg).__name__}, which is a plan and no message; write `yield from`"
        return f"yields {msg!r:.80}, which is no message; use the plan stubs of bluesky with `yield from`"
    if msg.command == "set" and not replies.known(_value(msg)):
        return _shape(msg, rules)
    return check_message(msg, rules) or (await _check_async(msg, rules) if msg.command == "set" else None)


def _draw(plan: Iterator[Any], reply: Any) -> tuple[bool, Any]:
    """Whether the plan has ended, and its next message."""
    try:
        return False, (next(plan) if reply is None or not hasattr(plan, "send") else plan.send(reply))
    except BaseException:  # StopIteration, NeedsData, or whatever the plan raises: an execution raises it again
        return True, None


def _close(plan: Any) -> None:
    try:
        if hasattr(plan, "close"):
            plan.close()
    except BaseException:  # a plan that cannot be closed yields or raises in its clean-up
        return
