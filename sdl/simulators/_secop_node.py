"""The modules of a simulated SECoP node: what they hold, how they move, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sdl.devices._secop_protocol import DataInfo
from sdl.protocols import Clock
from sdl.simulators._faults import Probe

__all__ = ["Atmosphere", "Drivable", "Failure", "FirstOrderAtmosphere", "Parameter", "Readable", "Writable", "glovebox"]

DataInfoDict = Mapping[str, Any]
_IDLE, _BUSY = 100, 300
_STATUS: DataInfoDict = {
    "type": "tuple",
    "members": [{"type": "enum", "members": {"IDLE": _IDLE, "BUSY": _BUSY}}, {"type": "string"}],
}


class Failure(Exception):
    """What the node answers with.

    Args:
        kind: error class of SECoP, as RangeError.
        text: for people.
    """

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


@dataclass
class Parameter:
    """One parameter of a module."""

    datainfo: DataInfoDict
    get: Callable[[], Any]
    put: Callable[[Any], None] | None = None
    """None when it can only be read."""
    description: str = ""

    def described(self) -> dict[str, Any]:
        """As in the structure report."""
        return {"description": self.description, "datainfo": dict(self.datainfo), "readonly": self.put is None}

    def checked(self, value: Any) -> Any:
        """A value that was sent for it.

        Raises:
            Failure: it is of another type, or outside the limits.
        """
        info = DataInfo.read(self.datainfo)
        if info is None:
            return value
        try:
            native = info.decode(value)
        except ValueError as error:
            raise Failure("RangeError" if info.kind == "enum" else "WrongType", str(error)) from error
        if info.number and not info.low <= native <= info.high:
            raise Failure("RangeError", f"requested value ({value}) is outside limits ({info.low:g}..{info.high:g})")
        if info.longest is not None and len(native) > info.longest:
            raise Failure("RangeError", f"longer than {info.longest} characters")
        return value


@dataclass
class Readable:
    """A module with a value."""

    datainfo: DataInfoDict
    value: Callable[[], Any]
    description: str = ""
    others: dict[str, Parameter] = field(default_factory=dict)
    """Further parameters, by name."""
    commands: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    arguments: dict[str, DataInfoDict] = field(default_factory=dict)
    """Command → data type of its argument, of those that have one."""
    interface = "Readable"

    def parameters(self) -> dict[str, Parameter]:
        """By name."""
        status = Parameter(_STATUS, lambda: list(self.status()), description="state of the module")
        return {"value": Parameter(self.datainfo, self.value, description="value"), "status": status, **self.others}

    def status(self) -> tuple[int, str]:
        """Code and text."""
        return _IDLE, ""

    def orders(self) -> dict[str, Callable[[Any], Any]]:
        """Commands, by name."""
        return self.commands

    def described(self) -> dict[str, Any]:
        """As in the structure report."""
        accessibles = {name: parameter.described() for name, parameter in self.parameters().items()}
        for name in self.orders():
            kind: dict[str, Any] = {"type": "command"}
            if name in self.arguments:
                kind["argument"] = dict(self.arguments[name])
            accessibles[name] = {"description": name, "datainfo": kind}
        return {
            "interface_classes": [self.interface],
            "description": self.description,
            "accessibles": accessibles,
        }

    def rest(self) -> None:
        """Stop whatever moves."""


@dataclass
class Writable(Readable):
    """A module whose value is what it was set to."""

    target: Any = None
    interface = "Writable"

    def parameters(self) -> dict[str, Parameter]:
        """By name."""
        target = Parameter(self.datainfo, lambda: self.target, self.go, "what it is to be")
        return {**super().parameters(), "target": target}

    def go(self, target: Any) -> None:
        """A target was given."""
        self.target = target


@dataclass
class Drivable(Writable):
    """A module that takes its time: busy until its value is near its target."""

    move: Callable[[float], None] = lambda target: None
    """Told the target, of whatever moves."""
    tolerance: float = 0.1
    """In the unit of the value."""
    stuck: Callable[[], bool] = lambda: False
    """Whether targets are taken and have no effect."""
    interface = "Drivable"
    _driving: bool = False
    _held: bool = False

    def status(self) -> tuple[int, str]:
        """Code and text."""
        if self._held and not self.stuck():
            self._held = False
            self.move(self.target)
        self._driving = self._driving and abs(self.value() - self.target) > self.tolerance
        return (_BUSY, f"on its way to {self.target:g}") if self._driving else (_IDLE, "")

    def go(self, target: Any) -> None:
        """A target was given."""
        super().go(float(target))
        self._driving, self._held = True, self.stuck()
        if not self._held:
            self.move(self.target)

    def orders(self) -> dict[str, Callable[[Any], Any]]:
        """Commands, by name."""
        return {"stop": lambda _: self.rest(), **super().orders()}

    def rest(self) -> None:
        """Stay where it is, if it is on its way."""
        if self.status()[0] == _BUSY:
            self.go(self.value())


class Atmosphere(Protocol):
    """What a glovebox regulates."""

    humidity_target: float
    """Relative humidity that its drier regulates to, percent."""

    def humidity(self) -> float:
        """Relative humidity, percent."""
        ...

    def temperature(self) -> float:
        """degC"""
        ...


class FirstOrderAtmosphere:
    """Humidity that goes to its target exponentially, at a constant temperature.

    Args:
        clock: lab time.
        humidity: in the beginning, percent; the target as well.
        temperature: degC.
        time_constant: s.
    """

    def __init__(
        self, clock: Clock, *, humidity: float = 45.0, temperature: float = 22.0, time_constant: float = 300.0
    ) -> None:
        self.time_constant = time_constant
        self._clock, self._temperature = clock, temperature
        self._humidity = self._target = humidity
        self._at = clock.now()

    def humidity(self) -> float:
        """percent"""
        now = self._clock.now()
        gap = (self._humidity - self._target) * math.exp((self._at - now) / self.time_constant)
        self._humidity, self._at = self._target + gap, now
        return self._humidity

    def temperature(self) -> float:
        """degC"""
        return self._temperature

    @property
    def humidity_target(self) -> float:
        """percent"""
        return self._target

    @humidity_target.setter
    def humidity_target(self, target: float) -> None:
        self.humidity()
        self._target = target


def glovebox(
    atmosphere: Atmosphere, probe: Probe, *, low: float = 0.5, high: float = 60.0, tolerance: float = 0.5
) -> dict[str, Readable]:
    """Modules of a glovebox: `humidity`, which can be set, and `temperature`.

    Args:
        atmosphere: what it regulates.
        probe: of the node; `stuck` keeps new targets from the drier.
        low: driest target that it takes, percent.
        high: moistest, percent.
        tolerance: within which it has arrived, percent.
    """

    def move(target: float) -> None:
        atmosphere.humidity_target = target

    return {
        "humidity": Drivable(
            {"type": "double", "unit": "%", "min": low, "max": high, "fmtstr": "%.2f"},
            atmosphere.humidity,
            "relative humidity of the atmosphere",
            target=atmosphere.humidity_target,
            move=move,
            tolerance=tolerance,
            stuck=lambda: probe.faults.stuck,
        ),
        "temperature": Readable(
            {"type": "double", "unit": "degC"}, atmosphere.temperature, "temperature of the atmosphere"
        ),
    }
