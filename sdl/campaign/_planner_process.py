"""A planner in a process of its own: one JSON object a line each way, over its standard input and output.

Plain pipes rather than multiprocessing: nothing is pickled, a script that runs a campaign at its top level is not
imported again by the worker, and the worker ends when the pipe does, however the campaign's process ended.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import orjson

__all__ = ["PlannerProcess", "WorkerDied"]

_LAST_WORDS = 2000
"""Characters of its standard error that are worth repeating."""


class WorkerDied(Exception):
    """The process ended without an answer; the text is the end of what it wrote to standard error."""


class PlannerProcess:
    """The worker's process, seen from the campaign. It imports what the planner needs as soon as it starts."""

    def __init__(self, name: str, options: Mapping[str, Any], problem: Mapping[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sdl.campaign._planner_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # a Ctrl-C in the terminal is for the campaign alone
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._ready = self._thread.submit(
            self._exchange, {"planner": name, "options": dict(options), "problem": dict(problem)}
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Send a request; the future holds the answer, or `WorkerDied`."""
        return self._thread.submit(self._ask, dict(request))

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        greeting = self._ready.result()
        return greeting if "error" in greeting else self._exchange(request)

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(orjson.dumps(request) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (OSError, ValueError) as error:
            raise WorkerDied(self._last_words()) from error
        if not line.endswith(b"\n"):
            raise WorkerDied(self._last_words())
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    def _last_words(self) -> str:
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-_LAST_WORDS:]

    def close(self) -> None:
        """End the process, also in the middle of a computation, and wait for it."""
        self._process.kill()
        self._process.wait()
        self._thread.shutdown(wait=True, cancel_futures=True)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was left to send has nobody to go to
                    continue
        self._errors.close()
