"""Streams of a run as NeXus wants to plot them: a signal over axes, every field with its unit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdl.fair.exports._parts import unique
from sdl.fair.record import RunInfo

__all__ = ["Field", "Plot", "allowed", "plots_of"]

_AXIS = re.compile(r"wave|lambda|energ|freq|angle|time|shift|(^|[-_])(x|q|nm)$", re.IGNORECASE)
_SUFFIXES = ("_end", "_increment_set", "_errors", "_indices", "_mask", "_set", "_weights", "_scaling_factor", "_offset")
_PREFIXES = ("BLUESKY_", "DECTRIS_", "IDF_", "NDAttr", "NX", "PDBX_", "SAS_", "SILX_", "identifier")
"""Reserved by NeXus (manual.nexusformat.org/datarules.html)."""


_DEEPER = frozenset({list, tuple, type(None)})


@dataclass(frozen=True)
class Field:
    """A dataset."""

    name: str
    """A name that NeXus allows."""
    key: str
    """The key of the readings or of the configuration."""
    values: np.ndarray[Any, Any]
    unit: str = ""


@dataclass(frozen=True)
class Plot:
    """An NXdata group: one stream."""

    name: str
    signal: str
    axes: tuple[str, ...]
    others: tuple[str, ...]
    """Fields as long as the signal's first dimension that could be plotted as well."""
    fields: tuple[Field, ...]
    indices: Mapping[str, tuple[int, ...]]
    """Axis → the dimensions of the signal that it belongs to."""


def plots_of(run: RunInfo) -> list[Plot]:
    """Every stream of a run that has events; the first is `primary` where there is one."""
    streams: dict[str, list[Mapping[str, Any]]] = {}
    descriptors = {str(doc["uid"]): doc for doc in run.record.descriptors}
    for event in run.record.events:
        streams.setdefault(str(descriptors[event["descriptor"]].get("name") or "primary"), []).append(event)
    names = sorted(streams, key=lambda name: name != "primary")
    groups = unique({name: allowed(f"data_{name}") for name in names})
    about = {name: [doc for doc in run.record.descriptors if (doc.get("name") or "primary") == name] for name in names}
    return [_plot(run, groups[name], about[name], streams[name]) for name in names]


