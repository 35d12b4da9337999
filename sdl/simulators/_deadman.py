"""The dead-man lease of a simulated instrument: when nobody talks to it any more, it makes itself safe."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from sdl.simulators._faults import Probe
from sdl.virtual import on_virtual_time

__all__ = ["DeadMan"]


class DeadMan:
    """Drives an instrument to its safe state when no valid request came for a span of wall time.

    The first request arms it, each renews it, and once it has acted the next request arms it anew. It acts by its own
    timer and writes `deadman` into the log first.

    Args:
        limit: wall seconds of silence.
        probe: log of the instrument.
        act: drives the instrument to its safe state.
    """

    def __init__(self, limit: float, probe: Probe, act: Callable[[], Awaitable[None]]) -> None:
        self.limit = limit
        """Wall seconds."""
        self._probe, self._act = probe, act
        self._heard = 0.0
        self._armed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def renew(self) -> None:
        """A valid request came."""
        self._heard = time.monotonic()
        self._armed.set()

    def start(self) -> None:
        """Watch from now on; not on virtual time, where a controller cannot die alone."""
        if on_virtual_time():
            return
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no longer. Harmless when not started."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            await self._armed.wait()
            while (left := self._heard + self.limit - time.monotonic()) > 0:
                await asyncio.sleep(left)
            self._armed.clear()
            self._probe.record("deadman", limit=self.limit)
            await self._act()
