"""What prior knowledge of a related campaign is worth, and what unrelated knowledge costs.

    python benchmarks/prior_knowledge.py --data ../shared/data --seeds 40 [--others] [--only agnp] [--out runs.jsonl]

Each table is cut in two halves: photo_wf3 by the share of its first material, oer_plate_3496 by the pair of its two
main elements, agnp by its total flow. One half is the pool that is searched; the other, measured, is the prior
knowledge. Then the halves change places. `--others` does so with crossed_barrel, direct_arylation and lnp3, by several
parameters. Evaluations until a row of the top 1 % of the half; random search is computed exactly.

| what | starts | prior knowledge |
| --- | --- | --- |
| none | two random rows, by the seed | none |
| given | the same two | the other half |
| first | none: the planner chooses from the first trial on | three quarters of the other half, drawn by the seed |
| shuffled | the same two | the other half, outcomes shuffled by the seed: knowledge of nothing |
| mirrored | the same two | the other half, low and high of each input exchanged: smooth, and of something else |

Costs of the last two are of the same seeds, over the mean without knowledge.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine

from sdl.bench.datasets import find_tasks
from sdl.bench.exact import quantile
from sdl.bench.tasks import PoolTask
from sdl.model import Outcome, Problem, Scalar, Trial, TrialStatus
from sdl.planners.bayes import BayesPlanner

Mask = np.ndarray[Any, np.dtype[np.bool_]]
KINDS = ("none", "given", "first", "shuffled", "mirrored")
PART = 0.75
DRAWN = 20  # shuffled orders: as many seeds share one


def halves(folder: Path, others: bool) -> Iterator[tuple[str, PoolTask, Mask]]:
    """Name of a cut, its table, and which rows are the first half."""
    tasks = {task.name: task for task in find_tasks(folder)}

    def column(task: str, name: str) -> Any:
        pool = tasks[task].problem.pool
        assert pool is not None
        return np.array(pool.columns[name])

    def low(task: str, name: str, share: float = 0.5) -> Mask:
        levels, values = np.unique(column(task, name)), column(task, name)
        return np.asarray(np.isin(values, levels[: round(share * len(levels))]))

    if others:
        for task, name, share in (
            ("crossed_barrel", "n", 0.5), ("crossed_barrel", "r", 0.5), ("crossed_barrel", "theta", 0.5),
            ("direct_arylation", "Temp_C", 0.34), ("direct_arylation", "Solvent", 0.5),
            ("direct_arylation", "Base", 0.5), ("lnp3", "drug_input", 0.5), ("lnp3", "solid_lipid", 0.34),
        ):  # fmt: skip
            yield f"{task} by {name}", tasks[task], low(task, name, share)
        return
    for task, name in (("photo_wf3", "mat_1"), ("agnp", "Qtot")):
        values = column(task, name)
        yield task, tasks[task], values <= np.median(values)
    table = tasks["oer_plate_3496"]
    metals = np.column_stack([column(table.name, parameter.name) for parameter in table.problem.searched])
    pair = np.sort(np.argsort(-metals, axis=1, kind="stable")[:, :2], axis=1) @ np.array([10, 1])
    yield table.name, table, np.isin(pair, np.unique(pair)[::2])


class Half:
    """A half that is searched, and the other as prior knowledge of several kinds."""

    def __init__(self, task: PoolTask, here: Mask) -> None:
        self.task, self.here = task, here
        self.goal = task.problem.objectives[0]
        assert task.problem.pool is not None
        self.columns = {name: np.array(values) for name, values in task.problem.pool.columns.items()}
        self.values, self.known = np.array(task.values)[here], np.array(task.values)[~here]
        scores = np.array([self.goal.score(value) for value in self.values.tolist()])
        self.top = set(np.argsort(-scores, kind="stable")[: max(1, round(len(scores) / 100))].tolist())
        self.random = quantile(len(scores), len(self.top), 0.5)
        self._made: dict[tuple[str, int], Problem] = {}

    def problem(self, kind: str, seed: int) -> Problem:
        """The problem of a search."""
        key = (kind, {"first": seed, "shuffled": seed % DRAWN}.get(kind, 0))
        if key not in self._made:
            self._made = {k: v for k, v in self._made.items() if k[0] != kind or kind == "shuffled"}
            self._made[key] = self._problem(*key)
        return self._made[key]

    def _problem(self, kind: str, draw: int) -> Problem:
        rng = np.random.default_rng(100 + draw)
        inputs, outcomes = {name: column[~self.here] for name, column in self.columns.items()}, self.known
        if kind == "shuffled":
            outcomes = rng.permutation(outcomes)
        elif kind == "mirrored":
            for name, column in self.columns.items():
                levels = np.unique(column)
                inputs[name] = levels[::-1][np.searchsorted(levels, inputs[name])]
        elif kind == "first":
            kept = rng.random(len(outcomes)) < PART
            inputs, outcomes = {name: column[kept] for name, column in inputs.items()}, outcomes[kept]
        source = {
            "parameters": {name: column.tolist() for name, column in inputs.items()},
            "outcomes": {self.goal.name: outcomes.tolist()},
        }
        pool = {name: column[self.here].tolist() for name, column in self.columns.items()}
        fields = self.task.problem.model_dump() | {"pool": {"columns": pool}}
        return Problem.model_validate(fields | {"sources": {} if kind == "none" else {"before": source}})

    def search(self, kind: str, seed: int, cap: int) -> int:
        """Evaluations until a row of the top 1 % was measured; `cap` where none was."""
        problem, count = self.problem(kind, seed), len(self.values)
        assert problem.pool is not None
        rows: list[dict[str, Scalar]] = [problem.pool.row(i) for i in range(count)]
        index = {tuple(row.values()): i for i, row in enumerate(rows)}
        starts = np.random.default_rng(seed).choice(count, 2, replace=False).tolist()
        done: list[int] = []
        while len(done) < cap and not self.top.intersection(done):
            if kind != "first" and len(done) < len(starts):
                done.append(starts[len(done)])
                continue
            trials = [self._trial(i + 1, rows[row], row) for i, row in enumerate(done)]
            proposal = BayesPlanner().propose(problem, trials, 1, 1000 * seed + len(done))[0]
            done.append(index[tuple(proposal.parameters[name] for name in rows[0])])
        return len(done)

    def _trial(self, number: int, row: dict[str, Scalar], place: int) -> Trial:
        unit = getattr(self.goal, "unit", "1")
        outcome = Outcome(value=float(self.values[place]), unit=unit)
        return Trial(number=number, parameters=row, status=TrialStatus.OBSERVED, outcomes={self.goal.name: outcome})


def bootstrap(values: Any, statistic: Any) -> tuple[float, float]:
    """Limits of the 95 % interval of a statistic of runs, shape (runs, …), resampled by seed."""
    rng, values = np.random.default_rng(1), np.asarray(values, dtype=np.float64)
    drawn = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    return tuple(np.quantile(drawn, (0.025, 0.975)).tolist())  # type: ignore[return-value]


def row_of(half: Half, found: dict[str, list[int]]) -> list[str]:
    """Cells of the table."""
    cells = [f"{np.median(found['none']):g} ({np.mean(found['none']):.1f})"]
    for kind in ("given", "first"):
        least, most = bootstrap(found[kind], np.median)
        gain = f"{half.random / np.median(found[kind]):.1f} ({half.random / most:.1f}–{half.random / least:.1f})"
        cells += [f"{np.median(found[kind]):g} ({np.mean(found[kind]):.1f})", gain]
    for kind in ("shuffled", "mirrored"):
        pairs = np.column_stack([found[kind], found["none"]])

        def cost(sample: Any) -> float:
            return float(100 * (sample[:, 0].mean() / sample[:, 1].mean() - 1))

        least, most = bootstrap(pairs, cost)
        median = 100 * (np.median(found[kind]) / np.median(found["none"]) - 1)
        cells.append(f"{cost(pairs):+.0f} % ({least:+.0f} … {most:+.0f}); {median:+.0f} %")
    return cells


def main() -> None:
    """Print a row of a Markdown table for each half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--cap", type=int, default=60)
    parser.add_argument("--others", action="store_true", help="the other tables")
    parser.add_argument("--only", default="", help="part of a name: only halves of such tables")
    parser.add_argument("--out", type=Path, help="a file that gets every run as a line of JSON")
    options = parser.parse_args()
    print(machine("numpy", "scipy"), "\n")
    heads = "pool|random|none|given|acceleration|first|acceleration|shuffled: mean; median|mirrored|CPU s"
    print(f"| {heads.replace('|', ' | ')} |\n|" + "---|" * 10)
    for name, task, first in halves(options.data, options.others):
        if options.only not in name:
            continue
        for which, here in (("second", ~first), ("first", first)):
            begun, half = time.process_time(), Half(task, here)
            found = {kind: [half.search(kind, seed, options.cap) for seed in range(options.seeds)] for kind in KINDS}
            if options.out is not None:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"pool": f"{name}, {which}", "random": half.random, **found}) + "\n")
            cells = [f"{name}, {which} half", str(half.random), *row_of(half, found)]
            print("| " + " | ".join([*cells, f"{time.process_time() - begun:.0f}"]) + " |", flush=True)
    print("\nEvaluations: median (mean). Accelerations of medians and costs with 95 % intervals, bootstrap over seeds.")


if __name__ == "__main__":
    main()
