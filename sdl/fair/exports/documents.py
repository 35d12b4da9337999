"""The documents of every run as Bluesky's tools read them: one `[name, document]` a line, event-model as recorded.

Replaying them takes a line: `for line in file: callback(*json.loads(line))`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdl.fair.exports import ExportedFile
from sdl.fair.exports._parts import write_bytes
from sdl.fair.record import CampaignRecord, RunInfo

__all__ = ["documents", "read", "write"]

_PATH = "documents/documents.jsonl"
_STANDARD = "https://blueskyproject.io/event-model/"


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write the documents of all runs, one run after the other, in the order in which the runs began.

    A number that is no finite one is written as `NaN`, `Infinity` or `-Infinity`, as Python reads it. The journal holds
    none: what an instrument did not measure is null there.

    Raises:
        InputError: the file cannot be written.
    """
    lines = [_line(name, doc) for run in record.runs.values() for name, doc in documents(run)]
    if not lines:
        return []
    write_bytes(folder, _PATH, "".join(lines))
    title = f"Bluesky documents of {len(record.runs)} runs, one a line"
    return [ExportedFile(_PATH, "application/jsonl", _STANDARD, title)]


def documents(run: RunInfo) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every document of a run: as recorded where all were kept, put in order where only its parts are at hand."""
    if run.documents:
        yield from run.documents
        return
    yield "start", run.record.start
    yield from (("descriptor", doc) for doc in run.record.descriptors)
    yield from (("event", doc) for doc in run.record.events)
    if run.record.stop:
        yield "stop", run.record.stop


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of a file, in order."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            name, doc = json.loads(line)
            yield name, doc


def _line(name: str, doc: Mapping[str, Any]) -> str:
    return json.dumps([name, doc], ensure_ascii=False, separators=(",", ":")) + "\n"
