"""Starts `sdl` commands as processes of their own in a few milliseconds: one process imports all, and forks for each.

Unlike `support.Nursery` its owner waits for a child without looking again and again, threads may share it, and a child
may get fault points.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, NoReturn, Self

__all__ = ["Child", "Forks", "first_to_end", "serve"]

_PR_SET_PDEATHSIG = 1
_TESTS = Path(__file__).resolve().parents[1]
_PRELOADED = (
    "bluesky.run_engine", "ophyd_async.core", "pymodbus.client", "pymodbus.server", "sdl.campaign", "sdl.cli._app",
    "sdl.cli._run", "sdl.cli._worker", "sdl.cli._doubts", "sdl.cli._simulate", "sdl.journal._store",
    "sdl.journal._views", "sdl.journal._verify", "sdl.wire", "sdl.lab.opening", "sdl.devices.ne1000",
    "sdl.devices.modbus_heater", "sdl.simulators.silver_flow", "sdl.planners.sobol", "pint", "ruamel.yaml",
    "chaos.points", "chaos.breaks", "chaos.speed",
)  # fmt: skip


class Child:
    """A command that was started."""

    def __init__(self, pid: int, base: Path, ended: Future[int]) -> None:
        self.pid = pid
        self.ended = ended
        """Exit status, minus the signal's number where one ended it."""
        self._base = base

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._base.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._base.with_suffix(".err").read_text()

    def wait(self, seconds: float) -> int | None:
        """Exit status; None when it runs longer than that."""
        try:
            return self.ended.result(seconds)
        except TimeoutError:
            return None

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if not self.ended.done():
                os.kill(self.pid, number)


class Forks:
    """The process that forks. A context manager; for any number of threads.

    Args:
        more: modules that it imports beside those that every command needs.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH", "")])])
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from chaos.forks import serve; serve({list(more)!r})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._lock = threading.Lock()
        self._starting: deque[Future[Child]] = deque()
        self._bases: deque[Path] = deque()
        self._running: dict[int, Future[int]] = {}
        self._reader = threading.Thread(target=self._read, name="forks", daemon=True)
        self._reader.start()

    def start(self, argv: Sequence[str | Path], base: Path, env: Mapping[str, str]) -> Child:
        """Start `sdl ARGV…` in the folder of `base`; its output goes to `base.out` and `base.err`."""
        assert self._process.stdin is not None
        for suffix in (".out", ".err"):
            base.with_suffix(suffix).touch()
        order = {"argv": [str(part) for part in argv], "base": str(base), "env": dict(env)}
        started: Future[Child] = Future()
        with self._lock:
            self._starting.append(started)
            self._bases.append(base)
            print(json.dumps(order), file=self._process.stdin, flush=True)
        return started.result(60)

    def _read(self) -> None:
        """Hand on what the process says: the pids of those it has started, in order, and how each ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "status" in told:
                self._running.pop(told["pid"]).set_result(told["status"])
            else:
                ended = self._running[told["pid"]] = Future()
                self._starting.popleft().set_result(Child(told["pid"], self._bases.popleft(), ended))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # the end of its input is the end of it, and of all that it has started
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def first_to_end(children: Sequence[Child], seconds: float) -> Child | None:
    """One that has ended; None when all run longer than that."""
    wait([child.ended for child in children], seconds, FIRST_COMPLETED)
    return next((child for child in children if child.ended.done()), None)


def serve(more: Sequence[str] = ()) -> None:
    """Start what standard input says, a line each, and tell how it ended, until the input ends."""
    for name in (*_PRELOADED, *more):
        importlib.import_module(name)
    from sdl import plugins
    from sdl.model import units

    units.convert(1.0, "m", "mm")  # what is read once and kept: the registry of units, and what is installed
    plugins.names("sdl.devices")
    gc.freeze()
    orders, children = b"", dict[int, int]()  # pidfd → pid
    while True:
        ready = select.select([0, *children], [], [])[0]
        for pidfd in [fd for fd in ready if fd]:
            pid = children.pop(pidfd)
            os.close(pidfd)
            print(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)
        if 0 in ready:
            if not (data := os.read(0, 65536)):
                return
            *lines, orders = (orders + data).split(b"\n")
            for line in lines:
                if not (pid := os.fork()):
                    _become(json.loads(line))
                children[os.pidfd_open(pid)] = pid
                print(json.dumps({"pid": pid}), flush=True)


def _tell_tasks(number: int, frame: Any) -> None:
    """Write to standard error where every thread and every asyncio task is: what a process that hangs waits for."""
    faulthandler.dump_traceback(all_threads=True)
    for task in [found for found in gc.get_objects() if isinstance(found, asyncio.Task) and not found.done()]:
        coroutine: Any = task.get_coro()
        print(task.get_name(), file=sys.stderr)
        while frame := getattr(coroutine, "cr_frame", None):
            print(f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}", file=sys.stderr)
            coroutine = coroutine.cr_await


def _become(order: Mapping[str, Any]) -> NoReturn:
    """The command, in the process that was forked for it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nothing outlives the process that forks
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    base, write = Path(order["base"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for fd, path, flags in (
        (0, Path(os.devnull), os.O_RDONLY),
        (1, base.with_suffix(".out"), write),
        (2, base.with_suffix(".err"), write),
    ):
        os.dup2(os.open(path, flags, 0o644), fd)
    os.chdir(base.parent)
    os.environ.update(order["env"])
    sys.argv = ["sdl", *order["argv"]]
    signal.signal(signal.SIGUSR1, _tell_tasks)
    from chaos import breaks, points, speed

    breaks.break_on_purpose(order["env"])
    speed.hurry(order["env"])
    if points.TRACE in order["env"]:
        points.install(order["env"])
    from sdl.cli import main

    status: Any = 99
    try:
        main()
    except SystemExit as end:
        status = end.code
    # As the interpreter ends, but without taking every module apart, which costs more than the command.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0)
