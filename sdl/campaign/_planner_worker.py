"""The side of the planner that runs in a worker process: plain data in, plain data out."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from sdl import plugins
from sdl.model import Exhausted, Problem, SdlError, Trial
from sdl.protocols import Planner

__all__ = ["build_planner", "initialise", "propose", "warm_up"]

_planner: Planner | None = None
_problem: Problem | None = None
_failure: dict[str, Any] | None = None


def build_planner(name: str, options: Mapping[str, Any]) -> Planner:
    """The planner registered under a name, with its options.

    Raises:
        InputError: there is none, or it refuses the options.
        MissingExtra: its packages are not installed.
    """
    from sdl.model import InputError

    factory = plugins.load("sdl.planners", name)
    try:
        planner: Planner = factory(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"planner {name!r} refuses its options: {error}") from error
    return planner


def initialise(name: str, options: Mapping[str, Any], problem: Mapping[str, Any], parent: int) -> None:
    """Prepare the worker: leave Ctrl-C to the campaign, and end when the campaign's process does."""
    global _planner, _problem, _failure
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        _planner, _problem = build_planner(name, options), Problem.model_validate(problem)
    except SdlError as error:
        _failure = {"error": str(error)}


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def warm_up() -> None:
    """Nothing: running it has imported what the planner needs."""


def propose(trials: Sequence[Mapping[str, Any]], n: int, seed: int) -> dict[str, Any]:
    """Proposals as plain data, or `exhausted`, or `error` with what happened."""
    if _failure is not None or _planner is None or _problem is None:
        return _failure or {"error": "the planner's worker process is not initialised"}
    return answer(_planner, _problem, [Trial.model_validate(t) for t in trials], n, seed)


def answer(planner: Planner, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> dict[str, Any]:
    """Call a planner; whatever it raises becomes data, because not every exception survives a process boundary."""
    try:
        proposals = planner.propose(problem, trials, n, seed)
        return {"proposals": [proposal.model_dump(mode="json") for proposal in proposals]}
    except Exhausted as error:
        return {"exhausted": str(error) or "every candidate was tried"}
    except Exception as error:  # a planner is anybody's code; the campaign pauses and says what it raised
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
