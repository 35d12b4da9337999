"""Properties that hold for every problem, drawn by hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.model import Exhausted, Outcome, Problem, Trial, TrialStatus
from sdl.planners._space import Space
from sdl.planners.bayes import BayesPlanner
from sdl.planners.random import RandomPlanner
from sdl.planners.sobol import SobolPlanner
from sdl.testing.planner import response

CALM = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    """One parameter of any kind."""
    kind = draw(st.sampled_from(["real", "log", "integer", "categorical"]))
    if kind == "categorical":
        return {"kind": kind, "levels": draw(st.sampled_from([["a", "b"], ["a", "b", "c", "d", "e"]]))}
    if kind == "integer":
        low = draw(st.integers(-50, 50))
        return {"kind": kind, "low": low, "high": low + draw(st.integers(1, 200))}
    low = draw(st.floats(1e-3, 1e3))
    high = low * draw(st.floats(1.1, 1e4))
    return {"kind": "real", "low": low, "high": high, "unit": "1", "log": kind == "log"}


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """One to four parameters, sometimes with a constraint that leaves half of the range of the first two."""
    drawn = {f"p{i}": draw(parameters()) for i in range(draw(st.integers(1, 4)))}
    numeric = [name for name, fields in drawn.items() if "low" in fields][:2]
    fields: dict[str, Any] = {"parameters": drawn, "objectives": {"y": {"kind": "maximize", "unit": "1"}}}
    if numeric and draw(st.booleans()):
        weights = {name: 1.0 / (drawn[name]["high"] - drawn[name]["low"]) for name in numeric}
        middle = sum(weights[name] * (drawn[name]["low"] + drawn[name]["high"]) / 2 for name in numeric)
        fields["constraints"] = [{"sum": weights, "at_least": middle}]
    return Problem.model_validate(fields)


def _trials(problem: Problem, found: list[Any], statuses: list[TrialStatus]) -> list[Trial]:
    trials = []
    for i, proposal in enumerate(found):
        status = statuses[i % len(statuses)]
        outcomes = {"y": Outcome(value=response(proposal.parameters))} if status is TrialStatus.OBSERVED else {}
        trials.append(Trial(number=i + 1, parameters=proposal.parameters, status=status, outcomes=outcomes))
    return trials


def _check(planner: Any, problem: Problem, trials: list[Trial], n: int, seed: int) -> None:
    try:
        found = planner.propose(problem, trials, n, seed)
    except Exhausted:
        return
    assert 1 <= len(found) <= n
    points = [tuple(p.parameters.items()) for p in found]
    assert len(set(points)) == len(points)
    for proposal in found:
        assert problem.check(proposal.parameters) == proposal.parameters
        assert list(proposal.parameters) == list(problem.parameter_names)
    waiting = {tuple(t.parameters.items()) for t in trials if t.status.pending}
    assert not waiting & set(points)
    assert planner.propose(problem, trials, n, seed) == found


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
@CALM
@given(problem=problems(), n=st.integers(1, 8), seed=st.integers(0, 2**63 - 1))
def test_cheap_planners_stay_inside_any_problem(planner: Any, problem: Problem, n: int, seed: int) -> None:
    """Proposals are valid, distinct, repeatable and never pending, with any trials before them."""
    earlier = RandomPlanner().propose(problem, [], 12, 1)
    _check(planner, problem, _trials(problem, earlier, list(TrialStatus)), n, seed)


@settings(CALM, max_examples=8)
@given(problem=problems(), seed=st.integers(0, 2**63 - 1))
def test_bayes_stays_inside_any_problem(problem: Problem, seed: int) -> None:
    """The same of `bayes` once its model has taken over."""
    earlier = RandomPlanner().propose(problem, [], 14, 1)
    statuses = [TrialStatus.OBSERVED, TrialStatus.OBSERVED, TrialStatus.INFEASIBLE, TrialStatus.RUNNING]
    _check(BayesPlanner(initial=2), problem, _trials(problem, earlier, statuses), 2, seed)


@CALM
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_coordinates_round_trip(problem: Problem, seed: int) -> None:
    """Values → raw → unit → raw → values loses no more than rounding; integers and levels nothing."""
    space = Space(problem)
    raw = space.from_cube(np.random.default_rng(seed).random((20, space.d)))
    values = [space.values(row) for row in raw]
    assert (space.raw(values) == raw).all()
    back = space.from_unit(space.to_unit(raw))
    assert np.allclose(back, raw, rtol=1e-9)
    assert (back[:, ~space.real] == raw[:, ~space.real]).all()
