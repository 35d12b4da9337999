"""What the loop costs: CPU of a trial over the CPU of the same plan on a bare RunEngine, paired in one run.

    python benchmarks/loop_overhead.py [--trials 100] [--rounds 12] [--points 1 10] [--worker]

The procedure takes points from a soft-signal detector, one event each; the planner is `random`. A run of one point is
the worst case, since what a trial costs beside its run does not grow with the run. CPU is that of the whole process
(journal, live feed and RunEngine threads included), from the 20th trial to the last, so start-up does not count. With
`--worker` the same campaign is run again with its station in an `sdl worker` process over loopback; the CPU is that of
both processes together.

The bare RunEngine is created as a station creates it, runs the same plan on the same detector, and hands its documents
to a callback that does nothing. It keeps the stacks of its plans as Bluesky does (`sdl.lab._planstacks` changes that in
the threads of stations only), so a trial with many events may cost less than its bare run. All take turns, and the
ratio is taken round by round, because the speed of a shared machine drifts by more than the difference; the first round
warms up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from _machine import machine
from bluesky import RunEngine

from sdl import Campaign
from sdl.devices.soft import SoftDetector
from sdl.model import Outcome
from sdl.protocols import quick

WARM = 20
IN_PROCESS, WITH_WORKER = 1.5, 2.0
"""Ratios that are wanted at most."""

LAB = """
name: soft
devices:
  detector: {driver: soft_detector}
stations:
  bench: {devices: [detector]%s}
procedures:
  read:
    steps: [{name: read, station: bench, plan: "%s:some_points", with: {points: %d}, on_interrupt: redo}]
    analysis: {name: "%s:analyse"}
"""
CAMPAIGN = """
name: overhead
lab: lab.yaml
procedure: read
planner: random
budget: {trials: %d}
problem:
  parameters: {x: {kind: real, low: 0, high: 1, unit: "1"}}
  objectives: {y: {kind: minimize, unit: "1"}}
