"""SIGKILL at any moment of a campaign."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import (
    Nursery,
    PlannerPlugin,
    Process,
    check_record,
    descendants,
    edit,
    journal_length,
    ledger,
    silver_lab,
    soft_lab,
    wait_until,
)

from sdl.journal import kinds

_FULL = os.environ.get("SDL_CHAOS") == "full"
_SEEDS = [("redo", 1), ("discard", 3), *([("redo", 2)] if _FULL else [])]
_SPREAD = 20 if _FULL else 6
"""Kills at moments that fall where they fall, beside those that are aimed."""
_BUSY: dict[str, Any] = {"seconds": 0.03, "points": 3}
"""Steps long enough to be killed in."""
_GONE_WITHIN = 10.0
"""Seconds in which the children of a killed process have to end; they need 3 when the machine is idle."""


_OPEN_RUN = "a run is open"
"""The phase in which the last entry is a document of a run without its end."""
_AIMS = {kinds.SESSION_OPENED: 1, kinds.STEP_STARTED: 2, kinds.STEP_DONE: 1, _OPEN_RUN: 4}
"""Phases, and how many kills have to fall into each, however quick the machine is."""
_MISSED = 60
_TRIES = 4
"""Times the kills asked for: sessions that there may be."""


class _Victim:
    """Runs a campaign in a store again and again, kills it, and remembers what was acknowledged."""

    def __init__(self, nursery: Nursery, campaign: Path, store: Path, path: tuple[Path, ...] = ()) -> None:
        self._nursery, self._campaign, self.store, self._path = nursery, campaign, store, path
        self.kills = 0
        self.phases: list[str] = []
        """In which each kill found the campaign."""
        self._before: dict[int, tuple[str, int, str]] = {}

    def start(self) -> Process:
        argv = ("run", self._campaign, "--store", self.store, "--json")
        return self._nursery.start(*argv, cwd=self._campaign.parent, path=self._path)

    def kill_at_entry(self, more: int) -> bool:
        """Kill once the journal has so many more entries; False when the campaign ended before."""
        goal = journal_length(self.store) + more
        return self._kill(self.start(), lambda: journal_length(self.store) >= goal)

    def kill_after(self, seconds: float) -> bool:
        """Kill after a span of time."""
        until = time.monotonic() + seconds
        return self._kill(self.start(), lambda: time.monotonic() >= until)

    def kill_in(self, phase: str, later: int) -> bool:
        """Kill in a phase, once the session has written so many entries; False when the campaign ended before.

        When it was not seen in that phase for `_MISSED` entries, it is killed where it is.
        """
        goal = journal_length(self.store) + later
        process = self.start()

        def there() -> bool:
            if _phase(self.store, goal) != phase:
                return journal_length(self.store) > goal + _MISSED
            os.kill(process.pid, signal.SIGSTOP)  # what is seen now is what the kill finds
            held = _phase(self.store, goal) == phase
            if not held:
                os.kill(process.pid, signal.SIGCONT)
            return held

        return self._kill(process, there)

    def _kill(self, process: Process, moment: Callable[[], bool]) -> bool:
        def come() -> bool:
            return process.status is not None or moment()

        wait_until(come, 60, f"a moment to kill\n{process.err}", 0.0005)
        children = descendants(process.pid)
        process.kill()
        ended = process.status != -signal.SIGKILL
        self._check(process)
        wait_until(lambda: not any(_lives(pid) for pid in children), _GONE_WITHIN, f"orphans {children}", 0.05)
        if not ended:
            self.kills += 1
            self.phases.append(_phase(self.store))
        return not ended

    def _check(self, process: Process) -> None:
        """All that was recorded is there unchanged, and all that was printed is recorded."""
        now = ledger(self.store) if journal_length(self.store) else {}
        assert {seq: now.get(seq) for seq in self._before} == self._before
        for event in process.events:
            if "already" not in event:
                assert now[event["seq"]][:2] == (event["event"], event["at"])
        assert "Traceback" not in process.err
        self._before = now

    def finish(self) -> None:
        """Run to the end, and once more: nothing is left to do."""
        process = self.start()
        assert process.wait(60) == 0, process.err
        self._check(process)
        length = journal_length(self.store)
        again = self.start()
        assert again.wait(60) == 0
        assert again.events[0]["already"] is True
        assert journal_length(self.store) == length


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _phase(store: Path, above: int = 0) -> str:
    """What a store says of a campaign without trials in parallel: `_OPEN_RUN`, or the kind of the last entry.

    Args:
        store: its file; there need not be one.
        above: entries up to this number do not count.
    """
    query = "SELECT kind, json_extract(body, '$.name') FROM entries WHERE seq > ? ORDER BY seq DESC LIMIT 1"
    if not store.exists():
        return ""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            last = connection.execute(query, (above,)).fetchone()
        except sqlite3.OperationalError:  # the store is being made
            return ""
    if last is None:
        return ""
    kind, document = last
    return _OPEN_RUN if kind == kinds.DOCUMENT and document != "stop" else str(kind)


def _moment(rng: random.Random) -> tuple[str, Any]:
    """Spread over the life of a session: its start, its recovery, and the trials."""
    match rng.choices(("start", "recovery", "trials"), (2, 3, 5))[0]:
        case "start":
            return "after", rng.uniform(0.0, 0.4)
        case "recovery":
            return "entry", rng.randint(1, 5)
        case _:
            return "entry", rng.randint(6, 60)


@dataclass(frozen=True)
class _Order:
    """A kill that is asked for: in a phase, or anywhere."""

    phase: str
    """Empty for anywhere."""
    carry_out: Callable[[_Victim], bool]
    """Returns False when the campaign ended before."""


def _anywhere(rng: random.Random) -> _Order:
    what, amount = _moment(rng)
    return _Order("", lambda victim: victim.kill_after(amount) if what == "after" else victim.kill_at_entry(amount))


def _aimed(phase: str, rng: random.Random) -> _Order:
    later = 0 if phase == kinds.SESSION_OPENED else rng.randint(0, 20)
    return _Order(phase, lambda victim: victim.kill_in(phase, later))


def _orders(rng: random.Random) -> list[_Order]:
    """Kills wherever they fall, and those that `_AIMS` asks for, in any order."""
    orders = [_anywhere(rng) for _ in range(_SPREAD)]
    orders += [_aimed(phase, rng) for phase, number in _AIMS.items() for _ in range(number)]
    rng.shuffle(orders)
    return orders


@pytest.mark.slow
@pytest.mark.parametrize(("on_interrupt", "seed"), _SEEDS)
def test_kill_soft_lab(tmp_path: Path, nursery: Nursery, on_interrupt: str, seed: int) -> None:
    """Killed in each phase and at seeded moments, a campaign ends with each trial once; no record of it changed."""
    trials = 30
    campaign = soft_lab(tmp_path, on_interrupt=on_interrupt, trials=trials, infeasible_above=0.8, **_BUSY)
    victim = _Victim(nursery, campaign, tmp_path / "sdl.db")
    orders = _orders(random.Random(seed))
    left = _TRIES * len(orders)
    while orders:
        left -= 1
        assert left >= 0, f"{[order.phase for order in orders]} could not be hit; kills found {victim.phases}"
        if not orders[-1].carry_out(victim):  # it was quicker: give it more to do
            trials += 20
            campaign.write_text(campaign.read_text().replace(f"trials: {trials - 20}", f"trials: {trials}"))
        elif orders[-1].phase in ("", victim.phases[-1]):
            orders.pop()
    victim.finish()
    found = check_record(victim.store)
    assert found["proposed"] == trials
    assert found["interrupted"] >= _AIMS[_OPEN_RUN], f"runs were left open, and not closed: {victim.phases}"
    failed = found.get("trial.failed", 0)
    assert failed == 0 if on_interrupt == "redo" else failed >= _AIMS[_OPEN_RUN]
    assert found["trial.observed"] + found.get("trial.infeasible", 0) + failed == trials


_SLOW = """
version = "1"

