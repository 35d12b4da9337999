"""`random` and `sobol`: where their points lie, and what they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sdl.model import Exhausted, InputError, Problem, Trial, TrialStatus
from sdl.planners.random import RandomPlanner
from sdl.planners.sobol import SobolPlanner

REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
OBJECTIVE = {"f": {"kind": "maximize", "unit": "1"}}


def _problem(parameters: dict[str, Any], **more: Any) -> Problem:
    return Problem.model_validate({"parameters": parameters, "objectives": OBJECTIVE, **more})


@pytest.mark.parametrize("module", ["random", "sobol"])
def test_cheap_planners_load_no_torch(module: str) -> None:
    """Importing `random` or `sobol` loads no torch; `random` loads no scipy either."""
    code = f"import sys, sdl.planners.{module}; print('torch' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(module == "sobol")]


def test_logarithmic_parameter_is_even_in_the_logarithm() -> None:
    """Of 400 draws between 0.01 and 100, half lie below 1."""
    problem = _problem({"rate": {"kind": "real", "low": 0.01, "high": 100.0, "unit": "1", "log": True}})
    rates = [float(p.parameters["rate"]) for p in RandomPlanner().propose(problem, [], 400, 5)]
    assert 150 < sum(rate < 1.0 for rate in rates) < 250


def test_sobol_at_once_is_sobol_one_by_one(plane: Callable[..., Problem], told: Callable[..., list[Trial]]) -> None:
    """Sixteen points of one call are those of sixteen calls with sixteen seeds."""
    planner, problem = SobolPlanner(seed=4), plane()
    at_once = [p.parameters for p in planner.propose(problem, [], 16, 0)]
    trials: list[Trial] = []
    for seed in range(16):
        trials = told(trials, planner.propose(problem, trials, 1, seed), lambda _: 0.0)
    assert [t.parameters for t in trials] == at_once


def test_sobol_fills_the_square_evenly(plane: Callable[..., Problem]) -> None:
    """Each of the 16 cells of a 4 × 4 grid holds exactly 4 of the first 64 points, as a (t, 2)-net has it."""
    found = SobolPlanner().propose(plane(), [], 64, 0)
    cells = [(int(4 * float(p.parameters["x"])), int(4 * float(p.parameters["y"]))) for p in found]
    assert {cells.count(cell) for cell in set(cells)} == {4}
    assert len(set(cells)) == 16


def test_option_seed_chooses_the_sequence(plane: Callable[..., Problem]) -> None:
    """Two values of the option give two sequences."""
    one, two = (SobolPlanner(seed=s).propose(plane(), [], 4, 0) for s in (1, 2))
    assert [p.parameters for p in one] != [p.parameters for p in two]


def test_unknown_option_names_the_nearest() -> None:
    """A slip in an option is answered with the option that was meant, and all faults come together."""
    with pytest.raises(InputError, match="did you mean 'seed'") as caught:
        SobolPlanner(sed=3, seed=-1)
    assert len(caught.value.faults) == 2
    with pytest.raises(InputError, match=r"planner\.options\.x.*known: none"):
        RandomPlanner(x=1)


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
def test_mixture_sums_to_one(planner: Any) -> None:
    """Fractions bound by an equality and an inequality satisfy both."""
    rules = [
        {"sum": {"a": 1.0, "b": 1.0, "c": 1.0}, "at_least": 1.0, "at_most": 1.0},
        {"sum": {"a": 1.0, "b": -1.0}, "at_most": 0.0},
    ]
    problem = _problem({"a": REAL, "b": REAL, "c": REAL}, constraints=rules)
    for proposal in planner.propose(problem, [], 40, 1):
        problem.check(proposal.parameters)
        assert float(proposal.parameters["a"]) <= float(proposal.parameters["b"])


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
def test_unreachable_constraint_is_named(planner: Any, plane: Callable[..., Problem]) -> None:
    """A constraint that no point satisfies is an error that shows it, not an endless search."""
    with pytest.raises(InputError, match=r"1·x \+ 1·y ≤ -1"):
        planner.propose(plane(constraints=[{"sum": {"x": 1, "y": 1}, "at_most": -1}]), [], 1, 0)


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
def test_small_grid_is_walked_once(planner: Any) -> None:
    """Integers and levels make a finite space: every point once, then Exhausted; a failed point comes back."""
    problem = _problem(
        {"n": {"kind": "integer", "low": 1, "high": 3}, "s": {"kind": "categorical", "levels": ["a", "b"]}}
    )
    found = planner.propose(problem, [], 10, 0)
    assert len({tuple(p.parameters.items()) for p in found}) == len(found) == 6
    trials = [Trial(number=i + 1, parameters=p.parameters, status=TrialStatus.RUNNING) for i, p in enumerate(found)]
    with pytest.raises(Exhausted, match="all 6 candidates"):
        planner.propose(problem, trials, 1, 0)
    trials[3] = trials[3].model_copy(update={"status": TrialStatus.FAILED})
    assert [p.parameters for p in planner.propose(problem, trials, 5, 0)] == [trials[3].parameters]


def test_pool_rows_that_break_a_constraint_are_left_out() -> None:
    """Only the rows of the pool that the constraints allow are proposed."""
    pool = {"columns": {"a": np.linspace(0.0, 1.0, 11).tolist()}}
    problem = _problem({"a": REAL}, pool=pool, constraints=[{"sum": {"a": 1.0}, "at_most": 0.35}])
    values = {float(p.parameters["a"]) for p in RandomPlanner().propose(problem, [], 20, 0)}
    assert len(values) == 4
    assert max(values) < 0.35
