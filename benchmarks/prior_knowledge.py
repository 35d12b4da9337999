"""What prior knowledge of a related campaign is worth, and what unrelated knowledge costs.

    python benchmarks/prior_knowledge.py --data ../shared/data --seeds 20

Each table is cut in two halves: photo_wf3 by the share of its first material, oer_plate_3496 by the pair of its two
main elements, agnp by its total flow. One half is the pool that is searched; the other, measured, is the prior
knowledge. Then the halves change places. Beside no knowledge and that of the other half, the planner is given the other
half with its outcomes shuffled: knowledge of nothing. Two random starts, the same for all; random search is computed
exactly.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine

from sdl.model import Outcome, Problem, Source, Trial, TrialStatus
from sdl.planners.bayes import BayesPlanner


def tables(folder: Path) -> Iterator[tuple[str, list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Name, inputs, values of the inputs and the outcome (all minimised), and which rows are the first half."""
    for name in ("photo_wf3", "oer_plate_3496", "agnp"):
        with open(folder / name / "pool.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        table = np.array([[float(cell) for cell in row] for row in rows[1:]])
        x = table[:, :-1]
        if name == "oer_plate_3496":
            main = np.sort(np.argsort(-x, axis=1, kind="stable")[:, :2], axis=1) @ np.array([10, 1])
            first = np.isin(main, np.unique(main)[::2])
        else:
            column = 0 if name == "photo_wf3" else x.shape[1] - 1
            first = x[:, column] <= np.median(x[:, column])
        yield name, [f"x{j}" for j in range(x.shape[1])], table, first


def random_median(n: int, top: int) -> int:
    """Draws after which random search has found one of `top` rows among `n` with a chance of one half."""
    missed = 1.0
    for drawn in range(n):
        missed *= (n - top - drawn) / (n - drawn)
        if missed <= 0.5:
            return drawn + 1
    return n


def search(problem: Problem, outcomes: np.ndarray[Any, Any], seed: int, cap: int) -> int:
    """Evaluations until a row of the top 1 % was measured; `cap` where none was."""
    assert problem.pool is not None
    n = len(outcomes)
    top = set(np.argsort(outcomes)[: max(1, round(n / 100))].tolist())
    rows = [problem.pool.row(i) for i in range(n)]
    index = {tuple(row.values()): i for i, row in enumerate(rows)}
    done = np.random.default_rng(seed).choice(n, 2, replace=False).tolist()
    for position, row in enumerate(done):
        if row in top:
            return position + 1
    planner = BayesPlanner()
    while len(done) < cap:
        trials = [
            Trial(
                number=i + 1,
                parameters=rows[row],
                status=TrialStatus.OBSERVED,
                outcomes={"y": Outcome(value=float(outcomes[row]))},
            )
            for i, row in enumerate(done)
        ]
        proposal = planner.propose(problem, trials, 1, 1000 * seed + len(done))[0]
        done.append(index[tuple(proposal.parameters[name] for name in rows[0])])
        if done[-1] in top:
            break
    return len(done)


def main() -> None:
    """Print a row of a Markdown table for each half, and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cap", type=int, default=120)
    options = parser.parse_args()
    print(machine("numpy", "scipy"), "\n")
    print("| pool | rows | random | no knowledge | other half | acceleration | shuffled | s |\n|" + "---|" * 8)
    for name, names, table, first in tables(options.data):
        for which, pool in (("second half", ~first), ("first half", first)):
            begun = time.perf_counter()
            x, y = table[pool][:, :-1], table[pool][:, -1]
            there, then = table[~pool][:, :-1], table[~pool][:, -1]
            shuffled = np.random.default_rng(5).permutation(then)
            found = {}
            for label, known in (("none", None), ("other", then), ("shuffled", shuffled)):
                problem = _problem(names, table, x, there, known)
                found[label] = [search(problem, y, seed, options.cap) for seed in range(options.seeds)]
            chance = random_median(len(y), max(1, round(len(y) / 100)))
            gain = chance / float(np.median(found["other"]))
            cells = [f"{np.median(v):g} ({np.mean(v):.1f})" for v in found.values()]
            seconds = time.perf_counter() - begun
            row = [f"{name}, {which}", len(y), chance, cells[0], cells[1], f"{gain:.1f}", cells[2], f"{seconds:.0f}"]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print("\nMedian (mean) evaluations until a row of the top 1 %; acceleration is random's median over that.")


def _problem(names: list[str], table: Any, x: Any, there: Any, known: Any) -> Problem:
    limits = {
        name: {"kind": "real", "low": float(table[:, j].min()), "high": float(table[:, j].max()), "unit": "1"}
        for j, name in enumerate(names)
    }
    sources = []
    if known is not None:
        columns = {name: tuple(there[:, j].tolist()) for j, name in enumerate(names)}
        sources.append(Source(name="before", parameters=columns, outcomes={"y": tuple(known.tolist())}))
    return Problem.model_validate(
        {
            "parameters": limits,
            "objectives": {"y": {"kind": "minimize", "unit": "1"}},
            "pool": {"columns": {name: x[:, j].tolist() for j, name in enumerate(names)}},
            "sources": sources,
        }
    )


if __name__ == "__main__":
    main()
