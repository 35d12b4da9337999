"""Rehearsals in several processes at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson

from sdl.campaign.rehearsal.runs import Order, Result
from sdl.model import FileFault, InputError, SdlError
from sdl.waiting import as_they_end

__all__ = ["rehearse_all"]

_LAST_WORDS = 2000
"""Characters of a process's standard error that are worth repeating."""
_ROOM = 2**30
"""Bytes that have to be free in memory for the stores of rehearsals."""


def rehearse_all(orders: Sequence[Order], workers: int, done: Callable[[int], None] = lambda n: None) -> list[Result]:
    """Rehearse in processes of their own; the results are in the order of the orders, whoever was first.

    Args:
        orders: one for each rehearsal.
        workers: processes at a time.
        done: called with the number of those that are done, after each.

    Raises:
        InputError: the files have faults.
        SdlError: a rehearsal failed; the others are given up.
    """
    with tempfile.TemporaryDirectory(prefix="sdl-rehearsals-", dir=_memory()) as folder:
        return _all([replace(order, folder=folder) for order in orders], max(1, min(workers, len(orders))), done)


def _memory() -> str | None:
    """Where files that nobody keeps are written fastest, if there is room; None for the usual place."""
    try:
        room = shutil.disk_usage("/dev/shm").free  # noqa: S108 - a folder of its own is made in it
    except OSError:
        return None
    return "/dev/shm" if room > _ROOM and os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _all(orders: Sequence[Order], workers: int, done: Callable[[int], None]) -> list[Result]:
    queue = deque(enumerate(orders))
    results: dict[int, Result] = {}
    running: set[_Process] = set()
    stop, lock = threading.Event(), threading.Lock()

    def work() -> None:
        with _process(running, stop) as process:
            while not stop.is_set():
                try:
                    index, order = queue.popleft()
                except IndexError:
                    return
                result = process.ask(order)
                with lock:
                    results[index] = result
                    done(len(results))

    with ThreadPoolExecutor(workers, thread_name_prefix="rehearsal") as pool:
        try:  # from the first thread on: a Ctrl-C that comes between two of them ends both
            for future in as_they_end([pool.submit(work) for _ in range(workers)]):
                future.result()
        except BaseException:
            stop.set()
            for process in list(running):
                process.kill()
            raise
    return [results[index] for index in range(len(orders))]


class _Process:
    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sdl.campaign.rehearsal._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # a Ctrl-C in the terminal is for whoever asked
        )

    def ask(self, order: Order) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = b""
        with contextlib.suppress(OSError):
            self._process.stdin.write(orjson.dumps(order.as_json()) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            self._process.kill()
            raise SdlError(f"rehearsal {order.run + 1} ended without a result: {self._last_words()}")
        answer = orjson.loads(line)
        if "faults" in answer:
            raise InputError([FileFault(text) for text in answer["faults"]])
        if "error" in answer:
            raise SdlError(f"rehearsal {order.run + 1}: {answer['error']}")
        return Result.of(answer)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-_LAST_WORDS:].strip() or "it said nothing"


@contextlib.contextmanager
def _process(running: set[_Process], stop: threading.Event) -> Iterator[_Process]:
    process = _Process()
    running.add(process)
    try:
        yield process
    finally:
        running.discard(process)
        if stop.is_set():  # it may have begun after the others were killed
            process.kill()
        process.close()
