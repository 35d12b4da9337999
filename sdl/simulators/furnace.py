"""Simulated furnace: a process controller with Eurotherm's register map and a timer, around a slow plant."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from sdl.devices.furnace import EndType, TimerRegister
from sdl.devices.modbus_heater import SCALE, Register
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._heater_loop import ExactLoop, FirstOrderPlant
from sdl.simulators.heater import HeaterServer

__all__ = ["DwellTimer", "FurnaceServer", "furnace_plant"]

_RESET, _RUNNING, _HELD, _ENDED = range(4)
_LONGEST = 5999

_All = IntEnum(  # type: ignore[misc]
    "_All",
    {register.name: int(register) for register in Register}
    | {f"TIMER_{register.name}": int(register) for register in TimerRegister},
)


def furnace_plant(clock: Clock, *, ambient: float = 22.0) -> FirstOrderPlant:
    """A small tube furnace: 770 degC at full power, 10 min to follow."""
    return FirstOrderPlant(clock, gain=750.0, time_constant=600.0, ambient=ambient)


class DwellTimer:
    """A controller's timer; counts lab time while nobody asks.

    Args:
        clock: lab time.
    """

    def __init__(self, clock: Clock) -> None:
        self.duration = 0
        """s"""
        self._clock = clock
        self._counted, self._since = 0.0, 0.0
        self._state = _RESET

    @property
    def status(self) -> int:
        """0 reset, 1 running, 2 held, 3 ended."""
        if self._state == _RUNNING and self.elapsed >= self.duration:
            self._state, self._counted = _ENDED, float(self.duration)
        return self._state

    @property
    def elapsed(self) -> float:
        """Counted so far, s."""
        running = self._clock.now() - self._since if self._state == _RUNNING else 0.0
        return min(self._counted + running, float(self.duration))

    @property
    def ends(self) -> float | None:
        """Lab time when it will have ended; None unless it runs."""
        return self._since + self.duration - self._counted if self.status == _RUNNING else None

    def command(self, status: int) -> None:
        """Reset it, let it run or hold it; what makes no difference is taken and does nothing."""
        before, elapsed = self.status, self.elapsed
        if status == _RESET:
            self._state, self._counted = _RESET, 0.0
        elif status == _RUNNING and before in (_RESET, _HELD):
            self._state, self._counted, self._since = _RUNNING, elapsed, self._clock.now()
        elif status == _HELD and before == _RUNNING:
            self._state, self._counted = _HELD, elapsed


class FurnaceServer(HeaterServer):
    """One furnace. At the end of its timer it goes to setpoint 2 by itself where that is the end type.

    Args:
        probe: faults and log; `stuck` means that the power does not reach the plant. Each start of the timer is an
            action `timer` in its log, with the seconds that it is to count and has counted.
        clock: lab time.
        plant: what is heated; `furnace_plant` by default.
        low: lowest setpoint that the controller takes, degC; a write outside is refused with exception 3.
        high: highest, degC.
        max_ramp: the working setpoint never moves faster, degC/min, whatever the rate register says; 0 for no limit.
        safe_temperature: setpoint of the safe state, degC; the nearest there is within the limits.
        unit: Modbus unit that answers.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which it turns its heating off; None for never.
        closed: time constant wanted of the closed loop, s; a tenth of the plant's by default, at most half of it.
    """

    registers = _All

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        plant: FirstOrderPlant | None = None,
        *,
        low: float = 0.0,
        high: float = 650.0,
        max_ramp: float = 0.0,
        safe_temperature: float = 20.0,
        unit: int = 1,
        port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
        closed: float | None = None,
    ) -> None:
        plant = plant or furnace_plant(clock)
        super().__init__(
            probe,
            clock,
            plant,
            low=low,
            high=high,
            max_ramp=max_ramp,
            safe_temperature=safe_temperature,
            unit=unit,
            port=port,
            latency=latency,
            deadman=deadman,
            closed=plant.time_constant / 10 if closed is None else closed,
        )
        self.plant = plant
        """What is heated: `history` and `integrate` tell a film's past."""
        self.timer = DwellTimer(clock)
        self.end_type = EndType.OFF
        self.setpoint_2 = self._safe_temperature
        """degC"""

    async def make_safe(self) -> None:
        """Manual mode, no output, a cool setpoint, and the timer held."""
        await super().make_safe()
        self._write(TimerRegister.STATUS, _HELD)

    def _held(self) -> Mapping[int, int]:
        timer = self.timer
        status, elapsed = timer.status, int(timer.elapsed)
        return {
            **super()._held(),
            TimerRegister.STATUS: status,
            TimerRegister.SETPOINT_2: round(self.setpoint_2 * SCALE),
            TimerRegister.DURATION: timer.duration,
            TimerRegister.ELAPSED: elapsed,
            TimerRegister.REMAINING: timer.duration - elapsed,
            TimerRegister.END_TYPE: int(self.end_type),
        }

    def _allowed(self, value: int) -> Mapping[int, bool]:
        stands = self.timer.status in (_RESET, _ENDED)
        return {
            **super()._allowed(value),
            TimerRegister.STATUS: value in (_RESET, _RUNNING, _HELD),
            TimerRegister.SETPOINT_2: self._low <= value / SCALE <= self._high,
            TimerRegister.DURATION: stands and 1 <= value <= _LONGEST,
            TimerRegister.END_TYPE: value in list(EndType),
        }

    def _take(self, register: int, value: int) -> None:
        timer = self.timer
        if register == TimerRegister.STATUS:
            before, counted = timer.status, timer.elapsed
            timer.command(value)
            if timer.status != before and timer.status == _RUNNING:
                self.probe.record("timer", duration=timer.duration, counted=round(counted, 3))
        elif register == TimerRegister.DURATION:
            timer.duration = value
        elif register == TimerRegister.END_TYPE:
            self.end_type = EndType(value)
        elif register == TimerRegister.SETPOINT_2:
            self.setpoint_2 = value / SCALE
        else:
            super()._take(register, value)
            return
        assert isinstance(self.loop, ExactLoop)
        turns = self.end_type == EndType.SETPOINT_2
        self.loop.retarget_at(timer.ends if turns else None, self.setpoint_2)
