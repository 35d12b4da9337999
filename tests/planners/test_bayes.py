"""`bayes`: learns, respects what it is told, and leaves the process as it found it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from sdl.model import InputError, MissingExtra, Outcome, Problem, Scalar, Trial, TrialStatus
from sdl.planners.bayes import BayesPlanner
from sdl.planners.random import RandomPlanner

Plane = Callable[..., Problem]
Told = Callable[..., list[Trial]]


def _branin(p: Mapping[str, Scalar]) -> float:
    """Branin's function on the unit square (Dixon and Szegö 1978); least value 0.397887."""
    x, y = 15 * float(p["x"]) - 5, 15 * float(p["y"])
    curve = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def _search(planner: Any, problem: Problem, told: Told, count: int, seed: int, response: Any = _branin) -> list[Trial]:
    trials: list[Trial] = []
    for step in range(count):
        trials = told(trials, planner.propose(problem, trials, 1, 1000 * seed + step), response)
    return trials


def _value(trial: Trial) -> float:
    return trial.outcomes["f"].value


def _random_trials(problem: Problem, told: Told, count: int, response: Any = _branin) -> list[Trial]:
    return told([], RandomPlanner().propose(problem, [], count, 7), response)


def test_finds_the_minimum_faster_than_random(plane: Plane, told: Told) -> None:
    """After 18 trials of Branin's function the mean regret is below a quarter of random search's."""
    problem = plane()
    bayes = [min(map(_value, _search(BayesPlanner(), problem, told, 18, s))) for s in range(3)]
    draws = [min(map(_value, _search(RandomPlanner(), problem, told, 18, s))) for s in range(40)]
    assert np.mean(bayes) - 0.397887 < 0.25 * (np.mean(draws) - 0.397887)


def test_matches_a_target_inside_the_range(plane: Plane, told: Told) -> None:
    """`match` closes in on a contour of the outcome, not on its greatest or least value."""
    problem = plane("match", objective={"target": 60.0})
    trials = _search(BayesPlanner(), problem, told, 12, 0)
    assert min(abs(_value(t) - 60.0) for t in trials) < 1.0


def test_learns_from_infeasible_trials(plane: Plane, told: Told) -> None:
    """With trials infeasible wherever x > 0.5, proposals stay below, though the outcome grows with x."""
    problem = plane("maximize")
    trials = _random_trials(problem, told, 30, lambda p: float(p["x"]))
    trials = [
        t.model_copy(update={"status": TrialStatus.INFEASIBLE, "outcomes": {}}) if float(t.parameters["x"]) > 0.5 else t
        for t in trials
    ]
    ignorant = [t for t in trials if t.status is TrialStatus.OBSERVED]
    informed = [BayesPlanner().propose(problem, trials, 1, seed)[0] for seed in range(3)]
    assert float(BayesPlanner().propose(problem, ignorant, 1, 0)[0].parameters["x"]) > 0.9
    assert all(float(p.parameters["x"]) < 0.6 for p in informed)


def test_failed_trials_teach_nothing(plane: Plane, told: Told) -> None:
    """Failed trials change no proposal."""
    problem = plane()
    trials = _random_trials(problem, told, 8)
    failed = Trial(number=9, parameters={"x": 0.5, "y": 0.5}, status=TrialStatus.FAILED)
    with_failure = BayesPlanner().propose(problem, [*trials, failed], 1, 3)
    assert with_failure == BayesPlanner().propose(problem, trials, 1, 3)


def test_keeps_away_from_pending_trials(plane: Plane, told: Told) -> None:
    """A trial under way at the favourite point sends the next proposal elsewhere."""
    problem = plane()
    trials = _random_trials(problem, told, 12)
    first = BayesPlanner().propose(problem, trials, 1, 3)[0]
    running = Trial(number=13, parameters=first.parameters, status=TrialStatus.RUNNING)
    second = BayesPlanner().propose(problem, [*trials, running], 1, 3)[0]
    gap = [float(first.parameters[k]) - float(second.parameters[k]) for k in "xy"]
    assert math.hypot(*gap) > 0.02
    assert second.reason.details["pending"] == 1


def test_several_at_once_are_the_greedy_ones(plane: Plane, told: Told) -> None:
    """Of several proposals the first is that of a call for one."""
    problem = plane()
    trials = _random_trials(problem, told, 12)
    three = BayesPlanner().propose(problem, trials, 3, 3)
    assert three[0] == BayesPlanner().propose(problem, trials, 1, 3)[0]
    assert [p.reason.details["pending"] for p in three] == [0, 1, 2]


def test_standard_errors_are_the_least_noise(plane: Plane, told: Told) -> None:
    """Where every trial has a standard error, the model's noise is at least that, and tiny ones add next to nothing."""
    problem = plane()
    trials = _random_trials(problem, told, 10)

    def noise(sem: float | None) -> float:
        known = [t.model_copy(update={"outcomes": {"f": Outcome(value=_value(t), sem=sem)}}) for t in trials]
        reason = BayesPlanner().propose(problem, known, 1, 0)[0].reason
        return float(reason.details["noise_variance"])

    spread = np.var([_value(t) for t in trials], ddof=1)
    assert noise(20.0) > 400.0 / spread
    assert noise(20.0) > 3 * noise(0.0)
    assert noise(0.0) == pytest.approx(noise(None), rel=0.1)


