"""What a worker says about those that it turns away: each thing once in a while, and never a flood."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Final

__all__ = ["Complaints"]

_log = logging.getLogger("sdl.worker")

_AGAIN_S: Final = 60.0
"""Wall seconds for which the same sentence is not repeated."""
_WINDOW_S: Final = 10.0
_MOST: Final = 20
"""Sentences in a window."""
_KEPT: Final = 1000


class Complaints:
    """Logs warnings. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._recent: deque[float] = deque()
        self._left_out = 0

    def say(self, text: str) -> None:
        """Log a warning, unless it was logged a moment ago or there are too many."""
        now = time.monotonic()
        with self._lock:
            while self._recent and now - self._recent[0] > _WINDOW_S:
                self._recent.popleft()
            if now - self._said.get(text, -_AGAIN_S) < _AGAIN_S:
                return
            if len(self._recent) >= _MOST:
                self._left_out += 1
                return
            if len(self._said) >= _KEPT:
                self._said.clear()
            self._said[text] = now
            self._recent.append(now)
            left_out, self._left_out = self._left_out, 0
        if left_out:
            _log.warning("%d more that were turned away are not shown", left_out)
        _log.warning("%s", text)
