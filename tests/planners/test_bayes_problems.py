"""`bayes` on kinds of problems: several objectives, outcome constraints, costs, mixtures, replicates, bad outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from sdl.model import InputError, Outcome, Pool, Problem, Proposal, Scalar, Trial, TrialStatus
from sdl.planners._pareto import front, hypervolume
from sdl.planners.bayes import BayesPlanner
from sdl.planners.random import RandomPlanner

Response = Callable[[Mapping[str, Scalar]], dict[str, float]]
REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
LARGE = {"kind": "maximize", "unit": "1"}
SMALL = {"kind": "minimize", "unit": "1"}


def _problem(parameters: str = "ab", objectives: dict[str, Any] | None = None, **more: Any) -> Problem:
    fields = {"parameters": dict.fromkeys(parameters, REAL), "objectives": objectives or {"f": LARGE}, **more}
    return Problem.model_validate(fields)


def _told(trials: list[Trial], proposals: list[Proposal], response: Response) -> list[Trial]:
    new = [
        Trial(
            number=len(trials) + 1 + i,
            parameters=p.parameters,
            status=TrialStatus.OBSERVED,
            outcomes={name: Outcome(value=value) for name, value in response(p.parameters).items()},
        )
        for i, p in enumerate(proposals)
    ]
    return [*trials, *new]


def _random(problem: Problem, n: int, response: Response, seed: int = 0) -> list[Trial]:
    return _told([], RandomPlanner().propose(problem, [], n, seed), response)


def _number(parameters: Mapping[str, Scalar], name: str) -> float:
    return float(parameters[name])


def _two(p: Mapping[str, Scalar]) -> dict[str, float]:
    """Distances to two corners: the front is the line between them."""
    a, b = _number(p, "a"), _number(p, "b")
    return {"f": a**2 + b**2, "g": (a - 1) ** 2 + b**2}


def test_two_objectives_reach_more_hypervolume_than_random() -> None:
    """Three batches of four dominate nearly all that can be, and more than 40 random draws."""
    problem = _problem(objectives={"f": {**SMALL, "threshold": 1.1}, "g": {**SMALL, "threshold": 1.1}})
    trials = _random(problem, 5, _two)
    for batch in range(3):
        trials = _told(trials, BayesPlanner(initial=2).propose(problem, trials, 4, batch), _two)

    def reached(found: list[Trial]) -> float:
        scores = -np.array([[t.outcomes["f"].value, t.outcomes["g"].value] for t in found])
        return hypervolume(scores[front(scores)], np.array([-1.1, -1.1]))

    assert reached(trials) > reached(_random(problem, 40, _two, seed=3))
    reason = BayesPlanner().propose(problem, trials, 1, 0)[0].reason
    assert set(reason.predicted) == {"f", "g"}
    assert "hypervolume" in reason.details["improvement_left"]["text"]


def test_weights_make_one_number_of_several_objectives() -> None:
    """A heavy weight on one objective sends proposals to its optimum."""
    objectives = {"f": {**SMALL, "weight": 20.0}, "g": {**SMALL, "weight": 1.0}}
    problem = _problem(objectives=objectives)
    trials = _random(problem, 10, _two)
    for step in range(4):
        trials = _told(trials, BayesPlanner().propose(problem, trials, 1, step), _two)
    assert min(t.outcomes["f"].value for t in trials[-2:]) < 0.03


def test_outcome_constraints_are_kept() -> None:
    """The best that keeps a bound on another outcome is found, though the outcome itself is greater beyond."""
    problem = _problem(outcome_constraints={"heat": {"unit": "1", "at_most": 0.6}})

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": _number(p, "a") + _number(p, "b"), "heat": _number(p, "a")}

    trials = _random(problem, 6, response)
    for step in range(6):
        trials = _told(trials, BayesPlanner(initial=2).propose(problem, trials, 1, step), response)
    within = [t.outcomes["f"].value for t in trials if t.outcomes["heat"].value <= 0.6]
    assert max(within) > 1.5
    assert sum(t.outcomes["heat"].value > 0.65 for t in trials[-4:]) <= 1


def test_first_a_trial_that_keeps_the_constraint_is_sought() -> None:
    """Where no trial keeps it, the chance to keep it decides, and the summary says so."""
    problem = _problem(outcome_constraints={"heat": {"unit": "1", "at_most": 0.05}})

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": _number(p, "a"), "heat": _number(p, "a")}

    trials = [t for t in _random(problem, 14, response) if t.outcomes["heat"].value > 0.3]
    found = BayesPlanner(initial=2).propose(problem, trials, 1, 0)[0]
    assert float(found.parameters["a"]) < 0.1
    assert "which no trial does yet" in found.reason.summary


def test_dear_trials_are_avoided() -> None:
    """Of two equal optima the cheap one is chosen, by the cost of a trial and by the cost of a change."""

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": -((abs(_number(p, "a") - 0.5) - 0.3) ** 2)}

    for cost in ("1 + 20 * a", "21 - 20 * a"):
        problem = _problem("a", trial_cost=cost)
        trials = _random(problem, 8, response)
        chosen = float(BayesPlanner(initial=2).propose(problem, trials, 1, 0)[0].parameters["a"])
        assert (chosen < 0.5) == (cost == "1 + 20 * a")
    furnace = {"kind": "integer", "low": 0, "high": 5, "change_cost": 50.0}
    problem = Problem.model_validate({"parameters": {"a": REAL, "t": furnace}, "objectives": {"f": LARGE}})
    trials = _random(problem, 8, response)
    assert BayesPlanner(initial=2).propose(problem, trials, 1, 0)[0].parameters["t"] == trials[-1].parameters["t"]


def test_mixture_of_few_components() -> None:
    """Proposals keep the sum and the number of components, and the best blend of two is found."""
    names = ("a", "b", "c", "d")
    mixture = {"blend": {"components": list(names), "max_components": 2}}
    problem = _problem("abcd", mixtures=mixture)

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": 4 * _number(p, "b") * _number(p, "d") + 0.2 * _number(p, "a")}

    trials = _random(problem, 8, response)
    for step in range(14):
        trials = _told(trials, BayesPlanner(initial=2).propose(problem, trials, 1, step), response)
    for trial in trials:
        problem.check(trial.parameters)
    assert max(t.outcomes["f"].value for t in trials) > 0.95


def test_nonlinear_constraint_holds_at_its_edge() -> None:
    """With the optimum outside a curved constraint, proposals stay inside and come near its edge."""
    problem = _problem(constraints=[{"expression": "a * a + b * b <= 0.5"}])
    trials = _random(problem, 5, lambda p: {"f": _number(p, "a") + 2 * _number(p, "b")})
    for step in range(5):
        found = BayesPlanner(initial=2).propose(problem, trials, 1, step)
        trials = _told(trials, found, lambda p: {"f": _number(p, "a") + 2 * _number(p, "b")})
    for trial in trials:
        problem.check(trial.parameters)
    assert max(t.outcomes["f"].value for t in trials) > 0.98 * math.sqrt(2.5)


def test_noisy_best_point_is_measured_again() -> None:
    """Where noise is large and nothing else promises more, a point is repeated and named; `never` does not."""
    problem = _problem("a")
    rng = np.random.default_rng(2)
    points = np.linspace(0, 1, 40)
    trials = [
        Trial(
            number=i + 1,
            parameters={"a": float(a)},
            status=TrialStatus.OBSERVED,
            outcomes={"f": Outcome(value=float(-((a - 0.5) ** 2) * 0.1 + rng.standard_normal()), sem=1.0)},
        )
        for i, a in enumerate(points)
    ]
    repeated = [BayesPlanner().propose(problem, trials, 1, seed)[0] for seed in range(2)]
    named = [p.reason.details.get("repeats_trial") for p in repeated]
    assert all(n is not None and trials[n - 1].parameters == p.parameters for n, p in zip(named, repeated, strict=True))
    assert repeated[0].reason.summary.startswith("measured again")
    new = BayesPlanner(replicate="never").propose(problem, trials, 1, 0)[0]
    assert new.parameters not in [t.parameters for t in trials]


def test_outcomes_that_are_no_numbers_are_left_out_and_said() -> None:
    """Trials without the outcome, or with NaN, teach nothing, and the reason lists them."""
    problem = _problem()
    trials = _random(problem, 6, lambda p: {"f": _number(p, "a")})
    nothing = trials[0].model_copy(update={"number": 7, "outcomes": {}})
    strange = trials[1].model_copy(update={"number": 8, "outcomes": {"f": Outcome.model_construct(value=math.nan)}})
    found = BayesPlanner(initial=2).propose(problem, [*trials, nothing, strange], 1, 0)[0]
    assert found.reason.details["ignored_trials"] == [7, 8]
    assert "f" in found.reason.predicted


def test_large_pool_gives_the_row_that_exact_values_would() -> None:
    """The first pass over a pool keeps the row that is best when all are computed exactly, for two objectives too."""
    rows = np.random.default_rng(0).random((3000, 4))
    pool = Pool(columns={name: tuple(rows[:, j].tolist()) for j, name in enumerate("abcd")})

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": math.sin(5 * _number(p, "a")) + _number(p, "b"), "g": _number(p, "c") - _number(p, "a")}

    for objectives in ({"f": LARGE}, {"f": LARGE, "g": LARGE}):
        problem = _problem("abcd", objectives=objectives, pool=pool)
        trials = _random(problem, 150, response)
        exact = BayesPlanner().propose(problem, trials, 2, 0)
        quick = BayesPlanner(pool_limit=60).propose(problem, trials, 2, 0)
        assert [p.parameters for p in quick] == [p.parameters for p in exact]


def test_a_device_gives_the_same_proposals() -> None:
    """Predictions through torch agree with numpy's to rounding, after believing points too."""
    pytest.importorskip("torch")
    from sdl.planners._device import DeviceModel
    from sdl.planners._surrogate import Data, fit

    rng = np.random.default_rng(0)
    x, z = rng.random((40, 3)), rng.random((500, 3))
    exact = fit(Data(x, np.arange(3), np.sin(4 * x).sum(axis=1), np.zeros(40)))
    there = DeviceModel.of(exact, "cpu")
    for ours, theirs in ((exact, there), (exact.believing(z[:3]), there.believing(z[:3]))):
        assert np.allclose(theirs.predict(z), ours.predict(z), rtol=1e-9, atol=1e-9)


