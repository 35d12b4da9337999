"""`sdl devices check`."""

from __future__ import annotations

import json as jsonlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sdl.campaign.settings import parse_settings

__all__ = ["check_device_command"]


def check_device_command(
    lab: Path,
    devices: Sequence[str],
    acts: bool,
    exercise: Path | None,
    only: Sequence[str],
    out: Path | None,
    settings: Sequence[str],
    json: bool,
) -> int:
    """Put a lab's devices through the conformance kit, in a process of its own; return its exit status.

    Args:
        lab: the lab file.
        devices: names; all of its devices when empty.
        acts: whether real instruments may act.
        exercise: YAML file that says what to try with which device.
        only: names of checks; all when empty.
        out: folder of the certificates; `certificates/` beside the lab file when None.
        settings: inputs of the lab, `NAME=PATH`.
        json: print JSON, one certificate a line.
    """
    command = [sys.executable, "-m", "sdl.testing", str(lab), *devices]
    command += ["--acts"] * acts + ["--json"] * json
    for name in only:
        command += ["--only", name]
    for name, value in parse_settings(list(settings)).items():
        command += ["--input", f"{name}={value if isinstance(value, str) else jsonlib.dumps(value)}"]
    if exercise is not None:
        command += ["--exercise", str(exercise)]
    if out is not None:
        command += ["--out", str(out)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter and module
