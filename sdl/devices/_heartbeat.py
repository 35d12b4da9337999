"""Keeps instruments that make themselves safe when nobody talks to them from doing so while a driver lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from sdl.devices._limits import check_limits
from sdl.model import SdlError
from sdl.model.units import parse_quantity

__all__ = ["Heartbeat"]


class Heartbeat:
    """Asks an instrument something cheap whenever nothing else was asked for so long.

    A query that fails is no error: the next command says what is wrong.

    Args:
        given: wall seconds of silence, 0.02 to 3600, as a lab file has them (`5 s`); None for no heartbeat.
        beat: the query.
        asked_at: tells when something was last sent, as `time.monotonic()` does.

    Raises:
        LimitError: out of limits.
        ValueError: not a quantity of time.
    """

    def __init__(
        self, given: str | float | None, beat: Callable[[], Awaitable[object]], asked_at: Callable[[], float]
    ) -> None:
        self.seconds = None if given is None else check_limits("heartbeat", parse_quantity(given, "s"), "s", 0.02, 3600)
        """Wall seconds; None without a heartbeat."""
        self._beat, self._asked_at = beat, asked_at
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop. Harmless when it has begun."""
        if self.seconds is not None and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._go_on(self.seconds))

    async def stop(self) -> None:
        """End. Harmless when it has not begun."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _go_on(self, seconds: float) -> None:
        while True:
            left = self._asked_at() + seconds - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
                continue
            try:
                await self._beat()
            except SdlError:
                await asyncio.sleep(seconds)
