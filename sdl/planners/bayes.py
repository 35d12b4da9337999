"""`bayes`: Bayesian optimisation with BoTorch.

What it does, and why:

* **Coordinates.** Every numeric parameter is scaled to [0, 1] between its limits, or between the extremes of the pool;
  a logarithmic one in its logarithm. Levels of a categorical parameter are equal or different, nothing else.
* **Start.** Points that keep away from each other (best-candidate sampling) until `initial` trials have been made,
  and never fewer than two observed: 2·d, between 4 and 10, in an infinite space; 2 in a pool.
* **Model.** A Gaussian process with a Matérn-5/2 kernel: measured responses have kinks that a squared-exponential
  kernel smooths away. One length scale a parameter, with the dimension-scaled log-normal prior of Hvarfner et al.
  (2024); a signal variance with a log-normal prior, since the variance of two or three outcomes, to which they are
  standardised, says little about that of the whole space. Noise is inferred; where every trial has a standard error,
  that is each one's least noise, and what trials differ by beyond it is inferred.
* **Two beliefs.** A dozen outcomes do not settle whether the response wiggles or only trends across the space, and a
  fit by maximum a posteriori would follow its prior. So the model is fitted twice, under the published priors and under
  narrower ones that expect long length scales and little noise, and the expected improvements are averaged.
* **Choice.** Log noisy expected improvement (Ament et al. 2023) given pending trials; several at once are chosen
  one after another, each with the earlier ones pending.
* **Match.** The model is that of the outcome itself, and the improvement that of the distance to the target.
* **Infeasible trials** train a second Gaussian process for the probability of being feasible, which weights the
  improvement. Failed trials are ignored: the equipment's failure says nothing about the material.
* **When numbers go wrong** it steps back: prior modes for hyper-parameters, then a space-filling point; the proposal's
  reason says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from sdl.model import (
    InputError,
    Match,
    Maximize,
    Minimize,
    MissingExtra,
    Prediction,
    Problem,
    Proposal,
    Reason,
    Record,
    Trial,
    TrialStatus,
)
from sdl.planners._candidates import Candidates, spread
from sdl.planners._options import read_options
from sdl.planners._space import Array

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # linear_operator 0.6 compiles with torch.jit on import
        import botorch  # noqa: F401
        import torch

    from sdl.planners._acquisition import feasibility_model, improvement
    from sdl.planners._gp import BROAD, NARROW, Data, Fitted, blend, fit
    from sdl.planners._search import Search
except ModuleNotFoundError as error:
    if (error.name or "").startswith("sdl"):
        raise
    raise MissingExtra("planner 'bayes'", "planners") from error

__all__ = ["BayesOptions", "BayesPlanner"]

# What torch, gpytorch and scipy raise when numbers go wrong.
_NUMERICAL = (RuntimeError, ValueError, ArithmeticError)
_INCUMBENTS = 4  # best trials that the search looks around


class BayesOptions(Record):
    """Options of `bayes`."""

    initial: int | None = Field(default=None, ge=1)
    """Trials before the model takes over, whoever proposed them; at least two observed ones all the same."""
    samples: int = Field(default=128, ge=16, le=4096)
    """Posterior samples behind the expected improvement."""
    pool_limit: int = Field(default=10_000, ge=1)
    """Rows of a pool whose acquisition value is computed at each call; from a larger pool so many are drawn."""


@dataclass(frozen=True)
class _Known:
    """What the trials say, in raw coordinates."""

    observed: Array
    values: Array
    """Outcomes of the objective, shape (m,)."""
    sems: Array | None
    """Their standard errors; None unless every trial has one."""
    infeasible: Array
    pending: Array

    @classmethod
    def of(cls, candidates: Candidates, name: str, trials: Sequence[Trial]) -> _Known:
        def raw(chosen: Sequence[Trial]) -> Array:
            return candidates.space.raw([t.parameters for t in chosen])

        seen = [t for t in trials if t.status is TrialStatus.OBSERVED and name in t.outcomes]
        sems = [t.outcomes[name].sem for t in seen]
        return cls(
            observed=raw(seen),
            values=np.array([t.outcomes[name].value for t in seen], dtype=np.float64),
            sems=None if None in sems else np.array(sems, dtype=np.float64),
            infeasible=raw([t for t in trials if t.status is TrialStatus.INFEASIBLE]),
            pending=raw([t for t in trials if t.status.pending]),
        )

    @property
    def started(self) -> int:
        """Trials that taught something or will."""
        return len(self.observed) + len(self.infeasible) + len(self.pending)


class BayesPlanner:
    """Proposes where a Gaussian process expects the greatest improvement; see the module for the method.

    One objective: maximise, minimise or match. Runs on one thread, so that equal arguments give equal proposals.
    """

    version: str = "1"
    in_process: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        self.options = read_options(BayesOptions, "bayes", options)

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points; see `sdl.protocols.Planner`.

        Raises:
            Exhausted: nothing is left to propose.
            InputError: several objectives, or constraints that leave no room that draws can hit.
        """
        objective = _only_objective(problem)
        candidates = Candidates.of(problem, trials)
        known = _Known.of(candidates, objective.name, trials)
        rng = np.random.default_rng(seed)
        if candidates.rows is not None:
            n = min(n, len(candidates.rows))
        first = min(n, max(0, self._initial(candidates) - known.started)) if len(known.values) >= 2 else n
        raw, proposals = self._design(candidates, known, first, rng, "spread over the space, before a model")
        if first == n:
            return proposals
        with _isolated(seed):
            try:
                return proposals + self._modelled(candidates, known, objective, raw, n - first, rng)
            except _NUMERICAL as error:
                summary = "spread over the space, since the model failed"
                why = f"{type(error).__name__}: {error}"
                return proposals + self._design(candidates, known, n - first, rng, summary, raw, fallback=why)[1]

    def _initial(self, candidates: Candidates) -> int:
        if self.options.initial is not None:
            return self.options.initial
        return 2 if candidates.rows is not None else min(10, max(4, 2 * candidates.space.d))

    def _design(
        self,
        candidates: Candidates,
        known: _Known,
        n: int,
        rng: np.random.Generator,
        summary: str,
        chosen: Array | None = None,
        **details: str,
    ) -> tuple[Array, list[Proposal]]:
        """Points far from all trials and from `chosen`: raw, shape (n, d), and as proposals."""
        space = candidates.space
        chosen = np.empty((0, space.d)) if chosen is None else chosen
        if n == 0:
            return chosen, []
        offered = candidates.rows
        if offered is None:
            offered = candidates.draw(lambda m: rng.random((m, space.d)), 64 * n)
        taken = {row.tobytes() for row in chosen}
        offered = offered[[row.tobytes() not in taken for row in offered]]
        away = np.concatenate([known.observed, known.infeasible, known.pending, chosen])
        raw = spread(space, away, offered, n, rng)
        reason = Reason(summary=summary, details={"planner": "bayes", "version": self.version, **details})
        return raw, [Proposal(parameters=space.values(row), reason=reason) for row in raw]

    def _modelled(
        self,
        candidates: Candidates,
        known: _Known,
        objective: Maximize | Minimize | Match,
        chosen: Array,
        n: int,
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """Points of greatest expected improvement, one after another."""
        space = candidates.space
        levels = tuple(int(high) + 1 if c else 0 for high, c in zip(space.high, space.categorical, strict=True))
        observed = torch.from_numpy(space.to_unit(known.observed))
        variance = None if known.sems is None else torch.from_numpy(known.sems[:, None] ** 2)
        data = Data(observed, torch.from_numpy(known.values[:, None]), variance, False, levels)
        fitted = fit(data, BROAD), fit(data, NARROW)
        infeasible = torch.from_numpy(space.to_unit(known.infeasible))
        classifier = feasibility_model(observed, infeasible, levels) if len(infeasible) else None
        scores = np.array([objective.score(value) for value in known.values])
        order = np.argsort(-scores, kind="stable")
        search = Search(candidates, known.observed[order[:_INCUMBENTS]], self.options.pool_limit, rng)
        proposals: list[Proposal] = []
        acquisition = improvement(
            [f.model for f in fitted],
            objective,
            observed,
            classifier,
            samples=self.options.samples,
            seed=int(rng.integers(2**31)),
        )
        for _ in range(n):
            pending = np.concatenate([known.pending, chosen])
            acquisition.set_X_pending(torch.from_numpy(space.to_unit(pending)) if len(pending) else None)
            row, value = search.maximise(acquisition, chosen)
            reason = self._reason(
                candidates, fitted, objective, row, value, float(known.values[order[0]]), len(pending)
            )
            proposals.append(Proposal(parameters=space.values(row), reason=reason))
            chosen = np.concatenate([chosen, row[None, :]])
        return proposals

    def _reason(
        self,
        candidates: Candidates,
        fitted: tuple[Fitted, Fitted],
        objective: Maximize | Minimize | Match,
        row: Array,
        value: float,
        best: float,
        pending: int,
    ) -> Reason:
        at = torch.from_numpy(candidates.space.to_unit(row[None, :]))
        mean, sd = blend([f.model for f in fitted], at)
        unit = "" if objective.unit == "1" else f" {objective.unit}"
        belief_text = f"{objective.name} {mean:.4g} ± {sd:.2g}{unit} predicted, best {best:.4g}{unit}"
        summary = f"greatest expected improvement: {belief_text}"
        names = candidates.space.problem.parameter_names
        details = {
            "planner": "bayes",
            "version": self.version,
            "model": "two Gaussian processes, Matérn-5/2, under a broad and a narrow prior of the length scales",
            "acquisition": "log noisy expected improvement",
            "pending": pending,
            **fitted[0].describe(names),
            "second_model": fitted[1].describe(names),
        }
        fallbacks = [f.fallback for f in fitted if f.fallback]
        if fallbacks:
            details["fallback"] = "; ".join(fallbacks)
        predicted = {objective.name: Prediction(mean=mean, sem=sd)}
        return Reason(summary=summary, acquisition=value, predicted=predicted, details=details)


def _only_objective(problem: Problem) -> Maximize | Minimize | Match:
    if len(problem.objectives) > 1:
        names = ", ".join(o.name for o in problem.objectives)
        raise InputError(
            f"planner 'bayes' takes one objective (maximize, minimize or match), the problem has "
            f"{len(problem.objectives)}: {names}. Keep one, or use planner 'sobol' or 'random'"
        )
    return problem.objectives[0]


@contextmanager
def _isolated(seed: int) -> Iterator[None]:
    """Seed torch, keep it on one thread and silence its advice on numerics; everything is put back afterwards."""
    threads = torch.get_num_threads()
    # Recorded as well as ignored: botorch switches some of its warnings back on.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