def propose(self, problem, trials, n, seed):
    time.sleep(0.2)
    middle = {p.name: (p.low + p.high) / 2 + len(trials) / 10 for p in problem.parameters}
    return [Proposal(parameters=middle, reason=Reason(summary="near the middle"))]
"""


@pytest.mark.slow
def test_kill_silver_flow(tmp_path: Path, nursery: Nursery) -> None:
    """Killed with simulated instruments and a planner in processes of their own: those end too, and all goes on."""
    plugin = PlannerPlugin(tmp_path / "site", "slowly", _SLOW)
    campaign = silver_lab(tmp_path / "lab", trials=4)
    edit(campaign, lambda data: data.update(planner="slowly"))
    victim = _Victim(nursery, campaign, tmp_path / "sdl.db", (plugin.path,))
    rng = random.Random(11)
    assert victim.kill_after(rng.uniform(0.3, 1.0))
    for more in (rng.randint(5, 9), rng.randint(6, 20), rng.randint(3, 25)):
        assert victim.kill_at_entry(more)
    victim.finish()
    found = check_record(victim.store)
    assert found["proposed"] == found.get("trial.observed", 0) + found.get("trial.infeasible", 0) == 4


@pytest.mark.slow
def test_kill_at_start(tmp_path: Path) -> None:
    """Killed while Python itself still starts, the command leaves no store, or one that goes on."""
    campaign = soft_lab(tmp_path, trials=5)
    store = tmp_path / "sdl.db"
    command = [sys.executable, "-m", "sdl", "run", str(campaign), "--store", str(store), "--quiet"]
    rng = random.Random(5)
    for _ in range(4):
        process = subprocess.Popen(command, cwd=tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.1, 1.5))
        process.kill()
        process.wait()
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert check_record(store)["trial.observed"] == 5
