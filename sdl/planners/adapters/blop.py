"""Blop's optimizer protocol, both ways.

`BlopPlanner` makes a Blop optimizer a planner of sdl; `PlannerOptimizer` makes any planner of sdl an optimizer for
Blop's plans at a beamline:

    from blop.plans import optimize
    from blop.protocols import OptimizationProblem
    optimizer = PlannerOptimizer(BayesPlanner(), problem, seed=1)
    RE(optimize(OptimizationProblem(optimizer, actuators, sensors, evaluate), iterations=20))
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sdl.model import Exhausted, InputError, Outcome, Problem, Scalar, Trial, TrialStatus
from sdl.planners.adapters._box import box, point
from sdl.planners.adapters._case import Case, Choice
from sdl.planners.adapters._peer import Peer, need
from sdl.planners.adapters._simplex import reduce
from sdl.planners.adapters.ax import arm, bounds, config, measured, rule
from sdl.protocols import Planner

__all__ = ["BlopPlanner", "PlannerOptimizer"]

ID = "_id"
"""Key under which Blop identifies a suggestion."""


class BlopPlanner(Peer):
    """A Blop optimizer as a planner, made anew at each call: told the trials, then asked.

    By default `blop.ax.optimizer.AxOptimizer`. For another one, override `optimizer` in a plug-in of your own.
    """

    name: ClassVar[str] = "blop"
    package: ClassVar[str] = "blop"
    constrains_outcomes: ClassVar[bool] = True

    def modules(self) -> tuple[str, ...]:
        """As for all adapters."""
        return ("blop.ax.optimizer", "torch")

    def optimizer(self, case: Case) -> Any:
        """A new optimizer for a problem, told nothing yet; a `blop.protocols.Optimizer`.

        It maximises the scores `m0`, `m1` … of the objectives, with `c0`, `c1` … within the outcome constraints, over
        the parameters that `sdl.planners.adapters.ax` would give to Ax.
        """
        made = need("blop.ax.optimizer", self.name).AxOptimizer
        api = need("ax", self.name)
        reduced = reduce(case.problem)
        optimizer = made(
            parameters=[config(api, d) for d in box(case.problem) if d.name not in reduced.solved],
            objective=", ".join(f"m{i}" for i in range(len(case.problem.objectives))),
            parameter_constraints=[rule(*r) for r in reduced.rules] or None,
            outcome_constraints=bounds(case.problem) or None,
            client_kwargs={"random_seed": case.seed % 2**31},
        )
        optimizer.ax_client.configure_generation_strategy(
            initialization_budget=self.options.initial,
            initialize_with_center=False,
            min_observed_initialization_trials=min(self.options.initial, len(case.seen)),
            allow_exceeding_initialization_budget=True,
        )
        return optimizer

    def choose(self, case: Case, n: int) -> list[Choice]:
        """Tell and ask."""
        dimensions, reduced = box(case.problem), reduce(case.problem)
        optimizer = self.optimizer(case)
        optimizer.ingest(
            [arm(dimensions, reduced, trial.parameters) | measured(case.problem, trial) for trial in case.seen]
        )
        protocols = need("blop.protocols", self.name)
        ended = case.of_status(TrialStatus.FAILED, TrialStatus.INFEASIBLE)
        if isinstance(optimizer, protocols.CanRegisterSuggestions):
            optimizer.register_suggestions([arm(dimensions, reduced, t.parameters) for t in case.pending])
            failed = optimizer.register_suggestions([arm(dimensions, reduced, t.parameters) for t in ended])
            if isinstance(optimizer, protocols.TrialFaultAware):
                optimizer.register_failures(failed)
        answers = [{key: value for key, value in answer.items() if key != ID} for answer in optimizer.suggest(n)]
        found = [point(dimensions, reduced.complete(answer)) for answer in answers]
        return case.settle(case.space.raw(found))


class PlannerOptimizer:
    """A planner of sdl behind Blop's protocols `Optimizer`, `CanRegisterSuggestions`, `TrialFaultAware` and
    `SupportsStoppingCriteria`.

    It keeps the trials, which a pure planner does not. Suggestions are pending until they are ingested or failed.
    """

    def __init__(self, planner: Planner, problem: Problem, *, seed: int = 0, trials: Sequence[Trial] = ()) -> None:
        """Wrap a planner.

        Args:
            planner: any planner.
            problem: parameters named as Blop's actuators, objectives as the outcomes that its evaluation returns.
            seed: that of the campaign; each call's is derived from it and the number of trials.
            trials: known before.
        """
        self.planner = planner
        self.problem = problem
        self.seed = seed
        self._trials: dict[int, Trial] = {trial.number: trial for trial in trials}
        self._ended = ""

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials so far, by number."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Points to be tried next, each with its `_id`; fewer when the planner has no more."""
        digest = hashlib.sha256(f"{self.seed}/{len(self._trials)}".encode()).digest()
        try:
            found = self.planner.propose(self.problem, self.trials, num_points or 1, int.from_bytes(digest[:8]) >> 1)
        except Exhausted as error:
            self._ended = str(error)
            return []
        return [self._add(proposal.parameters, TrialStatus.PROPOSED) for proposal in found]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes: of suggestions by their `_id`, or of points from elsewhere with their parameters.

        Raises:
            InputError: an unknown `_id`, no outcome of an objective, or parameters outside the problem.
        """
        for given in points:
            number = given.get(ID)
            if not isinstance(number, int):
                values = {name: given[name] for name in self.problem.parameter_names if name in given}
                number = self._add(self._checked(values), TrialStatus.PROPOSED)[ID]
            trial = self._known(number)
            outcomes = {o.name: _outcome(given, o.name, getattr(o, "unit", "1")) for o in self.problem.objectives}
            changed = {"status": TrialStatus.OBSERVED, "outcomes": outcomes}
            self._trials[trial.number] = trial.model_copy(update=changed)

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Points that a person wants tried, as pending trials.

        Raises:
            InputError: parameters outside the problem.
        """
        plain = [{key: value for key, value in point_.items() if key != ID} for point_ in suggestions]
        return [self._add(self._checked(values), TrialStatus.PROPOSED) for values in plain]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Suggestions whose trial failed through the equipment; planners learn nothing from them.

        Raises:
            InputError: an unknown `_id`.
        """
        for given in suggestions:
            trial = self._known(given.get(ID))
            self._trials[trial.number] = trial.model_copy(update={"status": TrialStatus.FAILED})

    def get_best_points(self) -> list[tuple[int, dict[str, Scalar], dict[str, float]]]:
        """The best observed trial, or with several objectives those that no other is better than in all of them."""
        seen = [t for t in self.trials if t.status is TrialStatus.OBSERVED]
        scores = [tuple(o.score(t.outcomes[o.name].value) for o in self.problem.objectives) for t in seen]
        best = [
            trial
            for trial, mine in zip(seen, scores, strict=True)
            if not any(all(a >= b for a, b in zip(other, mine, strict=True)) and other != mine for other in scores)
        ]
        if len(self.problem.objectives) == 1:
            best = best[:1]
        return [(t.number, dict(t.parameters), {n: o.value for n, o in t.outcomes.items()}) for t in best]

    def should_stop(self) -> tuple[bool, str | None]:
        """Whether the planner has nothing left."""
        return bool(self._ended), self._ended or None

    def _add(self, parameters: Mapping[str, Scalar], status: TrialStatus) -> dict[str, Any]:
        number = max(self._trials, default=0) + 1
        self._trials[number] = Trial(number=number, parameters=dict(parameters), status=status)
        return {ID: number, **parameters}

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Scalar]:
        try:
            return self.problem.check(values)
        except ValueError as error:
            raise InputError(f"this point cannot be a trial: {error}") from None

    def _known(self, number: Any) -> Trial:
        if number not in self._trials:
            raise InputError(f"no suggestion has the _id {number!r}; there are {', '.join(map(str, self._trials))}")
        return self._trials[number]


def _outcome(given: Mapping[str, Any], name: str, unit: str) -> Outcome:
    if name not in given:
        raise InputError(f"the evaluation gave no {name!r}, only {', '.join(k for k in given if k != ID)}")
    value = given[name]
    pair = value if isinstance(value, tuple) else (value, None)
    return Outcome(value=float(pair[0]), sem=None if pair[1] is None else float(pair[1]), unit=unit)
