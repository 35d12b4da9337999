"""Fixtures of the tests of the conformance kits."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Libraries log each fault that the kit puts in, at length."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
