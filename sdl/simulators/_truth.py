"""The ground-truth log: what simulated instruments really did, in a file that outlives whoever gave the orders."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdl.model import InputError

__all__ = ["TruthLog"]


class TruthLog:
    """Appends one line of JSON for each action, by the server that acts, at the moment it acts.

    Each line is one `write` to a file opened with O_APPEND: nothing waits in this process, so a kill loses no action
    that was done, and several servers may share a file. While the file cannot be written (a full disk), lines are kept
    and follow later, and standard error says so once.

    Args:
        path: the file; what it holds stays.

    Raises:
        InputError: it cannot be opened for writing.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._pending = bytearray()
        self._complained = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _torn(path, os.fstat(self._file)):
                self._pending += b"\n"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot write the log {self._path!r}: {reason}") from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append an entry. Never raises: a log that cannot be written does not change what the instrument does."""
        self._pending += json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            while self._pending:
                del self._pending[: os.write(self._file, self._pending)]
        except OSError as error:
            if not self._complained:
                print(
                    f"sdl: cannot write the log {self._path!r}: {error.strerror}; "
                    "its lines are kept in memory and written when it can be again",
                    file=sys.stderr,
                    flush=True,
                )
            self._complained = True

    def begin(self, instrument: str, at: float) -> None:
        """A line that tells one life of an instrument from the next: its counters begin at zero here."""
        entry = {"at": at, "wall": time.time_ns(), "instrument": instrument, "action": "begin", "pid": os.getpid()}
        self.write(entry)

    def close(self) -> None:
        """Close the file. Harmless when closed."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _torn(path: str | Path, status: os.stat_result) -> bool:
    """Whether a file ends in a line that was cut short."""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
