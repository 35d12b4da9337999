"""One run of the harness: a fresh campaign on fresh instruments, killed, taken up again to its end, and judged."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.bench import Bench, Kill, Session
from chaos.forks import Forks

__all__ = ["Case", "Result", "run_case", "scratch"]

SESSIONS = 6
"""In which a campaign has to come to its end."""
_PAUSED = 3


@dataclass(frozen=True)
class Case:
    """Where to die."""

    run: tuple[Kill, ...] = ()
    """Points in the process of the campaign, by session."""
    worker: tuple[Kill, ...] | None = None
    """Points in the worker's, by life; None for a station in the campaign's process."""

    @property
    def kills(self) -> int:
        """How many."""
        return len(self.run) + len(self.worker or ())


@dataclass
class Result:
    """What became of a run."""

    case: Case
    died: list[str] = field(default_factory=list)
    """Names of the points at which the campaign's process did die."""
    worker_died: list[str] = field(default_factory=list)
    """The same of the worker."""
    sessions: int = 0
    asked: list[str] = field(default_factory=list)
    """What a person was asked, and said."""
    receipts: int = 0
    """Doubts that the instruments settled by themselves."""
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    history: list[Any] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    """Names of the points that the last session reached."""
    worker_points: list[str] = field(default_factory=list)
    """The same of the worker's last life."""

    def as_json(self) -> dict[str, Any]:
        """For the record of all runs."""
        names = ("died", "worker_died", "sessions", "asked", "receipts", "violations", "seconds")
        return {
            "run": list(self.case.run),
            "worker": None if self.case.worker is None else list(self.case.worker),
            **{name: getattr(self, name) for name in names},
        }


def run_case(
    forks: Forks, folder: Path, case: Case, reference: Sequence[Any] | None, kind: type[Bench] = Bench
) -> Result:
    """Run a campaign, die where the case says, go on until it ends, and judge.

    Args:
        forks: starts processes.
        folder: for this run; removed when nothing is wrong.
        case: where to die.
        reference: history of an undisturbed campaign; None to judge only the rest.
        kind: the lab.
    """
    begin = time.monotonic()
    result = Result(case)
    with kind(forks, folder, case.worker) as bench:
        _to_its_end(bench, case, result)
        result.worker_points = bench.worker_trace.points
        if bench.store.exists():
            entries = bench.record().entries
            resolved = [e.body["by"] for e in entries if e.kind == "action.resolved"]
            result.receipts = sum(by.startswith("instrument:") for by in resolved)
            result.history, wrong = bench.judged(reference)
            result.violations += wrong
        else:
            result.violations.append("history: there is no store")
    result.seconds = time.monotonic() - begin
    if not result.violations:
        shutil.rmtree(folder)
    return result


def _to_its_end(bench: Bench, case: Case, result: Result) -> None:
    for number in range(1, SESSIONS + 1):
        kill_at = case.run[number - 1] if number <= len(case.run) else None
        session = bench.session(number, kill_at)
        result.sessions, result.points = number, session.trace.points
        result.worker_died += session.worker_died
        result.violations += session.trouble
        if "Traceback" in session.err:
            result.violations.append(f"session {number}: {session.err.strip()[-1500:]}")
        if session.status == -signal.SIGKILL and session.trace.ends_at(kill_at):
            result.died.append(session.trace.points[-1])
            result.violations += bench.looked_at()
        elif session.status == 0:
            return
        elif not _goes_on(bench, session, result):
            what = "hangs" if session.status is None else f"ended with status {session.status}"
            last = session.trace.points[-1] if session.trace.points else "no point"
            result.violations.append(f"session {number} {what} after {last}: {session.err.strip()[-600:]}")
            return
    result.violations.append(f"it did not end within {SESSIONS} sessions")


def _goes_on(bench: Bench, session: Session, result: Result) -> bool:
    """Whether a pause is one that a person or the death of the worker explains."""
    if session.status != _PAUSED:
        return False
    said = bench.answer_doubts()
    result.asked += said
    return bool(said or session.worker_died)


def scratch() -> Path:
    """Where runs are quick: kills leave what is in memory, so the disk need not be one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
