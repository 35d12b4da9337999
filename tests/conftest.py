"""Settings for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# ophyd starts threads of an EPICS client on import, which every test for left-over threads would notice.
os.environ.setdefault("OPHYD_CONTROL_LAYER", "dummy")

# A busy machine is slow, not wrong: no example has a deadline. In continuous integration the examples are the same
# each time, so that a change is judged by what it changed; a developer's run looks further every time.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop cards and marks of every lab that a test opens, in this process or another, stay out of the user's home."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_STATE_DIR", str(folder / "sdl"))
        # For tests that run commands in a user's environment, without what begins with SDL_.
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield
