"""Exports of a release: each is a module with one function, `write(record, folder) -> list[ExportedFile]`.

An export is a function of the record alone: equal records give equal bytes, at any time and on any machine. The hub,
`ro_crate`, comes last and is given the files of all others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdl.model import InputError
from sdl.plugins import suggest

if TYPE_CHECKING:
    from sdl.fair.record import CampaignRecord

__all__ = ["EXPORTS", "ExportedFile", "chosen", "load_export", "write_exports"]


@dataclass(frozen=True)
class ExportedFile:
    """A file of a release."""

    path: str
    """Relative to the folder of the release, with `/` between its parts."""
    media_type: str
    """As registered with IANA, or the one that its users know."""
    conforms_to: str = ""
    """URI of the standard that it follows, or empty."""
    title: str = ""
    """For people, one line."""
    about: str = "campaign"
    """`campaign`, `trial:N`, `run:UID` or `sample:ID`."""


EXPORTS: Final[dict[str, str]] = {
    "journal": "sdl.fair.exports.journal:write",
    "tables": "sdl.fair.exports.tables:write",
    "documents": "sdl.fair.exports.documents:write",
    "nexus": "sdl.fair.exports.nexus:write",
    "maiml": "sdl.fair.exports.maiml:write",
    "rde": "sdl.fair.exports.rde:write",
    "metrics": "sdl.fair.metrics:write",
    "datacite": "sdl.fair.exports.datacite:write",
    "cao": "sdl.fair.exports.cao:write",
    "jpcoar": "sdl.fair.exports.jpcoar:write",
    "prov": "sdl.fair.exports.prov:write",
    "ro_crate": "sdl.fair.exports.ro_crate:write",
}
"""Name → `module:function`, in the order in which they are written."""


def load_export(name: str) -> Callable[..., list[ExportedFile]]:
    """The function of an export.

    Raises:
        InputError: there is no such export.
        MissingExtra: a package that it needs is not installed.
    """
    if name not in EXPORTS:
        raise InputError(f"no export {name!r}{suggest(name, list(EXPORTS))}")
    module, _, function = EXPORTS[name].partition(":")
    found: Callable[..., list[ExportedFile]] = getattr(importlib.import_module(module), function)
    return found


def chosen(only: Sequence[str] = ()) -> list[str]:
    """The exports to write, in order: all, or those named and the two without which a release is none.

    Args:
        only: names; empty for all.

    Raises:
        InputError: one of them is unknown.
    """
    for name in only:
        if name not in EXPORTS:
            raise InputError(f"no export {name!r}{suggest(name, list(EXPORTS))}")
    return [name for name in EXPORTS if not only or name in {*only, "journal", "ro_crate"}]


def write_exports(
    record: CampaignRecord,
    folder: Path,
    names: Iterable[str],
    there: Sequence[ExportedFile] = (),
    keeps: Callable[[str], bool] = lambda path: True,
) -> list[ExportedFile]:
    """Write exports into a folder, the hub last; return all files in that order.

    Args:
        record: the campaign.
        folder: to write to.
        names: in the order of `EXPORTS`.
        there: files that the folder holds already.
        keeps: whether a file, by its path, stays in the folder.
    """
    files: list[ExportedFile] = [*there]
    for name in names:
        write = load_export(name)
        written = write(record, folder, files) if name == "ro_crate" else write(record, folder)
        for file in written:
            if not keeps(file.path):
                (folder / file.path).unlink()
        files += [file for file in written if keeps(file.path)]
    return files
