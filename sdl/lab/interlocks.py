"""Interlocks: what the lab file requires of a signal, as in `heater.temperature < 88 degC`.

The left side is `device.signal`, where the signal is a child of the device, such as `temperature` or
`outcomes.toughness`; for a device without that child it is the reading `device-signal` or `device_signal`. The right
side is a quantity, converted to the unit that the signal describes. Which signals there are is known once the device
is connected, so `bind` checks them then; everything else is checked when the file is loaded.

A signal that cannot be read, or reads NaN or an infinity, violates its interlock.
"""

from __future__ import annotations

import asyncio
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from sdl.journal import kinds
from sdl.lab._signals import Watched, find_signal
from sdl.lab.spec import InterlockSpec, LabSpec
from sdl.lab.yamlfile import YamlFile
from sdl.model import Fault, FileFault, InputError, SdlError
from sdl.model.units import check_unit, convert
from sdl.plugins import suggest

__all__ = ["Bound", "Interlock", "Trip", "bind", "check", "check_bound", "interlock_faults", "interlocks_of"]

READ_LIMIT = 5.0
"""Wall seconds that reading a signal may take before a step."""

Relation = Literal["<", "<=", ">", ">="]

_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXPRESSION = re.compile(r"([^\s.<>=]+)\.([^\s<>=]+)\s*(<=|>=|<|>)\s*([^\s<>=].*)")
_EXAMPLE = "write it as in 'heater.temperature < 88 degC', with one of < <= > >="


@dataclass(frozen=True)
class Interlock:
    """A requirement of the lab file."""

    name: str
    device: str
    signal: str
    """Path below the device, dotted."""
    relation: Relation
    limit: float
    """In `unit`."""
    unit: str
    """As written in the lab file."""
    stations: tuple[str, ...]
    """Stations that stop when it is violated."""
    message: str = ""
    """What to do about it, for the operator; empty when the lab file gives nothing."""
    file: str = ""
    line: int | None = None
    """Where the lab file declares it."""

    @property
    def what(self) -> str:
        """`heater.temperature`."""
        return f"{self.device}.{self.signal}"

    @property
    def requirement(self) -> str:
        """`< 88 degC`."""
        return f"{self.relation} {_with_unit(f'{self.limit:g}', self.unit)}"

    def fault(self, message: str) -> FileFault:
        """A fault of the lab file at the line that declares this interlock."""
        return FileFault(message, self.file, self.line, f"interlocks.{self.name}")

    def unreadable(self, reason: str) -> Trip:
        """The trip of a signal that cannot be read."""
        return self._trip(f"{self.what} cannot be read ({reason}), must be {self.requirement}", "unreadable", None)

    def violated(self, shown: str, value: float) -> Trip:
        """The trip of a value, `shown` with its unit."""
        return self._trip(f"{self.what} is {shown}, must be {self.requirement}", "violated", value)

    def _trip(self, text: str, kind: Literal["violated", "unreadable"], value: float | None) -> Trip:
        advice = f"; {self.message}" if self.message else ""
        return Trip(self.name, f"{self.name}: {text}{advice}", kind, self.stations, value)


@dataclass(frozen=True)
class Trip:
    """Something that stops stations."""

    interlock: str
    """Name of the interlock; empty when it is none."""
    text: str
    """For people: what was read and what it must be."""
    kind: Literal["violated", "unreadable", "stopped", "failed"] = "violated"
    """`stopped`: somebody asked for it; `failed`: the watchdog itself is broken."""
    stations: tuple[str, ...] = ()
    """Stations that stop; all when empty."""
    value: float | None = None
    """What was read, in the signal's own unit; None when nothing was."""

    def __str__(self) -> str:
        return self.text

    def entry(self, station: str) -> tuple[str, dict[str, Any]]:
        """The entry that a station was stopped by it, or kept from beginning a step."""
        body = {"station": station, "interlock": self.interlock, "kind": self.kind, "message": self.text}
        return kinds.INTERLOCK_TRIPPED, body


@dataclass(frozen=True)
class Bound:
    """An interlock and the signal that it is about."""

    interlock: Interlock
    signal: Watched
    limit: float
    """In the signal's unit."""

    def holds(self, value: float) -> bool:
        """Whether a value in the signal's unit is as required; NaN and infinities never are."""
        return math.isfinite(value) and _RELATIONS[self.interlock.relation](value, self.limit)

    def judge(self, value: float) -> Trip | None:
        """The trip that a value in the signal's unit means, if any."""
        if self.holds(value):
            return None
        unit = self.interlock.unit
        shown = convert(value, self.signal.unit, unit) if math.isfinite(value) else value
        text = f"{shown:g}" if f"{shown:g}" != f"{self.interlock.limit:g}" else repr(shown)
        return self.interlock.violated(_with_unit(text, unit), value)


def _with_unit(number: str, unit: str) -> str:
    return number if unit == "1" else f"{number} {unit}"


def interlocks_of(spec: LabSpec, file: YamlFile) -> tuple[Interlock, ...]:
    """The interlocks of a lab file.

    Raises:
        InputError: every one that cannot be understood, with its line.
    """
    faults: list[FileFault] = []
    found = [_parse(name, item, spec, file, faults) for name, item in spec.interlocks.items()]
    if faults:
        raise InputError(faults)
    return tuple(item for item in found if item is not None)


def interlock_faults(spec: LabSpec, file: YamlFile) -> Iterator[FileFault]:
    """What is wrong with the interlocks of a lab file, as far as the file itself tells."""
    try:
        interlocks_of(spec, file)
    except InputError as error:
        yield from error.faults


