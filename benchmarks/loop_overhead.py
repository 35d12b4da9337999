"""What the loop costs: CPU of a trial over the CPU of the same plan on a bare RunEngine, paired in one run.

    python benchmarks/loop_overhead.py [--trials 100] [--rounds 12]

The procedure takes one point from a soft-signal detector; the planner is `random`. CPU is that of the whole process
(journal, live feed and RunEngine threads included), from the 20th trial to the last, so start-up does not count.
The bare RunEngine is created as a station creates it, runs the same plan on the same detector, and hands its documents
to a callback that does nothing. The two alternate in one process, and the ratio is taken pair by pair, because the
speed of a shared machine drifts by more than the difference; the first pair warms up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from _machine import machine
from bluesky import RunEngine

from sdl import Campaign
from sdl.devices.soft import SoftDetector
from sdl.model import Outcome
from sdl.protocols import quick

WARM = 20

LAB = """
name: soft
devices:
  detector: {driver: soft_detector}
stations:
  bench: {devices: [detector]}
procedures:
  read:
    steps: [{name: read, station: bench, plan: "%s:one_point", on_interrupt: redo}]
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


def one_point(detector: Any, x: float = 0.0) -> Iterator[Any]:
    """One run with one event."""
    yield from bpp.run_wrapper(bps.trigger_and_read([detector]))


@quick
def analyse(runs: Any) -> dict[str, Outcome]:
    """The parameter itself, so that the analysis costs next to nothing."""
    return {"y": Outcome(value=runs[0].start["parameters"]["x"])}


def bare(trials: int) -> float:
    """CPU seconds a run on a bare RunEngine."""
    loop = asyncio.new_event_loop()
    engine = RunEngine({}, loop=loop, context_managers=[], call_returns_result=True)
    detector = SoftDetector("", name="detector")
    asyncio.run_coroutine_threadsafe(detector.connect(), loop).result()
    for _ in range(WARM):
        engine(one_point(detector), lambda name, doc: None)
    begin = time.process_time()
    for _ in range(trials):
        engine(one_point(detector), lambda name, doc: None)
    spent = time.process_time() - begin
    loop.call_soon_threadsafe(loop.stop)
    return spent / trials


def looped(trials: int, folder: Path) -> float:
    """CPU seconds a trial of a campaign."""
    (folder / "lab.yaml").write_text(LAB % (__file__, __file__))
    (folder / "campaign.yaml").write_text(CAMPAIGN % (trials + WARM))
    marks: list[float] = []

    def on_event(entry: Any, state: Any) -> None:
        if entry.kind == "trial.observed":
            marks.append(time.process_time())

    Campaign.from_yaml(folder / "campaign.yaml", store=folder / "sdl.db").run(on_event=on_event)
    return (marks[-1] - marks[WARM - 1]) / trials


def main() -> None:
    """Print each round and the median ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    print(machine("bluesky", "ophyd-async"))
    pairs = []
    for round_ in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append((bare(options.trials), looped(options.trials, Path(folder))))
        run, trial = pairs[-1]
        label = f"round {round_}" if round_ else "warm-up"
        print(
            f"{label}: bare run {1e3 * run:.2f} ms, trial {1e3 * trial:.2f} ms CPU, {trial / run:.2f}",
            flush=True,
        )
    run, trial = (1e3 * statistics.median(column) for column in zip(*pairs[1:], strict=True))
    ratio = statistics.median(trial / run for run, trial in pairs[1:])
    print(f"medians: bare run {run:.2f} ms, trial {trial:.2f} ms CPU; pair by pair {ratio:.2f} (at most 2 wanted)")


if __name__ == "__main__":
    main()
