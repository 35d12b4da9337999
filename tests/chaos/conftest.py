from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.harness import Harness, Reference
from chaos.runs import scratch


@pytest.fixture(scope="session")
def harness() -> Iterator[Harness]:
    """Runs campaigns that are killed."""
    work = Path(tempfile.mkdtemp(prefix="chaos-", dir=scratch()))
    with Harness(work, jobs=3) as harness:  # they mostly wait
        yield harness
    shutil.rmtree(work)


@pytest.fixture(scope="session")
def reference(harness: Harness) -> Reference:
    """A campaign that nobody disturbed."""
    return harness.reference()


@pytest.fixture(scope="session")
def worker_reference(harness: Harness) -> Reference:
    """The same with the station in a worker."""
    return harness.reference(worker=True)
