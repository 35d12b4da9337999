"""A large store: how long it takes to open it, to look things up, to fold a campaign and to verify everything.

    python benchmarks/store.py [--events 1000000] [--folder DIR] [--store URL] [--keep]

Makes a store of campaigns of 500 trials, each with one run of 20 events of six scalars, and all that a campaign records
around them: proposals, approvals, steps, two actions on devices, descriptors, outcomes. Times are the medians of
several calls, in a process that has used the store before, so that the file is in the memory of the system.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from _machine import machine
from rich.console import Console
from rich.table import Table

from sdl.journal import Store, kinds
from sdl.journal._tables import trial_values

_TRIALS = 500
_EVENTS = 20
_KEYS = ("pump_a-flow", "pump_b-flow", "bath-temperature", "cell-pressure", "spectrometer-peak", "spectrometer-match")

_SPEC: dict[str, Any] = {
    "name": "silver", "lab": "lab.yaml", "procedure": "make", "budget": {"trials": _TRIALS},
    "problem": {
        "parameters": [
            {"kind": "real", "name": name, "low": 0, "high": 200, "unit": "uL/min"}
            for name in ("silver_seed", "nitrate", "citrate", "borohydride", "water")
        ],
        "objectives": [{"kind": "maximize", "name": "spectrum_match", "unit": "1"}],
    },
}  # fmt: skip

Item = tuple[str, dict[str, Any]]


def _uid(*numbers: int) -> str:
    """A text as long and as random as a real uid, the same each time."""
    state = 88172645463325252
    for number in numbers:
        state = (state ^ number) * 0x9E3779B97F4A7C15 % 2**128
    return str(UUID(int=state ^ state >> 61))


def _campaign(number: int) -> Iterator[Item]:
    """All entries of a campaign."""
    yield kinds.CAMPAIGN_CREATED, {"spec": _SPEC, "lab": {}, "inputs": {}, "procedure": {"name": "make"}}
    yield kinds.SESSION_OPENED, {"holder": "bench", "epoch": 1, "versions": {}, "lab_speed": 1.0}
    for trial in range(1, _TRIALS + 1):
        yield from _trial(number, trial)
    yield kinds.CAMPAIGN_ENDED, {"rule": "trials", "message": f"its budget of {_TRIALS} trials is used up"}
    yield kinds.SESSION_CLOSED, {"lab_seconds": 3600.0}


def _trial(campaign: int, trial: int) -> Iterator[Item]:
    noise = (campaign * 7919 + trial * 104729) % 9973 / 9973
    parameters = {p["name"]: 200 * (noise * (i + 3) % 1) for i, p in enumerate(_SPEC["problem"]["parameters"])}
    reason = {
        "summary": f"expected improvement 0.{trial:03} at 0.71 ± 0.05", "acquisition": noise / 7,
        "predicted": {"spectrum_match": {"mean": noise, "sem": 0.05}}, "details": {"model": "matern52", "seed": trial},
    }  # fmt: skip
    planner = {"name": "bayes", "version": "0.3.0", "options": {}}
    step = {"trial": trial, "step": "react", "attempt": 1}
    run = _uid(campaign, trial)
    yield kinds.TRIAL_PROPOSED, {
        "trial": trial, "parameters": parameters, "reason": reason, "planner": planner, "seed": trial * 7919,
        "known_seq": trial * 33,
    }  # fmt: skip
    yield kinds.TRIAL_APPROVED, {"trial": trial, "by": "policy"}
    yield kinds.STEP_STARTED, {**step, "station": "bench", "plan": "react", "arguments": parameters}
    for device in ("pump_a", "pump_b"):
        action = {"trial": trial, "action": f"silver/{trial}/react/{device}"}
        yield kinds.ACTION_DISPATCHED, {
            **action, "step": "react", "attempt": 1, "try": 1, "station": "bench", "device": device, "path": "dispense",
            "verb": "trigger", "arguments": {"args": [100.0], "kwargs": {}}, "effect": "non_repeatable",
            "arms": False, "continues": False, "epoch": 1,
        }  # fmt: skip
        yield kinds.ACTION_DONE, {**action, "evidence": {}}
    for name, doc in _documents(campaign, trial, run, noise):
        yield kinds.DOCUMENT, {**step, "name": name, "doc": doc}
    yield kinds.STEP_DONE, {**step, "runs": [run]}
    yield kinds.TRIAL_OBSERVED, {
        "trial": trial, "outcomes": {"spectrum_match": {"value": noise, "sem": 0.01, "unit": "1"}},
        "analysis": {"name": "match", "version": "0.3.0", "options": {}}, "runs": [run], "lab_seconds": 7.0 * trial,
    }  # fmt: skip


def _documents(campaign: int, trial: int, run: str, noise: float) -> Iterator[Item]:
    at = 1.79e9 + campaign * 4000 + trial * 7
    descriptor = _uid(campaign, trial, 1)
    yield "start", {
        "uid": run, "time": at, "plan_name": "react", "plan_type": "generator", "scan_id": trial, "detectors": ["cell"],
        "versions": {"bluesky": "1.15.1", "ophyd_async": "0.21.3"}, "trial": trial, "step": "react",
    }  # fmt: skip
    key = {"dtype": "number", "shape": [], "source": "sim://", "units": "uL/min", "dtype_numpy": "<f8", "precision": 3}
    yield "descriptor", {
        "uid": descriptor, "run_start": run, "time": at, "name": "primary", "data_keys": dict.fromkeys(_KEYS, key),
        "configuration": {}, "object_keys": {"cell": list(_KEYS)}, "hints": {},
    }  # fmt: skip
    for seq in range(1, _EVENTS + 1):
        now = at + seq * 0.3019
        yield "event", {
            "uid": _uid(campaign, trial, seq, 2), "time": now, "seq_num": seq, "descriptor": descriptor,
            "data": {name: noise * (i + 1) + seq / 7 for i, name in enumerate(_KEYS)},
            "timestamps": dict.fromkeys(_KEYS, now), "filled": {},
        }  # fmt: skip
    stop = {"uid": _uid(campaign, trial, 3), "run_start": run, "time": at + 7, "exit_status": "success", "reason": ""}
    yield "stop", {**stop, "num_events": {"primary": _EVENTS}}


def fill(location: str | Path, events: int) -> None:
    """Make the store."""
    with Store.open(location) as store:
        for number in range(max(1, round(events / _TRIALS / _EVENTS))):
            campaign = f"2026{number:04}"
            store.create(campaign, f"silver-{number}")
            with store.writer(campaign, syncs=False) as writer:
                for kind, body in _campaign(number):
                    writer.post(kind, body)


def _cpu() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(
        getattr(resource.getrusage(who), name)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for name in ("ru_utime", "ru_stime")
    )


def _timed(count: int, action: Callable[[], object]) -> str:
    """Wall time and CPU time of a call, medians of several."""
    walls, cpus = [], []
    for _ in range(count):
        begun, cpu = time.perf_counter(), _cpu()
        action()
        walls.append(time.perf_counter() - begun)
        cpus.append(_cpu() - cpu)
    return f"{statistics.median(walls) * 1000:,.1f} ms ({statistics.median(cpus) * 1000:,.1f} ms CPU)"


def _three_conditions(store: Store) -> int:
    """Trials with two parameters and an outcome in some range, over all campaigns: an index search for each."""
    one, two, three = trial_values.alias(), trial_values.alias(), trial_values.alias()
    query = (
        sa.select(one.c.campaign, one.c.trial, one.c.value)
        .join(two, sa.and_(two.c.campaign == one.c.campaign, two.c.trial == one.c.trial))
        .join(three, sa.and_(three.c.campaign == one.c.campaign, three.c.trial == one.c.trial))
        .where(one.c.role == "outcome", one.c.name == "spectrum_match", one.c.value > 0.9)
        .where(two.c.role == "parameter", two.c.name == "silver_seed", two.c.value > 12.0)
        .where(three.c.role == "parameter", three.c.name == "nitrate", three.c.value < 190.0)
    )
    with store._read() as connection:
        return len(connection.execute(query).all())


def measure(location: str | Path, table: Table) -> None:
    """Add a line for each number."""
    with Store.open(location) as store:
        heads = store.campaigns()
        entries = sum(head.seq for head in heads)
        events = len(heads) * _TRIALS * _EVENTS
        with store._read() as connection:
            bare = store.database.size(connection)
        table.add_row("entries; events", "", f"{entries:,}; {events:,}")
        table.add_row("bytes an event, journal", "900", f"{bare / events:,.0f}")
        begun = time.perf_counter()
        store.sync_views()
        table.add_row("derive all tables", "–", f"{time.perf_counter() - begun:,.1f} s")
        with store._read() as connection:
            table.add_row(
                "bytes an event, with derived tables", "–", f"{store.database.size(connection) / events:,.0f}"
            )
        table.add_row("bring the tables up to date, nothing new", "–", _timed(20, store.sync_views))
        middle = heads[len(heads) // 2].id
        table.add_row("keyed look-up of an entry", "1 ms", _timed(200, lambda: store.entry(middle, 7000)))
        found = _three_conditions(store)
        what = f"three conditions ({found:,} of {len(heads) * _TRIALS:,} trials)"
        table.add_row(what, "20 ms", _timed(20, lambda: _three_conditions(store)))
        what = f"fold of a campaign of {_TRIALS} trials ({heads[0].seq:,} entries)"
        table.add_row(what, "200 ms", _timed(7, lambda: store.state(middle)))
        begun, cpu = time.perf_counter(), _cpu()
        damage = store.verify()
        wall, cpu = time.perf_counter() - begun, _cpu() - cpu
        assert damage == [], damage[:3]
        rates = f"{entries / wall:,.0f} entries/s; {cpu / entries * 1e6:.1f} µs CPU an entry, by several processes"
        table.add_row("verify", "200,000 entries/s", rates)

    def opened() -> None:
        Store.open(location).close()

    table.add_row("open and close", "50 ms", _timed(20, opened))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the store is made, and removed again")
    parser.add_argument("--store", default="", help="a store that is there, or a PostgreSQL database to fill")
    arguments = parser.parse_args()
    table = Table(title=f"a store of {arguments.events:,} events")
    for heading in ("what", "wanted, at most", "measured"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        location = arguments.store or Path(folder) / "bench.db"
        if not Store.there(location):
            begun = time.perf_counter()
            fill(location, arguments.events)
            table.add_row("make it", "–", f"{time.perf_counter() - begun:,.0f} s")
        measure(location, table)
    Console().print(table, machine("sqlalchemy", "psycopg", "orjson"))


if __name__ == "__main__":
    main()
