"""The figures of many runs."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.harness import missed

__all__ = ["Row", "print_table", "summary"]

_KINDS = ("lost", "repeated", "history", "ledger")


@dataclass
class Row:
    """Runs of one sort."""

    name: str
    results: list[dict[str, Any]]
    """As `Result.as_json` has them."""
    points: list[str] = field(default_factory=list)
    """Names of the points that an undisturbed process reaches, where each was to be tried."""

    @property
    def missed(self) -> list[str]:
        """Points at which none has died."""
        return missed(self.points, {name for r in self.results for name in (*r["died"], *r["worker_died"])})

    def figures(self) -> dict[str, Any]:
        """The row of the table."""
        results = self.results
        kills = sum(len(r["run"]) + len(r["worker"] or ()) for r in results)
        died = sum(len(r["died"]) + len(r["worker_died"]) for r in results)
        wrong = Counter(kind for r in results for kind in {v.partition(":")[0] for v in r["violations"]})
        seconds = sorted(r["seconds"] for r in results)
        return {
            "fault points": len(self.points) or None,
            "of these never died at": len(self.missed) if self.points else None,
            "runs": len(results),
            "kills": died,
            "kills not reached": kills - died,
            "sessions": sum(r["sessions"] for r in results),
            "settled by instruments": sum(r["receipts"] for r in results),
            "asked a person": sum(len(r["asked"]) for r in results),
            "lost": wrong["lost"],
            "repeated": wrong["repeated"],
            "histories differing": wrong["history"],
            "ledgers unequal": wrong["ledger"],
            "other violations": sum(n for kind, n in wrong.items() if kind not in _KINDS),
            "median s": round(seconds[len(seconds) // 2], 2) if seconds else None,
        }


def summary(rows: Sequence[Row], seed: int, seconds: float) -> dict[str, Any]:
    """All there is to tell, as JSON."""

    def of(row: Row, what: str) -> list[dict[str, Any]]:
        names = ("run", "worker", "died", "worker_died")
        return [{**{n: r[n] for n in names}, "what": text} for r in row.results for text in r[what]]

    return {
        "rows": {row.name: row.figures() for row in rows},
        "violations": [found for row in rows for found in of(row, "violations")],
        "asked": [found for row in rows for found in of(row, "asked")],
        "seed": seed,
        "seconds": round(seconds, 1),
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
    }


def print_table(told: dict[str, Any]) -> None:
    """The figures for people."""
    rows = told["rows"]
    keys = list(next(iter(rows.values())))
    left = max(map(len, keys))
    print(f"\n{'':<{left}}" + "".join(f"  {name:>10}" for name in rows))
    for key in keys:
        cells = [(name, "–" if row[key] is None else str(row[key])) for name, row in rows.items()]
        print(f"{key:<{left}}" + "".join(f"  {text:>{max(len(name), 10)}}" for name, text in cells))
    print(f"{len(told['violations'])} violations; {told['seconds']:g} s")
