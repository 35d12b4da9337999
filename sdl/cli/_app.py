"""The command with all of its sub-commands, in the order of `sdl --help`.

What a command needs is imported when it runs, so that the help is quick.
"""

from __future__ import annotations

# isort: off
from sdl.cli import _app_run, _app_record, _app_ask, _app_release, _app_lab, _app_bench  # noqa: F401 - each adds its commands

# isort: on
from sdl.cli._root import app

__all__ = ["app"]
