"""A release against the store that it was made from: what the release by itself cannot show of its journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdl.fair import _manifest as manifest
from sdl.fair._private import texts_of
from sdl.fair.exports.journal import JOURNAL, hashed_line
from sdl.journal import Damage, Entry
from sdl.model import InputError

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["told_in_part", "verify_against"]


def told_in_part(folder: Path) -> tuple[int, ...]:
    """Numbers of the entries whose hash a release states, because something in them tells of machines or accounts.

    Raises:
        InputError: the folder is no release.
    """
    stated = manifest.read_manifest(folder).get("journal")
    found = stated.get("withheld") if isinstance(stated, dict) else None
    return tuple(found) if isinstance(found, list) else ()


def verify_against(folder: Path, store: Store) -> list[Damage]:
    """Compare each entry in a release with the store's; empty when they are the same.

    An entry that is told in full has to be the store's, byte by byte. One that is told in part has to state the hash of
    the store's, which is recomputed, and may differ from it at the places only that it names.

    Args:
        folder: of the release.
        store: that it was made from, open.

    Raises:
        InputError: the folder is no release, it has no journal, or the store has no such campaign.
        StoreError: the store's own entries are damaged.
    """
    about = manifest.read_manifest(folder).get("campaign")
    campaign = str(about.get("id", "")) if isinstance(about, dict) else ""
    if not (folder / JOURNAL).is_file():
        raise InputError(f"{folder} has no {JOURNAL}: there is nothing to compare with a store")
    stored = store.entries(store.resolve(campaign))
    found: list[Damage] = []
    with (folder / JOURNAL).open("rb") as lines:
        for seq, line in enumerate(lines, 1):
            entry = next(stored, None)
            if entry is None:
                return [*found, Damage(campaign, seq, f"{JOURNAL}: entry {seq} is not in the store")]
            found += [Damage(campaign, seq, f"{JOURNAL}: entry {seq} {fault}") for fault in _faults(line, entry)]
    return found


def _faults(line: bytes, entry: Entry) -> Iterator[str]:
    line = line.rstrip(b"\n")
    if line.startswith(b"["):
        if line != hashed_line(entry).encode():
            yield "is another than the store's"
        return
    try:
        shown = json.loads(line)
        yield from _faults_in_part(shown, entry)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        yield "cannot be read"


def _faults_in_part(shown: Mapping[str, Any], entry: Entry) -> Iterator[str]:
    for name in ("campaign", "seq", "at", "kind", "prev_hash", "hash"):
        if shown[name] != getattr(entry, name):
            yield f"states another {name} than the store's"
    withheld = set(shown["withheld"])
    if not withheld <= dict(texts_of(entry.body)).keys():
        yield "names a place that the store's does not have"
    if _without(shown["body"], withheld) != _without(entry.body, withheld):
        yield "shows something that the store's does not say"


def _without(value: Any, places: set[str], at: str = "") -> Any:
    """A value without the texts at some places."""
    if isinstance(value, Mapping):
        return {key: _without(item, places, f"{at}.{key}" if at else key) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, places, f"{at}[{index}]") for index, item in enumerate(value)]
    return None if at in places and isinstance(value, str) else (type(value), value)
