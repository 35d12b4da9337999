"""Virtual time for a lab: one loop that all RunEngines share, and documents that carry the time that it would be."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from sdl.lab._quiet import quiet_engine
from sdl.protocols import Clock
from sdl.virtual import VirtualClock, VirtualLoop

__all__ = ["restamped", "run_virtually"]

T = TypeVar("T")
_GARBAGE = 50_000
"""Objects after which the youngest generation is collected."""


def run_virtually(work: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """Run something in a fresh loop on virtual time, in which stations can be opened, and return what it returns.

    Args:
        work: called with the loop's clock.
    """
    with _seldom_collecting():
        return _run(work)


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Collect garbage seldom: what is computed at full speed makes much of it, and the packages loaded are none."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GARBAGE, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run(work: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    loop = VirtualLoop()
    # Bluesky knows the thread of a shared loop only when a RunEngine has started it.
    thread = quiet_engine(loop)._th
    try:
        return asyncio.run_coroutine_threadsafe(work(VirtualClock(loop)), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_end(loop), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(loop: VirtualLoop) -> None:
    """Cancel what is left."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def restamped(doc: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """A document whose times, Unix seconds, are those of the clock. Bluesky and ophyd-async put the real ones in.

    Args:
        doc: a start, descriptor, event or stop document.
        clock: with `wall_ns`, as a virtual one has it; any other leaves the document as it is.
    """
    wall_ns = getattr(clock, "wall_ns", None)
    if wall_ns is None:
        return doc
    now = wall_ns() / 1e9
    stamped = {**doc, "time": now} if "time" in doc else dict(doc)
    if isinstance(doc.get("timestamps"), dict):
        stamped["timestamps"] = dict.fromkeys(doc["timestamps"], now)
    if isinstance(doc.get("configuration"), dict):
        stamped["configuration"] = {
            name: {**part, "timestamps": dict.fromkeys(part.get("timestamps", {}), now)}
            for name, part in doc["configuration"].items()
        }
    return stamped
