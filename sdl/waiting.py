"""Waiting for threads and processes without missing a signal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, TypeVar

__all__ = ["as_they_end"]

_MOMENT: Final = 0.2
"""Wall seconds until a signal is looked for."""

_T = TypeVar("_T")


def as_they_end(futures: Iterable[Future[_T]]) -> Iterator[Future[_T]]:
    """Futures, each when it has ended.

    As `concurrent.futures.as_completed`, but it waits for moments: a signal that comes just as the main thread begins
    to wait is seen only when that wait ends.
    """
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_MOMENT, return_when=FIRST_COMPLETED)
        yield from done
