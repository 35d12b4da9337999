"""Seconds, CPU and bytes per event of each export, for campaigns of 500 trials that are made in memory.

    python benchmarks/exports.py [--trials 500] [--only tables,nexus]

Two campaigns: one of scalars (a run of 20 events x 6 numbers a trial) and one of spectra (a run of 3 spectra of 512
points). Numbers are noise in their last digits, as instruments give them, so that nothing is compressed away.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from _machine import machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
NAMES = ("tables", "documents", "nexus", "maiml", "rde", "cao", "jpcoar")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--trials", type=int, default=500)
    options.add_argument("--only", default=",".join(NAMES))
    given = options.parse_args()
    print(machine("pyarrow", "h5py", "numpy"))
    for kind in ("scalars", "spectra"):
        record = campaign(kind, given.trials)
        events = sum(len(run.record.events) for run in record.runs.values())
        print(f"{kind}: {len(record.trials)} trials, {len(record.runs)} runs, {events} events")
        for name in given.only.split(","):
            measure(name, record, events)


def campaign(kind: str, trials: int):
    """A record of as many trials as asked for."""
    from support.released import made_record, run_of

    noise = random.Random(1)
    keys = {f"det-{letter}": {"dtype": "number", "shape": [], "units": "V"} for letter in "abcdef"}
    array = {"spec-spectrum": {"dtype": "array", "shape": [512], "units": "1"}}
    wavelengths = {"value": [300 + i for i in range(512)], "dtype": "array", "shape": [512], "units": "nm"}
    record = made_record()
    runs, told = {}, []
    for number in range(1, trials + 1):
        uid = f"run-{noise.getrandbits(64):016x}"
        if kind == "scalars":
            rows = [{key: noise.gauss(1, 0.1) for key in keys} for _ in range(20)]
            runs[uid] = run_of(uid, rows, keys, trial=number)
        else:
            rows = [{"spec-spectrum": [noise.gauss(1, 0.1) for _ in range(512)]} for _ in range(3)]
            runs[uid] = run_of(uid, rows, array, trial=number, configuration={"spec-wavelength": wavelengths})
        told.append(replace(record.trials[0], number=number, runs=(uid,), samples=()))
    return replace(record, trials=tuple(told), runs=runs)


def measure(name: str, record, events: int) -> None:
    """One export into an empty folder."""
    from sdl.fair.exports import load_export

    write = load_export(name)
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        files = write(record, Path(folder))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        sizes = {file.path: (Path(folder) / file.path).stat().st_size for file in files}
    each = sum(sizes.values()) / events
    line = f"  {name:10} {wall:7.2f} s wall {cpu:7.2f} s CPU {len(files):5} files {each:9.1f} bytes/event"
    readings = sizes.get("tables/readings.parquet")
    print(line + (f", readings.parquet {readings / events:.1f}" if readings else ""), flush=True)


if __name__ == "__main__":
    main()
