"""Starts `sdl` commands as processes of their own in a few milliseconds: one process imports all, and forks for each.

Unlike `support.Nursery` its owner waits for a child without looking again and again, and a child may get fault points.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

__all__ = ["Child", "Forks", "serve"]

_TESTS = Path(__file__).resolve().parents[1]
_PRELOADED = (
    "bluesky.run_engine", "ophyd_async.core", "pymodbus.client", "pymodbus.server", "sdl.campaign", "sdl.cli._app",
    "sdl.cli._run", "sdl.cli._worker", "sdl.cli._doubts", "sdl.cli._simulate", "sdl.journal._store",
    "sdl.journal._views", "sdl.journal._verify", "sdl.wire", "sdl.lab.opening", "sdl.devices.ne1000",
    "sdl.devices.modbus_heater", "sdl.simulators.silver_flow", "sdl.planners.sobol", "pint", "ruamel.yaml",
    "chaos.points", "chaos.breaks",
)  # fmt: skip


class Child:
    """A command that was started."""

    def __init__(self, forks: Forks, pid: int, base: Path) -> None:
        self.pid = pid
        self._forks = forks
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
        """Exit status, minus the signal's number where one ended it; None when it runs longer than that."""
        ended = self._forks.wait([self], seconds)
        return None if ended is None else ended[1]

    def signal(self, number: int) -> None:
        """Send a signal; to be called before `wait` has given a status."""
        os.kill(self.pid, number)


class Forks:
    """The process that forks. A context manager; for one thread."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH", "")])])
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from chaos.forks import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Send an order and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(self, argv: Sequence[str | Path], base: Path, env: Mapping[str, str]) -> Child:
        """Start `sdl ARGV…` in the folder of `base`; its output goes to `base.out` and `base.err`."""
        for suffix in (".out", ".err"):
            base.with_suffix(suffix).touch()
        order = {"do": "start", "argv": [str(part) for part in argv], "base": str(base), "env": dict(env)}
        return Child(self, int(self.ask(order)["pid"]), base)

    def wait(self, children: Sequence[Child], seconds: float) -> tuple[Child, int] | None:
        """The first of them to end, with its status; None when all run longer than that."""
        answer = self.ask({"do": "wait", "pids": [child.pid for child in children], "seconds": seconds})
        if answer["status"] is None:
            return None
        return next(child for child in children if child.pid == answer["pid"]), int(answer["status"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()  # the end of its input is the end of it


def serve() -> None:
    """Carry out orders from standard input until it ends; then kill what still runs."""
    for name in _PRELOADED:
        importlib.import_module(name)
    from sdl import plugins
    from sdl.model import units

    units.convert(1.0, "m", "mm")  # what is read once and kept: the registry of units, and what is installed
    plugins.names("sdl.devices")
    gc.freeze()
    children: dict[int, int] = {}  # pid → pidfd
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "start":
            if not (pid := os.fork()):
                _become(order)
            children[pid] = os.pidfd_open(pid)
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = _wait(children, order["pids"], order["seconds"])
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait(children: dict[int, int], pids: Sequence[int], seconds: float) -> dict[str, Any]:
    ended = select.select([children[pid] for pid in pids], [], [], seconds)[0]
    if not ended:
        return {"status": None}
    pid = next(pid for pid in pids if children[pid] == ended[0])
    os.close(children.pop(pid))
    return {"pid": pid, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


def _become(order: Mapping[str, Any]) -> NoReturn:
    """The command, in the process that was forked for it."""
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
    from chaos import breaks, points

    breaks.break_on_purpose(order["env"])
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
