"""Make the journals of a release that later releases must read; README.md beside this file says when and how."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support import edit, entries_of, journal_length, soft_lab
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
_DROPS = """
import asyncio
import time
from pathlib import Path
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw
from sdl.lab.effects import current_action
from sdl.model import Outcome
from sdl.protocols import Acts, Effect

HERE = Path(__file__).parent


class Dropper(StandardReadable):
    effects = {"set": Acts(Effect.NON_REPEATABLE, arms=True)}

    def __init__(self, name=""):
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.level = soft_signal_rw(float, 0.0, units="mm")
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value):
        await current_action().arm(level=await self.level.get_value(), unit="mm")
        await asyncio.sleep(1.0)

    async def safe_state(self):
        pass


class Level:
    parent = None

    def __init__(self, name=""):
        self.name = name
        self.key = f"{name}-level"

    async def describe(self):
        return {self.key: {"source": "file", "dtype": "number", "shape": [], "units": "mm"}}

    async def read(self):
        file = HERE / "level"
        return {self.key: {"value": float(file.read_text()) if file.exists() else 0.0, "timestamp": time.time()}}


def drop(dropper, x):
    @bpp.run_decorator()
    def inner():
        yield from bps.mv(dropper, round(x, 3))
        yield from bps.trigger_and_read([dropper])

    yield from inner()


def analyse(runs):
    return {"z": Outcome(value=runs[0].start["parameters"]["x"], sem=None, unit="1")}
"""
_DROPS_LAB = """
name: drops
devices:
  dropper: {driver: "plans.py:Dropper", address: "tcp://127.0.0.1:9"}
stations:
  bench: {devices: [dropper]}
procedures:
  drop:
    steps:
      - {name: drop, station: bench, plan: "plans.py:drop", on_interrupt: redo}
    analysis: {name: "plans.py:analyse"}
"""
_LEVEL_LAB = (
    _DROPS_LAB.replace("stations:", '  gauge: {driver: "plans.py:Level"}\nstations:').replace(
        "[dropper]", "[dropper, gauge]"
    )
    + """
interlocks:
  full: {require: "gauge.level < 5 mm", message: empty the vessel}
"""
)
_DROPS_CAMPAIGN = """
name: drops
lab: lab.yaml
problem:
  parameters: {x: {kind: real, low: 0, high: 1, unit: "1"}}
  objectives: {z: {kind: minimize, unit: "1"}}
procedure: drop
planner: random
budget: {trials: 4}
seed: 5
"""
_DOSING = Path(__file__).parents[3] / "examples" / "dosing"


def _sdl(folder: Path, *argv: str) -> subprocess.Popen[bytes]:
    own = {"OMP_NUM_THREADS": "1", "SDL_STATE_DIR": str(folder / "state")}
    return subprocess.Popen([sys.executable, "-c", _COMMAND, *argv], cwd=folder, env={**os.environ, **own})


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return _sdl(folder, "run", "campaign.yaml", "--quiet")


def _run(folder: Path, status: int) -> None:
    assert _start(folder).wait(120) == status


def _until(folder: Path, kind: str, trial: int, **body: str) -> None:
    """Wait until the journal has an entry of a kind for a trial, with these values in its body."""
    path, wanted = folder / "sdl.db", ({"trial": trial} if trial else {}) | body
    while not journal_length(path) or not any(
        e.kind == kind and wanted.items() <= dict(e.body).items() for e in entries_of(path)
    ):
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


def _drops(folder: Path, lab: str) -> None:
    folder.mkdir()
    for name, text in {"plans.py": _DROPS, "lab.yaml": lab, "campaign.yaml": _DROPS_CAMPAIGN}.items():
        (folder / name).write_text(text)


def _resolve(folder: Path, action: str, verdict: str, note: str) -> None:
    assert _sdl(folder, "resolve", action, verdict, "--note", note, "--by", "hana").wait(30) == 0


def _doubts(folder: Path) -> None:
    """Three drops are cut off, and a person says of each what became of it."""
    _drops(folder, _DROPS_LAB)
    answers = (("--done", "it fell"), ("--not-done", "the vial is dry"), ("--quarantine", "half of it hit the rim"))
    for trial, (verdict, note) in enumerate(answers, 1):
        process = _start(folder)
        _until(folder, "action.armed", trial)
        process.kill()
        process.wait()
        _run(folder, 3)
        _resolve(folder, f"{trial}/drop", verdict, note)
    _run(folder, 0)


@contextlib.contextmanager
def _dosing(folder: Path, worker: str = "") -> Iterator[Path]:
    """The dosing example at a slow rate, with instruments that outlive its campaign."""
    shutil.copytree(_DOSING, folder)
    lab = folder / "lab.yaml"
    lab.write_text(re.sub(r"dispense_rate: [^,]*,", "dispense_rate: 300 uL/min,", lab.read_text()))
    command = [sys.executable, "-m", "sdl", "simulate", "lab.yaml", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as instruments:
        assert instruments.stdout
        addresses = json.loads(instruments.stdout.readline())["addresses"]

        def change(data: dict[str, Any]) -> None:
            for name, address in addresses.items():
                data["devices"][name]["address"] = address
            if worker:
                data["stations"]["bench"]["worker"] = worker

        try:
            edit(lab, change)
            yield folder
        finally:
            instruments.terminate()


def _dosed(folder: Path) -> None:
    """One dispense is cut off and settled by its pump, and one is stopped half-way and gone on with."""
    with _dosing(folder):
        process = _start(folder)
        _until(folder, "action.acked", 1)
        process.kill()
        process.wait()
        process = _start(folder)
        _until(folder, "action.acked", 2)
        time.sleep(0.3)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.wait(60) == 4
        _run(folder, 0)


def _tripped(folder: Path) -> None:
    """An interlock trips during a drop, and keeps the next session from beginning another until its cause is gone."""
    _drops(folder, _LEVEL_LAB)
    process = _start(folder)
    _until(folder, "action.armed", 1)
    (folder / "level").write_text("7.5")
    assert process.wait(60) == 3
    _run(folder, 3)
    (folder / "level").unlink()
    _run(folder, 0)


def _lost(folder: Path) -> None:
    """A worker falls silent for a while and is found again; then the campaign's own process dies, and joins it."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with _dosing(folder, worker=address), _sdl(folder, "worker", "lab.yaml", "--station", "bench") as worker:
        try:
            process = _start(folder)
            _until(folder, "action.acked", 1)
            worker.send_signal(signal.SIGSTOP)
            _until(folder, "station.lost", 0)
            worker.send_signal(signal.SIGCONT)
            _until(folder, "station.lost", 0, message="")
            _until(folder, "action.acked", 2)
            process.kill()
            process.wait()
            _run(folder, 0)
        finally:
            worker.send_signal(signal.SIGINT)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "ended": _ended, "paused": _paused, "aborted": _aborted, "faulty": _faulty,
    "doubts": _doubts, "dosed": _dosed, "tripped": _tripped, "lost": _lost,
}  # fmt: skip


def main() -> None:
    """Write NAME.jsonl and NAME.summary.json for each campaign into a new folder, or those that are named."""
    out, names = Path(sys.argv[1]), sys.argv[2:]
    out.mkdir(exist_ok=bool(names))
    there = [name for name in names or _MAKERS if (out / f"{name}.jsonl").exists()]
    assert not there, f"{out} has {', '.join(there)} already, and what is there is never written again"
    with tempfile.TemporaryDirectory() as scratch:
        for name in names or _MAKERS:
            make = _MAKERS[name]
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
