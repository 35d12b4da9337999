"""How well the scheduler fills a lab: makespan of thin-film campaigns on virtual time over the busiest stations' work.

Each figure is one campaign of the example lab (random planner, one seed, so the same trials) on virtual time. The bound
is what the two furnaces, which stand in for each other, had to work in that campaign, shared evenly: no schedule can be
shorter. `--trials N`, `--workers N`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from _machine import machine

LAB = Path(__file__).resolve().parents[1] / "examples" / "thin-film"
MODES = ("one_by_one", "first_come", "lookahead")
IN_FLIGHT = (1, 2, 4, 8, 16)
FURNACES = ("furnace_a", "furnace_b")


def run(mode: str, in_flight: int, trials: int, hours: float | None = None) -> dict[str, float]:
    """One campaign; its makespan, bound and lateness in lab seconds, and what it took to compute."""
    from sdl.campaign import Campaign
    from sdl.campaign.labbook import record
    from sdl.journal import Store, kinds

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sdl.db"
        with Store.open(path) as store:
            for item, amount, unit in (("substrate", 10_000, "1"), ("ink", 10_000, "mL")):
                body = {"item": item, "lot": "B-1", "amount": amount, "unit": unit, "expires": "", "by": "", "note": ""}
                record(store, "thin-film", kinds.STOCK_RECEIVED, body)
        settings = {"planner": "random", "schedule": mode, "in_flight": in_flight, "stop": {}}
        settings |= {} if hours is None else {"budget.hours": hours}
        campaign = Campaign.from_yaml(LAB / "campaign.yaml", store=path, settings=settings, trials=trials)
        wall, cpu = time.perf_counter(), time.process_time()
        campaign.run(virtual=True)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        state = campaign.state
    steps = [step for trial in state.trials.values() for step in trial.steps if step.ended_at is not None]
    begin = min(step.started_at for step in steps)
    waits = [
        (later.started_at - step.ended_at) / 1e9
        for trial in state.trials.values()
        for step, later in zip(trial.steps, trial.steps[1:], strict=False)
        if later.name == "to_furnace" and step.ended_at is not None
    ]
    busy = sum((step.ended_at or 0) - step.started_at for step in steps if step.station in FURNACES) / 1e9
    return {
        "trials": len(state.trials), "lab_hours": state.lab_seconds / 3600, "wall": wall, "cpu": cpu,
        "makespan": (max(step.ended_at or 0 for step in steps) - begin) / 1e9, "bound": busy / len(FURNACES),
        "longest_wait": max(waits), "status": state.status == "ended",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(machine("bluesky", "ophyd-async", "ortools"))
    cases = [(mode, n) for mode in MODES for n in IN_FLIGHT if mode != "one_by_one" or n == 4]
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = {case: pool.submit(run, *case, options.trials) for case in cases}
        found = {case: job.result() for case, job in jobs.items()}
    print(f"\nmakespan over the busiest stations' work, {options.trials} films\n")
    print("| samples in flight | one by one | first come | look-ahead | longest wait coat → furnace (limit 240 s) |")
    print("| --- | --- | --- | --- | --- |")
    for n in IN_FLIGHT:
        row = [found.get((mode, n), found["one_by_one", 4]) for mode in MODES]
        ratios = " | ".join(f"{item['makespan'] / item['bound']:.3f}" for item in row)
        print(f"| {n} | {ratios} | {row[-1]['longest_wait']:.0f} s |")
    alone = run("lookahead", 4, 100_000, hours=72.0)
    print(
        f"\n72 lab hours, four in flight, alone on the machine: {alone['trials']:.0f} films, "
        f"{alone['wall']:.1f} s wall, {alone['cpu']:.1f} s CPU ({alone['lab_hours']:.1f} lab h)"
    )


if __name__ == "__main__":
    main()
