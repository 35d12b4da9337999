"""The garbage collector out of the way of what makes many objects and no garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_collecting"]


@contextmanager
def no_collecting() -> Iterator[None]:
    """Look for no garbage while the block lasts.

    A state of many trials is objects that stay: every time a quarter more of them are there, the collector would go
    through all that the process has, a third of the time of a fold. Threads that overlap may have it on again early.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
