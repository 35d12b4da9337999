"""`baybe`: BayBE (Merck), over its discrete or continuous search spaces (Fitzner et al., Digital Discovery 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from sdl.model import CategoricalParameter, LinearConstraint, Problem, RealParameter, Trial
from sdl.planners._space import Array
from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, PeerOptions, need

__all__ = ["BaybeOptions", "BaybePlanner"]


class BaybeOptions(PeerOptions):
    """Options of `baybe`."""


class BaybePlanner(Peer):
    """A BayBE campaign with its BoTorch recommender, made anew at each call.

    A pool is BayBE's discrete search space as it is. A box of real parameters, with linear constraints and mixtures, is
    its continuous one; logarithmic parameters are searched in their logarithm. Any other space is drawn from, and the
    points drawn are a discrete search space. Several objectives are a Pareto objective; pending trials are told.
    """

    name: ClassVar[str] = "baybe"
    package: ClassVar[str] = "baybe"
    options_type: ClassVar[type[PeerOptions]] = BaybeOptions

    def modules(self) -> tuple[str, ...]:
        """As for all adapters."""
        return ("baybe.recommenders", "torch")

    def choose(self, case: Case, n: int) -> list[Choice]:
        """One recommendation."""
        return self._continuous(case, n) if not case.finite and _boxed(case.problem) else self._discrete(case, n)

    # -- continuous --------------------------------------------------------------------------------------------------

    def _continuous(self, case: Case, n: int) -> list[Choice]:
        parameters = need("baybe.parameters", self.name)
        spaces = need("baybe.searchspace", self.name)
        limits = [(p.name, _searched(p, p.low), _searched(p, p.high)) for p in _reals(case.problem)]
        space = spaces.SearchSpace.from_product(
            [parameters.NumericalContinuousParameter(name=name, bounds=(low, high)) for name, low, high in limits],
            constraints=_constraints(need("baybe.constraints", self.name), case.problem) or None,
        )

        def frame(trials: Sequence[Trial]) -> Any:
            pandas = need("pandas", self.name)
            columns = {
                p.name: [_searched(p, float(t.parameters[p.name])) for t in trials] for p in _reals(case.problem)
            }
            return pandas.DataFrame(columns, dtype=float)

        found = self._recommend(case, space, n, frame(case.seen), frame(case.pending))
        points = [
            {p.name: _value(p, float(row[p.name])) for p in _reals(case.problem)} for row in found.to_dict("records")
        ]
        return case.settle(case.space.raw(points))

    # -- discrete ----------------------------------------------------------------------------------------------------

    def _discrete(self, case: Case, n: int) -> list[Choice]:
        offered = case.offered(self.options.candidates)
        seen, pending = case.raw(case.seen), case.raw(case.pending)
        varied = [j for j in range(case.space.d) if len(np.unique(offered[:, j])) + len(np.unique(seen[:, j])) > 2]
        every = np.unique(np.concatenate([offered, seen, pending]), axis=0)
        parameters = [self._parameter(case, j, every) for j in varied]
        spaces = need("baybe.searchspace", self.name)
        whole = self._frame(case, varied, every)
        # `from_dataframe` checks each value against each level, which takes minutes for a pool of distinct numbers.
        space = spaces.SearchSpace(discrete=spaces.SubspaceDiscrete(parameters=parameters, exp_rep=whole))
        free = {row.tobytes() for row in offered}
        barred = self._frame(case, varied, every[[row.tobytes() not in free for row in every]])
        told = self._frame(case, varied, seen)
        found = self._recommend(case, space, n, told, self._frame(case, varied, pending), barred)
        # The frame keeps the order of `every`, so its labels are the rows' places.
        return [Choice(every[int(i)], {}) for i in found.index]

    def _parameter(self, case: Case, j: int, every: Array) -> Any:
        parameters = need("baybe.parameters", self.name)
        parameter = case.space.parameters[j]
        if isinstance(parameter, CategoricalParameter):
            return parameters.CategoricalParameter(name=parameter.name, values=parameter.levels, encoding="OHE")
        values = np.unique(self._column(case, j, every))
        return parameters.NumericalDiscreteParameter(name=parameter.name, values=values.tolist())

    def _column(self, case: Case, j: int, raw: Array) -> Any:
        parameter = case.space.parameters[j]
        if isinstance(parameter, CategoricalParameter):
            return [parameter.levels[round(value)] for value in raw[:, j].tolist()]
        return case.space.to_unit(raw)[:, j]

    def _frame(self, case: Case, varied: list[int], raw: Array) -> Any:
        pandas = need("pandas", self.name)
        return pandas.DataFrame({case.space.parameters[j].name: self._column(case, j, raw) for j in varied})

    # -- both --------------------------------------------------------------------------------------------------------

    def _recommend(self, case: Case, space: Any, n: int, seen: Any, pending: Any, barred: Any = None) -> Any:
        baybe = need("baybe", self.name)
        recommenders = need("baybe.recommenders", self.name)
        names = [f"score_{i}" for i in range(case.scores.shape[1])]
        campaign = baybe.Campaign(
            space,
            self._objective(names),
            recommenders.BotorchRecommender(),
            **_flags(case.finite or barred is not None),
        )
        campaign.add_measurements(
            seen.assign(**dict(zip(names, case.scores.T, strict=True))),
            numerical_measurements_must_be_within_tolerance=False,
        )
        if barred is not None and len(barred):
            campaign.toggle_discrete_candidates(barred, exclude=True)
        return campaign.recommend(batch_size=n, pending_experiments=pending if len(pending) else None)

    def _objective(self, names: list[str]) -> Any:
        target = need("baybe.targets", self.name).NumericalTarget
        objectives = need("baybe.objectives", self.name)
        targets = [target(name=name) for name in names]
        return (
            objectives.SingleTargetObjective(targets[0]) if len(targets) == 1 else objectives.ParetoObjective(targets)
        )


def _flags(discrete: bool) -> dict[str, bool]:
    """Which rows may come again is settled by what is barred, since a failed trial's may."""
    if not discrete:
        return {}
    return {"allow_recommending_already_measured": True, "allow_recommending_pending_experiments": True}