def test_reason_says_what_was_expected(plane: Plane, told: Told) -> None:
    """The reason carries prediction, acquisition value and a length scale for each parameter."""
    trials = _random_trials(plane(), told, 10)
    reason = BayesPlanner().propose(plane(), trials, 1, 0)[0].reason
    assert set(reason.predicted) == {"f"}
    assert reason.acquisition is not None
    assert set(reason.details["length_scales"]) == {"x", "y"}
    assert sum(reason.details["sensitivities"].values()) == pytest.approx(1.0, abs=1e-3)
    assert 0.0 <= reason.details["exploration"] <= 1.0
    assert len(reason.details["nearest_trials"]) == 3
    assert reason.details["improvement_left"]["value"] > 0
    assert "predicted, best" in reason.summary


def test_constraints_hold_at_the_edge(plane: Plane, told: Told) -> None:
    """With the optimum outside a linear constraint, proposals stay inside it and reach its edge."""
    rule = {"sum": {"x": 1.0, "y": 1.0}, "at_most": 0.6}
    problem = plane("maximize", constraints=[rule])
    trials = _search(BayesPlanner(), problem, told, 8, 0, lambda p: float(p["x"]) + 2 * float(p["y"]))
    for trial in trials:
        problem.check(trial.parameters)
    assert max(float(t.parameters["x"]) + float(t.parameters["y"]) for t in trials) > 0.59


def test_mixture_under_an_equality(told: Told) -> None:
    """Fractions keep their sum, and the search finds the better corner of the mixture."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    rule = {"sum": {"a": 1.0, "b": 1.0, "c": 1.0}, "at_least": 1.0, "at_most": 1.0}
    problem = Problem.model_validate(
        {
            "parameters": {"a": real, "b": real, "c": real},
            "objectives": {"f": {"kind": "maximize", "unit": "1"}},
            "constraints": [rule],
        }
    )
    trials = _search(BayesPlanner(), problem, told, 10, 0, lambda p: float(p["a"]) - float(p["b"]) ** 2)
    for trial in trials:
        problem.check(trial.parameters)
    assert max(map(_value, trials)) > 0.97


def test_observed_points_are_not_proposed_again(plane: Plane, told: Told) -> None:
    """Where the outcome is flat around a known optimum, the optimum itself is not measured again."""
    problem = plane("maximize")
    trials = _search(BayesPlanner(), problem, told, 12, 1, lambda p: float(p["x"]) + float(p["y"]))
    points = {tuple(t.parameters.values()) for t in trials}
    assert len(points) == len(trials)


def test_a_failing_fit_steps_back(plane: Plane, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the optimiser of the hyper-parameters fails, prior modes are used, and the reason says so."""

    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError("the line search failed")

    trials = _random_trials(plane(), told, 10)
    monkeypatch.setattr("sdl.planners._surrogate.minimize", fail)
    proposal = BayesPlanner().propose(plane(), trials, 1, 0)[0]
    assert "prior modes" in proposal.reason.details["fallback"]
    assert "the line search failed" in proposal.reason.details["fallback"]
    assert "f" in proposal.reason.predicted


def test_when_no_model_fits_points_are_spread(plane: Plane, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even prior modes give no model, proposals are distinct points of the space with the cause in the reason."""

    def fail(_: Any) -> None:
        raise ArithmeticError("not positive definite")

    trials = _random_trials(plane(), told, 6)
    monkeypatch.setattr("sdl.planners._surrogate.factor", fail)
    found = BayesPlanner().propose(plane(), trials, 2, 0)
    assert len({tuple(p.parameters.values()) for p in found}) == 2
    assert all("not positive definite" in p.reason.details["fallback"] for p in found)


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e300])
def test_outcomes_of_any_magnitude_are_modelled(plane: Plane, told: Told, size: float) -> None:
    """Outcomes near the ends of what floats hold lead to the same proposal as ordinary ones."""
    problem = plane("maximize")
    found = []
    for factor in (1.0, size):
        trials = _random_trials(problem, told, 6, lambda p, c=factor: c * (float(p["x"]) - 0.5))  # type: ignore[misc]
        found.append(BayesPlanner().propose(problem, trials, 1, 0)[0])
    assert "fallback" not in found[1].reason.details
    assert list(found[0].parameters.values()) == pytest.approx(list(found[1].parameters.values()), abs=0.02)


def test_options_are_checked() -> None:
    """A slip in an option is answered with the option that was meant."""
    with pytest.raises(InputError, match="did you mean 'initial'"):
        BayesPlanner(inital=3)


def test_global_settings_are_left_alone(plane: Plane, told: Told) -> None:
    """The threads of linear algebra and numpy's global generator are the same before and after."""
    from threadpoolctl import threadpool_info

    trials = _random_trials(plane(), told, 8)
    BayesPlanner().propose(plane(), trials, 1, 0)
    before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
    numpy_before = np.random.get_state()[1].tolist()
    BayesPlanner().propose(plane(), trials, 1, 0)
    assert [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()] == before
    assert np.random.get_state()[1].tolist() == numpy_before


def test_no_torch_is_loaded() -> None:
    """A proposal needs scipy, and neither torch nor botorch."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['botorch'] = None\n"
        "from sdl import plugins\n"
        "from sdl.testing.planner import problems\n"
        "print(len(plugins.load('sdl.planners', 'bayes')().propose(problems()['pool'], (), 2, 0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_missing_scipy_names_the_extra() -> None:
    """Without scipy the planner says which extra to install."""
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from sdl import plugins\n"
        "from sdl.model import MissingExtra\n"
        "try:\n    plugins.load('sdl.planners', 'bayes')\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(MissingExtra("planner 'bayes'", "planners"))
