"""What the worker tests share: a lab whose instrument keeps its own record, a coordinator's end, a network to cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support import Nursery, Process, wait_until

from sdl.journal import Store
from sdl.journal.actions import ActionState, apply
from sdl.lab.guard import StepOrder
from sdl.lab.labfile import Lab, load_lab
from sdl.wire import ClientKeys
from sdl.worker import RemoteStation
from sdl.worker._past import OWN_KINDS

DEVICES = '''
import asyncio, os, time
from ophyd_async.core import AsyncStatus
from sdl.model import Fault, Infeasible, Refusal
from sdl.protocols import Effect

class Stamp:
    """Presses once for each `set`, and keeps a record of its own, as an instrument does."""
    parent = None
    effects = {"set": Effect.NON_REPEATABLE, "trigger": Effect.READ}

    def __init__(self, address="", *, name="", hold=0.0):
        self.name, self.hold, self.count = name, hold, 0
        self.ledger = os.path.join(os.path.dirname(__file__), "ledger.txt")

    async def identity(self):
        self.note("asked who it is")
        return "ACME,Stamp 3,S-17,1.0"

    def note(self, text):
        with open(self.ledger, "a") as file:
            file.write(text + "\\n")

    @AsyncStatus.wrap
    async def set(self, value):
        if value == 91:
            raise Infeasible("no material at x = 91")
        if value == 92:
            raise Refusal(self.name, "is jammed")
        self.note(f"press {value:g}")
        await asyncio.sleep(self.hold)
        if value == 93:
            raise Fault(self.name, "broke down")
        self.note(f"pressed {value:g}")

    @AsyncStatus.wrap
    async def trigger(self):
        self.count += 1

    def read(self):
        return {f"{self.name}_count": {"value": self.count, "timestamp": time.time()}}

    def describe(self):
        return {f"{self.name}_count": {"source": "stamp", "dtype": "integer", "shape": []}}

    def read_configuration(self):
        return {}

    def describe_configuration(self):
        return {}

    async def stop(self, success=True):
        pass

    async def safe_state(self):
        self.note("safe")
'''

PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome


def work(stamp, x, presses=1, points=3, seconds=0.0):
    @bpp.run_decorator()
    def inner():
        for number in range(presses):
            yield from bps.checkpoint()
            yield from bps.mv(stamp, x + number)
        for _ in range(points):
            yield from bps.checkpoint()
            yield from bps.sleep(seconds)
            yield from bps.trigger_and_read([stamp])

    yield from inner()


def analyse(runs):
    return {"z": Outcome(value=1.0, unit="1")}
"""

LAB = """
name: pressing
devices:
  stamp: {driver: "devices.py:Stamp", options: {hold: HOLD}}
  other: {driver: "devices.py:Stamp"}
stations:
  bench: {devices: [stamp]}
  spare: {devices: [other]}
procedures:
  press:
    steps:
      - {name: quick, station: bench, plan: "plans.py:work", on_interrupt: redo}
      - {name: long, station: bench, plan: "plans.py:work", with: {points: 60, seconds: 0.05}}
      - {name: twice, station: bench, plan: "plans.py:work", with: {presses: 2, points: 2}}
      - {name: big, station: bench, plan: "plans.py:work", with: {presses: 0, points: 300}}
    analysis: {name: "plans.py:analyse"}
"""

LOCAL = "tcp://127.0.0.1:0"