def _plot(run: RunInfo, name: str, about: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> Plot:
    data_keys = {key: item for doc in about for key, item in doc.get("data_keys", {}).items()}
    keys = list(dict.fromkeys(key for event in events for key in event["data"]))
    columns = {key: [event["data"].get(key) for event in events] for key in keys}
    shown = unique({"": "time"} | {key: allowed(key) for key in [*keys, *_configured(about)]})
    fields = [Field("time", "time", _times(run, events), "s")]
    for key in keys:
        unit = str(data_keys.get(key, {}).get("units") or "")
        fields += _fields(shown[key], key, columns[key], unit)
    made = {field.key: field for field in fields}
    signal = _signal(run, about, made)
    axes, axis = ["time"], None
    if signal.values.ndim > 1:
        axis = _spectral_axis(about, made, signal, shown)
        axes += ["."] * (signal.values.ndim - 1)
        if axis is not None:
            axes[-1] = axis.name
            fields = [*(field for field in fields if field.name != axis.name), axis]
    elif (moved := _moved(run, made)) is not None and moved is not signal:
        axes = [moved.name]
    return _assembled(name, signal, axes, fields)


def _assembled(name: str, signal: Field, axes: Sequence[str], fields: Sequence[Field]) -> Plot:
    others = tuple(
        field.name
        for field in fields
        if field.values.shape == signal.values.shape
        and field.values.dtype.kind in "if"
        and field.name not in (signal.name, *axes, "time")
    )
    indices = {axis: (place,) for place, axis in enumerate(axes) if axis != "."}
    if "time" not in indices:
        indices["time"] = (0,)
    return Plot(name, signal.name, tuple(axes), others, tuple(fields), indices)


def allowed(text: str) -> str:
    """A name that NeXus allows: letters, digits and underscores, none that it reserves for a meaning of its own."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "field"
    if name[0].isdigit() or name.startswith(_PREFIXES):
        name = f"f_{name}"
    return f"{name}_value" if name.endswith(_SUFFIXES) else name


def _times(run: RunInfo, events: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
    """Seconds since the run began."""
    began = float(run.record.start["time"])
    return np.array([float(event["time"]) - began for event in events])


def _fields(name: str, key: str, column: Sequence[Any], unit: str) -> Iterator[Field]:
    present = [value for value in column if value is not None]
    if present and all(isinstance(value, list | tuple) for value in present):
        arrays = [np.asarray(_numbers(value), dtype=float) for value in present if _is_numeric(value)]
        if len(arrays) == len(present) and all(array.ndim == 1 for array in arrays):
            yield from _stacked(name, key, column, unit)
            return
        if len(arrays) == len(present) and len({array.shape for array in arrays}) == 1:
            blank, each = np.full_like(arrays[0], np.nan), iter(arrays)
            yield Field(name, key, np.stack([blank if v is None else next(each) for v in column]), unit)
            return
    yield Field(name, key, _scalars(column), unit)


def _is_numeric(value: Any) -> bool:
    """A number, or a regular array of numbers; None stands for one that was not measured."""
    if not isinstance(value, list | tuple):
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if set(map(type, value)) <= {int, float, type(None)}:
        return True
    lengths = {len(item) if isinstance(item, list | tuple) else -1 for item in value}
    return len(lengths) <= 1 and all(map(_is_numeric, value))


def _numbers(value: Any) -> Any:
    """The value with NaN for None; numpy reads a list of numbers without help."""
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value] if _deep(value) else value
    return np.nan if value is None else value


def _deep(value: Any) -> bool:
    return not _DEEPER.isdisjoint(map(type, value))


def _stacked(name: str, key: str, column: Sequence[Any], unit: str) -> Iterator[Field]:
    """Arrays one below the other, filled up with NaN to the longest, and how long each was where that differs."""
    lengths = [len(value) if value is not None else 0 for value in column]
    values = np.full((len(column), max(lengths)), np.nan)
    for row, value in enumerate(column):
        if value:
            values[row, : len(value)] = _numbers(value)
    yield Field(name, key, values, unit)
    if len(set(lengths)) > 1:
        yield Field(f"{name}_points", f"{key}: numbers read", np.array(lengths))


def _scalars(column: Sequence[Any]) -> np.ndarray[Any, Any]:
    kinds = {type(value) for value in column}
    if kinds <= {bool}:
        return np.array(column, dtype=np.int8)
    if kinds <= {int} and all(-(2**63) <= value < 2**63 for value in column):
        return np.array(column, dtype=np.int64)
    if kinds <= {int, float, type(None)} and all(not isinstance(v, int) or abs(v) <= 2**53 for v in column):
        return np.array([np.nan if value is None else value for value in column], dtype=float)
    texts = [v if isinstance(v, str) else "" if v is None else json.dumps(v, ensure_ascii=False) for v in column]
    return np.array([text.replace("\0", "\N{SYMBOL FOR NULL}") for text in texts], dtype=object)


def _configured(about: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, str]]:
    """Key of the configuration → value and unit."""
    found = {}
    for doc in about:
        for part in doc.get("configuration", {}).values():
            units = part.get("data_keys", {})
            for key, value in part.get("data", {}).items():
                found[key] = (value, str(units.get(key, {}).get("units") or ""))
    return found


def _signal(run: RunInfo, about: Sequence[Mapping[str, Any]], made: Mapping[str, Field]) -> Field:
    """The array that is no axis, or else what the devices hint at, or else the first number."""
    numeric = [f for key, f in made.items() if f.values.dtype.kind in "if" and key != "time" and ": " not in key]
    moved = _moved(run, made)
    hinted = [key for doc in about for hint in doc.get("hints", {}).values() for key in hint.get("fields", [])]
    rank = {key: place for place, key in enumerate(hinted)}

    def order(field: Field) -> tuple[bool, bool, bool, int]:
        steady = field.values.ndim > 1 and bool(_AXIS.search(field.key)) and _steady(field.values[0])
        return (field is moved, field.values.ndim < 2, steady, rank.get(field.key, len(rank)))

    return min(numeric, key=order, default=made["time"])


def _moved(run: RunInfo, made: Mapping[str, Field]) -> Field | None:
    """What a scan moves: the first field of the plan's first dimension."""
    for fields, _ in run.record.start.get("hints", {}).get("dimensions", []):
        for key in fields:
            if key in made and key != "time" and made[key].values.ndim == 1 and made[key].values.dtype.kind in "if":
                return made[key]
    return None


def _spectral_axis(
    about: Sequence[Mapping[str, Any]], made: Mapping[str, Field], signal: Field, shown: Mapping[str, str]
) -> Field | None:
    """A steadily rising or falling array as long as the signal, from the configuration or the readings."""
    length = signal.values.shape[-1]
    found = []
    for key, (value, unit) in _configured(about).items():
        if isinstance(value, list) and len(value) == length and _is_numeric(value):
            array = np.asarray(_numbers(value), dtype=float)
            if array.ndim == 1 and _steady(array):
                found.append(Field(shown[key], key, array, unit))
    for field in made.values():
        values = field.values
        same = values.ndim == 2 and values.shape[1] == length and field is not signal
        if same and _steady(values[0]) and bool((values == values[0]).all()):
            found.append(Field(field.name, field.key, values[0], field.unit))
    return min(found, key=lambda field: not _AXIS.search(field.key), default=None)


def _steady(values: np.ndarray[Any, Any]) -> bool:
    if len(values) < 2 or not np.isfinite(values).all():
        return False
    before, after = values[:-1], values[1:]
    return bool((after > before).all() or (after < before).all())
