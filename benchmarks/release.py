"""Release of a campaign: wall and CPU seconds for gathering, each export, hashes and signature, audit and validators.

    python benchmarks/release.py [--trials 500] [--store FILE] [--no-validate]

A campaign of the silver-flow example with the random planner is run on virtual time first (about 0.2 s a trial), unless
a store with one is given. The validators are the public ones of `.venv-validators`, where `tools/validators.sh` made
it; each is a process of its own, and its start is in the figure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

from _machine import machine

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--trials", type=int, default=500)
    options.add_argument("--store", type=Path)
    options.add_argument("--no-validate", action="store_true")
    given = options.parse_args()
    print(machine("pyarrow", "h5py", "prov"))
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or campaign(Path(folder), given.trials)
        out = Path(folder) / "release"
        measure(store, out, Path(folder))
        if not given.no_validate and (ROOT / ".venv-validators" / ".installed").exists():
            validators(out)


def campaign(folder: Path, trials: int) -> Path:
    """Run a campaign as a user runs it; returns its store."""
    from support.labs import silver_lab

    file = silver_lab(folder / "lab", trials=trials)
    command = [sys.executable, "-m", "sdl", "run", file.name, "--virtual", "--quiet", "--store", "sdl.db"]
    timed("campaign on virtual time", lambda: subprocess.run(command, cwd=file.parent, check=True))
    return file.parent / "sdl.db"


def timed(name: str, action: Callable[[], T]) -> T:
    """Call and print how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    print(f"{name:32} {time.perf_counter() - wall:7.2f} s wall {time.process_time() - cpu:7.2f} s CPU", flush=True)
    return result


def measure(path: Path, out: Path, folder: Path) -> None:
    """Each export apart, then the release as a whole and its audit."""
    from sdl.campaign.projectfile import load_project
    from sdl.fair._gather import gather_record
    from sdl.fair.exports import EXPORTS, ExportedFile, load_export
    from sdl.fair.release import release, verify_release
    from sdl.fair.signing import make_key
    from sdl.journal import Store

    project = load_project(ROOT / "examples" / "silver-flow" / "project.yaml")
    key = make_key(folder / "signing.pem")
    with Store.open(path, create=False) as store:
        id_ = store.campaigns()[-1].id
        record = timed("gather", lambda: gather_record(store, id_, project))
        print(f"  {len(record.trials)} trials, {len(record.runs)} runs, {record.entries} entries")
        apart = folder / "apart"
        apart.mkdir()
        files: list[ExportedFile] = []
        for name in EXPORTS:
            write = load_export(name)
            arguments = (record, apart, files) if name == "ro_crate" else (record, apart)
            files += timed(f"  {name}", lambda write=write, given=arguments: write(*given))
        done = timed("release", lambda: release(store, id_, out, project=project, day=date(2026, 11, 22), key=key))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"  {len(done.files)} files, {size / 1e6:.1f} MB")
    damage = timed("audit of the release", lambda: verify_release(out))
    assert damage == [], damage


def validators(out: Path) -> None:
    """Every public validator on what it is for."""
    from support.validators import validate

    chosen = {
        "ro_crate": [out],
        "datacite": [out / "datacite.json"],
        "prov": [out / "prov.json"],
        "croissant": [out / "tables" / "croissant.json"],
        "maiml": sorted((out / "maiml").glob("*.maiml")),
        "nexus": sorted((out / "nexus").glob("*.nxs"))[:1],
        "rde": sorted((out / "rde").glob("*.zip"))[:1],
    }
    for name, paths in chosen.items():
        if paths:
            ok, text = timed(f"validator {name} ({len(paths)})", lambda name=name, paths=paths: validate(name, *paths))
            assert ok, text


if __name__ == "__main__":
    main()
