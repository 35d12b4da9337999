"""A campaign's surroundings: instruments that outlive it, a worker that is started again, a person who looks."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from chaos import checker
from chaos.breaks import BREAK
from chaos.forks import Child, Forks, first_to_end
from chaos.points import ACKS, KILL_AT, TRACE

__all__ = ["Bench", "Kill", "Session", "Trace"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "dosing"
_PATIENCE = 60.0
"""Wall seconds for one command, on a machine that has much else to do."""

_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to whoever asks for any."""
_taken = itertools.count()

Kill = int | str
"""Number or name of a point."""


@dataclass
class Trace:
    """Points that a process reached, in order."""

    points: list[str]
    """Their names."""

    @classmethod
    def read(cls, path: Path) -> Trace:
        """From the file that the process wrote; empty when it got to no point."""
        lines = path.read_text().splitlines() if path.exists() else []
        return cls([line.partition(" ")[2] for line in lines])

    def ends_at(self, kill: Kill | None) -> bool:
        """Whether the last point is that one."""
        return bool(self.points) and kill in (len(self.points), self.points[-1])


@dataclass
class Session:
    """What one `sdl run` came to."""

    status: int | None
    """Exit status; None when it hung."""
    trace: Trace
    err: str
    worker_died: list[str] = field(default_factory=list)
    """Names of the points at which workers died meanwhile."""
    trouble: list[str] = field(default_factory=list)
    """What went wrong with the worker."""


class _Worker:
    """A worker that is started again whenever it has died, as a supervisor does."""

    def __init__(self, bench: Bench, kills: Sequence[Kill]) -> None:
        self._bench, self._kills = bench, kills
        self._life = 0
        self.child: Child | None = None

    @property
    def trace(self) -> Trace:
        """Points of its present life."""
        return Trace.read(self._bench.folder / f"worker-trace-{self._life}")

    @property
    def _kill(self) -> Kill | None:
        return self._kills[self._life - 1] if self._life <= len(self._kills) else None

    def start(self) -> None:
        """Start it."""
        self._life += 1
        folder = self._bench.folder
        env = {
            TRACE: str(folder / f"worker-trace-{self._life}"),
            ACKS: str(folder / "worker-acks"),
            KILL_AT: "" if self._kill is None else str(self._kill),
        }
        argv = ("worker", "lab.yaml", "--station", "bench", "--spool", "bench.spool.db", "--json")
        self.child = self._bench.start(*argv, env=env)

    def up(self) -> None:
        """Wait until it takes orders, or has died at one of its points: a session gives up on one that is not there."""
        deadline = time.monotonic() + _PATIENCE
        while self.child is not None and not self.child.out.endswith("\n") and not self.child.ended.done():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker does not start: {self.child.err}")
            time.sleep(0.005)

    def ended(self, status: int, session: Session) -> None:
        """It has ended: note why, and start it again."""
        assert self.child is not None
        trace = self.trace
        if status == -signal.SIGKILL and trace.ends_at(self._kill):
            session.worker_died.append(trace.points[-1])
        else:
            session.trouble.append(f"the worker ended with status {status}: {self.child.err.strip()[-800:]}")
        self.start()

    def stop(self) -> None:
        """End it."""
        if self.child is not None:
            self.child.signal(signal.SIGTERM)
            if self.child.wait(10) is None:
                self.child.signal(signal.SIGKILL)
                self.child.wait(5)


