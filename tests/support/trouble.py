"""A disk that fails or is full, and a clock that jumps, for real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["Trouble", "build_trouble", "private_mounts"]

_SOURCE = Path(__file__).with_name("trouble.c")


class Trouble:
    """Switches of what `trouble.c` does to the processes that run with `env`."""

    def __init__(self, library: Path, folder: Path, *, call: str = "pwrite", file: str = "sdl.db-wal") -> None:
        """Args:
        library: what `build_trouble` made.
        folder: for the switches.
        call: what fails, `pwrite` or `fdatasync`.
        file: end of the path of the file that it fails on.
        """
        self._flag, self._clock = folder / "trouble.flag", folder / "trouble.clock"
        self._clock.write_text("0")
        self.env = {
            "LD_PRELOAD": str(library),
            "TROUBLE_FLAG": str(self._flag),
            "TROUBLE_CALL": call,
            "TROUBLE_FILE": file,
            "TROUBLE_CLOCK": str(self._clock),
        }

    def disk_fails(self, yes: bool) -> None:
        """From now on, or no more."""
        if yes:
            self._flag.touch()
        else:
            self._flag.unlink()

    def set_clock(self, seconds: int) -> None:
        """So many seconds from the true time."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self._clock)


def build_trouble(folder: Path) -> Path:
    """Compile `trouble.c`; skips the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: a failing disk and a jumping clock cannot be made for a real process")
    library = folder / "trouble.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def private_mounts() -> list[str]:
    """Start of a command that may mount without anybody else seeing it; skips the test where that is not allowed."""
    for flags in ("-m", "-Urm"):
        if flags == "-m" and os.geteuid() != 0:
            continue
        command = ["unshare", flags, "--propagation", "private"]
        probe = [*command, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("no right to mount a small filesystem: a full disk cannot be made")
