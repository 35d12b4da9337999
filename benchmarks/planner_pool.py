"""How many evaluations planners need to find a top-1 % row of a measured pool.

Convention (Liang et al., npj Comput. Mater. 7, 188, 2021): two random initial rows, batch size 1, the planner picks
among the rows that were not measured. Counted are all evaluations, the first two included, until a row is measured
that belongs to the best 1 % of the pool (rounded to the nearest whole number of rows, at least one; ties count). Random
search needs no simulation: with k such rows among N, the chance that m draws miss them all is C(N-k, m) / C(N, m). AF
is the median of random search over that of the planner.

    python benchmarks/planner_pool.py --data ../shared/data --datasets crossed_barrel --seeds 20
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import comb
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine

from sdl import plugins
from sdl.model import Outcome, Pool, Problem, Trial, TrialStatus


@dataclass(frozen=True)
class Dataset:
    """A table and what is sought in it."""

    objective: str
    """Column of the outcome."""
    kind: str
    """`maximize` or `minimize`."""


DATASETS = {
    "crossed_barrel": Dataset("toughness", "maximize"),
    "agnp": Dataset("loss", "minimize"),
    "oer_plate_3496": Dataset("overpotential", "minimize"),
    "photo_wf3": Dataset("degradation", "minimize"),
    "direct_arylation": Dataset("yield", "maximize"),
}


def load(folder: Path, name: str) -> tuple[Problem, list[float]]:
    """The problem of a data set, with its pool, and the outcome of each row."""
    dataset = DATASETS[name]
    with (folder / name / "pool.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    inputs = [column for column in rows[0] if column != dataset.objective]
    names = {column: f"x{index + 1}" for index, column in enumerate(inputs)}
    columns = {names[column]: _column([row[column] for row in rows]) for column in inputs}
    problem = Problem(
        parameters=[_parameter(name, values) for name, values in columns.items()],  # type: ignore[arg-type]
        objectives=[{"name": "outcome", "kind": dataset.kind, "unit": "1"}],  # type: ignore[arg-type,list-item]
        pool=Pool(columns=columns),
    )
    return problem, [float(row[dataset.objective]) for row in rows]


def _column(texts: list[str]) -> tuple[Any, ...]:
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        return tuple(texts)


def _parameter(name: str, values: tuple[Any, ...]) -> dict[str, Any]:
    if isinstance(values[0], str):
        return {"name": name, "kind": "categorical", "levels": sorted(set(values))}
    return {"name": name, "kind": "real", "low": min(values), "high": max(values), "unit": "1"}


def good_rows(problem: Problem, outcomes: Sequence[float]) -> set[int]:
    """Indices of the best 1 % of the rows, ties included."""
    score = [problem.objectives[0].score(value) for value in outcomes]
    threshold = sorted(score, reverse=True)[max(1, round(0.01 * len(score))) - 1]
    return {index for index, value in enumerate(score) if value >= threshold}


def random_median(rows: int, good: int) -> int:
    """Least m for which random search without replacement has found one of `good` rows among `rows` with chance ≥ ½."""
    return next(m for m in range(1, rows + 1) if 2 * comb(rows - m, good) <= comb(rows, good))


def evaluations(folder: str, name: str, planner: str, seed: int, limit: int) -> tuple[int, int, float]:
    """One search: evaluations until a good row (`limit` + 1 when there was none), proposals, their CPU seconds."""
    problem, outcomes = load(Path(folder), name)
    good = good_rows(problem, outcomes)
    pool = problem.pool
    assert pool is not None
    index = {tuple(problem.check(pool.row(i)).values()): i for i in range(len(pool))}
    chosen = plugins.load("sdl.planners", planner)(**({"seed": seed} if planner == "sobol" else {}))
    rng = np.random.default_rng(seed)
    order = [int(i) for i in rng.choice(len(pool), 2, replace=False)]
    trials: list[Trial] = []
    spent, asked = 0.0, 0
    for number in range(1, limit + 1):
        if number > len(order):
            started = time.process_time()
            proposal = chosen.propose(problem, trials, 1, int(rng.integers(2**63)))[0]
            spent, asked = spent + time.process_time() - started, asked + 1
            order.append(index[tuple(proposal.parameters.values())])
        row = order[-1] if number > 2 else order[number - 1]
        if row in good:
            return number, asked, spent
        outcome = {"outcome": Outcome(value=outcomes[row])}
        values = problem.check(pool.row(row))
        trials.append(Trial(number=number, parameters=values, status=TrialStatus.OBSERVED, outcomes=outcome))
    return limit + 1, asked, spent


def report(folder: Path, name: str, planner: str, found: list[tuple[int, int, float]], limit: int) -> str:
    """One line of the table."""
    problem, outcomes = load(folder, name)
    draws = random_median(len(outcomes), len(good_rows(problem, outcomes)))
    counts = np.array([count for count, _, _ in found])
    asked, spent = sum(a for _, a, _ in found), sum(s for _, _, s in found)
    median = float(np.median(counts))
    low, high = np.percentile(counts, [5, 95])
    missed = int((counts > limit).sum())
    return (
        f"{name:<18}{planner:<10}{median:>7.1f}   {low:>5.1f} … {high:<6.1f}{draws:>7}{draws / median:>7.1f}"
        f"{missed:>8}{1e3 * spent / max(asked, 1):>12.0f}"
    )


def main() -> None:
    """Run the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each, seeds 0 … N-1 (default 20)")
    parser.add_argument("--planner", nargs="+", default=["bayes"], help="registered names (default bayes)")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each (default 1)")
    parser.add_argument("--max-evaluations", type=int, default=80, help="give up a search after so many (default 80)")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    print(machine("numpy", "scipy", "torch", "botorch"))
    print(
        f"{options.seeds} seeds, at most {options.max_evaluations} evaluations; medians with the 5th … 95th percentile"
    )
    heads = f"{'data set':<18}{'planner':<10}{'median':>7}   {'90 % interval':<14}{'random':>7}{'AF':>7}{'missed':>8}"
    print(heads + f"{'CPU ms/step':>12}")
    limit = options.max_evaluations
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as executor:
        for name in options.datasets:
            for planner in options.planner:
                seeds = range(options.seeds)
                searches = [
                    executor.submit(evaluations, str(options.data), name, planner, seed, limit) for seed in seeds
                ]
                found = [search.result() for search in searches]
                print(report(options.data, name, planner, found, limit), flush=True)


if __name__ == "__main__":
    main()
