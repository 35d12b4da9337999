"""`optuna`: Optuna's samplers, its Gaussian process by default.

Optuna knows no list of candidates and no constraints between parameters: its point is mapped to the nearest free row
of a pool, or to the nearest of many drawn points that satisfy the constraints, and marked so.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from sdl.planners.adapters._box import Dimension, box, point
from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, PeerOptions, need

__all__ = ["OptunaOptions", "OptunaPlanner"]


class OptunaOptions(PeerOptions):
    """Options of `optuna`."""

    sampler: Literal["gp", "tpe"] = "gp"
    """`gp`: GPSampler, a Gaussian process with expected improvement; `tpe`: TPESampler, Parzen estimators."""
    deterministic: bool = False
    """Tell the Gaussian process that outcomes have no noise."""


class OptunaPlanner(Peer):
    """Optuna's ask-and-tell loop (Akiba et al., KDD 2019), with a study made anew at each call.

    Several objectives at once; pending trials are told as running, which the Gaussian process takes into account.
    """

    name: ClassVar[str] = "optuna"
    package: ClassVar[str] = "optuna"
    options_type: ClassVar[type[PeerOptions]] = OptunaOptions

    def modules(self) -> tuple[str, ...]:
        """As for all adapters; Parzen estimators do without torch."""
        return ("optuna", "torch") if self.options.sampler == "gp" else ("optuna",)

    def choose(self, case: Case, n: int) -> list[Choice]:
        """Ask the sampler `n` times, each answer running while the next is sought."""
        optuna = need("optuna", self.name)
        states = need("optuna.trial", self.name).TrialState
        dimensions = box(case.problem)
        distributions = {d.name: _distribution(optuna.distributions, d) for d in dimensions}
        study = optuna.create_study(sampler=self._sampler(optuna.samplers, case), directions=["maximize"] * _k(case))

        def told(parameters: Any, **more: Any) -> Any:
            known = {d.name: _inside(d, parameters[d.name]) for d in dimensions}
            return optuna.trial.create_trial(params=known, distributions=distributions, **more)

        study.add_trials(
            [told(t.parameters, values=row.tolist()) for t, row in zip(case.seen, case.scores, strict=True)]
            + [told(t.parameters, state=states.RUNNING) for t in case.pending]
        )
        asked = [point(dimensions, study.ask(distributions).params) for _ in range(n)]
        return case.settle(case.space.raw(asked))

    def _sampler(self, samplers: Any, case: Case) -> Any:
        seed = case.seed % 2**32
        if self.options.sampler == "tpe":
            return samplers.TPESampler(seed=seed, n_startup_trials=self.options.initial, constant_liar=True)
        return samplers.GPSampler(
            seed=seed,
            n_startup_trials=self.options.initial,
            deterministic_objective=self.options.deterministic,
            warn_independent_sampling=False,
        )


def _k(case: Case) -> int:
    return len(case.problem.objectives)


def _distribution(kinds: Any, dimension: Dimension) -> Any:
    if dimension.levels:
        return kinds.CategoricalDistribution(dimension.levels)
    if dimension.whole:
        return kinds.IntDistribution(round(dimension.low), round(dimension.high))
    return kinds.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _inside(dimension: Dimension, value: Any) -> Any:
    """A trial's value as the distribution takes it: a person's trial may lie outside the pool's range."""
    if dimension.levels:
        return value
    number = min(max(float(value), dimension.low), dimension.high)
    return round(number) if dimension.whole else number
