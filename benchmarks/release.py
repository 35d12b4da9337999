"""Release of a campaign, every export, and every file of it validated: wall and CPU seconds, processes included.

    python benchmarks/release.py [--trials 500] [--store FILE] [--no-validate] [--apart] [--nexus N] [--workers N]

A campaign of the silver-flow example with the random planner is run on virtual time first (about 0.2 s a trial), unless
a store with one is given. The validators are the public ones of `.venv-validators`, where `tools/validators.sh` made
it, called as the tests call them; each is a process of its own, and its start is in the figure. As many of them run at
once as there are cores (`--workers`; with 1, the CPU seconds of each are its own). NeXus files come last, as pynxtools
takes longer for each of them than sdl for a whole trial: the sum is told before and after them. `--apart` times each
export by itself as well.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TypeVar

from _machine import machine

T = TypeVar("T")
Check = Callable[[], tuple[bool, str]]
ROOT = Path(__file__).parents[1]
_NEXUS_AT_ONCE = 50
_NEXUS = """
import sys
from pynxtools.dataconverter.cli import validate
for path in sys.argv[1:]:
    validate.main([path], standalone_mode=False)
"""
_DOCUMENTS = """
import sys
from pathlib import Path
from event_model import DocumentNames, schema_validators
from sdl.fair.exports.documents import read
count = 0
for count, (name, doc) in enumerate(read(Path(sys.argv[1])), 1):
    schema_validators[DocumentNames[name]].validate(doc)
