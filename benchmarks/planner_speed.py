"""CPU and memory that a proposal of `bayes` costs, and how good a batch for two objectives is.

    python benchmarks/planner_speed.py                       # everything but --hypervolume
    python benchmarks/planner_speed.py --hypervolume 5       # five campaigns each, against BoTorch's qLogNEHVI

Outcomes of the timings are a sum of sines in six dimensions with noise; the pool has 2,121 rows (that of
oer_plate_3496) or 10⁶. Times are CPU seconds of all threads, median of three calls with different seeds after one that
loads the libraries. `--hypervolume` runs campaigns on DTLZ2 and ZDT1 (6 parameters, 2 objectives): 12 trials spread
over the space, then batches of 8, and compares the hypervolume reached.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _machine import machine

from sdl.model import Outcome, Problem, Trial, TrialStatus
from sdl.planners._pareto import front, hypervolume
from sdl.planners.bayes import BayesPlanner

D = 6
REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
BATCH = 8


def problem(rows: int | None, goals: Sequence[str] = ("maximize",)) -> Problem:
    """Six real parameters, with a pool of so many rows."""
    fields: dict[str, Any] = {
        "parameters": {f"x{j}": REAL for j in range(D)},
        "objectives": {f"y{k}": {"kind": kind, "unit": "1"} for k, kind in enumerate(goals)},
    }
    if rows is not None:
        points = np.random.default_rng(1).random((rows, D))
        fields["pool"] = {"columns": {f"x{j}": tuple(points[:, j].tolist()) for j in range(D)}}
    return Problem.model_validate(fields)


def observed(points: np.ndarray, values: np.ndarray) -> list[Trial]:
    """Trials with outcomes, values of shape (n, objectives)."""
    return [
        Trial(
            number=i + 1,
            parameters={f"x{j}": float(v) for j, v in enumerate(point)},
            status=TrialStatus.OBSERVED,
            outcomes={f"y{k}": Outcome(value=float(v)) for k, v in enumerate(row)},
        )
        for i, (point, row) in enumerate(zip(points, values, strict=True))
    ]


def waves(points: np.ndarray, seed: int) -> np.ndarray:
    """Outcomes to learn from, shape (n, 1)."""
    noise = np.random.default_rng(seed).standard_normal(len(points))
    return (np.sin(3 * points + np.arange(points.shape[1])).sum(axis=1) + 0.1 * noise)[:, None]


def seconds(call: Callable[[int], Any], repeats: int = 3) -> float:
    """Median CPU of a call."""
    spent = []
    for seed in range(repeats):
        began = time.process_time()
        call(seed)
        spent.append(time.process_time() - began)
    return float(np.median(spent))


def one_at_a_time() -> None:
    """One objective, one proposal at a time."""
    print(f"{'observations':>12}  {'pool of 2,121':>14}  {'box':>8}   CPU s a proposal")
    pool, box = problem(2121), problem(None)
    for n in (10, 100, 500, 2000):
        if pool.pool is not None:
            in_pool = np.stack([pool.pool.columns[f"x{j}"][:n] for j in range(D)], axis=1)
        anywhere = np.random.default_rng(n).random((n, D))
        cpu = []
        for asked, points in ((pool, in_pool), (box, anywhere)):
            trials = observed(points, waves(points, n))
            BayesPlanner().propose(asked, trials, 1, 99)
            cpu.append(seconds(lambda s, p=asked, t=trials: BayesPlanner().propose(p, t, 1, s)))  # type: ignore[misc]
        print(f"{n:>12}  {cpu[0]:>14.3f}  {cpu[1]:>8.3f}", flush=True)


def large_pool(rows: int, device: str) -> None:
    """One proposal from a large pool, 500 observations."""
    asked = problem(rows)
    assert asked.pool is not None
    points = np.stack([asked.pool.columns[f"x{j}"][:500] for j in range(D)], axis=1)
    trials = observed(points, waves(points, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    began, wall = time.process_time(), time.perf_counter()
    BayesPlanner(device=device).propose(asked, trials, 1, 0)
    first, first_wall = time.process_time() - began, time.perf_counter() - wall
    cpu = seconds(lambda seed: BayesPlanner(device=device).propose(asked, trials, 1, seed))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"pool of {rows:,}, 500 observations, {device}: {cpu:.2f} s CPU; the first call of a problem, which lists its "
        f"rows, {first:.2f} s ({first_wall:.2f} s wall); peak memory {peak:.2f} GiB, of which the problem {before:.2f}",
        flush=True,
    )


def dtlz2(x: np.ndarray) -> np.ndarray:
    """Deb et al. 2002, two objectives, to be minimised."""
    g = ((x[:, 1:] - 0.5) ** 2).sum(axis=1)
    angle = 0.5 * np.pi * x[:, 0]
    return np.column_stack([(1 + g) * np.cos(angle), (1 + g) * np.sin(angle)])


def zdt1(x: np.ndarray) -> np.ndarray:
    """Zitzler, Deb and Thiele 2000, to be minimised."""
    g = 1 + 9 * x[:, 1:].mean(axis=1)
    return np.column_stack([x[:, 0], g * (1 - np.sqrt(x[:, 0] / g))])


FUNCTIONS = {"DTLZ2": (dtlz2, np.array([1.1, 1.1])), "ZDT1": (zdt1, np.array([1.1, 1.1]))}


def batch_of_eight() -> None:
    """Two objectives, 100 observations."""
    asked = problem(None, ("minimize", "minimize"))
    points = np.random.default_rng(5).random((100, D))
    trials = observed(points, dtlz2(points))
    BayesPlanner().propose(asked, trials, 1, 9)
    cpu = seconds(lambda seed: BayesPlanner().propose(asked, trials, BATCH, seed))
    print(f"batch of {BATCH}, two objectives, 100 observations: {cpu:.2f} s CPU", flush=True)


def ours(points: np.ndarray, values: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """A batch of `bayes`, shape (8, d)."""
    goals = {f"y{k}": {"kind": "minimize", "unit": "1", "threshold": float(t)} for k, t in enumerate(reference)}
    asked = Problem.model_validate({"parameters": {f"x{j}": REAL for j in range(D)}, "objectives": goals})
    found = BayesPlanner(initial=1).propose(asked, observed(points, values), BATCH, seed)
    return np.array([list(proposal.parameters.values()) for proposal in found], dtype=float)


def botorch_batch(points: np.ndarray, values: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """A batch of BoTorch's own recipe: SingleTaskGP for each objective, qLogNEHVI, sequential optimisation."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from botorch.sampling.normal import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = torch.from_numpy(points), torch.from_numpy(-values)
    model = ModelListGP(*[SingleTaskGP(x, y[:, k : k + 1], outcome_transform=Standardize(1)) for k in range(2)])
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    acquisition = qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=(-reference).tolist(),
        X_baseline=x,
        prune_baseline=True,
        sampler=SobolQMCNormalSampler(torch.Size([128]), seed=seed),
    )
    bounds = torch.stack([torch.zeros(D), torch.ones(D)]).double()
    options = {"batch_limit": 5, "maxiter": 200}
    found, _ = optimize_acqf(
        acquisition, bounds, BATCH, num_restarts=4, raw_samples=256, options=options, sequential=True
    )
    return np.asarray(found.detach().numpy())


def compare(seeds: int, batches: int) -> None:
    """Hypervolume after so many batches of eight."""
    print(f"{'':10}{'planner':>10}{'hypervolume by batch, mean of ' + str(seeds) + ' campaigns':>50}   CPU s a batch")
    for name, (function, reference) in FUNCTIONS.items():
        for planner, propose in (("bayes", ours), ("qLogNEHVI", botorch_batch)):
            reached, spent = [], []
            for seed in range(seeds):
                points = np.random.default_rng(seed).random((12, D))
                volumes = []
                for batch in range(batches):
                    values = function(points)
                    began = time.process_time()
                    points = np.concatenate([points, propose(points, values, reference, 100 * seed + batch)])
                    spent.append(time.process_time() - began)
                    scores = -function(points)
                    volumes.append(hypervolume(scores[front(scores)], -reference))
                reached.append(volumes)
            text = " ".join(f"{v:.3f}" for v in np.mean(reached, axis=0))
            print(f"{name:10}{planner:>10}{text:>50}   {np.median(spent):.2f}", flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large pool (default 10⁶)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="for the large pool")
    parser.add_argument("--hypervolume", type=int, default=0, metavar="SEEDS", help="campaigns to compare, and no more")
    parser.add_argument("--batches", type=int, default=5, help="batches of each campaign (default 5)")
    options = parser.parse_args()
    print(machine("numpy", "scipy"))
    if options.hypervolume:
        compare(options.hypervolume, options.batches)
        return
    one_at_a_time()
    batch_of_eight()
    large_pool(options.rows, options.device)


if __name__ == "__main__":
    main()