class Bench:
    """A folder with a lab whose instruments are simulated by a process that outlives the campaign's.

    A context manager; the instruments and the worker end with it.

    Args:
        forks: starts processes.
        folder: to be made.
        worker: points to die at of the worker's successive lives; None for a station in the campaign's process.
        broken: what is broken on purpose in the campaign's process; see `chaos.breaks`.
    """

    example: ClassVar[Path] = EXAMPLE
    """Folder of the lab and its campaign."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Of every command."""
    modules: ClassVar[Sequence[str]] = ()
    """That its commands import and those of other labs do not."""

    def __init__(self, forks: Forks, folder: Path, worker: Sequence[Kill] | None = None, *, broken: str = "") -> None:
        self.folder = folder
        self.store, self.truth, self.acks = folder / "sdl.db", folder / "truth.jsonl", folder / "acks"
        self._forks, self._broken = forks, broken
        self._commands = 0
        self._worker = None if worker is None else _Worker(self, worker)
        folder.mkdir(parents=True)
        self._instruments = self.start("simulate", self._copy(), "--json", "--log", self.truth)
        try:
            self._write_lab(self._addresses())
            self._prepare()
            if self._worker is not None:
                self._worker.start()
        except BaseException:
            self.__exit__()
            raise

    def _copy(self) -> Path:
        """Put the files of a campaign into the folder; the lab file for its instruments."""
        for name in ("procedure.py", "campaign.yaml"):
            shutil.copy(self.example / name, self.folder)
        return self.example / "lab.yaml"

    def _prepare(self) -> None:
        """Do what has to be done once before the campaign."""

    def start(self, *argv: str | Path, env: Mapping[str, str] | None = None) -> Child:
        """Start an `sdl` command in the folder."""
        self._commands += 1
        base = self.folder / f"{self._commands:02}-{argv[0]}"
        own = {"SDL_STATE_DIR": str(self.folder / "state"), "COLUMNS": "200"}
        return self._forks.start(argv, base, {**own, **self.environment, **(env or {})})

    def _addresses(self) -> dict[str, str]:
        deadline = time.monotonic() + _PATIENCE
        while not (text := self._instruments.out).endswith("\n"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the instruments do not start: {self._instruments.err}")
            time.sleep(0.005)
        addresses: dict[str, str] = json.loads(text)["addresses"]
        return addresses

    def _write_lab(self, addresses: Mapping[str, str]) -> None:
        text = (self.example / "lab.yaml").read_text()
        for name, address in addresses.items():
            text, n = re.subn(rf"^  {name}: {{driver:", f'  {name}: {{address: "{address}", driver:', text, flags=re.M)
            assert n == 1, f"no device {name} in the lab file"
        if self._worker is not None:
            text, n = re.subn(r"^  bench: {", f'  bench: {{worker: "{_free_address()}", ', text, flags=re.M)
            assert n == 1, "no station in the lab file"
        (self.folder / "lab.yaml").write_text(text)

    def session(self, number: int, kill_at: Kill | None) -> Session:
        """One `sdl run`, to its end, its death or its pause."""
        trace = self.folder / f"trace-{number}"
        points = {TRACE: str(trace), ACKS: str(self.acks), KILL_AT: "" if kill_at is None else str(kill_at)}
        points[BREAK] = self._broken
        if self._worker is not None:
            self._worker.up()
        child = self.start("run", "campaign.yaml", "--store", self.store, "--quiet", env=points)
        session = Session(None, Trace([]), "")
        deadline = time.monotonic() + _PATIENCE
        while session.status is None and (left := deadline - time.monotonic()) > 0:
            children = [child, *([self._worker.child] if self._worker is not None and self._worker.child else [])]
            ended = first_to_end(children, left)
            if ended is child:
                session.status = child.ended.result()
            elif ended is not None and self._worker is not None:
                self._worker.ended(ended.ended.result(), session)
        if session.status is None:
            child.signal(signal.SIGUSR1)
            child.wait(2)
            child.signal(signal.SIGKILL)
            child.wait(_PATIENCE)
        session.trace, session.err = Trace.read(trace), child.err
        return session

    @property
    def worker_trace(self) -> Trace:
        """Points of the worker's present life; none without a worker."""
        return Trace([]) if self._worker is None else self._worker.trace

    def command(self, *argv: str | Path) -> str:
        """Any other `sdl` command; its output.

        Raises:
            RuntimeError: it failed.
        """
        child = self.start(*argv)
        status = child.wait(_PATIENCE)
        if status != 0:
            raise RuntimeError(f"sdl {' '.join(map(str, argv))} ended with {status}: {child.err}")
        return child.out

    def answer_doubts(self) -> list[str]:
        """Be the person who goes and looks: settle every doubt as the instruments' own log has it; what was said."""
        said = []
        for line in self.command("doubts", "--json", "--store", self.store).splitlines():
            doubt = json.loads(line)
            wanted = float(doubt["arguments"]["args"][0])
            volume = checker.delivered_by(self.record(), doubt["id"])
            verdict = "--done" if volume > wanted - 0.01 else "--quarantine" if volume else "--not-done"
            note = f"the vial holds {volume:.3f} uL of {wanted:.3f} uL"
            self.command("resolve", doubt["id"], verdict, "--note", note, "--by", "chaos", "--store", self.store)
            said.append(f"{doubt['key']} {verdict}: {doubt['message']}")
        return said

    def looked_at(self) -> list[str]:
        """What is wrong while the campaign's process is dead."""
        return []

    def judged(self, reference: Sequence[Any] | None) -> tuple[list[Any], list[str]]:
        """What the campaign came to, and everything that does not hold.

        Args:
            reference: what an undisturbed one came to; None to judge only the rest.
        """
        record = self.record()
        history = checker.history_of(record.entries)
        return history, checker.check(record, history if reference is None else reference)

    @staticmethod
    def differing(one: Sequence[Any], other: Sequence[Any]) -> list[str]:
        """What is not the same about two histories."""
        return [] if one == other else [f"{one} is not {other}"]

    def record(self) -> checker.Record:
        """What there is to judge."""
        entries, head = checker.read_store(self.store)
        record = checker.Record(entries, head, checker.read_truth(self.truth), checker.read_acks(self.acks))
        if self._worker is not None:
            record.orders = checker.read_acks(self.folder / "worker-acks")
            spool = self.folder / "bench.spool.db"
            there = spool.exists() and checker.has_campaign(spool, entries[0].campaign)
            record.spool = checker.read_store(spool, entries[0].campaign)[0] if there else []
        return record

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._worker is not None:
            self._worker.stop()
        self._instruments.signal(signal.SIGTERM)
        if self._instruments.wait(5) is None:
            self._instruments.signal(signal.SIGKILL)
            self._instruments.wait(5)


def _free_address() -> str:
    """An address for a worker, which binds it again after each death; no port that the system gives to others."""
    for _ in range(_PORTS.stop - _PORTS.start):
        port = _PORTS.start + (os.getpid() * 97 + next(_taken)) % (_PORTS.stop - _PORTS.start)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return f"tcp://127.0.0.1:{port}"
    raise RuntimeError("no free port")
