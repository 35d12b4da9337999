"""A run in the form that TiledWriter keeps as it is: one type a column, fixed shapes, names of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sdl.protocols import RunRecord

__all__ = ["decoded", "settled"]

_RESERVED = {"time", "seq_num"}
_EXACT = 2**53
_NAN = math.nan


def settled(record: RunRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of a run: a descriptor a stream, whose keys are those of all its events.

    Args:
        record: a finished run without external data.
    """
    yield "start", dict(record.start)
    streams: dict[str, list[Mapping[str, Any]]] = {}
    for doc in record.descriptors:
        streams.setdefault(str(doc.get("name") or "primary"), []).append(doc)
    for name, descriptors in streams.items():
        uids = {doc["uid"] for doc in descriptors}
        yield from _stream(name, descriptors, [event for event in record.events if event["descriptor"] in uids])
    yield "stop", dict(record.stop)


def _stream(
    name: str, descriptors: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    about = {key: dict(item) for doc in descriptors for key, item in doc.get("data_keys", {}).items()}
    keys = list(dict.fromkeys([*about, *(key for event in events for key in event["data"])]))
    names = _names(keys)
    columns: dict[str, list[Any]] = {}
    data_keys: dict[str, Any] = {}
    for key in keys:
        column = [event["data"].get(key) for event in events]
        described = {"source": "unknown"} | about.get(key, {})
        described.pop("dtype_numpy", None)
        for suffix, values, kind in _columns(column):
            shown = names[key] + suffix
            columns[shown] = values
            made = (described if not suffix else {"source": f"length of {key}"}) | kind
            data_keys[shown] = made if shown == key else made | {"sdl_key": key}
    for doc in descriptors[:1]:
        yield "descriptor", {**doc, "name": name, "data_keys": data_keys, "object_keys": _objects(doc, data_keys)}
    for doc in descriptors[1:]:
        yield "descriptor", {**doc, "name": name, "data_keys": {}}
    for row, event in enumerate(events):
        yield (
            "event",
            {
                **event,
                "descriptor": descriptors[0]["uid"],
                "data": {shown: values[row] for shown, values in columns.items()},
                "timestamps": {shown: _stamp(event, shown, data_keys) for shown in columns},
                "filled": {},
            },
        )


def _objects(doc: Mapping[str, Any], data_keys: Mapping[str, Any]) -> dict[str, list[str]]:
    """Object → its keys, by the names that they have now."""
    objects: dict[str, list[str]] = {}
    owners = {key: name for name, keys in doc.get("object_keys", {}).items() for key in keys}
    for shown, about in data_keys.items():
        owner = owners.get(about.get("sdl_key", shown), about.get("object_name"))
        if owner is not None:
            objects.setdefault(owner, []).append(shown)
    return objects


def _stamp(event: Mapping[str, Any], shown: str, data_keys: Mapping[str, Any]) -> float:
    key = data_keys[shown].get("sdl_key", shown)
    return float(event.get("timestamps", {}).get(key, event["time"]))


def _names(keys: Sequence[str]) -> dict[str, str]:
    """Names that differ also where case does not count, and are none of Tiled's own columns."""
    taken = set(_RESERVED)
    names: dict[str, str] = {}
    for key in keys:
        base = f"key_{key}" if key.casefold() in _RESERVED or key.casefold().startswith("ts_") else key
        base = (
            "".join("_" if letter in "./\\\0\"'`" or not letter.isprintable() else letter for letter in base) or "key"
        )
        shown, number = base, 1
        while not {shown.casefold(), f"{shown}_points".casefold()}.isdisjoint(taken):
            number += 1
            shown = f"{base}_{number}"
        taken |= {shown.casefold(), f"{shown}_points".casefold()}
        names[key] = shown
    return names


def _columns(column: Sequence[Any]) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """Suffix of the name, values and type of the columns that hold one key."""
    present = [value for value in column if value is not None]
    complete = bool(present) and len(present) == len(column)
    if complete and all(isinstance(value, bool) for value in present):
        yield "", list(column), {"dtype": "boolean", "shape": [], "dtype_numpy": "|b1"}
    elif complete and all(isinstance(value, str) and "\0" not in value for value in present):
        yield "", list(column), {"dtype": "string", "shape": []}
    elif present and all(_is_number(value) for value in present):
        yield "", *_numbers(column, complete)
    elif complete and all(_is_array(value) for value in present) and _dimensions(present):
        yield from _arrays(column)
    else:
        texts = [json.dumps(value, ensure_ascii=True) for value in column]
        yield "", texts, {"dtype": "string", "shape": [], "sdl_encoding": "json"}


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63) or isinstance(value, float)


def _numbers(column: Sequence[Any], complete: bool) -> tuple[list[Any], dict[str, Any]]:
    if complete and all(isinstance(value, int) for value in column):
        return list(column), {"dtype": "integer", "shape": [], "dtype_numpy": "<i8"}
    if any(isinstance(value, int) and abs(value) > _EXACT for value in column):
        texts = [json.dumps(value) for value in column]
        return texts, {"dtype": "string", "shape": [], "sdl_encoding": "json"}
    floats = [_NAN if value is None else float(value) for value in column]
    return floats, {"dtype": "number", "shape": [], "dtype_numpy": "<f8"}


def _is_array(value: Any) -> bool:
    """A list of numbers that 64-bit floats tell exactly."""
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(
        item is None or (_is_number(item) and not (isinstance(item, int) and abs(item) > _EXACT)) for item in value
    )


def _dimensions(arrays: Sequence[Any]) -> bool:
    """Whether they are worth a column of arrays: whole numbers and others are not mixed."""
    kinds = {type(item) for array in arrays for item in array} - {type(None)}
    return kinds <= {float} or kinds == {int}


def _arrays(column: Sequence[Any]) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    longest = max(len(value) for value in column)
    lengths = [len(value) for value in column]
    whole = all(isinstance(item, int) for value in column for item in value)
    if len(set(lengths)) == 1 and whole:
        yield "", [list(value) for value in column], {"dtype": "array", "shape": [longest], "dtype_numpy": "<i8"}
        return
    kind: dict[str, Any] = {"dtype": "array", "shape": [longest], "dtype_numpy": "<f8"}
    if all(isinstance(item, int | None) for value in column for item in value) and any(
        isinstance(item, int) for value in column for item in value
    ):
        kind["sdl_encoding"] = "whole"
    filled = [[_NAN if item is None else float(item) for item in value] for value in column]
    yield "", [value + [_NAN] * (longest - len(value)) for value in filled], kind
    if len(set(lengths)) > 1:
        yield "_points", lengths, {"dtype": "integer", "shape": [], "dtype_numpy": "<i8", "sdl_encoding": "length"}


def decoded(data: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Data of an event as the journal has them, NaN where nothing was measured.

    Args:
        data: by the names of Tiled's columns.
        keys: the stream's data keys.
    """
    found: dict[str, Any] = {}
    for shown, value in data.items():
        about = keys[shown]
        encoding = about.get("sdl_encoding")
        if encoding == "length":
            continue
        if encoding == "json":
            value = json.loads(value)
        elif about.get("dtype") == "array":
            value = list(value)
            value = value[: int(data.get(f"{shown}_points", len(value)))]
            if encoding == "whole":
                value = [item if item != item else int(item) for item in value]
        found[about.get("sdl_key", shown)] = value
    return found
