"""Settings for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is slow, not wrong: no example has a deadline. In continuous integration the examples are the same
# each time, so that a change is judged by what it changed; a developer's run looks further every time.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
