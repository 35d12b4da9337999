"""SECoP: what its messages say, what its data types hold, and what its errors mean.

Source: SECoP 1.x, the Sample Environment Communication Protocol (https://sampleenvironment.github.io/secop-site):
messages `<action> <specifier> <JSON>` ended by a line feed; `*IDN?`, `describe`, `read`, `change`, `do`, `ping`; error
replies `error_<action> <specifier> ["<class>", "<text>", {…}]`; data reports `[<value>, {<qualifiers>}]`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sdl.devices._limits import check_limits
from sdl.model import InputError
from sdl.plugins import suggest

__all__ = ["NOT_DONE", "DataInfo", "Message", "Scalar", "Status", "read_message"]

Scalar = float | int | bool | str

NOT_DONE = frozenset({
    "ProtocolError", "NoSuchModule", "NoSuchParameter", "NoSuchCommand", "ReadOnly", "WrongType", "RangeError",
    "BadJSON", "NotImplemented", "CommandRunning", "IsBusy", "IsError", "Disabled", "Impossible",
})  # fmt: skip
"""Error classes after which nothing has happened; after the others (HardwareError, CommunicationFailed, TimeoutError,
InternalError and those that are not known) it is not known how far it came."""

_UNITS = {"%": "percent", "C": "degC", "°C": "degC", "deg": "degree"}
_TYPES: Mapping[str, type] = {
    "double": float, "scaled": float, "int": int, "bool": bool, "enum": str, "string": str,
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One message from a node."""

    action: str
    specifier: str
    data: Any
    """Parsed JSON; None without a data part."""


def read_message(line: bytes) -> Message:
    """Take a message apart.

    Raises:
        ValueError: it is no text, or its data part is no JSON.
    """
    action, _, rest = line.decode("utf-8").rstrip("\r\n").partition(" ")
    specifier, _, data = rest.partition(" ")
    return Message(action, specifier, json.loads(data, parse_constant=_refuse) if data else None)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@dataclass(frozen=True)
class Status:
    """State of a module: a code, of which the hundreds tell the kind, and a text."""

    code: int
    text: str

    @classmethod
    def read(cls, value: Any) -> Self:
        """Raises ValueError when it is no status."""
        if not isinstance(value, list) or len(value) < 2 or not isinstance(value[0], int) or isinstance(value[0], bool):
            raise ValueError(f"{value!r} is no status")
        return cls(value[0], str(value[1]))

    @property
    def kind(self) -> str:
        """DISABLED, IDLE, WARN, BUSY or ERROR."""
        kinds = ("DISABLED", "IDLE", "WARN", "BUSY", "ERROR")
        return kinds[min(max(self.code // 100, 0), 4)]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True)
class DataInfo:
    """A data type that one value holds: double, scaled, int, bool, enum or string."""

    kind: str
    unit: str = ""
    """As pint knows it; empty for none."""
    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    members: tuple[tuple[str, int], ...] = ()
    """Of an enum: name and number."""
    longest: int | None = None
    """Characters of a string."""

    @classmethod
    def read(cls, given: Any, main_unit: str = "") -> Self | None:
        """From the property `datainfo`; None for types that hold more than one value.

        Args:
            given: the property.
            main_unit: of the module's value, for which `$` stands in units.
        """
        if not isinstance(given, Mapping) or given.get("type") not in _TYPES:
            return None
        kind = str(given["type"])
        unit = str(given.get("unit", "")).replace("$", main_unit)
        scale = float(given.get("scale", 1.0)) if kind == "scaled" else 1.0
        limits = {key: float(given[name]) * scale for key, name in (("low", "min"), ("high", "max")) if name in given}
        members = tuple((str(name), int(number)) for name, number in dict(given.get("members", {})).items())
        longest = given.get("maxchars")
        if kind not in ("double", "scaled", "int"):
            limits = {}
        return cls(kind, _UNITS.get(unit, unit), scale=scale, members=members, longest=longest, **limits)

    @property
    def type(self) -> type:
        """float, int, bool or str."""
        return _TYPES[self.kind]

    @property
    def number(self) -> bool:
        """Whether it is a quantity."""
        return self.kind in ("double", "scaled", "int")

    def decode(self, value: Any) -> Any:
        """A value from the node.

        Raises:
            ValueError: it is none of this type.
        """
        fits = {
            "double": isinstance(value, int | float), "scaled": isinstance(value, int), "int": isinstance(value, int),
            "bool": isinstance(value, bool), "enum": isinstance(value, int), "string": isinstance(value, str),
        }[self.kind]  # fmt: skip
        if not fits or (isinstance(value, bool) and self.kind != "bool"):
            raise ValueError(f"{value!r} is no {self.kind}")
        if self.kind == "enum":
            names = {number: name for name, number in self.members}
            if value not in names:
                raise ValueError(f"{value!r} is none of {', '.join(f'{n} = {i}' for n, i in self.members)}")
            return names[value]
        return value * self.scale if self.kind == "scaled" else self.type(value)

    def check(self, name: str, value: Any) -> None:
        """Raise when a value cannot be set; nothing is sent.

        Raises:
            LimitError: a number outside the limits that the node describes.
            InputError: another type, no member of the enum, or a string that is too long.
        """
        if self.number:
            if isinstance(value, bool) or not hasattr(value, "__float__"):
                raise InputError(f"{name}: {value!r} is no number")
            check_limits(name, float(value), self.unit, self.low, self.high)
            if self.kind == "int" and float(value) != int(value):
                raise InputError(f"{name}: {value!r} is no whole number")
        elif self.kind == "bool":
            if value not in (True, False):
                raise InputError(f"{name}: {value!r} is neither true nor false")
        elif not isinstance(value, str):
            raise InputError(f"{name}: {value!r} is no text")
        elif self.kind == "enum" and value not in dict(self.members):
            raise InputError(f"{name}: there is no {value!r}{suggest(value, list(dict(self.members)))}")
        elif self.longest is not None and len(value) > self.longest:
            raise InputError(f"{name}: {value!r} is longer than {self.longest} characters")

    def encode(self, value: Any) -> Scalar:
        """A checked value as the node takes it."""
        match self.kind:
            case "enum":
                return dict(self.members)[value]
            case "scaled":
                return round(float(value) / self.scale)
            case "int":
                return int(value)
            case "double":
                return float(value)
            case "bool":
                return bool(value)
        return str(value)