def _parse(name: str, item: InterlockSpec, spec: LabSpec, file: YamlFile, faults: list[FileFault]) -> Interlock | None:
    at = ("interlocks", name)
    before = len(faults)
    for index, station in enumerate(item.stations):
        if station not in spec.stations:
            hint = suggest(station, list(spec.stations))
            faults.append(file.fault((*at, "stations", index), f"no station {station!r}{hint}"))
    match = _EXPRESSION.fullmatch(item.require.strip())
    if match is None:
        faults.append(file.fault((*at, "require"), f"{item.require!r} cannot be understood; {_EXAMPLE}"))
        return None
    device, signal, relation, quantity = match.groups()
    if device not in spec.devices:
        faults.append(file.fault((*at, "require"), f"no device {device!r}{suggest(device, list(spec.devices))}"))
    limit, unit = math.nan, "1"
    try:
        limit, unit = _quantity(quantity)
    except ValueError as error:
        faults.append(file.fault((*at, "require"), str(error)))
    if len(faults) > before:
        return None
    stations = item.stations or tuple(s for s, station in spec.stations.items() if device in station.devices)
    line = file.line((*at, "require"))
    kind = cast(Relation, relation)
    return Interlock(name, device, signal, kind, limit, unit, stations, item.message, file.name, line)


def _quantity(text: str) -> tuple[float, str]:
    number, _, unit = text.strip().partition(" ")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number, a blank and a unit, as in '88 degC'")
    if not unit.strip():
        raise ValueError(f"{text!r} has no unit; write it as in '88 degC', and '{text.strip()} 1' for a pure number")
    return value, check_unit(unit.strip())


async def bind(interlocks: Iterable[Interlock], devices: Mapping[str, Any]) -> tuple[Bound, ...]:
    """Find the signal of each interlock on connected devices. Run in the event loop of the devices.

    Raises:
        InputError: every interlock whose signal is not there, is no number, or has another kind of unit, each with
            the line of the lab file.
        Fault: a device does not answer.
    """
    wanted = list(interlocks)
    results = await asyncio.gather(*(_bind(item, devices) for item in wanted), return_exceptions=True)
    faults = [fault for result in results if isinstance(result, InputError) for fault in result.faults]
    if faults:
        raise InputError(faults)
    for item, result in zip(wanted, results, strict=True):
        if isinstance(result, BaseException):
            error = result if isinstance(result, SdlError) else Fault(item.device, _reason(result))
            raise error from result
    return tuple(result for result in results if isinstance(result, Bound))


async def _bind(item: Interlock, devices: Mapping[str, Any]) -> Bound:
    if item.device not in devices:
        raise InputError([item.fault(f"device {item.device!r} is not here{suggest(item.device, list(devices))}")])
    try:
        signal = await find_signal(devices[item.device], item.device, item.signal)
    except InputError as error:
        raise InputError([item.fault(fault.message) for fault in error.faults]) from None
    try:
        limit = convert(item.limit, item.unit, signal.unit)
    except ValueError as error:
        raise InputError([item.fault(f"{item.what} is in {signal.unit}: {error}")]) from None
    return Bound(item, signal, limit)


async def check(
    interlocks: Iterable[Interlock], devices: Mapping[str, Any], time_limit: float = READ_LIMIT
) -> list[Trip]:
    """Read the signal of each interlock and tell which are violated. Run in the event loop of the devices.

    Args:
        interlocks: all of them; one whose device is not among `devices` is a trip too.
        devices: connected devices by name.
        time_limit: wall seconds for a signal to answer.
    """

    async def one(item: Interlock) -> Bound | Trip:
        try:
            async with asyncio.timeout(time_limit):
                return await _bind(item, devices)
        except Exception as error:  # whatever a driver raises, the signal cannot be read
            return item.unreadable(_reason(error, time_limit))

    found = await asyncio.gather(*(one(item) for item in interlocks))
    read = iter(await _judge([item for item in found if isinstance(item, Bound)], time_limit))
    verdicts = [next(read) if isinstance(item, Bound) else item for item in found]
    return [trip for trip in verdicts if trip is not None]


async def check_bound(interlocks: Iterable[Bound], time_limit: float = READ_LIMIT) -> list[Trip]:
    """As `check`, for interlocks whose signals have been found."""
    return [trip for trip in await _judge(list(interlocks), time_limit) if trip is not None]


async def _judge(interlocks: list[Bound], time_limit: float) -> list[Trip | None]:
    """A verdict for each; a signal that several are about is read once."""
    by_signal: dict[tuple[int, str], list[int]] = {}
    for index, item in enumerate(interlocks):
        by_signal.setdefault((id(item.signal.owner), item.signal.key), []).append(index)
    verdicts: list[Trip | None] = [None] * len(interlocks)

    async def look(indices: list[int]) -> None:
        try:
            async with asyncio.timeout(time_limit):
                value = await interlocks[indices[0]].signal.read()
        except Exception as error:  # whatever a driver raises, the signal cannot be read
            for index in indices:
                verdicts[index] = interlocks[index].interlock.unreadable(_reason(error, time_limit))
        else:
            for index in indices:
                verdicts[index] = interlocks[index].judge(value)

    await asyncio.gather(*(look(indices) for indices in by_signal.values()))
    return verdicts


def _reason(error: BaseException, time_limit: float = READ_LIMIT) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {time_limit:g} s"
    if isinstance(error, InputError):  # the trip names the interlock already
        return "; ".join(fault.message for fault in error.faults)
    return " ".join(str(error).split()) or type(error).__name__
