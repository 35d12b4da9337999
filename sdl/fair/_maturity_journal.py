"""What the maturity checks read of a release's journal."""

from __future__ import annotations

import json
from typing import Any

from sdl.fair._maturity_view import View
from sdl.fair.exports.journal import JOURNAL
from sdl.journal import kinds

__all__ = ["runs_of_outcomes"]


def runs_of_outcomes(view: View) -> tuple[set[str], set[str]]:
    """Runs that outcomes name, and runs whose documents are there; both empty where the journal cannot be read."""
    named: set[str] = set()
    there: set[str] = set()
    try:
        with (view.folder / JOURNAL).open("rb") as file:
            for line in file:
                kind, body = _read(line)
                if kind == kinds.TRIAL_OBSERVED:
                    named.update(body.get("runs", ()))
                elif kind == kinds.DOCUMENT and body.get("name") == "start":
                    there.add(body["doc"]["uid"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set(), set()
    return named, there


def _read(line: bytes) -> tuple[str, dict[str, Any]]:
    entry = json.loads(line)
    return (entry[4], entry[5]) if isinstance(entry, list) else (entry["kind"], entry["body"])
