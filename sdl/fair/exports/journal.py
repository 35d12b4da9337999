"""The journal itself, so that a release can be verified by itself, with the packages and inputs that belong to it.

`journal.jsonl` has one line an entry. A line that begins with `[` is the very text that the entry's hash is taken of:

    ["<prev_hash>","<campaign>",<seq>,<at>,"<kind>",<body>]

so the SHA-256 of the line without its line end is the entry's hash, and the next line begins with it. An entry whose
body names folders of machines or accounts is told as an object instead: it states its own hash, `withheld` says where
something was left out, and the chain goes on through the stated hash.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from sdl.fair._cited import slug
from sdl.fair.exports import ExportedFile
from sdl.fair.record import CampaignRecord, ReleasedEntry
from sdl.journal import Entry, canonical

__all__ = ["JOURNAL", "line_of", "write"]

JOURNAL = "journal.jsonl"
_FORM = "https://jsonlines.org/"


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write `journal.jsonl`, `environment.txt` and `inputs/`; of the latter only what the journal has."""
    with (folder / JOURNAL).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line_of(entry)}\n" for entry in record.journal())
    title = f"Journal of the campaign: {record.entries} entries, each chained to the one before by its hash"
    files = [ExportedFile(JOURNAL, "application/jsonl", _FORM, title)]
    if record.environment:
        text = "".join(f"{line}\n" for line in record.environment)
        (folder / "environment.txt").write_text(text, encoding="utf-8", newline="\n")
        files.append(
            ExportedFile("environment.txt", "text/plain", "", "Packages that were installed, as pip reads them")
        )
    return [*files, *_inputs(record, folder)]


def line_of(released: ReleasedEntry) -> str:
    """The line of an entry, without its line end."""
    entry = released.entry
    if not released.withheld:
        return hashed_line(entry)
    return canonical({**entry._asdict(), "withheld": list(released.withheld)})


def hashed_line(entry: Entry) -> str:
    """The text whose SHA-256 is the entry's hash."""
    head = orjson.dumps([entry.prev_hash, entry.campaign, entry.seq, entry.at, entry.kind]).decode()
    return f"{head[:-1]},{canonical(entry.body)}]"


def _inputs(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    files = []
    for name, item in record.inputs.items():
        text: Any = item.get("text")
        if not isinstance(text, str):
            continue
        file = PurePosixPath(str(item.get("path") or name))
        path = f"inputs/{slug(name)}/{slug(file.stem)}{file.suffix if file.suffix.isascii() else ''}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
        kind = "text/csv" if path.endswith(".csv") else "text/plain"
        files.append(ExportedFile(path, kind, "", f"Input {name} of the lab, as the analysis and the planner had it"))
    return files
