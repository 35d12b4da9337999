"""How long `sdl stop` takes from the shell to the instruments, with and without a planner fit on every core.

The instruments of the silver-flow example run in a process of their own and write down when each command reached them
(`sdl simulate --log`). Each round sets all six going (pumps run, the heater heats, the shutter is open), then starts
`sdl stop` as a process. Measured is the wall time from just before the process is spawned until the safe-state command
has been carried out by the first and by the last of the six instruments, and until the process has ended. The load is
the bayes planner in its worker process, asked for a proposal over and over: one, and one for each core.

    python benchmarks/stop_latency.py --rounds 60
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from _machine import machine
from ruamel.yaml import YAML

from sdl.campaign._planner_process import PlannerProcess
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices, close_devices, connect_devices
from sdl.lab.labfile import load_lab
from sdl.lab.opening import stop_card
from sdl.lab.stopcards import lab_key, release
from sdl.model import Outcome, Problem, Trial, TrialStatus

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "silver-flow"
WANTED = 0.25
"""Seconds: what the 95th percentile may be."""


@contextlib.contextmanager
def instruments(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Simulated instruments that outlive whoever talks to them; a lab file with their addresses, and their log."""
    lab, log = folder / "lab.yaml", folder / "instruments.jsonl"
    for name in ("procedure.py", "target.csv"):
        (folder / name).write_bytes((EXAMPLE / name).read_bytes())
    command = [sys.executable, "-m", "sdl", "simulate", EXAMPLE / "lab.yaml", "--json", "--log", log, "--speed", "1"]
    process = subprocess.Popen([*command, "--until-stdin-ends"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        addresses = json.loads(process.stdout.readline())["addresses"]
        yaml = YAML(typ="safe", pure=True)
        data = yaml.load((EXAMPLE / "lab.yaml").read_text(encoding="utf-8"))
        for name, address in addresses.items():
            data["devices"][name]["address"] = address
        del data["simulation"]
        with lab.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        yield lab, log
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def load(planners: int) -> Iterator[None]:
    """So many planners, each in the worker process that a campaign gives it, that fit without a pause."""
    problem, trials = search()
    workers = [PlannerProcess("bayes", {}, problem) for _ in range(planners)]
    over = threading.Event()

    def keep_busy(worker: PlannerProcess) -> None:
        for seed in range(sys.maxsize):
            if over.is_set():
                return
            worker.ask({"trials": trials, "n": 1, "seed": seed}).result()

    for worker in workers:
        worker.ask({"trials": trials, "n": 1, "seed": 0}).result()
    threads = [threading.Thread(target=keep_busy, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()


def search() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A problem of five dimensions with forty observed trials, as a planner's worker reads them."""
    names = [f"x{index}" for index in range(5)]
    parameters = [{"name": name, "kind": "real", "low": 0, "high": 1, "unit": "1"} for name in names]
    objectives = [{"name": "y", "kind": "minimize", "unit": "1"}]
    problem = Problem.model_validate({"parameters": parameters, "objectives": objectives})
    rng = random.Random(0)
    rows = [[rng.random() for _ in names] for _ in range(40)]
    trials = [
        Trial(
            number=number,
            parameters=dict(zip(names, row, strict=True)),
            status=TrialStatus.OBSERVED,
            outcomes={"y": Outcome(value=sum((x - 0.4) ** 2 for x in row))},
        )
        for number, row in enumerate(rows, 1)
    ]
    return problem.model_dump(mode="json"), [trial.model_dump(mode="json") for trial in trials]


def first_stop(entries: list[dict[str, Any]], name: str, since: int) -> int | None:
    """When the instrument carried out its safe-state command, Unix ns."""
    for entry in entries:
        if entry["instrument"] == name and entry["wall"] >= since:
            what = entry["action"], entry.get("register"), entry.get("value"), entry.get("open")
            if what[0] == "stop" or what[:3] == ("write", "output", 0) or (what[0] == "shutter" and what[3] is False):
                return int(entry["wall"])
    return None


async def set_going(devices: Mapping[str, Any]) -> None:
    """Pumps run, the heater heats, the shutter is open."""
    for name, device in devices.items():
        if name.endswith("_pump"):
            await device.rate.set(40.0)
    await devices["heater"].write_setpoint(70.0)
    await devices["spectrometer"]._link.command("OUTP ON")


async def measure(lab_file: Path, log: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round to the first instrument, to the last, and to the end of the process."""
    lab = load_lab(lab_file)
    (station,) = lab.spec.stations
    devices = build_devices(lab, station, {}, LabClock())
    addresses = {name: str(spec.address) for name, spec in lab.spec.devices.items()}
    found: dict[str, list[float]] = {
        "first instrument": [],
        "last instrument": [],
        "process ended": [],
        "CPU of the process": [],
    }
    with stop_card(lab, devices, addresses):
        await connect_devices(devices)
        for _ in range(rounds):
            await set_going(devices)
            await asyncio.sleep(0.1)
            begun = time.time_ns()
            process = subprocess.Popen([Path(sys.executable).with_name("sdl"), "stop"], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            ended = time.time_ns()
            if process.returncode != 0:
                raise SystemExit(f"sdl stop ended with {process.returncode}")
            release(lab_key(lab_file))
            entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            stops = [first_stop(entries, name, begun) for name in devices]
            if None in stops:
                raise SystemExit(f"not every instrument was told to stop: {dict(zip(devices, stops, strict=True))}")
            at = [stop for stop in stops if stop is not None]
            for column, value in zip(found, (min(at), max(at), ended), strict=False):
                found[column].append((value - begun) / 1e9)
            found["CPU of the process"].append(usage.ru_utime + usage.ru_stime)
        await close_devices(devices)
    return found


def row(label: str, values: list[float]) -> str:
    """Median, 95th percentile (nearest rank) and maximum, ms."""
    ranked = sorted(values)
    p95 = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return f"{label:<34}{1e3 * ranked[len(ranked) // 2]:>8.0f}{1e3 * p95:>8.0f}{1e3 * ranked[-1]:>8.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="presses of each (default 60)")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(machine("torch", "botorch"))
    print(f"{options.rounds} presses each, ms from the spawn of `sdl stop`; wanted: p95 ≤ {1e3 * WANTED:g} ms")
    print(f"{'':<34}{'median':>8}{'p95':>8}{'max':>8}")
    with tempfile.TemporaryDirectory() as folder, instruments(Path(folder)) as (lab, log):
        os.environ["SDL_STATE_DIR"] = str(Path(folder) / "state")
        for label, planners in (("idle", 0), ("a planner fit", 1), (f"{cores} planner fits", cores)):
            with load(planners):
                for column, values in asyncio.run(measure(lab, log, options.rounds)).items():
                    print(row(f"{label}, {column}", values), flush=True)


if __name__ == "__main__":
    main()
