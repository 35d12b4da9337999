"""Settings for every test, and the order of the long ones."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from itertools import groupby

import pytest
from hypothesis import settings

# ophyd starts threads of an EPICS client on import, which every test for left-over threads would notice.
os.environ.setdefault("OPHYD_CONTROL_LAYER", "dummy")
# Tests fill the machine; libraries that compute with a thread on each core would make them wait for one another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A busy machine is slow, not wrong: no example has a deadline. In continuous integration the examples are the same
# each time, so that a change is judged by what it changed; a developer's run looks further every time.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that have `slow` tests, in each of the parts that pytest-xdist makes of the whole.

    It gives as many tests to every worker in the order that they have here, and evens out the rest in the end: what is
    left then is short, so no worker waits long for another. Modules stay whole, and `chaos` as well, which has fixtures
    that take long. With one process the order stays as it is.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    blocks = [list(block) for _, block in groupby(items, _block)]
    slow = [block for block in blocks if any(item.get_closest_marker("slow") for item in block)]
    quick = [item for block in blocks if block not in slow for item in block]
    ordered: list[pytest.Item] = []
    for number in range(workers):
        first = [item for block in slow[number::workers] for item in block]
        left = len(items) - len(ordered)
        size = max(left // (workers - number) - len(first), 0)
        ordered += [*first, *quick[:size]]
        del quick[:size]
    items[:] = [*ordered, *quick]


def _block(item: pytest.Item) -> str:
    folder = item.path.parent.name
    return folder if folder == "chaos" else str(item.path)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """What a module's tests left open is found at its end, not in whichever test the collector comes by chance."""
    yield
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop cards and marks of every lab that a test opens, in this process or another, stay out of the user's home."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_STATE_DIR", str(folder / "sdl"))
        patch.setenv("SDL_CONFIG_DIR", str(folder / "config"))
        # For tests that run commands in a user's environment, without what begins with SDL_.
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield
