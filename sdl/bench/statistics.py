"""Figures of a benchmark, each with an interval from resampling the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdl.bench import exact
from sdl.bench.search import STARTS, Found
from sdl.bench.tasks import PoolTask
from sdl.campaign.rehearsal.quote import chance

__all__ = [
    "Figure",
    "Overall",
    "PoolSummary",
    "Searches",
    "cpu_by_observations",
    "overall",
    "pool_summary",
    "reached_curve",
    "spread_curve",
]

DRAWS = 4000
"""Resamples of the seeds behind an interval."""
_RESAMPLING = 20_210_701

Searches = Sequence[Found]
"""The searches of one planner in one task, one a seed."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A number and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PoolSummary:
    """What a planner did with a pool."""

    planner: str
    task: str
    seeds: int
    evaluations: Figure
    """Median number until a top-1 % row, with a 90 % interval; a search that found none counts as its cap + 1."""
    random: int
    """Median of random search, exact."""
    acceleration: Figure
    """Random's median over the planner's, with a 90 % interval."""
    versus: Mapping[str, Figure]
    """The same against other planners, whose seeds are resampled together with this one's."""
    enhancement: float
    """Share of searches that had found a top row after `at` evaluations, over random search's exact chance of it.

    Liang et al. (npj Comput. Mater. 7, 188, 2021) divide shares in this way.
    """
    at: int
    reached: float
    """Share of searches that found a top-1 % row within the cap."""
    cap: int
    cpu: float
    """Median CPU seconds of a proposal."""
    fallbacks: int
    mapped: float
    """Share of proposals that were mapped to the nearest free row."""
    errors: tuple[str, ...]

    @property
    def beyond(self) -> bool:
        """Whether at least half of the searches found no top row: median and acceleration are bounds."""
        return self.evaluations.value > self.cap


@dataclass(frozen=True)
class Overall:
    """A planner over all pools."""

    planner: str
    acceleration: Figure
    """Geometric mean of the accelerations, with a 95 % interval."""
    least: float
    """The lowest of them."""
    reached: float
    """Share of all searches that found a top-1 % row."""
    bound: bool
    """Whether the acceleration is an upper bound, since a median lies beyond the cap."""


def counts(found: Searches) -> Array:
    """Evaluations until a top row of each search; cap + 1 where there was none."""
    return np.array([f.cap + 1 if f.reached is None else f.reached for f in found], dtype=np.float64)


def _resamples(number: int) -> NDArray[np.int_]:
    """Which seeds each resample takes, shape (DRAWS, number): the same for all planners of a task."""
    return np.random.default_rng([_RESAMPLING, number]).integers(number, size=(DRAWS, number))


def _figure(value: float, drawn: Array, share: float) -> Figure:
    low, high = np.quantile(drawn, [(1 - share) / 2, (1 + share) / 2])
    return Figure(value, float(low), float(high))


def _medians(found: Searches) -> Array:
    return np.asarray(np.median(counts(found)[_resamples(len(found))], axis=1), dtype=np.float64)


def pool_summary(task: PoolTask, found: Searches, others: Mapping[str, Searches], at: int) -> PoolSummary:
    """Figures of one planner in one pool.

    Args:
        task: the pool.
        found: its searches, in the order of seeds.
        others: those of other planners with the same seeds, by label.
        at: evaluations at which the enhancement factor is taken.
    """
    middle, drawn = float(np.median(counts(found))), _medians(found)
    versus = {
        label: _figure(float(np.median(counts(theirs))) / middle, _medians(theirs) / drawn, 0.9)
        for label, theirs in others.items()
        if theirs and theirs[0].planner != found[0].planner
    }
    chance = exact.chance(len(task), len(task.good), at)
    spent = [seconds for f in found for seconds in f.cpu]
    return PoolSummary(
        planner=found[0].planner,
        task=task.name,
        seeds=len(found),
        evaluations=_figure(middle, drawn, 0.9),
        random=task.random_median,
        acceleration=_figure(task.random_median / middle, task.random_median / drawn, 0.9),
        versus=versus,
        enhancement=float((counts(found) <= at).mean()) / chance,
        at=at,
        reached=float(np.mean([f.reached is not None for f in found])),
        cap=found[0].cap,
        cpu=float(np.median(spent)) if spent else math.nan,
        fallbacks=sum(f.fallbacks for f in found),
        mapped=sum(f.mapped for f in found) / max(1, len(spent)),
        errors=tuple(sorted({f.error for f in found if f.error})),
    )


def overall(tasks: Sequence[PoolTask], found: Mapping[str, Searches]) -> Overall:
    """Figures of one planner over all pools; `found` by the task's name. Seeds are resampled within each pool."""
    medians = [float(np.median(counts(found[task.name]))) for task in tasks]
    randoms = [task.random_median for task in tasks]
    each = [random / median for random, median in zip(randoms, medians, strict=True)]
    generator = np.random.default_rng(_RESAMPLING)
    logs = np.zeros(DRAWS)
    for task, random in zip(tasks, randoms, strict=True):
        values = counts(found[task.name])
        drawn = np.median(values[generator.integers(len(values), size=(DRAWS, len(values)))], axis=1)
        logs += np.log(random / drawn) / len(tasks)
    every = [f for task in tasks for f in found[task.name]]
    return Overall(
        planner=every[0].planner,
        acceleration=_figure(math.exp(float(np.log(each).mean())), np.exp(logs), 0.95),
        least=min(each),
        reached=float(np.mean([f.reached is not None for f in every])),
        bound=any(median > found[task.name][0].cap for task, median in zip(tasks, medians, strict=True)),
    )


def reached_curve(found: Searches, cap: int) -> tuple[Array, Array, Array]:
    """Share of searches that had found a top row after 1, 2 … cap evaluations, with a 90 % interval."""
    steps = np.arange(1, cap + 1)
    hits = (counts(found)[:, None] <= steps[None, :]).sum(axis=0)
    chances = [chance(int(number), len(found)) for number in hits]
    share, low, high = np.array([(c.share, c.low, c.high) for c in chances]).T
    return share, low, high


def spread_curve(found: Searches, cap: int) -> tuple[Array, Array, Array]:
    """Median of what each search had after 1, 2 … cap evaluations, with the 5th and 95th percentile over seeds.

    A search that ended early keeps its last value.
    """
    rows = [list(f.best[:cap]) + [f.best[-1]] * (cap - len(f.best)) for f in found if f.best]
    low, middle, high = np.quantile(np.array(rows), [0.05, 0.5, 0.95], axis=0)
    return middle, low, high


def cpu_by_observations(found: Searches, observations: Sequence[int]) -> dict[int, float]:
    """Median CPU seconds of the proposals made with so many observed trials, where searches got so far."""
    spent: dict[int, list[float]] = {}
    for f in found:
        for i, seconds in enumerate(f.cpu):
            spent.setdefault(STARTS + i, []).append(seconds)
    return {m: float(np.median(spent[m])) for m in observations if m in spent}
