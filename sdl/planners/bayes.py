"""`bayes`: Bayesian optimisation that needs no tuning.

What it does, and why:

* **Coordinates.** Every numeric parameter is scaled to [0, 1] between its limits, or between the extremes of the pool;
  a logarithmic one in its logarithm. Levels of a categorical parameter are as far apart as their descriptors say, or
  all one apart.
* **Start.** Points that keep away from each other (best-candidate sampling) until `initial` trials have been made,
  and never fewer than two observed: 2·d, between 4 and 10, in an infinite space; 2 in a pool.
* **Model.** For each outcome an exact Gaussian process: a constant, a linear trend, and a Matérn-5/2 process with one
  length scale a parameter, since measured responses have kinks that a squared-exponential kernel smooths away. With
  levels as columns the trend is the additive effect of each level, which is most of what a dozen reactions can tell.
  The process is expected to vary more than the outcomes seen so far do: those of a few trials hardly span the space's.
  Length scales and variances are set by maximum a posteriori; nothing is tuned by hand.
* **Noise.** The standard error of a trial is part of its noise; what trials differ by beyond it is inferred.
* **Choice.** The logarithm of the expected improvement, in closed form (Ament et al. 2023), on the best value that the
  model believes of the trials: the best of noisy measurements flatters. For `match`, the improvement of the distance.
  For several objectives, of the hypervolume, in closed form over boxes; of a weighted sum, where they have weights.
* **Several at once, and pending trials.** One after another, as if those before had given what is expected of them.
* **Infeasible trials** train a second process for the probability of being feasible, **outcome constraints** one for
  each outcome; the improvement is multiplied by these chances. Until a trial keeps the constraints, only they count.
* **Doubt.** Where the model expects next to nothing of any point, every other trial is chosen as if its length scales
  had not been learnt, and away from all before: a model that is sure by mistake would otherwise circle around its
  best point for good.
* **Prior knowledge.** Each source that foretells its own rows has a model of its own, and one learns how like it the
  trials are, from not at all to hardly different. The first trial is that which sources promise most of; they have the
  full say for as many trials as would else be spread over a space, and from then on in every other call.
* **Costs.** The improvement is divided by the cost of the trial, changes of parameters since the last one included.
* **Large pools.** A first pass in single precision, which never underestimates what is uncertain, over all rows; then
  exact values of the `pool_limit` best.
* **Replication.** Where the space is no pool and noise is large, the best point may be measured again: when its
  expected improvement, discounted for what another measurement can still teach (Huang et al. 2006), is the greatest.
* **Failed trials** are ignored: the equipment's failure says nothing about the material.
* **When numbers go wrong** it steps back: one length scale, prior modes for hyper-parameters, more noise, and last a
  space-filling point; the proposal's reason says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from sdl.model import MissingExtra, Problem, Proposal, Reason, Trial
from sdl.planners._candidates import Candidates, spread
from sdl.planners._options import read_options
from sdl.planners._space import Array

try:
    from sdl.planners._acquisition import Acquisition
    from sdl.planners._call import BayesOptions, Call, unusable
    from sdl.planners._known import Known
    from sdl.planners._threads import one_thread
    from sdl.planners._transfer import Knowledge
except ModuleNotFoundError as error:
    if (error.name or "").startswith("sdl"):
        raise
    raise MissingExtra("planner 'bayes'", "planners") from error

__all__ = ["BayesOptions", "BayesPlanner"]

# What numpy and scipy raise when numbers go wrong (`LinAlgError` is a ValueError).
_NUMERICAL = (ArithmeticError, ValueError, RuntimeError, MemoryError)
_OFFERED = 1024  # points of an infinite space that sources choose from
_APART = 0.1  # how far from each other, of the unit cube, are points that sources promise much of


class BayesPlanner:
    """Proposes where a Gaussian process expects the greatest improvement; see the module for the method.

    Runs on one thread, so that equal arguments give equal proposals.
    """

    version: str = "3"
    in_process: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        self.options = read_options(BayesOptions, "bayes", options)

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points; see `sdl.protocols.Planner`.

        Raises:
            Exhausted: nothing is left to propose.
            InputError: constraints that leave no room that draws can hit.
        """
        candidates = Candidates.of(problem, trials)
        known = Known.of(candidates.space, trials)
        rng = np.random.default_rng(seed)
        if candidates.free is not None:
            n = min(n, len(candidates.free))
        with one_thread():
            knowledge = Knowledge.of(candidates.space)
            least = 1 if knowledge is not None and knowledge.whole else 2
            initial = least if knowledge is not None and self.options.initial is None else self._initial(candidates)
            first = min(n, max(0, initial - known.started)) if len(known.observed) >= least else n
            why = "spread over the space, before a model"
            raw, proposals = self._design(candidates, known, first, rng, why, knowledge=knowledge)
            if first == n:
                return proposals
            try:
                return proposals + Call(self.options, self.version, candidates, known, seed, rng).proposals(
                    raw, n - first
                )
            except _NUMERICAL as error:
                summary = "spread over the space, since the model failed"
                why = f"{type(error).__name__}: {error}"
                return proposals + self._design(candidates, known, n - first, rng, summary, raw, fallback=why)[1]

    def _initial(self, candidates: Candidates) -> int:
        if self.options.initial is not None:
            return self.options.initial
        return 2 if candidates.finite is not None else min(10, max(4, 2 * candidates.space.d))

    def _design(
        self,
        candidates: Candidates,
        known: Known,
        n: int,
        rng: np.random.Generator,
        summary: str,
        chosen: Array | None = None,
        knowledge: Knowledge | None = None,
        **details: str,
    ) -> tuple[Array, list[Proposal]]:
        """Points far from all trials and from `chosen`, or those that sources promise most of: raw, shape (n, d), and
        as proposals."""
        space = candidates.space
        chosen = np.empty((0, space.d)) if chosen is None else chosen
        if n == 0:
            return chosen, []
        offered = candidates.sample(rng, 64 * n + len(chosen))
        taken = {row.tobytes() for row in chosen}
        offered = offered[[row.tobytes() not in taken for row in offered]]
        away = np.concatenate([known.observed, known.infeasible, known.pending, chosen])
        if knowledge is None:
            raw = spread(space, away, offered, n, rng)
        else:
            summary = "what earlier knowledge promises most of, before a model"
            raw = _promised(candidates, knowledge, away, n, rng)
        described = {"planner": "bayes", "version": self.version, **candidates.notes, **unusable(known), **details}
        reason = Reason(summary=summary + candidates.merged, details=described)
        return raw, [Proposal(parameters=space.values(row), reason=reason) for row in raw]


def _promised(candidates: Candidates, knowledge: Knowledge, away: Array, n: int, rng: np.random.Generator) -> Array:
    """Points that sources promise most of, apart from each other and from trials where that can be: shape (n, d)."""
    space = candidates.space
    rows = candidates.rows if candidates.rows is not None else candidates.sample(rng, _OFFERED)
    scores = {goal.name: partial(Acquisition.score, goal) for goal in space.problem.objectives}
    order = np.argsort(-knowledge.promise(space.features(rows), scores), kind="stable")
    chosen: list[int] = []
    for least in (_APART, 0.0):
        for i in order[:_OFFERED].tolist():
            near = np.concatenate([away, rows[chosen]])
            gap = space.difference(space.to_unit(rows[i : i + 1]), space.to_unit(near)).min(initial=np.inf)
            if len(chosen) < n and i not in chosen and gap >= least:
                chosen.append(i)
    return rows[chosen]
