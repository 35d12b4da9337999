"""Holding a temperature by the controller's own timer, and what became of a hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import isnan, nan
from typing import Any, ClassVar, Protocol

from ophyd_async.core import AsyncStatus, Device

from sdl.devices._limits import check_limits
from sdl.devices._modbus import ModbusLink
from sdl.devices._signal import checked_soft_signal
from sdl.lab.effects import Action, current_action
from sdl.protocols import Clock, Receipt, Verdict

__all__ = ["EndType", "Hold", "TimerRegister", "TimerState", "judge"]

SHORTEST, LONGEST = 1, 5999
"""s that the timer holds: 99 minutes and 59 seconds."""
_LOOK = 600.0
"""Lab seconds between two looks at a timer that runs, at most."""


class TimerRegister(IntEnum):
    """Modbus addresses of the timer and its end, Eurotherm 3100/3200 Series Engineering Handbook, HA028651."""

    STATUS = 23
    """0 reset, 1 running, 2 held, 3 ended."""
    SETPOINT_2 = 25
    """0.1 degC"""
    DURATION = 324
    """Requested duration, s; the controller's timer is set to minutes and seconds."""
    ELAPSED = 325
    """s"""
    REMAINING = 326
    """s"""
    END_TYPE = 328
    """What follows the end, see `EndType`."""


class EndType(IntEnum):
    """What the controller does when its timer has ended."""

    OFF = 0
    DWELL = 1
    SETPOINT_2 = 2
    RESET = 3


@dataclass(frozen=True)
class TimerState:
    """What a controller says of its timer."""

    RESET: ClassVar[int] = 0
    RUNNING: ClassVar[int] = 1
    HELD: ClassVar[int] = 2
    ENDED: ClassVar[int] = 3

    status: int
    duration: int
    """s"""
    elapsed: int
    """s"""
    remaining: int
    """s"""
    manual: bool
    """Whether the controller does not regulate."""

    def __str__(self) -> str:
        status = {0: "is reset", 1: "runs", 2: "is held", 3: "has ended"}.get(self.status, f"has status {self.status}")
        return f"its timer of {self.duration} s {status} after {self.elapsed} s"


def judge(evidence: Mapping[str, Any], now: TimerState) -> Receipt:
    """The receipt of a hold: the timer is reset before it is armed, and by nobody after."""
    seconds, acknowledged = evidence.get("duration"), "status" in evidence
    if seconds != now.duration:
        return Receipt(Verdict.UNKNOWN, f"{now}, and the hold was of {seconds} s")
    if now.status == TimerState.ENDED:
        return Receipt(Verdict.DONE, str(now), {"held": now.elapsed})
    if now.status in (TimerState.RUNNING, TimerState.HELD):
        return Receipt(Verdict.PARTIAL, str(now), {"held": now.elapsed, "duration": now.duration})
    if now.status == TimerState.RESET and not acknowledged:
        return Receipt(Verdict.NOT_DONE, str(now))
    return Receipt(Verdict.UNKNOWN, f"{now} although it had been started: was its power interrupted?")


class Timed(Protocol):
    """What a hold needs of its furnace."""

    clock: Clock
    link: ModbusLink

    def check_value(self, value: float) -> None: ...
    async def go_to(self, value: float, timeout: float | None = None) -> None: ...
    async def timer(self) -> TimerState: ...
    async def stop(self, success: bool = True) -> None: ...
    async def pause_unless_stopped(self, seconds: float) -> None: ...
    def begin_wait(self) -> None: ...
    def stopped(self) -> bool: ...


class Hold(Device):
    """Movable: set a time in s; done when the temperature was reached and the controller's timer has counted it.

    What ends the waiting (a stop, a fault, the end of the process) leaves the timer running, since the film goes on
    being annealed; called again the hold is taken up where the timer stands. The safe state holds the timer.

    Args:
        furnace: whose timer counts.
        temperature: to hold, degC; None for what the furnace is set to.
    """

    def __init__(self, furnace: Timed, temperature: float | None) -> None:
        # Not a plain attribute: a device would take it for its child.
        self._of = (furnace,)
        self._under_way = False
        self.temperature = checked_soft_signal(
            nan if temperature is None else temperature, furnace.check_value, unit="degC"
        )
        """What to hold, degC; where never set, what the furnace is set to."""
        super().__init__()

    def check_value(self, value: float) -> None:
        """Raise `LimitError` when the timer does not count `value` s; nothing is sent."""
        check_limits(self.name or "hold", value, "s", SHORTEST, LONGEST)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Go to the temperature and hold it for `value` s, to the second.

        Raises:
            LimitError: longer or shorter than the timer counts; nothing was sent.
            Refusal: the controller answered that it does not start its timer.
            Fault: the controller failed, does not regulate, or the waiting was stopped.
        """
        self.check_value(value)
        (furnace,) = self._of
        if self._under_way:
            raise furnace.link.fault(f"cannot hold for {value:g} s: it is holding already")
        self._under_way = True
        try:
            await self._count(furnace, round(value), current_action())
        finally:
            self._under_way = False

    async def _count(self, furnace: Timed, seconds: int, action: Action | None) -> None:
        begun = action is not None and action.carried.get("duration") == seconds
        now = await furnace.timer()
        if begun and (now.duration != seconds or now.status == TimerState.RESET):
            raise furnace.link.fault(f"cannot go on with a hold of {seconds} s: {now}")
        if not begun or now.status == TimerState.HELD:
            now = await self._arrive(furnace)
        if now.manual:
            raise furnace.link.fault("it is in manual mode and holds no temperature; set its temperature first")
        if not begun:
            now = await self._prepare(furnace, seconds)
        if action is not None:
            await action.arm(duration=seconds, held=now.elapsed)
        furnace.begin_wait()
        if now.status in (TimerState.RESET, TimerState.HELD):
            await furnace.link.write(TimerRegister.STATUS, TimerState.RUNNING)
        if action is not None:
            action.acknowledge(status=TimerState.RUNNING)
        await self._wait(furnace, seconds)

    async def _arrive(self, furnace: Timed) -> TimerState:
        temperature = await self.temperature.get_value()
        if not isnan(temperature):
            await furnace.go_to(temperature)
        return await furnace.timer()

    async def _prepare(self, furnace: Timed, seconds: int) -> TimerState:
        await furnace.link.write(TimerRegister.STATUS, TimerState.RESET)
        await furnace.link.write(TimerRegister.DURATION, seconds)
        now = await furnace.timer()
        if (now.status, now.duration) != (TimerState.RESET, seconds):
            raise furnace.link.fault(f"cannot prepare a hold of {seconds} s: {now}")
        return now

    async def _wait(self, furnace: Timed, seconds: int) -> None:
        clock = furnace.clock
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = clock.now() + 1.2 * seconds + 10 + 2 * clock.speed
        while (now := await furnace.timer()).status != TimerState.ENDED:
            if furnace.stopped():
                raise furnace.link.fault(f"the waiting for its hold was stopped; {now}")
            if now.status != TimerState.RUNNING:
                raise furnace.link.fault(f"did not hold for {seconds} s: {now}")
            if clock.now() > end:
                raise furnace.link.fault(f"does not come to the end of its hold: {now}")
            await furnace.pause_unless_stopped(min(max(now.remaining, 1), _LOOK))

    async def stop(self, success: bool = True) -> None:
        """End a wait under way; the timer runs on. Bluesky calls this also after a hold that is done."""
        if self._under_way:
            await self._of[0].stop(success=False)
