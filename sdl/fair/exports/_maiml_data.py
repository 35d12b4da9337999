"""Readings and conditions of a run as properties and contents of MaiML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from sdl.fair._units import ucum
from sdl.fair.exports._maiml_xml import add, key_name, text_property
from sdl.fair.exports._parts import stream_names
from sdl.fair.record import CampaignRecord, RunInfo, TrialInfo

__all__ = ["conditions", "readings"]

_LONG = 2**63
_NUMERIC = frozenset({int, float, type(None)})


def conditions(parent: Element, record: CampaignRecord, trial: TrialInfo, run: RunInfo) -> None:
    """Parameters of the trial, then the configuration of each device."""
    lists: list[tuple[str, Any, str]] = []
    for name, value in trial.parameters.items():
        _single(parent, name, value, record.units.get(name, ""))
    for doc in run.record.descriptors:
        for part in doc.get("configuration", {}).values():
            for key, value in part.get("data", {}).items():
                unit = str(part.get("data_keys", {}).get(key, {}).get("units") or "")
                if isinstance(value, list | tuple):
                    lists.append((key, value, unit))
                else:
                    _single(parent, key, value, unit)
    for key, value, unit in lists:
        _content(parent, key, [value], unit, "configuration")


def readings(parent: Element, run: RunInfo) -> None:
    """Each key of each stream: numbers as one list over the events, arrays as one list an event.

    What was not measured is NaN. Texts, and what is no plain array of numbers, are one property an event.
    """
    streams = stream_names(run)
    units = {key: about for doc in run.record.descriptors for key, about in doc.get("data_keys", {}).items()}
    columns: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for event in run.record.events:
        for key, value in event["data"].items():
            columns.setdefault((streams[event["descriptor"]], key), []).append((event["seq_num"], value))
    contents = []
    for (stream, key), column in columns.items():
        unit = str(units.get(key, {}).get("units") or "")
        values = [value for _, value in column]
        if _kind(values) or all(_is_array(value) for value in values):
            contents.append((key, values, unit, stream))
            continue
        for number, value in column:
            made = SubElement(parent, "property", {"xsi:type": "stringType", "key": key_name(key)})
            add(made, "description", f"stream {stream}, event {number}: {key}")
            add(made, "value", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    for key, values, unit, stream in contents:
        _content(parent, key, values, unit, f"stream {stream}")


def _single(parent: Element, key: str, value: Any, unit: str) -> None:
    kind = _kind([value])
    if not kind:
        text_property(parent, key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return
    about = {"xsi:type": f"{kind}Type", "key": key_name(key)}
    made = SubElement(parent, "property", about | _units(kind, unit))
    add(made, "description", key)
    add(made, "value", _written(value))


def _content(parent: Element, key: str, values: Sequence[Any], unit: str, where: str) -> None:
    arrays = all(_is_array(value) for value in values)
    kind = _kind([item for value in values for item in value]) if arrays else _kind(values)
    kind = kind or "double"
    about = {"xsi:type": f"content{kind.capitalize()}ListType", "key": key_name(key)}
    size = len(values[0]) if arrays else len(values)
    made = SubElement(parent, "content", about | {"size": str(size)} | _units(kind, unit))
    add(made, "description", f"{where}: {key}")
    for row in values if arrays else [values]:
        SubElement(made, "value").text = _numbers(row)


def _units(kind: str, unit: str) -> dict[str, str]:
    if kind == "boolean" or unit in ("", "1"):
        return {}
    try:
        return {"units": ucum(unit) or unit}
    except ValueError:
        return {"units": unit}


def _kind(values: Sequence[Any]) -> str:
    """boolean, long or double, where all values are of that kind; else empty."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return "double"
    if kinds == {bool}:
        return "boolean"
    if not kinds or not kinds <= _NUMERIC:
        return ""
    if kinds == {int}:
        return "long" if min(values) >= -_LONG and max(values) < _LONG else ""
    return "double" if all(abs(value) <= 2**53 for value in values if type(value) is int) else ""


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple) and (not value or _kind(value) in ("long", "double"))


def _numbers(row: Sequence[Any]) -> str:
    """Numbers as XML Schema writes them; finite floats, which most are, without looking at each."""
    if set(map(type, row)) == {float} and all(map(math.isfinite, row)):
        return " ".join(map(repr, row))
    return " ".join(map(_written, row))


def _written(value: Any) -> str:
    """A number as XML Schema writes it, exactly."""
    if value is None:
        return "NaN"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    return repr(value)