def test_a_device_that_is_not_there_is_said() -> None:
    """`device: cuda` without a graphics card is an error that says what to do."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a graphics card here")
    problem = _problem()
    with pytest.raises(InputError, match="leave out `device: cuda`"):
        BayesPlanner(device="cuda").propose(problem, _random(problem, 6, lambda p: {"f": _number(p, "a")}), 1, 0)


def test_twenty_parameters_and_a_thousand_trials() -> None:
    """Many parameters and trials are no trouble: the proposal is valid, improves, and names no fallback."""
    names = [f"p{j}" for j in range(20)]
    problem = Problem.model_validate({"parameters": dict.fromkeys(names, REAL), "objectives": {"f": LARGE}})

    def response(p: Mapping[str, Scalar]) -> dict[str, float]:
        return {"f": -sum((float(v) - 0.6) ** 2 for v in p.values())}

    trials = _random(problem, 1000, response)
    found = BayesPlanner().propose(problem, trials, 1, 0)[0]
    assert "fallback" not in found.reason.details
    assert response(found.parameters)["f"] > max(t.outcomes["f"].value for t in trials)


def _source(
    problem: Problem, outcome: Callable[[Mapping[str, Scalar]], float], n: int = 40, **more: Any
) -> dict[str, Any]:
    points = [p.parameters for p in RandomPlanner().propose(problem, [], n, 5)]
    columns = {name: tuple(p[name] for p in points) for name in problem.parameter_names}
    return {"name": "earlier", "parameters": columns, "outcomes": {"f": tuple(outcome(p) for p in points)}, **more}


def _hill(p: Mapping[str, Scalar]) -> float:
    return 5.0 - 10 * (_number(p, "a") - 0.31) ** 2 - 10 * (_number(p, "b") - 0.72) ** 2


def test_a_source_is_used_from_the_first_trial() -> None:
    """An earlier campaign with another offset and scale leads the first proposal near the optimum, and is named."""
    plain = _problem()
    problem = _problem(sources=[_source(plain, lambda p: 2.0 * _hill(p) + 7.0)])
    found = BayesPlanner().propose(problem, [], 1, 0)[0]
    assert _hill(found.parameters) > 4.5
    trials = _told([], BayesPlanner().propose(problem, [], 2, 0), lambda p: {"f": _hill(p)})
    for step in range(3):
        trials = _told(trials, BayesPlanner().propose(problem, trials, 1, step), lambda p: {"f": _hill(p)})
    assert max(t.outcomes["f"].value for t in trials) > 4.9
    assert "earlier knowledge" in found.reason.summary
    assert BayesPlanner().propose(problem, trials, 1, 0)[0].reason.details["sources"]["f"]["earlier"] > 0


def test_a_source_that_trials_contradict_loses_its_say() -> None:
    """A source of noise has next to no share once a dozen trials are known."""
    plain = _problem()
    noise = np.random.default_rng(8)
    problem = _problem(sources=[_source(plain, lambda p: 30 * float(noise.standard_normal()))])
    trials = _random(plain, 12, lambda p: {"f": _hill(p)})
    assert BayesPlanner().propose(problem, trials, 1, 0)[0].reason.details["sources"]["f"].get("earlier", 0) < 0.3
