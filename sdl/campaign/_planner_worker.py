"""The side of the planner that runs in a worker process: one JSON object a line in, one out.

The first line says which planner and which problem; each further line asks for proposals. The end of standard input
ends the process.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import orjson

from sdl import plugins
from sdl.model import Exhausted, InputError, Problem, SdlError, Trial
from sdl.protocols import Planner

__all__ = ["answer", "build_planner", "main"]


def build_planner(name: str, options: Mapping[str, Any]) -> Planner:
    """The planner registered under a name, with its options.

    Raises:
        InputError: there is none, or it refuses the options.
        MissingExtra: its packages are not installed.
    """
    factory = plugins.load("sdl.planners", name)
    try:
        planner: Planner = factory(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"planner {name!r} refuses its options: {error}") from error
    return planner


def answer(planner: Planner, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> dict[str, Any]:
    """Call a planner; whatever it raises becomes data, because not every exception survives a process boundary."""
    try:
        proposals = planner.propose(problem, trials, n, seed)
        return {"proposals": [proposal.model_dump(mode="json") for proposal in proposals]}
    except Exhausted as error:
        return {"exhausted": str(error) or "every candidate was tried"}
    except Exception as error:  # a planner is anybody's code; the campaign pauses and says what it raised
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def _requests(source: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Requests as they come. The process ends with its input even while a planner computes."""
    lines: list[bytes] = []
    arrived = threading.Condition()

    def read() -> None:
        for line in iter(source.readline, b""):
            with arrived:
                lines.append(line)
                arrived.notify()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        with arrived:
            arrived.wait_for(lambda: bool(lines))
            line = lines.pop(0)
        yield orjson.loads(line)


def main() -> None:
    """Serve one planner."""
    os.nice(10)  # a fit that takes every core must not hold up what talks to instruments
    # What planners print must not end up among the answers.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = _requests(sys.stdin.buffer)
    first = next(requests)

    def say(value: Mapping[str, Any]) -> None:
        out.write(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        out.flush()

    try:
        planner = build_planner(first["planner"], first["options"])
        problem = Problem.model_validate(first["problem"])
    except SdlError as error:
        say({"error": str(error)})
        return
    say({"ready": True})
    for request in requests:
        trials = [Trial.model_validate(trial) for trial in request["trials"]]
        say(answer(planner, problem, trials, request["n"], request["seed"]))


if __name__ == "__main__":
    main()
