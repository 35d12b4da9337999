"""Watching over a pump that runs: a plunger that stands still is noticed, and the pump's own watchdog is fed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sdl.virtual import on_virtual_time

__all__ = ["Progress", "Watch"]


@dataclass
class Progress:
    """What a running pump should have moved."""

    rate: float
    """uL/min"""
    target: float
    """uL; 0 without end."""
    since: float
    """Lab seconds."""
    baseline: float = 0.0
    """Volume moved at that time, uL."""

    def shortfall(self, moved: float, now: float, resolution: float) -> str:
        """What is wrong with a volume (uL) read at a time; empty when it has grown at least half as it should."""
        expected = self.rate * (now - self.since) / 60
        gained = moved - self.baseline
        if gained < 0:
            self.since, self.baseline = now, moved
            return ""
        if gained >= expected / 2 - 20 * resolution:
            return ""
        return (
            f"reports that it runs at {self.rate:g} uL/min, but moved {gained:.3g} uL instead of "
            f"{expected:.3g} uL in {now - self.since:.3g} s; the plunger may be stuck"
        )


class Watch:
    """Over one pump, while it runs.

    Args:
        beat: feeds the pump's watchdog; False when the pump does not run any more.
        every: wall seconds between two beats; 0 for none.
    """

    def __init__(self, beat: Callable[[], Awaitable[bool]], every: float) -> None:
        self.progress: Progress | None = None
        """What the pump should move; None while it is meant to stand still."""
        self._beat, self._every = beat, every
        self._task: asyncio.Task[None] | None = None

    def begin(self, progress: Progress) -> None:
        """The pump runs, or runs at another rate."""
        self.progress = progress
        if self._every and self._task is None and not on_virtual_time():
            self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """The pump is about to be stopped, or left alone. Harmless when nothing has begun."""
        self.progress = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def trouble(self, moving: bool, volume: float, asked: float, resolution: float) -> str:
        """What is wrong with a volume (uL) that was asked for at a time (lab s); empty when nothing is."""
        progress = self.progress
        if progress and moving:
            return progress.shortfall(volume, asked, resolution)
        if progress and not progress.target:
            return (
                f"stands still though it was set to {progress.rate:g} uL/min; "
                "somebody may have stopped it at its keypad"
            )
        return ""

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            if not await self._beat():
                return
