"""Make the journals of a release that later releases must read; README.md beside this file says when and how."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support import entries_of, journal_length, soft_lab
from support.corpus import dump, summary

from sdl.journal import Store

_COMMAND = """
import platform, socket
socket.gethostname = lambda: "lab-pc"
platform.platform = lambda: "Linux"
from sdl.cli import main
main()
"""
"""`sdl` on a computer that says nothing of itself: its name and kernel go into entries, and entries into hashes."""

_FAULTY = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Fault, Infeasible, Outcome


def read(detector, x, n, solvent):
    @bpp.run_decorator()
    def inner():
        yield from bps.trigger_and_read([detector])
        if x > 0.8:
            raise Fault("detector", "the lamp did not light; see its fuse")
        if solvent == "hexane":
            raise Infeasible("nothing dissolved in hexane")

    yield from inner()


def analyse(runs):
    p = runs[0].start["parameters"]
    return {"yield_": Outcome(value=100 * p["x"] / p["n"], sem=None, unit="percent")}
"""
_FAULTY_LAB = """
name: faulty
devices:
  detector: {driver: soft_detector, options: {value: 1.0, step: 0.5}}
stations:
  bench: {devices: [detector]}
procedures:
  make:
    steps:
      - {name: read, station: bench, plan: "plans.py:read", on_interrupt: redo, retries: 1}
    analysis: {name: "plans.py:analyse"}
"""
_FAULTY_CAMPAIGN = """
name: faulty
title: "Trials that fail, and that cannot be made: µ, 漢字"
lab: lab.yaml
problem:
  parameters:
    x: {kind: real, low: 0, high: 1, unit: "1"}
    n: {kind: integer, low: 1, high: 9}
    solvent: {kind: categorical, levels: [water, ethanol, hexane]}
  objectives:
    yield_: {kind: maximize, unit: percent}
procedure: make
planner: random
budget: {trials: 8}
max_consecutive_faults: 6
seed: 5
"""


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _COMMAND, "run", "campaign.yaml", "--quiet"]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _run(folder: Path, status: int) -> None:
    assert _start(folder).wait(120) == status


def _until(folder: Path, kind: str, trial: int) -> None:
    """Wait until the journal has an entry of a kind for a trial."""
    path = folder / "sdl.db"
    while not journal_length(path) or not any(e.kind == kind and e.body["trial"] == trial for e in entries_of(path)):
        time.sleep(0.02)


def _ended(folder: Path) -> None:
    soft_lab(folder, trials=4, infeasible_above=0.7)
    _run(folder, 0)


def _paused(folder: Path) -> None:
    soft_lab(folder, trials=3, on_interrupt="ask", seconds=1.0)
    process = _start(folder)
    _until(folder, "document", 2)
    process.kill()
    process.wait()
    _run(folder, 3)


def _aborted(folder: Path) -> None:
    soft_lab(folder, trials=3, seconds=1.0)
    process = _start(folder)
    _until(folder, "document", 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 4


def _faulty(folder: Path) -> None:
    folder.mkdir()
    for name, text in {"plans.py": _FAULTY, "lab.yaml": _FAULTY_LAB, "campaign.yaml": _FAULTY_CAMPAIGN}.items():
        (folder / name).write_text(text)
    _run(folder, 0)
    campaign = folder / "campaign.yaml"
    campaign.write_text(campaign.read_text().replace("trials: 8", "trials: 10"))
    _run(folder, 0)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "ended": _ended, "paused": _paused, "aborted": _aborted, "faulty": _faulty,
}  # fmt: skip


def main() -> None:
    """Write NAME.jsonl and NAME.summary.json for each campaign into a new folder."""
    out = Path(sys.argv[1])
    out.mkdir()  # one that is there already is never written again
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in _MAKERS.items():
            folder = Path(scratch, name)
            make(folder)
            with Store.open(folder / "sdl.db") as store:
                (head,) = store.campaigns()
                assert store.verify() == []
                state = store.state(head.id)
            (out / f"{name}.jsonl").write_text(dump(folder / "sdl.db", head.id))
            text = json.dumps(summary(state), indent=1, ensure_ascii=False)
            (out / f"{name}.summary.json").write_text(text + "\n")
            print(name, state.status, state.seq, "entries")


if __name__ == "__main__":
    main()
