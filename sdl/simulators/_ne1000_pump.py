"""A simulated NE-1000: its commands, its plunger, its alarms."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sdl.devices._ne1000_protocol import RATE_UNITS, VOLUME_UNITS, format_number, rate_limits
from sdl.protocols import Clock
from sdl.simulators._faults import Probe

__all__ = ["Refused", "SimulatedPump"]


class Refused(Exception):
    """The pump answers with an error: `NA`, `OOR`, or nothing for an unknown command."""


def _ignore(rate: float) -> None: ...


@dataclass
class SimulatedPump:
    """One pump of a chain.

    It integrates its rate over lab time. `DIS` counts to 9999 and starts anew. Rates are limited by the diameter
    as the manual says. When switched on it has the alarm R pending.
    """

    probe: Probe
    clock: Clock
    on_rate: Callable[[float], None] = _ignore
    """Told the signed rate, uL/min, whenever it changes: positive for infusing."""
    stall_alarm: bool = False
    """Whether the motor notices that it is stuck: then it stops with alarm S."""
    diameter: float = 14.43
    rate: float = 10.0
    """As set, in `rate_unit`."""
    rate_unit: str = "UM"
    target: float = 0.0
    """In `volume_unit`; 0 for no end."""
    volume_unit: str = "ML"
    direction: str = "INF"
    state: str = "S"
    alarm: str = "R"
    watchdog: int = 0
    """Seconds (wall) of silence after which the pump stops in safe mode; 0 in basic mode."""
    moved: dict[str, float] = field(default_factory=lambda: {"INF": 0.0, "WDR": 0.0})
    """Accumulated volumes, uL."""
    _phase: float = 0.0
    _at: float = 0.0
    _told: float = 0.0
    _heard: float | None = None

    def __post_init__(self) -> None:
        self._at = self.clock.now()
        self.probe.faults.on_change.append(self.advance)

    @property
    def safe(self) -> bool:
        """Whether it speaks safe mode."""
        return self.watchdog > 0

    @property
    def running(self) -> bool:
        """Whether the motor is driven."""
        return self.state in ("I", "W")

    def flow(self) -> float:
        """Signed rate at which liquid moves now, uL/min."""
        if not self.running or self.probe.faults.stuck:
            return 0.0
        return self.rate * RATE_UNITS[self.rate_unit] * (1 if self.direction == "INF" else -1)

    def advance(self) -> None:
        """Bring volumes, watchdog and alarms up to the present."""
        now = self.clock.now()
        minutes, self._at = (now - self._at) / 60, now
        if self._told:
            self._move(abs(self._told) * minutes)
        if self.running and self.stall_alarm and self.probe.faults.stuck:
            self._trip("S")
        silent = self._heard is not None and time.monotonic() - self._heard > self.watchdog
        if self.safe and silent:
            self._heard = None
            self._trip("T")
        self._tell()

    def _move(self, volume: float) -> None:
        goal = self.target * VOLUME_UNITS[self.volume_unit]
        if goal and self._phase + volume >= goal:
            volume = max(goal - self._phase, 0.0)
            self.state = "S"
            self.probe.record("target", volume=goal)
        self._phase += volume
        self.moved[self.direction] += volume
        largest = 10_000 * VOLUME_UNITS[self.volume_unit]
        if self.moved[self.direction] >= largest:
            self.moved[self.direction] -= largest

    def _trip(self, alarm: str) -> None:
        self.state, self.alarm = "S", alarm
        self.probe.record("alarm", alarm=alarm)

    def _tell(self) -> None:
        flow = self.flow()
        if flow != self._told:
            self._told = flow
            self.on_rate(flow)

    def reset(self) -> None:
        """Interrupt its power: it stops, with alarm R; what it was set to is kept."""
        self.advance()
        self._trip("R")
        self._heard = None
        self._tell()

    def hear(self) -> None:
        """A valid packet came: the watchdog starts anew."""
        self._heard = time.monotonic()

    def execute(self, command: str) -> str:
        """Do a command and return `<status>[data]`."""
        self.advance()
        if self.alarm:
            alarm, self.alarm = self.alarm, ""
            return f"A?{alarm}"
        try:
            data = self._do(command)
        except Refused as error:
            data = f"?{error}"
        self._tell()
        return self.state + data

    def _do(self, command: str) -> str:
        if not command:
            return ""
        length = 2 if command.startswith("AL") else 3
        verb, argument = command[:length], command[length:]
        action = getattr(self, f"_do_{verb.lower()}", None)
        if action is None:
            raise Refused
        return str(action(argument) or "")

    def _do_ver(self, argument: str) -> str:
        return "NE1000V3.923"

    def _do_dia(self, argument: str) -> str:
        if not argument:
            return format_number(self.diameter)
        self._need_rest()
        self.diameter = _number(argument, 0.1, 50.0)
        self.volume_unit = "UL" if self.diameter <= 14.0 else "ML"
        self.moved = {"INF": 0.0, "WDR": 0.0}
        self.probe.record("diameter", value=self.diameter)
        return ""

    def _do_rat(self, argument: str) -> str:
        if not argument:
            return format_number(self.rate) + self.rate_unit
        unit = argument[-2:] if argument[-2:] in RATE_UNITS else ""
        if self.running and unit and unit != self.rate_unit:
            raise Refused("NA")
        size = RATE_UNITS[unit or self.rate_unit]
        low, high = rate_limits(self.diameter)
        self.rate = _number(argument.removesuffix(unit), low / size, high / size)
        self.rate_unit = unit or self.rate_unit
        self.probe.record("rate", value=self.rate * size)
        return ""

    def _do_vol(self, argument: str) -> str:
        if not argument:
            return format_number(self.target) + self.volume_unit
        self._need_rest()
        if argument in VOLUME_UNITS:
            self.volume_unit = argument
        else:
            self.target = _number(argument, 0.0, 9999.0)
        return ""

    def _do_dir(self, argument: str) -> str:
        if not argument:
            return self.direction
        if argument not in ("INF", "WDR", "REV"):
            raise Refused("OOR")
        if self.running and self.target:
            raise Refused("NA")
        other = "WDR" if self.direction == "INF" else "INF"
        self.direction = other if argument == "REV" else argument
        if self.running:
            self.state = self.direction[0]
        return ""

    def _do_run(self, argument: str) -> None:
        if self.running:
            raise Refused("NA")
        if self.rate <= 0:
            raise Refused("OOR")
        if self.state == "S":
            self._phase = 0.0
        self.state = self.direction[0]
        self.probe.record("run", rate=self.rate * RATE_UNITS[self.rate_unit], direction=self.direction)

    def _do_stp(self, argument: str) -> None:
        if self.state == "S":
            raise Refused("NA")
        self.state = "P" if self.running else "S"
        self.probe.record("stop", state=self.state)

    def _do_dis(self, argument: str) -> str:
        size = VOLUME_UNITS[self.volume_unit]
        infused, withdrawn = (format_number(min(self.moved[d] / size, 9999)) for d in ("INF", "WDR"))
        return f"I{infused}W{withdrawn}{self.volume_unit}"

    def _do_cld(self, argument: str) -> None:
        self._need_rest()
        if argument not in self.moved:
            raise Refused("OOR")
        self.moved[argument] = 0.0

    def _do_saf(self, argument: str) -> str:
        if not argument:
            return str(self.watchdog)
        self.watchdog = int(_number(argument, 0, 255))
        return ""

    def _do_al(self, argument: str) -> str:
        return "" if argument else "1"

    def _need_rest(self) -> None:
        if self.running:
            raise Refused("NA")


def _number(text: str, low: float, high: float) -> float:
    digits = text.replace(".", "", 1)
    if not digits.isdigit() or len(digits) > 4:
        raise Refused
    value = float(text)
    # Four digits are compared with a limit that has more.
    if not low * 0.9995 <= value <= high * 1.0005:
        raise Refused("OOR")
    return value
