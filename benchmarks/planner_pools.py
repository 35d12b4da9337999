"""A quick look at `bayes` on the six measured pools: one process, many seeds, a bootstrap interval over all.

The pool convention of Liang et al. (npj Comput. Mater. 7, 188, 2021): two random rows, then one at a time, until a row
of the best 1 % is measured. Random search is computed exactly. For comparisons with other planners use
`sdl bench planners`; this script needs no set-up and takes about a minute for 20 seeds.

    python benchmarks/planner_pools.py --data ../shared/data --seeds 20
"""

from __future__ import annotations

import argparse
import csv
import time
from math import comb
from pathlib import Path

import numpy as np
from _machine import machine

from sdl.model import Outcome, Pool, Problem, Scalar, Trial, TrialStatus
from sdl.planners.bayes import BayesPlanner

OUTCOMES = {
    "crossed_barrel": ("maximize", ("toughness",)),
    "agnp": ("minimize", ("loss",)),
    "oer_plate_3496": ("minimize", ("overpotential",)),
    "photo_wf3": ("minimize", ("degradation",)),
    "direct_arylation": ("maximize", ("yield",)),
    "lnp3": ("maximize", ("drug_loading", "encap_efficiency", "particle_diameter")),
}
"""Direction of the first outcome, and the columns that are outcomes."""


def load(folder: Path, name: str) -> tuple[Problem, np.ndarray, np.ndarray]:
    """The problem, the outcome of each row, and which rows are good."""
    kind, outcomes = OUTCOMES[name]
    with (folder / name / "pool.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    columns: dict[str, tuple[Scalar, ...]] = {}
    parameters = {}
    for key in (key for key in table[0] if key not in outcomes):
        short = f"x{len(columns) + 1}"
        try:
            values: tuple[Scalar, ...] = tuple(float(row[key]) for row in table)
            parameters[short] = {"kind": "real", "low": min(values), "high": max(values), "unit": "1"}
        except ValueError:
            values = tuple(row[key] for row in table)
            parameters[short] = {"kind": "categorical", "levels": sorted(set(map(str, values)))}
        columns[short] = values
    fields = {"parameters": parameters, "objectives": {"y": {"kind": kind, "unit": "1"}}, "pool": Pool(columns=columns)}
    problem = Problem.model_validate(fields)
    y = np.array([float(row[outcomes[0]]) for row in table])
    score = y if kind == "maximize" else -y
    return problem, y, score >= np.sort(score)[::-1][max(1, round(0.01 * len(y))) - 1]


def search(problem: Problem, y: np.ndarray, good: np.ndarray, seed: int, limit: int) -> tuple[int, int, float]:
    """Evaluations until a good row (`limit` + 1 when there was none), proposals, their CPU seconds."""
    assert problem.pool is not None
    index = {tuple(problem.pool.row(i).values()): i for i in range(len(y))}
    rng = np.random.default_rng(seed)
    order = [int(i) for i in rng.choice(len(y), 2, replace=False)]
    planner, trials, spent = BayesPlanner(), list[Trial](), 0.0
    for number in range(1, limit + 1):
        if number > 2:
            began = time.process_time()
            found = planner.propose(problem, trials, 1, int(rng.integers(2**63)))[0]
            spent += time.process_time() - began
            order.append(index[tuple(found.parameters.values())])
        row = order[number - 1]
        if good[row]:
            return number, max(0, number - 2), spent
        outcome = {"y": Outcome(value=float(y[row]))}
        values = problem.pool.row(row)
        trials.append(Trial(number=number, parameters=values, status=TrialStatus.OBSERVED, outcomes=outcome))
    return limit + 1, limit - 2, spent


def main() -> None:
    """Run the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", default=list(OUTCOMES), choices=list(OUTCOMES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each, seeds 0 … N-1 (default 20)")
    parser.add_argument("--limit", type=int, default=100, help="give up a search after so many (default 100)")
    options = parser.parse_args()
    print(machine("numpy", "scipy"))
    print(f"{'set':<18}{'median':>7}   5 … 95 %{'random':>14}{'AF':>7}{'reached':>10}{'CPU ms a proposal':>20}")
    counts, randoms = [], []
    for name in options.sets:
        problem, y, good = load(options.data, name)
        n, k = len(y), int(good.sum())
        draws = next(m for m in range(1, n + 1) if 2 * comb(n - m, k) <= comb(n, k))
        found = [search(problem, y, good, seed, options.limit) for seed in range(options.seeds)]
        count = np.array([c for c, _, _ in found])
        cpu = 1e3 * sum(s for _, _, s in found) / max(1, sum(a for _, a, _ in found))
        low, high = np.percentile(count, [5, 95])
        reached = f"{int((count <= options.limit).sum())}/{len(count)}"
        median = float(np.median(count))
        interval = f"{median:>7.1f}{low:>7.1f} … {high:<6.1f}"
        print(f"{name:<18}{interval}{draws:>9}{draws / median:>7.2f}{reached:>10}{cpu:>20.1f}", flush=True)
        counts.append(count)
        randoms.append(draws)
    rng = np.random.default_rng(0)
    picks = rng.integers(options.seeds, size=(2000, options.seeds))
    factors = np.array([[d / np.median(c[p]) for d, c in zip(randoms, counts, strict=True)] for p in picks])
    low, high = np.percentile(np.exp(np.log(factors).mean(axis=1)), [2.5, 97.5])
    mean = np.exp(np.mean([np.log(d / np.median(c)) for d, c in zip(randoms, counts, strict=True)]))
    print(f"geometric mean of the acceleration: {mean:.2f}, 95 % bootstrap interval over seeds {low:.2f} … {high:.2f}")


if __name__ == "__main__":
    main()
