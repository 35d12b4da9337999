"""Virtual time: an event loop whose clock jumps to the next thing that happens.

Everything that waits in a `VirtualLoop` (`asyncio.sleep`, time-outs, timers) waits for virtual seconds. While something
is ready to run, or bytes lie in a socket, time stands still; when nothing is, it jumps to the earliest timer. So hours
of a simulated lab pass in seconds, with drivers, protocols and servers as they are.

Threads and other processes run in real time. While they work for the loop, time must not jump: whoever waits for one
holds the clock meanwhile (`outside`). The loop does so by itself for `run_in_executor` and `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Final

__all__ = ["VirtualClock", "VirtualLoop", "held_for", "let_go", "on_virtual_time", "outside", "wall_timeout"]

_SKIPS: Final = 3
"""Rounds of the loop that have something to do and do not look for bytes, between two that do."""
_GRACE: Final = 0.25
"""Wall seconds without bytes or wakings after which time may jump while the clock is held softly."""
_STUCK: Final = 0.5
"""Wall seconds between two looks at whether a held clock was let go."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time.

    Args:
        start: virtual seconds at the beginning.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._held = 0
        self._softly = 0
        self._virtual = start
        self._lock = threading.Lock()
        self.jumps = 0
        """How often time has jumped."""
        self._alarms: dict[object, tuple[float, Callable[[], None]]] = {}
        """Wall time (monotonic) and what to call then, in the loop."""
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds. Safe to call from any thread."""
        return self._virtual

    def acquire(self, *, softly: bool = False) -> None:
        """Hold the clock. Safe to call from any thread.

        Args:
            softly: time may jump once nothing has come for a quarter of a wall second. For devices that answer from
                threads of their own, and may wait for a simulated process that does not let go.
        """
        with self._lock:
            if softly:
                self._softly += 1
            else:
                self._held += 1

    def release(self, *, softly: bool = False) -> None:
        """Let the clock go again. Safe to call from any thread."""
        with self._lock:
            if softly:
                self._softly -= 1
            else:
                self._held -= 1
            free = self._held <= 0 and self._softly <= 0
        if free:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(_nothing)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As always; the clock is held until the result is there."""
        self.acquire()
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self.release()
            raise
        future.add_done_callback(lambda _: self.release())
        return future

    def set_alarm(self, seconds: float, callback: Callable[[], None]) -> object:
        """Call something in the loop after wall seconds, while the clock is held; returns what `clear_alarm` takes."""
        key = object()
        self._alarms[key] = (time.monotonic() + seconds, callback)
        return key

    def clear_alarm(self, key: object) -> None:
        """The call is not needed any more. Harmless when it was made."""
        self._alarms.pop(key, None)

    def _patience(self) -> float:
        """Wall seconds to wait for bytes while the clock is held."""
        due = min((at for at, _ in self._alarms.values()), default=math.inf)
        return max(0.0, min(_STUCK, due - time.monotonic()))

    def _ring(self) -> None:
        """Call what is due by wall time."""
        now = time.monotonic()
        for key, (at, callback) in list(self._alarms.items()):
            if at <= now:
                del self._alarms[key]
                self.call_soon(callback)

    def _jump(self, seconds: float) -> None:
        self._virtual += seconds
        self.jumps += 1


class _JumpingSelector(selectors.DefaultSelector):
    """Looks whether bytes have come; where they have not and nobody holds the clock, time jumps instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._skipped = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0 and self._skipped < _SKIPS:
            self._skipped += 1  # there is enough to do, and bytes do not run away
            return []
        self._skipped = 0
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        loop = self._loop
        if loop._held > 0 or timeout is None:
            # Woken by bytes, by call_soon_threadsafe, or by whoever lets the clock go.
            found = super().select(loop._patience())
            if loop._alarms:
                loop._ring()
            return found
        if loop._softly > 0:
            found = super().select(_GRACE)
            if found:
                return found
        loop._jump(timeout)
        return []


class VirtualClock:
    """Lab time of a virtual loop. Satisfies `sdl.protocols.Clock`.

    Args:
        loop: the loop.
    """

    speed = 1.0
    """Lab seconds a second of the loop."""
    virtual = True

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self._began = time.time_ns()

    def now(self) -> float:
        """Virtual seconds; never goes back. Safe to call from any thread."""
        return self.loop.time()

    def wall_ns(self) -> int:
        """The time of day that it would be, in Unix nanoseconds: the real one at the start and virtual from there."""
        return self._began + int(self.loop.time() * 1e9)

    def not_before(self, wall_ns: int) -> None:
        """Let the time of day go on after a moment, Unix nanoseconds: the last one of a record that is taken up."""
        self._began = max(self._began, wall_ns - int(self.loop.time() * 1e9))

    async def sleep(self, seconds: float) -> None:
        """Wait for a span of virtual time."""
        await asyncio.sleep(seconds)


@contextlib.contextmanager
def outside(*, softly: bool = False) -> Iterator[None]:
    """Hold virtual time while something is waited for that happens in another thread or process.

    Does nothing in a loop on real time. To be entered in the loop.
    """
    loop = _running()
    if loop is None:
        yield
        return
    loop.acquire(softly=softly)
    try:
        yield
    finally:
        loop.release(softly=softly)


@contextlib.contextmanager
def let_go(*, softly: bool = False) -> Iterator[None]:
    """Let virtual time pass although whoever waits for this holds it: the inverse of `outside`.

    For a simulated instrument whose client lives in a thread and holds the clock for its answer, while the instrument's
    process takes virtual time.
    """
    loop = _running()
    if loop is None:
        yield
        return
    loop.release(softly=softly)
    try:
        yield
    finally:
        loop.acquire(softly=softly)


def held_for(status: Any) -> Any:
    """Hold virtual time softly until a classic ophyd status is done, which a thread does; returns the status.

    Others are left alone: what is awaited says itself when it waits for a thread.
    """
    loop = _running()
    if loop is not None and hasattr(status, "add_callback") and not hasattr(status, "__await__"):
        loop.acquire(softly=True)
        status.add_callback(lambda *_: loop.release(softly=True))
    return status


@contextlib.asynccontextmanager
async def wall_timeout(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, by wall time on virtual time too, where timers stand still while the clock is held."""
    loop = _running()
    if loop is None:
        async with asyncio.timeout(seconds):
            yield
        return
    async with asyncio.timeout(None) as limit:
        alarm = loop.set_alarm(seconds, lambda: limit.reschedule(loop.time()))
        try:
            yield
        finally:
            loop.clear_alarm(alarm)


def on_virtual_time() -> bool:
    """Whether the running loop is on virtual time: then nobody can die, and what guards against that has no place."""
    return _running() is not None


def _running() -> VirtualLoop | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualLoop) else None


def _nothing() -> None:
    """Wakes the loop."""
