"""RunEngines that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bluesky import RunEngine


@contextmanager
def run_engine() -> Iterator[RunEngine]:
    """A RunEngine with a loop and thread of its own, both ended afterwards.

    Bluesky keeps the loop of the last engine in a variable of its own, so one that is not closed here would be noticed
    in whichever test makes the next.
    """
    engine = RunEngine({}, context_managers=[])
    try:
        yield engine
    finally:
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(5)
        engine.loop.close()
