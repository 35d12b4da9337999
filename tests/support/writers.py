"""Would-be writers of one campaign, in this process or in real ones that can be killed, all given the same orders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sdl.journal._writer
from sdl.journal import JournalError, Store, Writer

__all__ = ["Nest", "OtherProcess", "Writers", "without_heartbeats"]

_NEST = """
import gc, os, signal, sys
from support.writers import Writers, serve, without_heartbeats
import sdl.journal._store

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
without_heartbeats()
gc.freeze()
for line in sys.stdin:
    path, meeting = line.split()
    if not os.fork():
        sys.stdin.close()
        serve(path, meeting)
        os._exit(0)
"""


def without_heartbeats() -> None:
    """Writers beat when they are told to, and not by themselves, so that nothing depends on the time."""
    sdl.journal._writer.BEAT_S = sdl.journal._writer._SYNC_S = 1e6  # type: ignore[misc]


class Writers:
    """Those of one process. Each order is answered with what it gave, or the name of the error."""

    def __init__(self, path: str | Path) -> None:
        self._store = Store.open(path)
        self._writers: dict[int, Writer] = {}

    def ask(self, what: str, writer: int, n: int = 0) -> dict[str, Any]:
        """Carry out an order; `writer` is a number that the caller chose when it said `take`."""
        try:
            return self._done(what, writer, n)
        except JournalError as error:
            return {"error": type(error).__name__}

    def _done(self, what: str, writer: int, n: int) -> dict[str, Any]:
        if what == "take":
            self._writers[writer] = taken = self._store.writer("c1", holder=f"writer {writer}")
            return {"epoch": taken.epoch}
        own = self._writers[writer]
        if what == "append":
            return {"seq": own.append("x", {"n": n}, durable=n % 2 == 0).seq}
        if what == "post":
            own.post("x", {"n": n})
        else:
            {"flush": own.flush, "beat": lambda: own.set_address(f"tcp://127.0.0.1:{n + 1}"), "close": own.close}[
                what
            ]()
        return {}

    def end(self) -> None:
        """Close everything."""
        for writer in self._writers:
            self.ask("close", writer)
        self._store.close()


def serve(path: str, meeting: str) -> None:
    """Connect to whoever started this process, and do what it orders."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(meeting)
        with link.makefile("rw") as lines:
            writers = Writers(path)
            print(os.getpid(), file=lines, flush=True)
            for line in lines:
                print(json.dumps(writers.ask(**json.loads(line))), file=lines, flush=True)
            writers.end()


class OtherProcess:
    """`Writers` in a process of their own."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lines = link.makefile("rw")
        self._pid = int(self._lines.readline())

    def ask(self, what: str, writer: int, n: int = 0) -> Mapping[str, Any]:
        """As `Writers.ask`."""
        print(json.dumps({"what": what, "writer": writer, "n": n}), file=self._lines, flush=True)
        return dict(json.loads(self._lines.readline()))

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)
        self._lines.readline()  # the connection ends with the process
        self.end()

    def end(self) -> None:
        """Let it close its writers, and end."""
        self._lines.close()
        self._link.close()


class Nest:
    """A process with everything imported, which forks one `OtherProcess` after another."""

    def __init__(self, folder: Path) -> None:
        meeting = folder / "meeting"
        self._meeting = socket.socket(socket.AF_UNIX)
        self._meeting.bind(str(meeting))
        self._meeting.listen()
        tests = str(Path(__file__).parents[1])
        path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-c", _NEST]
        env = {**os.environ, "PYTHONPATH": path}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=env)

    def start(self, path: Path) -> OtherProcess:
        """A process that has the store open."""
        assert self._process.stdin
        print(path, self._meeting.getsockname(), file=self._process.stdin, flush=True)
        link, _ = self._meeting.accept()
        return OtherProcess(link)

    def close(self) -> None:
        """End; processes that still run end by themselves."""
        self._process.communicate()
        self._meeting.close()