"""


class Cost(NamedTuple):
    """CPU seconds a trial."""

    coordinator: float
    worker: float

    @property
    def both(self) -> float:
        """Of both processes together."""
        return self.coordinator + self.worker


def some_points(detector: Any, x: float = 0.0, points: int = 1) -> Iterator[Any]:
    """One run with `points` events."""

    def inner() -> Iterator[Any]:
        for _ in range(points):
            yield from bps.trigger_and_read([detector])

    yield from bpp.run_wrapper(inner())


@quick
def analyse(runs: Any) -> dict[str, Outcome]:
    """The parameter itself, so that the analysis costs next to nothing."""
    return {"y": Outcome(value=runs[0].start["parameters"]["x"])}


def bare(trials: int, points: int) -> float:
    """CPU seconds a run on a bare RunEngine."""
    loop = asyncio.new_event_loop()
    engine = RunEngine({}, loop=loop, context_managers=[], call_returns_result=True)
    detector = SoftDetector("", name="detector")
    asyncio.run_coroutine_threadsafe(detector.connect(), loop).result()
    for _ in range(WARM):
        engine(some_points(detector, points=points), lambda name, doc: None)
    begin = time.process_time()
    for _ in range(trials):
        engine(some_points(detector, points=points), lambda name, doc: None)
    spent = time.process_time() - begin
    loop.call_soon_threadsafe(loop.stop)
    return spent / trials


def looped(trials: int, folder: Path, points: int = 1, port: int | None = None, worker: int | None = None) -> Cost:
    """CPU of a campaign's trials.

    Args:
        trials: how many are counted.
        folder: for its files.
        points: events of each run.
        port: where the worker of its station listens; None for a station in this process.
        worker: process id of that worker.
    """
    write_lab(folder, points, port)
    (folder / "campaign.yaml").write_text(CAMPAIGN % (trials + WARM))
    marks: list[tuple[float, float]] = []

    def on_event(entry: Any, state: Any) -> None:
        if entry.kind == "trial.observed":
            marks.append((time.process_time(), cpu_of(worker) if worker is not None else 0.0))

    Campaign.from_yaml(folder / "campaign.yaml", store=folder / "sdl.db").run(on_event=on_event)
    if len(marks) != trials + WARM:
        raise SystemExit(f"only {len(marks)} of {trials + WARM} trials gave a result")
    (began, elsewhere), (ended, elsewhere_then) = marks[WARM - 1], marks[-1]
    return Cost((ended - began) / trials, (elsewhere_then - elsewhere) / trials)


def write_lab(folder: Path, points: int, port: int | None) -> None:
    """The lab file; with a port, its station is in a worker."""
    worker = f', worker: "tcp://127.0.0.1:{port}"' if port is not None else ""
    (folder / "lab.yaml").write_text(LAB % (worker, __file__, points, __file__))


def with_worker(trials: int, folder: Path, points: int) -> Cost:
    """The same with the station in an `sdl worker` process, which is started and ended here."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    write_lab(folder, points, port)
    command = [sys.executable, "-m", "sdl", "worker", "lab.yaml", "--station", "bench", "--json"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # it loads the plan from this file
    log = folder / "worker.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            if not process.stdout.readline():  # it says that it is up
                raise SystemExit(f"the worker did not start: {log.read_text()}")
            return looped(trials, folder, points, port, process.pid)
        finally:
            process.terminate()


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used, all its threads together, to 10 ms; Linux: proc(5), `utime` and `stime`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Round(NamedTuple):
    """CPU seconds a run or trial, measured one after another."""

    bare: float
    here: float
    away: Cost | None


def one_round(trials: int, points: int, worker: bool) -> Round:
    """Each variant once."""

    def in_folder(measure: Callable[[Path], Cost]) -> Cost:
        with tempfile.TemporaryDirectory() as folder:
            return measure(Path(folder))

    run = bare(trials, points)
    here = in_folder(lambda folder: looped(trials, folder, points))
    away = in_folder(lambda folder: with_worker(trials, folder, points)) if worker else None
    return Round(run, here.both, away)


def say(label: str, found: Round) -> None:
    """A line about a round."""
    text = f"{label}: bare run {1e3 * found.bare:.2f} ms, trial {1e3 * found.here:.2f} ms CPU"
    text += f" ({found.here / found.bare:.2f})"
    if found.away is not None:
        text += f"; with a worker {1e3 * found.away.both:.2f} ms ({found.away.both / found.bare:.2f})"
        text += f", coordinator alone {1e3 * found.away.coordinator:.2f} ms"
    print(text, flush=True)


def conclude(points: int, rounds: list[Round]) -> list[str]:
    """Print the medians; returns each ratio with what is wanted of it."""

    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    def ratio(what: str, of: Callable[[Round], float], wanted: float) -> str:
        ratios = [of(found) / found.bare for found in rounds]
        low, high = min(ratios), max(ratios)
        return (
            f"{points}-point runs {what} {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}; at most {wanted:g})"
        )

    bare_ms, here_ms = (1e3 * median(x[i] for x in rounds) for i in (0, 1))
    text = f"medians, {points}-point runs: bare run {bare_ms:.2f} ms, trial {here_ms:.2f} ms CPU"
    lines = [ratio("in process", lambda found: found.here, IN_PROCESS)]
    away = [found.away for found in rounds if found.away is not None]
    if away:
        both, alone = 1e3 * median(c.both for c in away), 1e3 * median(c.coordinator for c in away)
        text += f"; with a worker {both:.2f} ms, of which coordinator {alone:.2f} ms"
        lines.append(ratio("with a worker", lambda found: found.away.both if found.away else 0.0, WITH_WORKER))
    print(text)
    return lines


def main() -> None:
    """Print each round, the medians, and each ratio with the bound that is wanted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--points", type=int, nargs="+", default=[1, 10], help="events in a run")
    parser.add_argument("--worker", action="store_true", help="also with the station in a worker's process")
    options = parser.parse_args()
    print(machine("bluesky", "ophyd-async"))
    lines = []
    for points in options.points:
        rounds = []
        for number in range(options.rounds + 1):
            rounds.append(one_round(options.trials, points, options.worker))
            say(f"round {number}" if number else "warm-up", rounds[-1])
        lines += conclude(points, rounds[1:])
    print("CPU over a bare RunEngine, round by round: " + "; ".join(lines))


if __name__ == "__main__":
    main()
