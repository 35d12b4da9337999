"""What a zip for RDE has to satisfy beyond what rdetoolkit checks, which passes over keys that it does not know."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

__all__ = ["faults"]

_FOLDERS = {"raw", "nonshared_raw", "structured", "main_image", "other_image", "meta", "logs", "invoice", "tasksupport"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}
_BASIC = {"dateSubmitted", "dataOwnerId", "dataName", "instrumentId", "experimentId", "description"}


def faults(content: bytes) -> list[str]:
    """What is wrong with a zip, one line a fault, for people; empty when nothing is.

    Args:
        content: the zip.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        files = {name: archive.read(name) for name in names if name.endswith(".json")}
    found = [f"{name}: RDE knows no such place" for name in names if not _placed(name)]
    for name in ("tasksupport/metadata-def.json", "tasksupport/invoice.schema.json"):
        if name not in files:
            return [*found, f"{name} is missing"]
    defined = json.loads(files["tasksupport/metadata-def.json"])
    fields = set(json.loads(files["tasksupport/invoice.schema.json"])["properties"]["custom"]["properties"])
    for tile in sorted({_tile(name) for name in names if not name.startswith("tasksupport/")}):
        for part in ("invoice/invoice.json", "meta/metadata.json"):
            if tile + part not in files:
                found.append(f"{tile}{part} is missing")
        if data := files.get(f"{tile}meta/metadata.json"):
            found += _metadata(f"{tile}meta/metadata.json", json.loads(data), defined)
        if data := files.get(f"{tile}invoice/invoice.json"):
            found += _invoice(f"{tile}invoice/invoice.json", json.loads(data), fields)
    return found


def _tile(name: str) -> str:
    match = re.match(r"divided/\d{4}/", name)
    return match[0] if match else ""


def _placed(name: str) -> bool:
    rest = name.removeprefix(_tile(name)).split("/")
    return len(rest) == 2 and rest[0] in _FOLDERS


def _metadata(where: str, content: Any, defined: Mapping[str, Any]) -> Iterator[str]:
    groups = [content.get("constant", {}), *content.get("variable", [])]
    for group in groups:
        for key, item in group.items():
            if key not in defined:
                yield f"{where}: {key} is not defined in metadata-def.json"
                continue
            yield from _item(f"{where}: {key}", item, defined[key])


def _item(label: str, item: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    if set(item) - {"value", "unit"}:
        yield f"{label}: unknown keys {', '.join(sorted(set(item) - {'value', 'unit'}))}"
    kind, value = about["schema"]["type"], item.get("value")
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{label}: {value!r} is no {kind}"
    elif about["schema"].get("format") == "date-time" and not _is_time(str(value)):
        yield f"{label}: {value!r} is no time of ISO 8601"
    if item.get("unit", "") != about.get("unit", ""):
        yield f"{label}: unit {item.get('unit', '')!r}, defined as {about.get('unit', '')!r}"


def _is_time(text: str) -> bool:
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _invoice(where: str, content: Mapping[str, Any], fields: set[str]) -> Iterator[str]:
    for part, known in (("", {"datasetId", "basic", "custom"}), ("basic", _BASIC), ("custom", fields)):
        given = set(content if not part else content.get(part, {}))
        yield from (f"{where}: unknown key {'.'.join(filter(None, (part, key)))}" for key in sorted(given - known))
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(content.get("basic", {}).get("dateSubmitted"))):
        yield f"{where}: dateSubmitted is no date"
