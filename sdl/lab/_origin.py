"""The line of a plan that a message comes from."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

__all__ = ["Origin", "origin"]

_OWN = str(Path(__file__).resolve().parents[1]) + "/"
_STANDARD = sysconfig.get_path("stdlib") + "/"
_MUTATORS = {"plan_mutator": "plan_stack", "msg_mutator": "plan"}
"""Functions of bluesky.preprocessors that drive a plan by hand, and the variable that holds it or a stack of them."""
_DEEPEST = 200


class Origin(NamedTuple):
    """A line of source."""

    path: str
    line: int

    @property
    def file(self) -> str:
        """Name of the file without its folder."""
        return Path(self.path).name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def origin(plan: Any) -> Origin | None:
    """Where a plan stands: the innermost line outside sdl, the standard library and installed packages.

    Follows `yield from` through every generator, and the plans that `plan_mutator` and `msg_mutator` of
    bluesky.preprocessors hold. The plan has to be suspended at a message.

    Returns:
        None when no such line is known, as for a plan that has ended or is no generator.
    """
    found = None
    for frame in _frames(plan, _DEEPEST):
        if _authored(frame.f_code.co_filename):
            found = Origin(frame.f_code.co_filename, frame.f_lineno)
    return found


def _frames(plan: Any, depth: int) -> Iterator[FrameType]:
    """Frames of a plan and of all that it delegates to, outermost first."""
    while plan is not None and depth:
        depth -= 1
        frame = getattr(plan, "gi_frame", None)
        if frame is None:
            return
        yield frame
        held = _MUTATORS.get(frame.f_code.co_name)
        if held is not None and frame.f_code.co_filename.endswith("preprocessors.py"):
            driven = frame.f_locals.get(held)
            for inner in [driven] if hasattr(driven, "gi_frame") else list(driven or ()):
                yield from _frames(inner, depth)
        plan = plan.gi_yieldfrom


@cache
def _authored(file: str) -> bool:
    """Whether a lab's author wrote a file."""
    installed = "site-packages" in file or "dist-packages" in file
    return not (installed or file.startswith((_OWN, _STANDARD, "<")))
