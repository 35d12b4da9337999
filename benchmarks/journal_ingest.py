"""Journal ingest: documents committed one by one, and what a trial's entries cost.

    python benchmarks/journal_ingest.py [--documents N] [--folder DIR]

Wall times depend on the disk and on what else the machine does; CPU times hardly do. The folder should lie on the
kind of disk that stores will lie on.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sdl.journal import GENESIS, Store, canonical, digest, normalise

_TRIAL = 12
_DURABLE = 6
"""Of a trial's entries: proposed, approved, step started, step done, observed, and one more for a second step."""


def document(number: int) -> dict[str, Any]:
    """An event document with six scalars, as the campaign records it: about 500 bytes."""
    keys = [f"detector_{name}" for name in ("peak", "width", "area", "height", "noise", "drift")]
    return {
        "trial": 1 + number // 20,
        "step": "measure",
        "attempt": 1,
        "name": "event",
        "doc": {
            "uid": f"7c5d0f7e-5b0a-4f5e-9d3e-{number:012d}",
            "time": 1.79e9 + number * 0.1,
            "seq_num": number % 20 + 1,
            "descriptor": "f2b2c6b0-6e0a-4c86-8a3c-000000000001",
            "data": {key: 0.1 * number + i / 7 for i, key in enumerate(keys)},
            "timestamps": dict.fromkeys(keys, 1790000000.0 + number * 0.1),
            "filled": {},
        },
    }


def measure(count: int, action: Callable[[int], object]) -> tuple[float, float]:
    """Actions a wall second, and CPU microseconds an action."""
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        action(number)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return count / wall, cpu / count * 1e6


def encoding(table: Table, count: int) -> None:
    """What is done in memory, apart."""
    sample = document(1)
    text = canonical(sample)
    for label, action in (
        ("normalise alone (only on refusals)", lambda _: normalise(sample)),
        ("canonical text", lambda _: canonical(sample)),
        ("hash", lambda n: digest(GENESIS, "campaign", n, 1, "document", text)),
    ):
        row(table, label, *measure(count, action))


def ingest(table: Table, path: Path, count: int) -> None:
    """What goes to the disk."""
    with Store.open(path) as store:
        store.create("bench", "bench")
        with store.writer("bench") as writer:
            for _ in range(100):
                writer.append("document", document(0), durable=False)

            def plain(number: int) -> None:
                writer.append("document", document(number), durable=False)

            def posted(number: int) -> None:
                writer.post("document", document(number))
                if number == count - 1:
                    writer.flush()

            def durable(number: int) -> None:
                writer.append("document", document(number))

            def trial(number: int) -> None:
                for i in range(_TRIAL):
                    if i % (_TRIAL // _DURABLE):
                        writer.append("document", document(number))
                    else:
                        writer.post("document", document(number))

            row(table, "append, committed one by one (NORMAL)", *measure(count, plain))
            row(table, "post, then flush", *measure(count, posted))
            row(table, "append, each on the disk (FULL)", *measure(max(1, count // 20), durable))
            row(
                table,
                f"a trial: {_TRIAL} entries, {_DURABLE} on the disk",
                *measure(max(1, count // 100), trial),
            )
        started = time.process_time()
        assert store.verify() == []
        entries = store.campaigns()[0].seq
        cpu = (time.process_time() - started) / entries
        row(table, "verify", 1 / cpu, cpu * 1e6)


def row(table: Table, label: str, rate: float, cpu: float) -> None:
    """Add a line."""
    table.add_row(label, f"{rate:,.0f}", f"{cpu:,.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    table = Table(title=f"journal ingest: {platform.machine()}, Python {platform.python_version()}")
    for heading in ("what", "per second", "CPU µs each"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    encoding(table, arguments.documents)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        ingest(table, Path(folder) / "bench.db", arguments.documents)
    print_size = len(canonical(document(1)))
    Console().print(table, f"one document: {print_size} bytes of JSON; wanted: at least 2,000 a second one by one")


if __name__ == "__main__":
    main()
