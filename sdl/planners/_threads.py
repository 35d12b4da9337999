"""Linear algebra on one thread, so that results do not depend on how many cores a machine has."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

__all__ = ["one_thread"]


@cache
def _controller() -> Any:
    return importlib.import_module("threadpoolctl").ThreadpoolController()  # it has no types


def one_thread() -> AbstractContextManager[Any]:
    """BLAS on one thread while the context lasts; as before afterwards."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limited