def _reals(problem: Problem) -> list[RealParameter]:
    return [p for p in problem.searched if isinstance(p, RealParameter)]


def _boxed(problem: Problem) -> bool:
    """Whether BayBE's continuous space holds it: real parameters, and linear constraints that bind no logarithm."""
    logs = {p.name for p in _reals(problem) if p.log}
    names = {p.name for p in _reals(problem)}
    linear = all(isinstance(c, LinearConstraint) and set(c.sum) <= names - logs for c in problem.constraints)
    whole = all(m.max_components is None for m in problem.mixtures)
    return len(names) == len(problem.searched) and linear and whole


def _searched(parameter: RealParameter, value: float) -> float:
    return math.log(value) if parameter.log else value


def _value(parameter: RealParameter, searched: float) -> float:
    value = math.exp(searched) if parameter.log else searched
    return min(max(value, parameter.low), parameter.high)


def _constraints(module: Any, problem: Problem) -> list[Any]:
    kind = module.ContinuousLinearConstraint
    found = [kind(list(m.components), "=", [1.0] * len(m.components), m.total) for m in problem.mixtures]
    for rule in problem.constraints:
        assert isinstance(rule, LinearConstraint)
        names, weights = list(rule.sum), list(rule.sum.values())
        if rule.at_most is not None and rule.at_most == rule.at_least:
            found.append(kind(names, "=", weights, rule.at_most))
            continue
        if rule.at_most is not None:
            found.append(kind(names, "<=", weights, rule.at_most))
        if rule.at_least is not None:
            found.append(kind(names, ">=", weights, rule.at_least))
    return found
