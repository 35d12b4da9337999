"""What several exports have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sdl.fair.record import CampaignRecord, RunInfo
from sdl.model import InputError
from sdl.model.project import Organisation, Person

__all__ = [
    "day",
    "file_stem",
    "identifier",
    "json_text",
    "organisation_of",
    "own_version",
    "released_on",
    "stream_names",
    "unique",
    "write_bytes",
]

_ROOT = "https://w3id.org/sdl/"


_OWN_NAMES = ("self-driving-lab", "sdl")
"""Of the package in lists of versions, today's first."""


def day(at: int) -> str:
    """UTC nanoseconds as an ISO date."""
    return datetime.fromtimestamp(at // 1_000_000_000, UTC).date().isoformat()


def released_on(record: CampaignRecord) -> str:
    """The one creation time that a release states, an ISO date."""
    return record.released or day(record.updated)


def json_text(value: Any) -> str:
    """Indented JSON that ends with a line end; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def write_bytes(folder: Path, path: str, content: bytes | str) -> None:
    """Write a file of an export, making the folders that its path names. What could not be written in full is removed.

    Raises:
        InputError: it cannot be written, as on a disk that is full.
    """
    target = folder / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        with suppress(OSError):
            target.unlink()
        why = f"{error.strerror}; free some space or choose another folder"
        raise InputError(f"cannot write {path} of the release: {why}") from error


def identifier(record: CampaignRecord, *parts: object) -> UUID:
    """A UUID (version 5) that names a part of the campaign: the same parts have the same one, always."""
    return uuid5(NAMESPACE_URL, "/".join([_ROOT + record.id, *map(str, parts)]))


def file_stem(text: str) -> str:
    """A text as part of a file's name: letters, digits, `-` and `_`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "x"


def unique(names: Mapping[str, str]) -> dict[str, str]:
    """Values made distinct by a number behind those that come again."""
    taken: set[str] = set()
    found = {}
    for key, name in names.items():
        shown, number = name, 1
        while shown.casefold() in taken:
            number += 1
            shown = f"{name}_{number}"
        taken.add(shown.casefold())
        found[key] = shown
    return found


def stream_names(run: RunInfo) -> dict[str, str]:
    """Uid of a descriptor → name of its stream."""
    return {str(doc["uid"]): str(doc.get("name") or "primary") for doc in run.record.descriptors}


def own_version(record: CampaignRecord) -> str:
    """The version of sdl that ran the campaign; empty where the journal does not say."""
    return next((item.version for item in record.software if item.name in _OWN_NAMES), "")


def organisation_of(record: CampaignRecord, person: Person) -> Organisation | None:
    """The organisation that a person belongs to: one of the project's, or another by its name only."""
    if not person.affiliation:
        return None
    named = (o for o in record.project.organisations if person.affiliation in (o.name, o.name_ja))
    return next(named, None) or Organisation(name=person.affiliation)
