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
    """One parameter of any kind that stands by itself."""
    kind = draw(st.sampled_from(["real", "log", "integer", "ordinal", "categorical", "described", "fixed"]))
    if kind == "fixed":
        return {"kind": "fixed", "value": draw(st.sampled_from([3, 2.5, "argon"]))}
    if kind in ("categorical", "described"):
        levels = draw(st.sampled_from([["a", "b"], ["a", "b", "c", "d", "e"]]))
        known = {level: {"mass": float(i), "size": float(i % 2)} for i, level in enumerate(levels)}
        return {"kind": "categorical", "levels": levels, "descriptors": known if kind == "described" else {}}
    if kind == "ordinal":
        steps = draw(st.lists(st.floats(0.01, 50), min_size=1, max_size=6))
        return {"kind": kind, "levels": np.cumsum([draw(st.floats(-50, 50)), *steps]).tolist()}
    if kind == "integer":
        low = draw(st.integers(-50, 50))
        return {"kind": kind, "low": low, "high": low + draw(st.integers(1, 200))}
    low = draw(st.floats(1e-3, 1e3))
    high = low * draw(st.floats(1.1, 1e4))
    return {"kind": "real", "low": low, "high": high, "unit": "1", "log": kind == "log"}


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """The components of a mixture, and the mixture; it always has room."""
    n = draw(st.integers(2, 12))
    total = draw(st.sampled_from([1.0, 100.0]))
    most = draw(st.none() | st.integers(1, n))
    low = draw(st.sampled_from([0.0, 0.05])) * total / n
    # With k components, each may have the whole; without a limit, half as much again as an even share is room enough.
    high = total if most is not None else min(total, draw(st.sampled_from([1.5, n])) * total / n)
    components = {f"m{i}": {"kind": "real", "low": low, "high": high, "unit": "1"} for i in range(n)}
    return components, {"components": list(components), "total": total, "max_components": most}


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Parameters of every kind; sometimes a mixture, a derived value, and a constraint that leaves half of a range."""
    drawn = {f"p{i}": draw(parameters()) for i in range(draw(st.integers(1, 4)))}
    fields: dict[str, Any] = {"parameters": drawn, "objectives": {"y": {"kind": "maximize", "unit": "1"}}}
    if draw(st.integers(0, 3)) == 0 or all(item["kind"] == "fixed" for item in drawn.values()):
        components, mixture = draw(mixtures())
        drawn |= components
        fields["mixtures"] = {"blend": mixture}
    numeric = [name for name, item in drawn.items() if "low" in item and name.startswith("p")][:2]
    if not numeric:
        return Problem.model_validate(fields)
    weights = {name: 1.0 / (drawn[name]["high"] - drawn[name]["low"]) for name in numeric}
    middle = sum(weights[name] * (drawn[name]["low"] + drawn[name]["high"]) / 2 for name in numeric)
    kind = draw(st.sampled_from(["none", "linear", "nonlinear", "derived"]))
    text = " + ".join(f"{name} * {weight!r}" for name, weight in weights.items())
    if kind == "linear":
        fields["constraints"] = [{"sum": weights, "at_least": middle}]
    elif kind == "nonlinear":
        fields["constraints"] = [{"expression": f"{text} >= {middle!r}".replace("+ -", "- ")}]
    elif kind == "derived":
        drawn["ratio"] = {"kind": "derived", "expression": f"sqrt({text} - ({middle!r}))"}
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
    assert np.allclose(back, raw, rtol=1e-9, atol=1e-12)
    assert (back[:, ~space.real] == raw[:, ~space.real]).all()
    features = space.features(raw)
    assert features.shape == (20, len(space.feature_groups))
    assert np.isfinite(features).all()
    for i, j in np.ndindex(20, 20):
        assert (features[i] == features[j]).all() == (space.to_unit(raw)[i] == space.to_unit(raw)[j]).all()


@CALM
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_draws_and_repairs_keep_every_constraint(problem: Problem, seed: int) -> None:
    """Points drawn are accepted by the problem itself, and what `complete` brings back to a mixture has its sum."""
    space = Space(problem)
    rng = np.random.default_rng(seed)
    drawn = space.draw(rng, 30)
    assert len(drawn) == 30
    assert space.feasible(drawn).all()
    for row in drawn:
        values = space.values(row)
        assert problem.check(values) == values
    moved = space.complete(space.from_unit(space.to_unit(drawn) + 0.1 * rng.standard_normal(drawn.shape)))
    free = Space(problem.model_copy(update={"constraints": ()}))
    for row in moved[free.feasible(moved)][:5]:
        free.problem.check(free.values(row))
    assert (moved >= space.low - 1e-12).all()
    assert (moved <= space.high + 1e-12).all()
