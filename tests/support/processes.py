"""Real processes that run the command `sdl`.

Starting Python and importing bluesky takes more than a second of CPU. `Nursery` pays that once: a process that has
everything imported forks one real process for each command; that one can be signalled and killed like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Nursery", "Process", "descendants", "wait_until"]

_NURSERY = r"""
import atexit, gc, importlib, json, os, signal, sys, threading
for name in ("bluesky.run_engine", "ophyd_async.core", "pymodbus.client", "sdl.campaign", "sdl.journal._store",
             "sdl.journal._views", "sdl.journal._verify", "sdl.cli._app", "sdl.cli._run", "sdl.cli._watch",
             "sdl.cli._look", "sdl.wire", "sdl.lab.opening", "sdl.planners.random", "pint", "ruamel.yaml"):
    importlib.import_module(name)
from sdl.model import units
units.convert(1.0, "m", "mm")


def command(order):
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for fd, path, flags in ((0, os.devnull, os.O_RDONLY), (1, order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                            (2, order["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        os.dup2(os.open(path, flags, 0o644), fd)
    os.chdir(order["cwd"])
    os.environ.update(order["env"])
    sys.path[:0] = order["path"]
    sys.argv = ["sdl", *order["argv"]]
    from sdl.cli import main
    status = 99
    try:
        main()
    except SystemExit as exit:
        status = exit.code
    # As the interpreter ends, but without taking every module apart, which costs more than the command.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)
gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    read, write = os.pipe()
    if not os.fork():
        # The guardian of one command: it waits for it and leaves its exit status in a file.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        pid = os.fork()
        if not pid:
            sys.stdin.close()
            os.close(read)
            os.close(write)
            command(order)
        os.write(write, b"%d\n" % pid)
        os.close(write)
        _, status = os.waitpid(pid, 0)
        with open(order["status"] + ".part", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(status)))
        os.rename(order["status"] + ".part", order["status"])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.readline().strip(), flush=True)
"""


def wait_until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.002) -> Any:
    """Wait for a condition to be true and return its value; fail when it is not true in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain: {what}")
        time.sleep(pause)
    return value


class Process:
    """A running `sdl` command."""

    def __init__(self, pid: int, base: Path, argv: Sequence[str]) -> None:
        self.pid = pid
        self.argv = list(argv)
        self._base = base

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._base.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._base.with_suffix(".err").read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` printed so far; a line cut short by a kill is left out."""
        text = self.out
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def status(self) -> int | None:
        """Exit status; minus the signal's number when a signal ended it; None while it runs."""
        file = self._base.with_suffix(".status")
        return int(file.read_text()) if file.exists() else None

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for the end and return the exit status; when it takes too long, kill it and fail."""
        deadline = time.monotonic() + seconds
        while (status := self.status) is None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                pytest.fail(f"sdl {' '.join(self.argv)} took over {seconds:g} s\n{self.out[-3000:]}\n{self.err}")
            time.sleep(0.002)
        return status

    def wait_for(self, event: str, seconds: float = 30.0, **body: Any) -> dict[str, Any]:
        """Wait for an event of `--json` whose body has the given values."""

        def found() -> dict[str, Any] | None:
            fits = (e for e in self.events if e["event"] == event and body.items() <= e.items())
            first = next(fits, None)
            if first is None and self.status is not None:
                pytest.fail(f"sdl ended with {self.status} before {event} {body}\n{self.out[-3000:]}\n{self.err}")
            return first

        return dict(wait_until(found, seconds, f"{event} {body} from sdl {' '.join(self.argv)}", 0.005))

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        self.wait(10)


class Nursery:
    """Starts `sdl` commands as processes of their own. A context manager; what still runs in the end is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._started: list[Process] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )

    def start(
        self,
        *argv: str | Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        path: Sequence[Path] = (),
    ) -> Process:
        """Start `sdl ARGV…` in a folder; `path` is put before Python's own."""
        assert self._process.stdin
        assert self._process.stdout
        self._count += 1
        base = self._folder / f"command-{self._count:03}"
        given = dict(env or {})
        if path:
            given["PYTHONPATH"] = os.pathsep.join(map(str, path))
        order = {
            "argv": [str(a) for a in argv],
            "cwd": str(cwd),
            "env": given,
            "path": [str(p) for p in path],
            **{name: str(base.with_suffix(f".{name}")) for name in ("out", "err", "status")},
        }
        for name in ("out", "err"):
            base.with_suffix(f".{name}").touch()
        print(json.dumps(order), file=self._process.stdin, flush=True)
        process = Process(int(self._process.stdout.readline()), base, order["argv"])
        self._started.append(process)
        return process

    def run(self, *argv: str | Path, cwd: Path, seconds: float = 30.0, **more: Any) -> Process:
        """Run `sdl ARGV…` to its end."""
        process = self.start(*argv, cwd=cwd, **more)
        process.wait(seconds)
        return process

    def close(self) -> None:
        """Kill what still runs, and end."""
        for process in self._started:
            process.signal(signal.SIGKILL)
        self._process.communicate()


def descendants(pid: int) -> list[int]:
    """Processes below a process, read from /proc."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found
