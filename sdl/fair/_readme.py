"""The page of a release for people: what it holds, how to cite it, and how to check it without sdl."""

from __future__ import annotations

from pathlib import Path

from sdl.fair._cited import creators, summary
from sdl.fair.record import CampaignRecord

__all__ = ["write_readme"]

_CHECK = """\
## How to check it

`release.json` lists every file with its size and SHA-256. `sdl verify FOLDER` recomputes all of it; without sdl:

    openssl pkeyutl -verify -pubin -inkey release.pub -rawin -in release.json -sigfile release.sig
    sha256sum journal.jsonl      # and so on: compare with release.json

(the first line where the release is signed). Each line of `journal.jsonl` that begins with `[` is the text whose
SHA-256 is the hash of that entry; the next line begins with that hash, and `release.json` has the last one. Of a line
that is an object, something was left out that tells of machines or accounts; it states its own hash.
"""


def write_readme(record: CampaignRecord, folder: Path) -> None:
    """Write `README.md`."""
    (folder / "README.md").write_text(_text(record), encoding="utf-8", newline="\n")


def _text(record: CampaignRecord) -> str:
    project = record.project
    people = "; ".join(person.name for person in creators(project))
    cite = f"{people} ({record.released[:4]}): {project.title}. {project.publisher}. {project.identifier}".strip()
    facts = {
        "campaign": f"{record.name}, {record.id}",
        "released": record.released,
        "licence": project.licence,
        "access": f"data {project.access.data}, metadata {project.access.metadata}",
        "contact": project.contact,
        "replaces": record.replaces,
    }
    lines = [f"# {project.title}", ""]
    if record.withdrawn:
        lines += [f"**Withdrawn: {record.withdrawn}**", ""]
    lines += [project.description, "", summary(record), "", f"Cite as: {cite}", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items() if value]
    lines += ["", "`ro-crate-metadata.json` describes every file and every trial.", "", _CHECK]
    return "\n".join(lines)
