"""How well a campaign searched: accessible space, experimental precision, and efficiency against random search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sdl.fair._metric import Metric, MetricGroup, missing
from sdl.model import IntegerParameter, Problem, RealParameter, TrialStatus

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState, TrialState

__all__ = ["Reference", "efficiency", "precision", "space"]

_SHOTS: Final = 4096
"""Points drawn to see which part of the box the constraints leave."""


# ── accessible parameter space ──


def space(state: CampaignState) -> MetricGroup:
    """What the campaign may vary, and how much of it was tried."""
    assert state.spec is not None
    problem = state.spec.problem
    kinds: dict[str, int] = {}
    for parameter in problem.searched:
        kinds[parameter.kind] = kinds.get(parameter.kind, 0) + 1
    reals = [p for p in problem.searched if isinstance(p, RealParameter)]
    listed = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    tried = {_point(problem, trial) for trial in state.trials.values()}
    size, unit, note = _size(problem, reals)
    return MetricGroup("space", "Accessible parameter space", (
        Metric(
            "dimensions", "Parameters", len(problem.searched), "1",
            "How many parameters the planner varies; fixed and derived ones are not counted.", "count", listed,
            {"kinds": kinds, "ranges": [_range(parameter) for parameter in problem.searched]},
        ),
        Metric(
            "size", "Size", size, unit,
            "How large the space is: candidates of a pool, combinations where every parameter has a finite number of "
            "values, else the volume of the box, and how many times it is there.",
            "rows of the pool; or ∏ values of each parameter; or ∏ (high − low) × ∏ values", note,
            {"constraints": len(problem.constraints), "feasible_share": _feasible(problem, reals)},
        ),
        Metric("tried", "Points tried", len(tried), "1", "Different points that were proposed.", "count"),
    ))  # fmt: skip


def _point(problem: Problem, trial: TrialState) -> tuple[Any, ...]:
    return tuple(trial.parameters.get(parameter.name) for parameter in problem.searched)


def _range(parameter: Any) -> dict[str, Any]:
    about = {"name": parameter.name, "kind": parameter.kind, "unit": parameter.unit}
    if hasattr(parameter, "levels"):
        return {**about, "levels": len(parameter.levels)}
    return {**about, "low": parameter.low, "high": parameter.high}


def _size(problem: Problem, reals: Sequence[RealParameter]) -> tuple[float | int, str, str]:
    if problem.pool is not None:
        return len(problem.pool), "1", "candidates of a pool"
    counts = [
        parameter.high - parameter.low + 1 if isinstance(parameter, IntegerParameter) else len(parameter.levels)
        for parameter in problem.searched
        if not isinstance(parameter, RealParameter)
    ]
    discrete = math.prod(counts)
    if not reals:
        return discrete, "1", "combinations"
    volume = math.prod(p.high - p.low for p in reals)
    units = " · ".join(p.unit for p in reals if p.unit != "1") or "1"
    times = f", {discrete} times" if discrete > 1 else ""
    return volume * discrete, units, f"volume of a box in {len(reals)} dimensions{times}; constraints left aside"


def _feasible(problem: Problem, reals: Sequence[RealParameter]) -> float | None:
    """Share of the box that the constraints leave, from a fixed draw; None without constraints, or with others."""
    if not problem.constraints or len(reals) != len(problem.parameters):
        return None
    import numpy as np

    draws = np.random.default_rng(0).random((_SHOTS, len(reals)))
    met = 0
    for row in draws:
        values = {p.name: p.low + float(u) * (p.high - p.low) for p, u in zip(reals, row, strict=True)}
        met += all(constraint.holds(values) for constraint in problem.constraints)
    return met / _SHOTS


# ── experimental precision ──


def precision(state: CampaignState) -> MetricGroup:
    """How far apart outcomes of the same parameters are."""
    assert state.spec is not None
    groups: dict[tuple[Any, ...], list[TrialState]] = {}
    for trial in state.trials.values():
        if trial.status is TrialStatus.OBSERVED:
            groups.setdefault(_point(state.spec.problem, trial), []).append(trial)
    repeated = [group for group in groups.values() if len(group) > 1]
    names = list(dict.fromkeys(name for trial in state.trials.values() for name in trial.outcomes))
    metrics = tuple(_pooled(name, repeated, state) for name in names)
    none = Metric("precision", "Precision", None, "1", _PRECISION, _POOLED, "no trial was observed")
    return MetricGroup("precision", "Experimental precision", metrics or (none,))


_PRECISION: Final = (
    "Standard deviation of the outcome among trials of the same parameters, pooled over all parameters that were "
    "repeated. Replicates with other trials between them are unbiased: what drifts from trial to trial is in it."
)
_POOLED: Final = "√( Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1) ) over repeated parameters i, with nᵢ trials of variance sᵢ²"


def _pooled(name: str, repeated: Sequence[Sequence[TrialState]], state: CampaignState) -> Metric:
    unit = next(trial.outcomes[name].unit for trial in state.trials.values() if name in trial.outcomes)
    metric = Metric(f"precision_{name}", name, None, unit, _PRECISION, _POOLED)
    squares, freedom, apart, pairs = 0.0, 0, 0, 0
    for group in repeated:
        own = [trial for trial in group if name in trial.outcomes]
        values = [trial.outcomes[name].value for trial in own]
        if len(values) < 2:
            continue
        mean = math.fsum(values) / len(values)
        squares += math.fsum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
        numbers = sorted(trial.number for trial in own)
        pairs += len(numbers) - 1
        apart += sum(b - a > 1 for a, b in pairwise(numbers))
    if not freedom:
        sems = [o.sem for t in state.trials.values() if (o := t.outcomes.get(name)) and o.sem is not None]
        own_error = math.sqrt(math.fsum(sem**2 for sem in sems) / len(sems)) if sems else None
        said = f"; the analysis gives a standard error of {own_error:.3g} (root mean square)" if own_error else ""
        return missing(metric, f"no parameters were repeated{said}")
    note = "" if apart == pairs else f"{pairs - apart} of {pairs} replicates followed each other at once: may be biased"
    details = {"degrees_of_freedom": freedom, "unbiased_pairs": apart, "pairs": pairs}
    value = math.sqrt(squares / freedom)
    return Metric(metric.key, name, value, unit, _PRECISION, _POOLED, note, details)


# ── optimisation efficiency ──


@dataclass(frozen=True)
class Reference:
    """What random search draws from, as scores of the first objective (the more the better)."""

    scores: tuple[float, ...]
    what: str
    """For people, as in `all 600 candidates of the pool`."""
    exact: bool
    """Whether it is the whole space, rather than a sample of it."""
    of_trial: Mapping[int, float] | None = None
    """Trial → the score that the reference has for its candidate, free of the trial's own noise."""


