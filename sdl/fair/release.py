"""Release a campaign: a folder that others can read, cite, check and trust, made from its journal in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdl.fair import _manifest as manifest
from sdl.fair._folder import new_folder, refuse_if_there
from sdl.fair._gather import gather_record
from sdl.fair._missing import Missing, missing
from sdl.fair._readme import write_readme
from sdl.fair._shown import DESCRIBING, as_seen_by, keeps
from sdl.fair._verify_release import verify_release
from sdl.fair.access import OWNER, Role
from sdl.fair.exports import ExportedFile, chosen, write_exports
from sdl.fair.record import CampaignRecord
from sdl.fair.signing import SigningKey, public_pem
from sdl.model import InputError
from sdl.model.project import Project

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["Missing", "Release", "missing", "refuse_if_there", "release", "verify_release"]

_WRITERS: Final = ("self-driving-lab", "prov", "pyarrow", "h5py")
"""Packages on which the bytes of a release depend."""


@dataclass(frozen=True)
class Release:
    """A release that was written."""

    folder: Path
    identifier: str
    """`urn:sdl:release:` and a SHA-256 that vouches for all of it."""
    files: tuple[ExportedFile, ...]
    head: str
    """Hash of the journal's last entry."""
    signed_by: str
    """Public key; empty when it is not signed."""


def release(
    store: Store,
    campaign: str,
    out: Path,
    *,
    project: Project | None = None,
    only: Sequence[str] = (),
    replaces: str = "",
    day: date | None = None,
    key: SigningKey | None = None,
    role: Role = OWNER,
    whole: bool = True,
) -> Release:
    """Write a release of a campaign into a new folder, which is there in full or not at all.

    Two releases of one campaign with equal arguments are equal byte by byte.

    Args:
        store: an open store.
        campaign: id of the campaign.
        out: the folder; it must not exist.
        project: who answers for the data; as the campaign says unless given.
        only: names of exports; all by default.
        replaces: identifier of the release that this one replaces.
        day: day of the release, the only time in it that does not come from the journal; today (UTC) by default.
        key: signs it; not signed by default.
        role: who is given it: what its access policy does not allow is left out; everything by default.
        whole: whether it has to state all that a release must; only one that is looked at and thrown away need not.

    Raises:
        Hidden: the role may not know of the campaign.
        InputError: something is missing that a release must state; `out` exists or cannot be written.
        StoreError: the journal is damaged.
        MissingExtra: a package that an export needs is not installed.
    """
    names = chosen(only)
    record = gather_record(store, campaign, project)
    if whole and (faults := missing(record.project)):
        lines = "\n".join(f"  {fault.key}: {fault.what}, as in {fault.example}" for fault in faults)
        raise InputError(f"a release of {record.name} has to state more; write it into a project file:\n{lines}")
    when = day or datetime.now(UTC).date()
    record = replace(as_seen_by(record, role, when), released=when.isoformat(), replaces=replaces)
    names = [name for name in names if record.data or name in DESCRIBING]
    with new_folder(out) as part:
        write_readme(record, part)
        readme = ExportedFile("README.md", "text/markdown", "", "What this release holds, and how to check it")
        files = write_exports(record, part, names, (readme,), keeps(record, role, when))
        body = _manifest(record, part, files, key, role)
        _write(part, body, key)
    return Release(out, body["identifier"], tuple(files), record.head, body["signed_by"])


def _manifest(
    record: CampaignRecord, folder: Path, files: Sequence[ExportedFile], key: SigningKey | None, role: Role
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "format": manifest.FORM,
        "campaign": {"id": record.id, "name": record.name, "status": record.status},
        "title": record.project.title,
        "released": record.released,
        "made_for": str(role),
        "replaces": record.replaces,
        "withdrawn": record.withdrawn,
        "journal": {
            "entries": record.entries,
            "head": record.head,
            "withheld": list(record.withheld) if record.data else [],
        },
        "written_with": _versions(),
        "signed_by": key.public if key is not None else "",
        "files": [_listed(folder, file) for file in files],
    }
    return {"identifier": manifest.identifier_of(body), **body}


def _listed(folder: Path, file: ExportedFile) -> dict[str, Any]:
    path = folder / file.path
    return {
        "path": file.path,
        "bytes": path.stat().st_size,
        "sha256": manifest.file_hash(path),
        "media_type": file.media_type,
        "conforms_to": file.conforms_to,
        "title": file.title,
        "about": file.about,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _WRITERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _write(folder: Path, body: dict[str, Any], key: SigningKey | None) -> None:
    text = manifest.manifest_text(body)
    (folder / manifest.MANIFEST).write_bytes(text)
    if key is not None:
        (folder / manifest.SIGNATURE).write_bytes(key.sign(text))
        (folder / manifest.PUBLIC_KEY).write_bytes(public_pem(key.public))
