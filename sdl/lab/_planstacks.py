"""The stack that Bluesky keeps with each plan, written out when it is shown and not before.

Every plan stub of Bluesky notes where it was called, as text, in case nobody iterates it and a warning has to say so.
Reading and formatting some twenty lines of source for that is half of what a short run costs, and a station draws each
plan twice, once to check it. In the threads of a station the same lines are written only for the warning itself; other
threads are left as they are.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

import bluesky.utils

__all__ = ["write_stacks_late"]


class _Stack:
    """As the list of `traceback.format_stack()`, as far as Bluesky uses one; holds code and no frames."""

    def __init__(self, places: list[tuple[CodeType, int]], more: list[str] | None = None) -> None:
        self._places = places
        """Innermost first."""
        self._more = more or []

    def __getitem__(self, part: slice) -> _Stack | list[str]:
        if self._more or part != slice(None, -2):  # Bluesky's `[:-2]`: its own two frames
            return list(self)[part]
        return _Stack(self._places[2:])

    def __iadd__(self, lines: list[str]) -> _Stack:
        self._more += lines
        return self

    def __len__(self) -> int:
        return len(self._places) + len(self._more)

    def __iter__(self) -> Iterator[str]:
        places = [traceback.FrameSummary(code.co_filename, line, code.co_name) for code, line in reversed(self._places)]
        yield from traceback.StackSummary.from_list(places).format()
        yield from self._more


class _Traceback:
    """The module `traceback` as Bluesky's plans see it."""

    def __init__(self) -> None:
        self.here = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)

    def format_stack(self, *args: Any) -> Any:
        """As `traceback.format_stack`; in threads of stations, a stack that is written out when it is read."""
        if args or not getattr(self.here, "late", False):
            return traceback.format_stack(*(args or (sys._getframe(1),)))
        places = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            places.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        return _Stack(places)


_LATE = _Traceback()


def write_stacks_late() -> None:
    """From here on, in the calling thread. Changes nothing where this Bluesky does it in another way."""
    if vars(bluesky.utils).get("traceback") is traceback:
        bluesky.utils.traceback = _LATE  # type: ignore[attr-defined, assignment]
    _LATE.here.late = True