_AF = (
    "How many times fewer experiments the campaign took than random search to come to its best outcome (acceleration "
    "factor, AF)."
)
_EF = (
    "How much further the best outcome is from the median of the space than random search comes with as many "
    "experiments (enhancement factor, EF)."
)
_AF_FORMULA = (
    "((N + 1) / (K + 1)) / n: N outcomes of the reference, K of them at least as good, n experiments until then"
)
_EF_FORMULA = "(best of the campaign − median) / (expected best of n outcomes drawn from the reference − median)"


def efficiency(state: CampaignState, reference: Reference | None, why: str = "") -> MetricGroup:
    """How much faster and how much better than random search the campaign was, for the first objective.

    Args:
        state: of the campaign.
        reference: what random search would draw from; None where that is not known.
        why: what is missing then.
    """
    af = Metric("acceleration", "Acceleration factor", None, "1", _AF, _AF_FORMULA)
    ef = Metric("enhancement", "Enhancement factor", None, "1", _EF, _EF_FORMULA)
    title = "Optimisation efficiency"
    curve = list(_curve(state, reference))
    if reference is None or not reference.scores or not curve:
        told = why if reference is None else "no trial was observed" if not curve else "the reference has no outcomes"
        return MetricGroup("efficiency", title, (missing(af, told), missing(ef, told)))
    n, best = next((n, score) for n, score in curve if score == curve[-1][1])
    size, better = len(reference.scores), sum(score >= best for score in reference.scores)
    wanted = (size + 1) / (better + 1)
    last = min(curve[-1][0], size)
    middle, expected = _median(reference.scores), _expected_best(reference.scores, last)
    against = f"against random draws from {reference.what}"
    least = "" if reference.exact or better else "; none of them is as good, so it is at least this"
    more = "" if curve[-1][0] == last else f"; compared at {last} experiments"
    at = next(score for count, score in reversed(curve) if count <= last) if curve[0][0] <= last else best
    details = {"reference": reference.what, "exact": reference.exact, "size": size}
    flat = expected - middle <= 0
    return MetricGroup("efficiency", title, (
        Metric(
            af.key, af.title, wanted / n, "1", _AF, _AF_FORMULA, against + least,
            {**details, "experiments": n, "random_experiments": wanted, "at_least_as_good": better},
        ),
        Metric(
            ef.key, ef.title, None if flat else (at - middle) / (expected - middle), "1", _EF, _EF_FORMULA,
            "random draws do not come above the median" if flat else against + more,
            {**details, "experiments": last, "median": middle, "expected_best": expected},
        ),
    ))  # fmt: skip


def _curve(state: CampaignState, reference: Reference | None) -> Iterator[tuple[int, float]]:
    """Experiments so far (observed or infeasible), best score so far; from the first observed trial on."""
    assert state.spec is not None
    objective = state.spec.problem.objectives[0]
    done = [t for t in state.trials.values() if t.status in (TrialStatus.OBSERVED, TrialStatus.INFEASIBLE)]
    best: float | None = None
    for count, trial in enumerate(sorted(done, key=lambda t: (t.ended_at or 0, t.number)), 1):
        score = objective.score(trial.outcomes[objective.name].value) if objective.name in trial.outcomes else None
        if reference is not None and reference.of_trial is not None:
            score = reference.of_trial.get(trial.number) if score is not None else None
        if score is not None:
            best = score if best is None else max(best, score)
        if best is not None:
            yield count, best


def _median(values: Sequence[float]) -> float:
    ranked = sorted(values)
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def _expected_best(values: Sequence[float], n: int) -> float:
    """Expected maximum of `n` values drawn without replacement: Σ vᵢ C(i − 1, n − 1) / C(N, n), v ascending."""
    ranked, size = sorted(values), len(values)
    # From the largest down: the share of draws whose maximum it is.
    share, total, left = n / size, 0.0, 0.0
    for rank in range(size, n - 1, -1):
        total += ranked[rank - 1] * share
        left += share
        share *= (rank - n) / (rank - 1) if rank > 1 else 0.0
    return total / left
