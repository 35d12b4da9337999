"""`ax`: Ax (Meta) through its client.

Ax's client takes inequalities and refuses sums that have to be met exactly, so one component of each mixture is left
out and computed from the others. It has no list of candidates: its point is mapped to the nearest free row of a pool,
and marked so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from sdl.model import Problem, Trial, TrialStatus
from sdl.planners.adapters._box import Dimension, box, point
from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, PeerOptions, need
from sdl.planners.adapters._simplex import Reduced, reduce

__all__ = ["AxOptions", "AxPlanner", "arm", "bounds", "config", "measured", "rule"]


class AxOptions(PeerOptions):
    """Options of `ax`."""

    method: Literal["fast", "quality"] = "fast"
    """Ax's method of choosing candidates."""


class AxPlanner(Peer):
    """Ax's client (Olson et al., AutoML 2025) with an experiment made anew at each call.

    Observed trials are completed with their standard errors, pending ones run, failed and infeasible ones are marked as
    failed: Ax takes abandoned ones for pending for ever.
    """

    name: ClassVar[str] = "ax"
    package: ClassVar[str] = "ax-platform"
    constrains_outcomes: ClassVar[bool] = True
    options_type: ClassVar[type[PeerOptions]] = AxOptions

    def modules(self) -> tuple[str, ...]:
        """As for all adapters."""
        return ("ax", "torch")

    def choose(self, case: Case, n: int) -> list[Choice]:
        """One generation of `n` trials."""
        dimensions = box(case.problem)
        reduced = reduce(case.problem)
        client = self._client(case, dimensions, reduced)
        for trial in case.seen:
            index = client.attach_trial(arm(dimensions, reduced, trial.parameters))
            client.complete_trial(index, raw_data=measured(case.problem, trial))
        for trial in case.pending:
            client.attach_trial(arm(dimensions, reduced, trial.parameters))
        for trial in case.of_status(TrialStatus.FAILED, TrialStatus.INFEASIBLE):
            client.mark_trial_failed(client.attach_trial(arm(dimensions, reduced, trial.parameters)))
        answers = client.get_next_trials(max_trials=n)
        found = [point(dimensions, reduced.complete(dict(answer))) for _, answer in sorted(answers.items())]
        return case.settle(case.space.raw(found))

    def _client(self, case: Case, dimensions: list[Dimension], reduced: Reduced) -> Any:
        api = need("ax", self.name)
        client = api.Client(random_seed=case.seed % 2**31)
        rules = [rule(weights, bound) for weights, bound in reduced.rules]
        client.configure_experiment(
            parameters=[config(api, d) for d in dimensions if d.name not in reduced.solved],
            parameter_constraints=rules or None,
        )
        client.configure_optimization(
            objective=", ".join(f"m{i}" for i in range(len(case.problem.objectives))),
            outcome_constraints=bounds(case.problem) or None,
        )
        # Two observed trials are enough of a start: `initial` of this adapter has drawn them.
        client.configure_generation_strategy(
            method=self.options.method,
            initialization_budget=self.options.initial,
            initialize_with_center=False,
            use_existing_trials_for_initialization=True,
            min_observed_initialization_trials=min(self.options.initial, len(case.seen)),
            allow_exceeding_initialization_budget=True,
        )
        return client


def measured(problem: Problem, trial: Trial) -> dict[str, Any]:
    """An observed trial as Ax takes it: scores `m0`, `m1` … of the objectives, and outcomes `c0`, `c1` … that are
    constrained, each with its standard error where that is known."""
    found = {f"m{i}": (o.score(trial.outcomes[o.name].value), o.name) for i, o in enumerate(problem.objectives)}
    found |= {f"c{i}": (trial.outcomes[c.name].value, c.name) for i, c in enumerate(problem.outcome_constraints)}
    sems = {key: trial.outcomes[name].sem for key, (_, name) in found.items()}
    return {key: value if sems[key] is None else (value, sems[key]) for key, (value, _) in found.items()}


def bounds(problem: Problem) -> list[str]:
    """Constraints on outcomes as Ax takes them, in the units of the outcomes."""
    found = []
    for i, constraint in enumerate(problem.outcome_constraints):
        found += [] if constraint.at_most is None else [f"c{i} <= {constraint.at_most!r}"]
        found += [] if constraint.at_least is None else [f"c{i} >= {constraint.at_least!r}"]
    return found


def config(api: Any, dimension: Dimension) -> Any:
    """A dimension as Ax's client takes it; `api` is the module `ax`."""
    if dimension.levels:
        return api.ChoiceParameterConfig(
            name=dimension.name, values=list(dimension.levels), parameter_type="str", is_ordered=False
        )
    if dimension.steps:
        return api.ChoiceParameterConfig(
            name=dimension.name, values=list(dimension.steps), parameter_type="float", is_ordered=True
        )
    whole = dimension.whole
    return api.RangeParameterConfig(
        name=dimension.name,
        bounds=(round(dimension.low), round(dimension.high)) if whole else (dimension.low, dimension.high),
        parameter_type="int" if whole else "float",
        scaling="log" if dimension.log else None,
    )


def rule(weights: Mapping[str, float], bound: float) -> str:
    """Σ weight · parameter ≤ bound as Ax's client takes it."""
    terms = " + ".join(f"{weight!r} * {name}" for name, weight in weights.items())
    return f"{terms} <= {bound!r}".replace("+ -", "- ")


def arm(dimensions: list[Dimension], reduced: Reduced, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters as Ax takes them."""
    inside = point(dimensions, parameters)
    return {name: value for name, value in inside.items() if name not in reduced.solved}
