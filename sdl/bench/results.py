"""Results of a benchmark: gathered, summed up, and written as Parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sdl.bench.search import STARTS, Found
from sdl.bench.statistics import Figure, Overall, PoolSummary, Searches, overall, pool_summary
from sdl.bench.tasks import FunctionTask, PoolTask
from sdl.bench.timing import Timing
from sdl.model import MissingExtra

__all__ = ["FunctionSummary", "Results", "write_parquet"]


@dataclass(frozen=True)
class FunctionSummary:
    """What a planner did with a function."""

    planner: str
    task: str
    seeds: int
    left: Figure
    """Simple regret, or missing hypervolume, after the last evaluation: median, 5th and 95th percentile over seeds."""
    evaluations: int
    cpu: float
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """All searches of a benchmark."""

    planners: tuple[str, ...]
    """Labels, in the order they were given."""
    pools: tuple[PoolTask, ...]
    functions: tuple[FunctionTask, ...]
    found: tuple[Found, ...]
    timings: tuple[Timing, ...] = ()
    at: int = 30
    """Evaluations at which the enhancement factor is taken."""
    against: tuple[str, ...] = ()
    """Planners that the others are compared with."""

    @cached_property
    def by_task(self) -> Mapping[tuple[str, str], Searches]:
        """(Planner, task) → its searches, by seed."""
        groups: dict[tuple[str, str], list[Found]] = {}
        for found in self.found:
            groups.setdefault((found.planner, found.task), []).append(found)
        return {key: sorted(group, key=lambda f: f.seed) for key, group in groups.items()}

    def of(self, planner: str, task: str) -> Searches:
        """Searches of a planner in a task."""
        return self.by_task.get((planner, task), ())

    @cached_property
    def summaries(self) -> tuple[PoolSummary, ...]:
        """One for each planner and pool."""
        return tuple(
            pool_summary(task, self.of(planner, task.name), self._others(task), self.at)
            for task in self.pools
            for planner in self.planners
            if self.of(planner, task.name)
        )

    def _others(self, task: PoolTask) -> dict[str, Searches]:
        return {label: self.of(label, task.name) for label in self.against}

    @cached_property
    def overalls(self) -> tuple[Overall, ...]:
        """One for each planner that searched every pool."""
        complete = [p for p in self.planners if self.pools and all(self.of(p, task.name) for task in self.pools)]
        return tuple(overall(self.pools, {task.name: self.of(p, task.name) for task in self.pools}) for p in complete)

    @cached_property
    def function_summaries(self) -> tuple[FunctionSummary, ...]:
        """One for each planner and function."""
        return tuple(
            _function(self.of(planner, task.name))
            for task in self.functions
            for planner in self.planners
            if self.of(planner, task.name)
        )


def _function(found: Searches) -> FunctionSummary:
    last = [f.best[-1] for f in found if f.best]
    low, middle, high = np.quantile(last, [0.05, 0.5, 0.95]).tolist()
    spent = [seconds for f in found for seconds in f.cpu]
    return FunctionSummary(
        planner=found[0].planner,
        task=found[0].task,
        seeds=len(found),
        left=Figure(middle, low, high),
        evaluations=found[0].cap,
        cpu=float(np.median(spent)) if spent else float("nan"),
        errors=tuple(sorted({f.error for f in found if f.error})),
    )


def write_parquet(results: Results, folder: Path) -> list[Path]:
    """Write `searches.parquet` (one row a search), `evaluations.parquet` (one row an evaluation) and, where proposals
    were timed, `timings.parquet`.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    searches: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    for found in results.found:
        key = {"planner": found.planner, "task": found.task, "seed": found.seed}
        more = {"kind": found.kind, "cap": found.cap, "reached": found.reached, "evaluations": len(found.best)}
        ends = {"fallbacks": found.fallbacks, "mapped": found.mapped, "cpu_s": sum(found.cpu), "error": found.error}
        searches.append(key | more | ends)
        for i, best in enumerate(found.best):
            row = found.rows[i] if found.rows else None
            cpu = found.cpu[i - STARTS] if STARTS <= i < STARTS + len(found.cpu) else None
            evaluations.append(key | {"evaluation": i + 1, "row": row, "best": best, "cpu_s": cpu})
    written = [_write(folder / "searches.parquet", searches), _write(folder / "evaluations.parquet", evaluations)]
    if results.timings:
        rows = [
            {"planner": t.planner, "space": t.space, "observations": t.observations, "repetition": i, "cpu_s": seconds}
            for t in results.timings
            for i, seconds in enumerate(t.seconds)
        ]
        written.append(_write(folder / "timings.parquet", rows))
    return written


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingExtra("sdl bench", "fair") from error
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    parquet.write_table(arrow.Table.from_pylist([dict(row) for row in rows]), part)
    part.replace(path)
    return path
