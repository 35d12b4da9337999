"""The best trial's one-dimensional readings beside the target curve that its analysis is given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.protocols import RunRecord

__all__ = ["Curve", "Curves", "curves_of", "read_table", "target_curve"]

_LEAST_POINTS = 5
_MOST_CURVES = 8
_AXIS = re.compile(r"wave|lambda|energ|freq|angle|time|shift|(^|[-_])(x|q|nm)$", re.IGNORECASE)
"""Names that axes go by, where several arrays of a run rise or fall steadily."""


@dataclass(frozen=True)
class Curve:
    """y over x, equally long; a y may be None where the instrument gave no number."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    unit: str = "1"


@dataclass(frozen=True)
class Curves:
    """What the spectrum figure shows."""

    measured: tuple[Curve, ...]
    """Repeated readings of one key, in order."""
    x_name: str
    x_unit: str
    target: Curve | None = None
    scale: float = 1.0
    """The target is drawn multiplied by this."""


def curves_of(runs: Iterable[RunRecord], created: Mapping[str, Any]) -> Curves | None:
    """The array reading of the last run that has one, over the array that serves as its axis.

    The axis is a strictly monotonic array as long as the reading (wavelengths, energies, times), among the readings
    or in the configuration. Without one the index of the sample is the axis and the target is left out. Of several
    arrays the one that the options of the analysis name is shown.

    Args:
        runs: runs of one trial, in order.
        created: body of the entry that created the campaign; its analysis may name a target.

    Returns:
        None when no run holds an array of at least five numbers.
    """
    named = {str(value) for value in _options(created).values()}
    for run in reversed(list(runs)):
        found: dict[str, list[Any]] = {}
        for key, values in _arrays(run):
            found.setdefault(key, []).append(values)
        if found:
            return _over_axis(run, found, named, target_curve(created))
    return None


def _arrays(run: RunRecord) -> Iterator[tuple[str, list[Any]]]:
    configured = (device.get("data", {}) for d in run.descriptors for device in d.get("configuration", {}).values())
    for data in (*configured, *(event["data"] for event in run.events)):
        yield from ((key, value) for key, value in data.items() if _is_curve(value))


def _over_axis(run: RunRecord, found: Mapping[str, list[Any]], named: set[str], target: Curve | None) -> Curves:
    steady = [key for key, arrays in found.items() if _monotonic(arrays[-1])]
    axis = min(steady, key=lambda key: not _AXIS.search(key), default=None)
    readings = [key for key in found if key != axis] or list(found)
    reading = min(readings, key=lambda key: (key not in named, key in steady))
    arrays = found[reading][-_MOST_CURVES:]
    if axis in (None, reading) or len(found[axis or ""][-1]) != len(arrays[-1]):
        x, axis, target = list(range(len(arrays[-1]))), None, None
    else:
        x = found[axis or ""][-1]
    measured = tuple(Curve(reading, x, y, _unit(run, reading)) for y in arrays if len(y) == len(x))
    unit = _unit(run, axis) if axis else "1"
    return Curves(measured, axis or "sample", unit, target, _scale(measured[-1], target))


def _unit(run: RunRecord, key: str) -> str:
    """Unit of a key of the configuration or the readings."""
    for descriptor in run.descriptors:
        for device in descriptor.get("configuration", {}).values():
            if key in device.get("data_keys", {}):
                return str(device["data_keys"][key].get("units") or "1")
    return run.units(key)


def _scale(measured: Curve, target: Curve | None) -> float:
    """1, or what brings the target to the measurement's height when it is on quite another scale."""
    if target is None:
        return 1.0
    ours, theirs = _height(measured), _height(target)
    return ours / theirs if ours and theirs and not 1 / 3 <= ours / theirs <= 3 else 1.0


def _height(curve: Curve) -> float:
    return max((abs(y) for y in curve.y if y is not None), default=0.0)


def target_curve(created: Mapping[str, Any]) -> Curve | None:
    """The table that an option of the analysis refers to as `${input}`, when its text holds two numeric columns."""
    for value in _options(created).values():
        name = re.fullmatch(r"\$\{(.+)\}", value) if isinstance(value, str) else None
        if name and (text := created.get("inputs", {}).get(name[1], {}).get("text")):
            table = read_table(text)
            if len(table) >= _LEAST_POINTS:
                return Curve(name[1], [x for x, _ in table], [y for _, y in table])
    return None


def _options(created: Mapping[str, Any]) -> Mapping[str, Any]:
    analysis = created.get("procedure", {}).get("analysis") or {}
    return analysis.get("with") or {}


def read_table(text: str) -> list[tuple[float, float]]:
    """Rows of exactly two numbers, set apart by comma, semicolon, tab or blanks; other lines are passed over."""
    rows = []
    for line in text.splitlines():
        cells = [cell for cell in re.split(r"[,;\s]+", line.strip()) if cell]
        if len(cells) == 2:
            try:
                rows.append((float(cells[0]), float(cells[1])))
            except ValueError:
                continue
    return rows


def _is_curve(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) < _LEAST_POINTS:
        return False
    plain = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in value)
    return plain and sum(v is not None for v in value) >= _LEAST_POINTS


def _monotonic(values: Sequence[float | None]) -> bool:
    numbers = [v for v in values if v is not None]
    rising = numbers[1] > numbers[0]
    steady = all((b > a) if rising else (b < a) for a, b in pairwise(numbers))
    return steady and len(numbers) == len(values)
