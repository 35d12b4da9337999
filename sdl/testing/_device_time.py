"""Checks of a device on virtual time: hours pass at once, and nothing waits in real time."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Self

from sdl import plugins
from sdl.testing._bench import Bench, Deed, takes
from sdl.testing._case import DeviceCase
from sdl.testing._report import CheckFailed, Skip
from sdl.virtual import VirtualClock, VirtualLoop

__all__ = ["Stopwatch", "keeps_virtual_time", "needs_virtual"]

HOUR = 3600.0
MOST_IDLE = 0.8
"""Wall seconds that may be spent waiting in real time."""
MOST_BUSY = 5.0
"""Seconds of computing."""


class Stopwatch:
    """Wall seconds of this thread, told apart: those of computing and those of waiting."""

    def __enter__(self) -> Self:
        self._wall, self._cpu, self._queued = time.monotonic(), time.thread_time(), _queued()
        return self

    def __exit__(self, *exc: object) -> None:
        self.busy = time.thread_time() - self._cpu
        """Seconds of computing."""
        queued = _queued() - self._queued
        self.idle = max(time.monotonic() - self._wall - self.busy - queued, 0.0)
        """Seconds of waiting; time in which the thread was ready and the machine busy does not count."""


def _queued() -> float:
    """Seconds for which this thread was ready to run and did not (Linux: Documentation/scheduler/sched-stats)."""
    try:
        text = Path(f"/proc/self/task/{_thread()}/schedstat").read_text()
        return int(text.split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _thread() -> int:
    import threading

    return threading.get_native_id() if hasattr(threading, "get_native_id") else os.getpid()


def needs_virtual(case: DeviceCase) -> None:
    """Raise `Skip` where a case cannot run on virtual time."""
    if case.address:
        raise Skip("a real instrument takes real time")
    factory = case.simulator
    if factory is None:
        return
    if isinstance(factory, str):
        factory = plugins.load("sdl.simulators", factory)
    if not takes(factory, "clock"):
        raise Skip("its simulator takes no `clock`")


async def keeps_virtual_time(case: DeviceCase) -> str:
    """On virtual time it does its acts, an hour passes, it does them again, and nothing waits in real time."""
    needs_virtual(case)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    with Stopwatch() as watch:
        begun = clock.now()
        async with Bench(case, clock=clock) as bench:
            for number in range(2):
                for index, act in enumerate(case.exercise or ()):
                    await bench.perform(Deed(act, f"check/1/virtual/{number}-{index}"))
                await clock.sleep(HOUR)
                await bench.read()
        passed = clock.now() - begun
    told = f"{passed / HOUR:.2f} h of lab time, {watch.busy:.2f} s of computing, {watch.idle:.2f} s of waiting"
    if watch.idle > MOST_IDLE:
        raise CheckFailed(f"{told}: something waits in real time; wait with `await clock.sleep(...)`")
    if watch.busy > MOST_BUSY:
        raise CheckFailed(f"{told}: something looks again and again; sleep until the next event")
    return told
