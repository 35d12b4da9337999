"""The stop mark: a small file that says that a person stopped a lab. Standard library only.

While it is there nothing may be started in the lab. It outlives every process, and a person takes it away.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import NamedTuple

from sdl.lab._stopfolder import stop_folder, write_whole

__all__ = ["Mark", "mark", "marked", "marks", "refuse_if_stopped", "release"]

_SUFFIX = ".stopped"


class Mark(NamedTuple):
    """Who stopped a lab, when and why."""

    key: str
    """Of the lab; see `lab_key`."""
    lab: str
    """Name of the lab; empty where only its key is known."""
    file: str
    """Its lab file."""
    by: str
    """`user@host`; empty when the mark cannot be read."""
    note: str
    at: int
    """Nanoseconds since 1970, UTC; 0 when the mark cannot be read."""

    def when(self) -> str:
        """` on 2026-11-22 at 10:15:00 UTC`; empty when the mark cannot be read."""
        return f" on {time.strftime('%Y-%m-%d at %H:%M:%S UTC', time.gmtime(self.at / 1e9))}" if self.at else ""

    def sentence(self) -> str:
        """What happened and how to go on, for people."""
        name = self.lab or self.file or self.key
        by = f" by {self.by}" if self.by else ""
        note = f" ({self.note})" if self.note else ""
        return (
            f"lab {name} was stopped{by}{self.when()}{note}; make sure that it is safe to go on, "
            f"then take the stop away with: sdl stop --release {self.file or name}"
        )


def mark(key: str, by: str, note: str = "", *, lab: str = "", file: str = "") -> Mark:
    """Mark a lab as stopped. An earlier mark stays as it is, and a new note is added to its own.

    Returns:
        The mark that is there now.

    Raises:
        OSError: not even an empty mark can be written; the message names the file.
    """
    made = Mark(key, lab, file, by, note, time.time_ns())
    earlier = marked(key)
    if earlier is not None and earlier.at:
        if not note:
            return earlier
        made = earlier._replace(note="; ".join(part for part in (earlier.note, f"{by}: {note}") if part))
    path = _path(key)
    try:
        os.close(write_whole(path, json.dumps(made._asdict())))
    except OSError:
        # On a full disk a file without content can often still be made, and is a mark all the same.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
    return made


def marked(key: str) -> Mark | None:
    """The mark of a lab, if there is one; a look at one file, quick enough to be asked before each action."""
    path = _path(key)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # whatever hides it, there may be a mark
        return Mark(key, "", "", "", "", 0)
    return _read(path, key)


def marks() -> list[Mark]:
    """Every mark of the state folder."""
    try:
        names = sorted(os.listdir(stop_folder()))
    except OSError:
        return []
    keys = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return [found for found in map(marked, keys) if found is not None]


def release(key: str) -> Mark | None:
    """Take the mark of a lab away; return what it said, or None when there was none.

    Raises:
        OSError: it cannot be removed.
    """
    found = marked(key)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(key))
    return found


def refuse_if_stopped(key: str) -> None:
    """Do nothing, unless the lab is marked as stopped.

    Raises:
        SdlError: it is; the message says who stopped it, when, why, and how to go on.
    """
    found = marked(key)
    if found is not None:
        from sdl.model import SdlError

        raise SdlError(found.sentence())


def _path(key: str) -> str:
    return os.path.join(stop_folder(), key + _SUFFIX)


def _read(path: str, key: str) -> Mark | None:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        lab, lab_file, by, note = (str(data[name]) for name in ("lab", "file", "by", "note"))
        return Mark(key, lab, lab_file, by, note, int(data["at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return Mark(key, "", "", "", "", 0)
