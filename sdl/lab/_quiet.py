"""Keeps a RunEngine from what it does beside its work: printing, and starting EPICS clients that nobody asked for."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

import bluesky.run_engine
from bluesky import RunEngine

from sdl.lab._schemas import compile_schemas

__all__ = ["quiet_engine"]

_log = logging.getLogger("sdl.bluesky")
_LAYER = "OPHYD_CONTROL_LAYER"


def quiet_engine(loop: asyncio.AbstractEventLoop) -> RunEngine:
    """A RunEngine on a loop, whose thread it starts unless it runs.

    Standard output belongs to the command, which may write JSON to it, so what the RunEngine prints when it pauses or
    aborts goes to the log. The first RunEngine of a process imports ophyd, where that is installed, to note its
    version; unless a driver has imported it, ophyd is told to connect to no EPICS, which would take threads and time.
    """
    vars(bluesky.run_engine)["print"] = _print
    compile_schemas()
    spared = "ophyd" not in sys.modules and _LAYER not in os.environ
    if spared:
        os.environ[_LAYER] = "dummy"
    try:
        # It must start the loop's thread itself; without context managers it leaves SIGINT alone.
        return RunEngine({}, loop=loop, context_managers=[], call_returns_result=True)
    finally:
        if spared:
            os.environ.pop(_LAYER, None)


def _print(*words: Any, **_: Any) -> None:
    _log.info("%s", " ".join(map(str, words)))