def write_lab(folder: Path, hold: float = 0.0) -> Path:
    """Write the lab; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "devices.py").write_text(DEVICES)
    (folder / "plans.py").write_text(PLANS)
    (folder / "lab.yaml").write_text(LAB.replace("HOLD", str(hold)))
    return folder / "lab.yaml"


class Worker:
    """A worker's process, which can be killed and started again at the same address with the same spool."""

    def __init__(self, nursery: Nursery, lab: Path, *more: str, station: str = "bench") -> None:
        self._nursery, self.lab, self.station, self._more = nursery, lab, station, more
        self.spool = lab.parent / f"{station}.spool.db"
        self.address = LOCAL
        self.process: Process = None  # type: ignore[assignment]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes orders."""
        argv = ["worker", self.lab, "--station", self.station, "--listen", self.address, "--json", *self._more]
        self.process = self._nursery.start(*argv, cwd=self.lab.parent)
        self.address = str(wait_until(self._announced, 30, f"the worker is up: {self.process.err}"))

    def _announced(self) -> str:
        if self.process.status is not None:
            raise AssertionError(f"the worker ended with {self.process.status}: {self.process.err}")
        return str(self.process.events[0]["address"]) if self.process.events else ""

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; return the exit status."""
        self.process.signal(number)
        return self.process.wait(30)

    @property
    def ledger(self) -> list[str]:
        """What the instrument itself has recorded, its safe states left out."""
        file = self.lab.parent / "ledger.txt"
        return [line for line in file.read_text().splitlines() if line != "safe"] if file.exists() else []


class Coordinator:
    """A coordinator's end: stations at workers, and a record of all that came from them."""

    def __init__(self, lab: Path, campaign: str = "camp", epoch: int = 1, procedure: str = "press") -> None:
        self.lab: Lab = load_lab(lab)
        self.campaign, self.epoch, self.procedure = campaign, epoch, procedure
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.actions: Mapping[str, ActionState] = {}
        self.lost: list[tuple[float, str]] = []
        self.found: list[float] = []
        self._open: list[RemoteStation] = []

    async def station(
        self, address: str, keys: ClientKeys | None = None, after: int | None = None, name: str = "bench", **more: Any
    ) -> RemoteStation:
        """A station at a worker, open."""
        given = {
            "lab_sha256": self.lab.as_json()["sha256"], "campaign": self.campaign, "epoch": self.epoch,
            "procedure": self.procedure, "lab_file": str(self.lab.file.path), **more,
        }  # fmt: skip
        station = RemoteStation(
            name, address, keys, sink=self._sink, after=self.after if after is None else after,
            on_lost=lambda message: self.lost.append((time.monotonic(), message)),
            on_found=lambda: self.found.append(time.monotonic()), **given,
        )  # fmt: skip
        self._open.append(station)
        await station.open()
        return station

    def _sink(self, kind: str, body: dict[str, Any]) -> None:
        self.entries.append((kind, body))
        if kind.startswith("action."):
            self.actions = apply(self.actions, kind, body, 0)

    @property
    def after(self) -> int:
        """Number of the last entry."""
        return int(self.entries[-1][1]["origin"]["seq"]) if self.entries else 0

    async def run(
        self,
        station: RemoteStation,
        step: str = "quick",
        trial: int = 1,
        attempt: int = 1,
        x: float = 5.0,
        parameters: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[str, ...]:
        """Have a step executed."""
        values = dict(parameters or {"x": x})
        procedure = self.lab.procedure(self.procedure, tuple(values))
        order = StepOrder(
            self.campaign, trial, step, attempt, station.name, self.epoch, None,  # type: ignore[arg-type]
            {name: action for name, action in self.actions.items() if action.trial == trial},
        )  # fmt: skip
        bound = procedure.steps[procedure.index(step)]
        return await station.run_step(bound, values, order, _none, metadata or {"campaign": self.campaign})

    def documents(self, name: str | None = None) -> list[dict[str, Any]]:
        """Bluesky documents that came in, of one name or of all."""
        return [body["doc"] for kind, body in self.entries if kind == "document" and name in (None, body["name"])]

    def kinds(self) -> list[str]:
        """Kinds of what came in, documents left out."""
        return [kind for kind, _ in self.entries if kind != "document"]

    async def close(self) -> None:
        """Close what was opened."""
        for station in self._open:
            await station.close()


def _none(name: str, doc: dict[str, Any]) -> None:
    raise AssertionError("documents of a worker come through the sink")


def check_complete(coordinator: Coordinator, spool: Path) -> None:
    """The coordinator has everything that is in the spool for it: in order, once, word for word."""
    with Store.open(spool, create=False) as store:
        assert store.verify() == []
        spooled = [e for e in store.entries(coordinator.campaign) if e.kind not in OWN_KINDS]
    got = [(kind, {k: v for k, v in body.items() if k != "origin"}) for kind, body in coordinator.entries]
    assert got == [(entry.kind, entry.body) for entry in spooled]
    numbers = [body["origin"]["seq"] for _, body in coordinator.entries]
    assert numbers == sorted(set(numbers))
    assert all(body["origin"]["station"] == "bench" for _, body in coordinator.entries)


def check_run(coordinator: Coordinator, points: int) -> None:
    """One run came in, from start to stop, with all its events in order."""
    assert len(coordinator.documents("start")) == len(coordinator.documents("stop")) == 1
    assert [doc["seq_num"] for doc in coordinator.documents("event")] == list(range(1, points + 1))
    assert coordinator.documents("stop")[0]["exit_status"] == "success"


class Network:
    """A TCP proxy in a thread: passes bytes on, swallows them, or cuts connections, also in the middle of a message."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._swallow = False
        self._left: int | None = None
        self._refuse = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hole(self) -> None:
        """Swallow every byte from now on; connections stay as they are."""
        self._swallow = True

    def after(self, count: int) -> None:
        """Pass so many bytes more towards the coordinator, then swallow: a message is cut in half."""
        self._left = count

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        self._refuse = True
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Pass on again what comes."""
        self._swallow = self._refuse = False
        self._left = None

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = None
            with contextlib.suppress(OSError):
                far = None if self._refuse else socket.create_connection(self._target, 2)
            if far is None:
                near.close()
                continue
            self._pairs.append((near, far))
            for source, sink, down in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._pass, args=(source, sink, down), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if down and self._left is not None:
                    data, self._left = data[: self._left], max(0, self._left - len(data))
                    if not self._left:
                        self._swallow = True
                    sink.sendall(data)
                elif not self._swallow:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for pair in self._pairs:
            for end in pair:
                end.close()


@contextlib.contextmanager
def network(target: str) -> Iterator[Network]:
    """A network to a worker."""
    net = Network(target)
    try:
        yield net
    finally:
        net.close()


async def until(condition: Any, seconds: float, what: str) -> None:
    """Wait in an event loop for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        await asyncio.sleep(0.005)


def lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines of a file; a last one that was cut short is left out."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def pid_of(worker: Worker) -> int:
    """Process id of a worker."""
    os.kill(worker.process.pid, 0)
    return worker.process.pid
