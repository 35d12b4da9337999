"""Campaigns whose station is in a worker's process: real `sdl run` and `sdl worker` processes, killed for real."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, Process, check_record, one_parameter, wait_until

from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState

DRIVERS = '''
import asyncio
from pathlib import Path
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw
from sdl.protocols import Effect

HERE = Path(__file__).parent


class Dropper(StandardReadable):
    """Writes a line into drops.log when a drop begins, and one when it has fallen `seconds` later."""

    effects = {"set": Effect.NON_REPEATABLE}

    def __init__(self, name="", seconds=0.0):
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.level = soft_signal_rw(float, 0.0, units="mm")
        self._seconds = seconds
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value):
        self.write(f"drop {value:g}")
        await asyncio.sleep(self._seconds)
        self.write(f"fell {value:g}")

    async def identity(self):
        return "ACME,Dropper,D-4,2.1"

    def write(self, line):
        with open(HERE / "drops.log", "a") as log:
            log.write(line + "\\n")

    async def safe_state(self):
        pass
'''
PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome

def drop(dropper, x, points=3):
    @bpp.run_decorator()
    def inner():
        yield from bps.mv(dropper, round(x, 3))
        for _ in range(points):
            yield from bps.sleep(0.1)
            yield from bps.trigger_and_read([dropper])
    return inner()

def look(detector):
    return bpp.run_wrapper(bps.trigger_and_read([detector]))

def analyse(runs):
    points = sum(len(run.events) for run in runs)
    return {"z": Outcome(value=runs[0].start["parameters"]["x"] + points)}
"""
LAB = """\
name: drops
devices:
  detector: {driver: soft_detector}
  dropper: {driver: "drivers.py:Dropper", address: "tcp://127.0.0.1:9", options: {seconds: SECONDS}}
stations:
  table: {devices: [detector]}
  reactor: {devices: [dropper], worker: "tcp://127.0.0.1:PORT"}
procedures:
  measure:
    steps:
      - {name: look, station: table, plan: "plans.py:look", on_interrupt: redo}
      - {name: drop, station: reactor, plan: "plans.py:drop", on_interrupt: redo}
    analysis: {name: "plans.py:analyse"}
"""


class Lab:
    """A lab with one station in a worker, and the processes that run it."""

    def __init__(self, nursery: Nursery, folder: Path, seconds: float = 0.0) -> None:
        self.nursery, self.folder = nursery, folder
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        lab = LAB.replace("SECONDS", str(seconds)).replace("PORT", str(port))
        for name, text in {
            "lab.yaml": lab,
            "plans.py": PLANS,
            "drivers.py": DRIVERS,
            "campaign.yaml": one_parameter(3),
        }.items():
            (folder / name).write_text(text)
        self.processes: list[Process] = []

    def worker(self) -> Process:
        process = self.nursery.start("worker", "lab.yaml", "--station", "reactor", "--json", cwd=self.folder)
        self.processes.append(process)
        wait_until(lambda: process.events, 30, f"the worker is up: {process.err}")
        return process

    def run(self, *more: str) -> Process:
        process = self.nursery.start("run", "campaign.yaml", "--store", "lab.db", "--json", *more, cwd=self.folder)
        self.processes.append(process)
        return process

    def drops(self) -> list[str]:
        log = self.folder / "drops.log"
        return log.read_text().splitlines() if log.exists() else []

    def state(self) -> CampaignState:
        with Store.open(self.folder / "lab.db") as store:
            (row,) = store.list_campaigns()
            return store.state(row.id)

    def entries(self, *wanted: str) -> list[dict[str, Any]]:
        with Store.open(self.folder / "lab.db") as store:
            (row,) = store.list_campaigns()
            return [dict(entry.body) for entry in store.entries(row.id) if entry.kind in wanted]

    def each_dropped_once(self) -> bool:
        wanted = [f"drop {round(trial.parameters['x'], 3):g}" for trial in self.state().trials.values()]
        return [line for line in self.drops() if line.startswith("drop")] == wanted

    def close(self) -> None:
        for process in self.processes:
            if process.status is None:
                process.kill()


@pytest.fixture
def make(nursery: Nursery, tmp_path: Path) -> Iterator[Any]:
    made: list[Lab] = []

    def make(seconds: float = 0.0) -> Lab:
        made.append(Lab(nursery, tmp_path, seconds))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def test_a_station_in_a_worker(make: Any) -> None:
    """The campaign runs as with a station of its own: outcomes from documents, identities, everything on record."""
    lab = make()
    lab.worker()
    assert lab.run().wait(60) == 0
    state = lab.state()
    assert [round(t.outcomes["z"].value - t.parameters["x"]) for t in state.trials.values()] == [4] * 3
    assert lab.each_dropped_once()
    check_record(lab.folder / "lab.db")
    assert len(lab.entries(kinds.ACTION_DONE)) == 3
    assert {body["origin"]["station"] for body in lab.entries(kinds.ACTION_DISPATCHED)} == {"reactor"}
    (opened,) = lab.entries(kinds.LAB_OPENED)
    assert opened["identity"]["dropper"]["serial"] == "D-4"


