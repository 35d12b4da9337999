"""CPU to store a run of 20 events of six scalars: sdl's journal against bluesky-tiled-plugins' TiledWriter, paired.

    python benchmarks/tiled_pair.py [--rounds 7] [--runs 10] [--no-server]

A round stores the same runs several times, one way after the other, and its ratios are taken within the round:

- documents: the documents of the runs in the journal, the last with a commit that waits for the disk; CPU of this
  process, all threads, until everything is committed.
- journal: all that a campaign records of such a run: its documents, the step, and two actions with their results, those
  with a commit each that waits for the disk.
- embedded: TiledWriter with an in-memory catalogue and DuckDB for the events, client and server in one process of
  `.venv-validators`; CPU of that process, all threads, while it writes.
- server: TiledWriter in this process, `tiled serve catalog --temp` in another; CPU of both.

Starting up and one run before the first round are left out on all sides, and so is reading back, which checks that
every event has arrived. Needs `.venv-validators` (tools/validators.sh).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from _machine import machine
from store import _EVENTS, _documents, _trial, _uid

from sdl.journal import Store, kinds

Document = tuple[str, dict[str, Any]]
Way = Callable[[list[int]], float]
"""Stores the runs of these trials; returns the CPU seconds that it took."""
ROOT = Path(__file__).parents[1]
_PYTHON = ROOT / ".venv-validators" / "bin" / "python"
_KEY = "secret"
_SECONDS = 120
_OF_RUN = (kinds.STEP_STARTED, kinds.ACTION_DISPATCHED, kinds.ACTION_DONE, kinds.DOCUMENT, kinds.STEP_DONE)
_CAMPAIGN = 1
_NOISE = 0.37
_EMBEDDED = """
import json, sys, tempfile, time
from pathlib import Path
from bluesky_tiled_plugins import TiledWriter
from tiled.catalog import in_memory
from tiled.client import Context, from_context
from tiled.server.app import build_app
with tempfile.TemporaryDirectory() as folder:
    storage = [Path(folder, "data").as_uri(), f"duckdb:///{folder}/events.duckdb"]
    with Context.from_app(build_app(in_memory(writable_storage=storage))) as context:
        client = from_context(context)
        print("ready", flush=True)
        for line in sys.stdin:
            runs = json.loads(line)
            began = time.process_time()
            for documents in runs:
                writer = TiledWriter(client)
                for name, doc in documents:
                    writer(name, doc)
            spent = time.process_time() - began
            counts = [len(client[documents[0][1]["uid"]]["primary"]["seq_num"].read()) for documents in runs]
            print(json.dumps([spent, counts]), flush=True)
"""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--runs", type=int, default=20, help="runs a round")
    options.add_argument("--no-server", action="store_true")
    given = options.parse_args()
    print(machine("bluesky-tiled-plugins", "tiled", "sqlalchemy", "orjson"), f"· load {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        ways: dict[str, Way] = {
            "documents": stack.enter_context(journal((kinds.DOCUMENT, kinds.STEP_DONE))),
            "journal": stack.enter_context(journal(_OF_RUN)),
            "embedded": stack.enter_context(embedded()),
        }
        if not given.no_server:
            ways["server"] = stack.enter_context(served())
        for way in ways.values():
            way([0])
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(given.rounds):
            trials = list(range(number * given.runs + 1, (number + 1) * given.runs + 1))
            for name, way in ways.items():
                spent[name].append(way(trials) / given.runs)
    report(spent)


def report(spent: dict[str, list[float]]) -> None:
    """CPU of a run each way, and the ratios of the rounds."""
    for name, values in spent.items():
        print(f"{name:9} {1e3 * statistics.median(values):8.2f} ms CPU a run ({_spread(values, 1e3)})")
    for tiled in [name for name in spent if name in ("embedded", "server")]:
        for own in ("documents", "journal"):
            ratios = [other / one for one, other in zip(spent[own], spent[tiled], strict=True)]
            print(f"{tiled} / {own}: {statistics.median(ratios):.0f} ({_spread(ratios)})")


def _spread(values: list[float], scale: float = 1.0) -> str:
    return f"{scale * min(values):.2f} to {scale * max(values):.2f} in {len(values)} rounds"


def run_of(trial: int) -> list[Document]:
    """The documents of a run."""
    return list(_documents(_CAMPAIGN, trial, _uid(_CAMPAIGN, trial), _NOISE))


@contextmanager
def journal(recorded: Sequence[str]) -> Iterator[Way]:
    """A store of its own on the disk, and the kinds of entries that it is given."""
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "bench.db") as store:
        store.create("bench", "silver")
        with store.writer("bench") as writer:

            def way(trials: list[int]) -> float:
                entries = [item for trial in trials for item in _trial(_CAMPAIGN, trial) if item[0] in recorded]
                began = time.process_time()
                for kind, body in entries:
                    if kind == kinds.DOCUMENT:
                        writer.post(kind, body)
                    else:
                        writer.append(kind, body)
                writer.flush()
                return time.process_time() - began

            yield way
        documents = [entry.body["name"] for entry in store.entries("bench", kinds={kinds.DOCUMENT})]
        assert documents.count("event") == _EVENTS * documents.count("start"), "events are missing from the journal"


@contextmanager
def embedded() -> Iterator[Way]:
    """Client, server, catalogue and events in one process."""
    process = subprocess.Popen(
        [_PYTHON, "-W", "ignore", "-c", _EMBEDDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "no embedded Tiled: see tools/validators.sh"

        def way(trials: list[int]) -> float:
            print(json.dumps([run_of(trial) for trial in trials]), file=process.stdin, flush=True)
            spent, counts = json.loads(process.stdout.readline())
            assert counts == [_EVENTS] * len(trials), counts
            return float(spent)

        yield way
    finally:
        process.stdin.close()
        process.wait(_SECONDS)
        process.stdout.close()


@contextmanager
def served() -> Iterator[Way]:
    """A server on the loopback interface."""
    from bluesky_tiled_plugins import TiledWriter

    from sdl.fair import tiled

    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        argv = [_PYTHON.with_name("tiled"), "serve", "catalog", "--temp", "--api-key", _KEY, "--port", str(port)]
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=environment
        )
        try:
            _wait_for(port, server)
            with tiled.connect(f"http://127.0.0.1:{port}", _KEY) as client:

                def way(trials: list[int]) -> float:
                    runs = [run_of(trial) for trial in trials]
                    began = time.process_time() + _cpu_of(server.pid)
                    for documents in runs:
                        writer = TiledWriter(client)
                        for name, doc in documents:
                            writer(name, doc)
                    spent = time.process_time() + _cpu_of(server.pid) - began
                    counts = [len(client[run[0][1]["uid"]]["primary"]["seq_num"].read()) for run in runs]
                    assert counts == [_EVENTS] * len(trials), counts
                    return spent

                yield way
        finally:
            server.terminate()
            server.wait(_SECONDS)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    import httpx

    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    sys.exit("no Tiled server: see tools/validators.sh")


def _cpu_of(pid: int) -> float:
    """CPU seconds of another process, all its threads (proc(5): utime and stime, in ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