print(count, "documents")
"""
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--trials", type=int, default=500)
    options.add_argument("--store", type=Path)
    options.add_argument("--no-validate", action="store_true")
    options.add_argument("--apart", action="store_true")
    options.add_argument("--nexus", type=int, default=0, help="validate so many NeXus files, evenly spread; 0 is all")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    print(machine("pyarrow", "h5py", "prov"))
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or campaign(Path(folder), given.trials)
        out = Path(folder) / "release"
        if given.apart:
            apart(store, Path(folder))
        began = Clock()
        write(store, out, Path(folder))
        if not given.no_validate:
            validators(out, given.workers, given.nexus, began)


def campaign(folder: Path, trials: int) -> Path:
    """Run a campaign as a user runs it; returns its store."""
    from support.labs import silver_lab

    file = silver_lab(folder / "lab", trials=trials)
    command = [sys.executable, "-m", "sdl", "run", file.name, "--virtual", "--quiet", "--store", "sdl.db"]
    timed("campaign on virtual time", lambda: subprocess.run(command, cwd=file.parent, check=True))
    return file.parent / "sdl.db"


class Clock:
    """Wall and CPU seconds since it was made: of this process, and of the processes that it has waited for."""

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)

    def __str__(self) -> str:
        wall, cpu = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return f"{wall:7.2f} s wall {cpu:7.2f} s CPU"


def timed(name: str, action: Callable[[], T]) -> T:
    """Call and print how long it took."""
    clock = Clock()
    result = action()
    print(f"{name:32} {clock}", flush=True)
    return result


def apart(path: Path, folder: Path) -> None:
    """Each export by itself, in this process."""
    from sdl.fair._gather import gather_record
    from sdl.fair.exports import EXPORTS, ExportedFile, load_export
    from sdl.journal import Store

    with Store.open(path, create=False) as store:
        record = timed("gather", lambda: gather_record(store, store.campaigns()[-1].id, project()))
        print(f"  {len(record.trials)} trials, {len(record.runs)} runs, {record.entries} entries")
        files: list[ExportedFile] = []
        (folder / "apart").mkdir()
        for name in EXPORTS:
            export = load_export(name)
            given = (record, folder / "apart", *([files] if name == "ro_crate" else []))
            files += timed(f"  {name}", lambda export=export, given=given: export(*given))


def project():
    """Who answers for the data."""
    from sdl.campaign.projectfile import load_project

    return load_project(ROOT / "examples" / "silver-flow" / "project.yaml")


def write(path: Path, out: Path, folder: Path) -> None:
    """The release as `sdl release` writes it, and its audit."""
    from sdl.fair.release import release, verify_release
    from sdl.fair.signing import make_key
    from sdl.journal import Store

    key = make_key(folder / "signing.pem")
    with Store.open(path, create=False) as store:
        id_ = store.campaigns()[-1].id
        done = timed("release", lambda: release(store, id_, out, project=project(), day=date(2026, 11, 22), key=key))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"  {len(done.files)} files, {size / 1e6:.1f} MB")
    damage = timed("audit of the release", lambda: verify_release(out))
    assert damage == [], damage


def validators(out: Path, workers: int, nexus: int, began: Clock) -> None:
    """Every file that is held to a standard, by the validator of that standard; the longest first."""
    for checks, what in (
        (dict(_checks(out)), "all but NeXus"),
        (dict(_nexus_checks(out, nexus)), "all" if nexus == 0 else f"{nexus} NeXus too"),
    ):
        with ThreadPoolExecutor(workers) as pool:
            for name, (ok, text) in zip(checks, pool.map(_timed_check, checks.items()), strict=True):
                assert ok, f"{name}: {text[-3000:]}"
        print(f"written, audited, validated: {what:16} {began}", flush=True)


def _timed_check(item: tuple[str, Check]) -> tuple[bool, str]:
    return timed(f"  validator {item[0]}", item[1])


def _checks(out: Path) -> Iterator[tuple[str, Check]]:
    from support import validators as public

    public._SECONDS = 3600  # a machine may be slow; the figure says how slow
    maiml = sorted((out / "maiml").glob("*.maiml"))
    half = len(maiml) // 2
    for name, key, paths in (
        ("ro_crate", "ro_crate", [out]),
        ("croissant", "croissant", [out / "tables" / "croissant.json"]),
        *((f"rde {path.name}", "rde", [path]) for path in sorted((out / "rde").glob("*.zip"))),
        (f"maiml ({half})", "maiml", maiml[:half]),
        (f"maiml (further {len(maiml) - half})", "maiml", maiml[half:]),
        ("prov", "prov", [out / "prov.json"]),
        ("datacite", "datacite", [out / "datacite.json"]),
    ):
        if paths:
            yield name, lambda key=key, paths=paths: public.validate(key, *paths)
    path = str(out / "documents" / "documents.jsonl")
    yield "documents (event-model)", lambda: _run([sys.executable, "-c", _DOCUMENTS, path])
    yield "cao and jpcoar (own rules)", lambda: _own_rules(out)


def _nexus_checks(out: Path, count: int) -> Iterator[tuple[str, Check]]:
    from support.validators import command

    files = [str(path) for path in sorted((out / "nexus").glob("*.nxs"))]
    if 0 < count < len(files):
        files = files[:: len(files) // count][:count]
    for first in range(0, len(files), _NEXUS_AT_ONCE):
        part = files[first : first + _NEXUS_AT_ONCE]
        yield f"nexus ({first + 1} to {first + len(part)})", lambda part=part: _nexus(str(command("python")), part)


def _nexus(python: str, files: list[str]) -> tuple[bool, str]:
    """pynxtools says what it finds in its text; every file has to be named as valid, and none as not."""
    ok, text = _run([python, "-c", _NEXUS, *files])
    named = all(f"in file `{file}` is valid according to" in text for file in files)
    return ok and named and "NOT valid" not in text, text


def _own_rules(out: Path) -> tuple[bool, str]:
    import json

    from sdl.fair.exports import cao, jpcoar

    found = cao.faults(json.loads((out / "metadata" / "cao-common-metadata.json").read_text(encoding="utf-8")))
    wrong = jpcoar.faults((out / "metadata" / "jpcoar.xml").read_bytes())
    for line in found:  # what the project does not state, which a release may lack and a registration not
        print(f"  cao: {line}")
    return not wrong, "\n".join(wrong)


def _run(command: list[str]) -> tuple[bool, str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    main()