def test_the_coordinator_is_killed_and_joins_again(make: Any) -> None:
    """The worker goes on with its step; the next session finds it, takes what it did, and nothing is done twice."""
    lab = make(0.6)
    lab.worker()
    for beginning in range(2):
        run = lab.run()
        wait_until(lambda n=beginning: len(lab.drops()) > 2 * n, 30, f"a drop began: {run.err}")
        run.kill()
    assert lab.run().wait(60) == 0
    assert lab.each_dropped_once()
    assert [trial.status.value for trial in lab.state().trials.values()] == ["observed"] * 3
    check_record(lab.folder / "lab.db")
    assert len(lab.entries(kinds.STEP_DONE)) == 6


def test_the_worker_is_killed(make: Any) -> None:
    """A worker's death is noticed within 2 s and pauses the campaign; what it was at is in doubt until settled."""
    lab = make(1.0)
    worker = lab.worker()
    run = lab.run()
    wait_until(lambda: lab.drops(), 30, "a drop began")
    worker.kill()
    killed = time.time_ns()
    wait_until(lambda: lab.entries(kinds.STATION_LOST), 10, "the loss is on record")
    with Store.open(lab.folder / "lab.db") as store:
        (row,) = store.list_campaigns()
        lost = next(entry for entry in store.entries(row.id) if entry.kind == kinds.STATION_LOST)
    assert (lost.at - killed) / 1e9 < 2.5  # 2 s, and half a second for a loaded machine
    assert run.wait(60) == 3
    state = lab.state()
    assert "does not answer" in state.message
    assert "sdl worker" in state.advice
    assert lab.run().wait(60) == 3  # still nobody there
    lab.worker()
    assert lab.run().wait(60) == 3
    (doubt,) = lab.state().doubts()
    said = ("resolve", doubt.id, "--done", "--note", "it fell", "--by", "ann", "--store", "lab.db")
    assert lab.nursery.run(*said, cwd=lab.folder).status == 0
    assert lab.run().wait(60) == 0
    assert lab.each_dropped_once()


def test_nobody_there(make: Any) -> None:
    """Without its worker a campaign pauses at once and says where it looked and what to do."""
    lab = make()
    run = lab.run()
    assert run.wait(60) == 3
    assert "tcp://127.0.0.1:" in lab.state().message
    lab.worker()
    assert lab.run().wait(60) == 0


def test_abort_stops_the_worker(make: Any) -> None:
    """Ctrl-C twice stops the step at the worker and leaves its station safe."""
    lab = make(3.0)
    lab.worker()
    run = lab.run()
    wait_until(lambda: lab.drops(), 30, "a drop began")
    run.signal(signal.SIGINT)
    time.sleep(0.2)
    run.signal(signal.SIGINT)
    assert run.wait(30) == 4
    safe = [body for body in lab.entries(kinds.STATION_SAFE) if body["station"] == "reactor"]
    assert safe[-1]["devices"] == {"dropper": "safe"}


def test_a_cut_is_ridden_out(make: Any) -> None:
    """A worker that is silent for some seconds is reported lost, then found, and the campaign goes on."""
    lab = make(0.3)
    worker = lab.worker()
    run = lab.run()
    wait_until(lambda: lab.drops(), 30, "a drop began")
    worker.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: lab.entries(kinds.STATION_LOST), 10, "the loss is on record")
        time.sleep(1.0)
    finally:
        worker.signal(signal.SIGCONT)
    assert run.wait(60) == 0
    lost = lab.entries(kinds.STATION_LOST)
    assert [bool(body["message"]) for body in lost] == [True, False]
    assert lab.each_dropped_once()


def test_nobody_settles_what_a_worker_is_at(make: Any) -> None:
    """While a worker may be at an action, a person's word is refused; the next session asks the worker."""
    lab = make(1.5)
    lab.worker()
    run = lab.run()
    wait_until(lambda: lab.drops() and lab.entries(kinds.ACTION_DISPATCHED), 30, "a drop is on record")
    run.kill()
    (action,) = [body["action"] for body in lab.entries(kinds.ACTION_DISPATCHED)]
    said = ("resolve", action, "--not-done", "--note", "looked", "--by", "ann", "--store", "lab.db")
    refused = lab.nursery.run(*said, cwd=lab.folder)
    assert refused.status == 2
    assert "worker of station reactor" in refused.err
    assert lab.run().wait(60) == 0
    assert lab.each_dropped_once()
