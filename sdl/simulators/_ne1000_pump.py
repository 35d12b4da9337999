"""A simulated NE-1000: its commands, its plunger, its alarms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sdl.devices._ne1000_protocol import RATE_UNITS, VOLUME_UNITS, format_number, rate_limits
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._ne1000_delivery import Deliveries
from sdl.virtual import on_virtual_time

__all__ = ["Refused", "SimulatedPump"]


class Refused(Exception):
    """The pump answers with an error: `NA`, `OOR`, or nothing for an unknown command."""


def _ignore(rate: float) -> None: ...


@dataclass
class SimulatedPump:
    """One pump of a chain.

    It integrates its rate over lab time. `DIS` counts to 9999 and starts anew. Rates are limited by the diameter
    as the manual says. When switched on it has the alarm R pending. Its log says what it delivered: see `Deliveries`.
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
    max_volume: float | None = None
    """Largest volume of a delivery, uL: `VOL` and `RUN` above it are refused with `?OOR`. Deliveries without an end
    (`VOL 0`) have no volume to compare."""
    deadman: float | None = None
    """Wall seconds without a valid packet after which it stops, in either mode; None for never."""
    moved: dict[str, float] = field(default_factory=lambda: {"INF": 0.0, "WDR": 0.0})
    """Accumulated volumes as `DIS` tells them, uL."""
    changed_at: float = 0.0
    """Lab time at which the flow that `on_rate` is told began."""
    _at: float = 0.0
    _told: float = 0.0
    _heard: float | None = None

    def __post_init__(self) -> None:
        self._at = self.clock.now()
        self._deliveries = Deliveries(self.probe)
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

    @property
    def goal(self) -> float:
        """Volume of a delivery, uL; 0 for no end."""
        return self.target * VOLUME_UNITS[self.volume_unit]

    @property
    def total(self) -> dict[str, float]:
        """Volume moved in each direction since it was switched on, uL."""
        return dict(self._deliveries.total)

    def due(self) -> float:
        """Wall seconds until it changes of its own accord: its volume is out, or its watchdog has waited enough."""
        waits = [math.inf]
        if self.goal and self._told:
            end = self._at + 60 * max(self.goal - self._deliveries.delivered, 0.0) / abs(self._told)
            waits.append((end - self.clock.now()) / self.clock.speed)
        if self.safe and self._heard is not None:
            waits.append(self._heard + self.watchdog - time.monotonic())
        return min(waits)

    def advance(self) -> None:
        """Bring volumes, watchdog and alarms up to the present."""
        now = self.clock.now()
        before, self._at = self._at, now
        ended = self._move((now - before) / 60) if self._told else None
        if self.running and self.stall_alarm and self.probe.faults.stuck:
            self._trip("S")
        if self.safe and self._heard is not None and time.monotonic() - self._heard > self.watchdog:
            self._heard = None
            self._trip("T")
        self._tell(now if ended is None else before + 60 * ended)

    def _move(self, minutes: float) -> float | None:
        """Move liquid for so long; when the volume was out before that, the minutes that it took."""
        rate = abs(self._told)
        volume = self._deliveries.move(rate * minutes, self.direction, self.goal)
        self.moved[self.direction] += volume
        largest = 10_000 * VOLUME_UNITS[self.volume_unit]
        if self.moved[self.direction] >= largest:
            self.moved[self.direction] -= largest
        if not self.goal or self._deliveries.delivered < self.goal:
            return None
        self.state = "S"
        self._deliveries.end("target", self.direction, over=True)
        return min(volume / rate, minutes)

    def _trip(self, alarm: str, action: str = "alarm") -> None:
        self.state, self.alarm = "S", alarm
        self._deliveries.end(action, self.direction, over=True, alarm=alarm)

    def _tell(self, at: float) -> None:
        flow = self.flow()
        if flow != self._told:
            self._told, self.changed_at = flow, at
            self.on_rate(flow)

    def reset(self) -> None:
        """Interrupt its power: it stops, with alarm R; what it was set to is kept."""
        self.advance()
        self._trip("R", "reset")
        self._heard = None
        self._tell(self._at)

    def make_safe(self) -> None:
        """Stop; a delivery under way or paused cannot be continued."""
        self.advance()
        if self.state != "S":
            self.state = "S"
            self._deliveries.end("stop", self.direction, over=True, state="S")
        self._tell(self._at)

    def hear(self) -> None:
        """A valid packet came: the watchdog starts anew."""
        self._heard = None if on_virtual_time() else time.monotonic()

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
        self._tell(self._at)
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
        known = argument in VOLUME_UNITS
        unit, target = (argument, self.target) if known else (self.volume_unit, _number(argument, 0.0, 9999.0))
        self._need_volume(target * VOLUME_UNITS[unit])
        self.volume_unit, self.target = unit, target
        return ""

    def _do_dir(self, argument: str) -> str:
        if not argument:
            return self.direction
        if argument not in ("INF", "WDR", "REV"):
            raise Refused("OOR")
        if self.running and self.target:
            raise Refused("NA")
        other = "WDR" if self.direction == "INF" else "INF"
        before, self.direction = self.direction, other if argument == "REV" else argument
        if self.direction != before and self.state != "S":
            self._deliveries.end("direction", before, over=False, to=self.direction)
        if self.running:
            self.state = self.direction[0]
        return ""

    def _do_run(self, argument: str) -> None:
        if self.running:
            raise Refused("NA")
        rate = self.rate * RATE_UNITS[self.rate_unit]
        # Both were in their limits when they were set; another syringe or unit may have been set since.
        if rate <= 0 or not _within(rate, *rate_limits(self.diameter)):
            raise Refused("OOR")
        self._need_volume(self.goal)
        continued, self.state = self.state == "P", self.direction[0]
        self._deliveries.run(direction=self.direction, rate=rate, target=self.goal, continued=continued)

    def _do_stp(self, argument: str) -> None:
        if self.state == "S":
            raise Refused("NA")
        self.state = "P" if self.running else "S"
        self._deliveries.end("stop", self.direction, over=self.state == "S", state=self.state)

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

    def _need_volume(self, volume: float) -> None:
        if self.max_volume is not None and not _within(volume, 0.0, self.max_volume):
            raise Refused("OOR")


def _number(text: str, low: float, high: float) -> float:
    digits = text.replace(".", "", 1)
    if not digits.isdigit() or len(digits) > 4:
        raise Refused
    value = float(text)
    if not _within(value, low, high):
        raise Refused("OOR")
    return value


def _within(value: float, low: float, high: float) -> bool:
    """Four digits are compared with limits that have more."""
    return low * 0.9995 <= value <= high * 1.0005
