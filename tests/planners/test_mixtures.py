"""Mixtures, and constraints that draws hardly ever meet: where the points lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sdl.model import Exhausted, InputError, Problem, Trial, TrialStatus
from sdl.planners._blend import Blend
from sdl.planners._space import Space
from sdl.planners._walk import walked
from sdl.planners.random import RandomPlanner
from sdl.planners.sobol import SobolPlanner

OBJECTIVE = {"y": {"kind": "maximize", "unit": "1"}}


def _problem(parameters: dict[str, Any], **more: Any) -> Problem:
    return Problem.model_validate({"parameters": parameters, "objectives": OBJECTIVE, **more})


def _fractions(n: int, low: float = 0.0, high: float = 1.0, most: int | None = None, **more: Any) -> Problem:
    part = {"kind": "real", "low": low, "high": high, "unit": "1"}
    names = [f"x{i}" for i in range(n)]
    return _problem(dict.fromkeys(names, part), mixtures={"m": {"components": names, "max_components": most}}, **more)


def test_a_mixture_is_drawn_evenly() -> None:
    """Three free fractions: each of the three corners (one fraction above a half) gets a quarter of the draws."""
    drawn = Space(_fractions(3)).draw(np.random.default_rng(0), 4000)
    for share in (drawn > 0.5).mean(axis=0):
        assert abs(share - 0.25) < 0.03


def test_bounds_of_a_mixture_do_not_favour_a_component() -> None:
    """Ten fractions of at most 0.2: mean and spread of each are those of rejection from the free simplex."""
    drawn = Space(_fractions(10, high=0.2)).draw(np.random.default_rng(1), 4000)
    reference = np.random.default_rng(2).dirichlet(np.ones(10), 60_000)
    reference = reference[(reference <= 0.2).all(axis=1)]
    assert np.abs(drawn.mean(axis=0) - 0.1).max() < 0.005
    assert np.abs(drawn.std(axis=0) - reference.std()).max() < 0.005


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
@pytest.mark.parametrize("n", [9, 20])
def test_large_mixtures(planner: Any, n: int) -> None:
    """Mixtures of nine components and more sum to one, and no component is favoured."""
    problem = _fractions(n)
    found = planner.propose(problem, [], 64, 1)
    for proposal in found:
        assert problem.check(proposal.parameters) == proposal.parameters
    table = np.array([list(p.parameters.values()) for p in found])
    assert np.abs(table.mean(axis=0) - 1 / n).max() < 1.5 / n


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
def test_at_most_so_many_components(planner: Any) -> None:
    """Of twelve components at most three are not zero; each of one, two and three occurs, and every component too."""
    problem = _fractions(12, most=3)
    found = planner.propose(problem, [], 200, 1)
    used = np.array([[value != 0 for value in p.parameters.values()] for p in found])
    assert set(used.sum(axis=1)) == {1, 2, 3}
    assert used.any(axis=0).all()


def test_a_component_is_absent_or_above_its_limit() -> None:
    """With a limited number of components, one that is present has at least its lower limit; too little is refused."""
    problem = _fractions(5, low=0.2, most=3)
    table = Space(problem).draw(np.random.default_rng(3), 300)
    assert ((table == 0) | (table >= 0.2)).all()
    assert (table == 0).any()
    with pytest.raises(ValueError, match="outside the limits"):
        problem.check({"x0": 0.1, "x1": 0.4, "x2": 0.5, "x3": 0, "x4": 0})
    with pytest.raises(ValueError, match=r"mixture broken: .*at most 3 not zero"):
        problem.check({"x0": 0.2, "x1": 0.2, "x2": 0.2, "x3": 0.4, "x4": 0})


def test_components_that_cannot_make_the_total_are_not_chosen() -> None:
    """Components of at most 0.4 need three of them: draws with one or two are not made at all."""
    blend = Blend(np.zeros(6), np.full(6, 0.4), 1.0, 4)
    points = blend.from_cube(np.random.default_rng(0).random((500, 6)))
    assert blend.holds(points, 1e-9).all()
    assert set((points > 0).sum(axis=1)) == {3, 4}


def test_a_mixture_next_to_linear_constraints() -> None:
    """A mixture whose components obey further constraints, an equality among them, is drawn all the same."""
    rules = [
        {"sum": {"x0": 1.0, "x1": 1.0}, "at_least": 0.4, "at_most": 0.4},
        {"sum": {"x2": 1.0, "x3": -2.0}, "at_most": 0.0},
    ]
    problem = _fractions(10, constraints=rules)
    for proposal in RandomPlanner().propose(problem, [], 20, 0):
        assert problem.check(proposal.parameters) == proposal.parameters


def test_a_walk_is_uniform() -> None:
    """In a corner cut off by a linear and a non-linear constraint, the walk has the moments of rejection sampling."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    rules = [{"sum": {f"x{i}": 1.0 for i in range(4)}, "at_least": 3.0}, {"expression": "x0 * x1 >= 0.5"}]
    space = Space(_problem({f"x{i}": real for i in range(4)}, constraints=rules))
    points = walked(space, np.random.default_rng(0), 1000)
    drawn = np.random.default_rng(1).random((100_000, 4))
    drawn = drawn[space.feasible(drawn)]
    assert np.abs(points.mean(axis=0) - drawn.mean(axis=0)).max() < 0.02
    assert np.abs(points.std(axis=0) - drawn.std(axis=0)).max() < 0.02


@pytest.mark.parametrize("planner", [RandomPlanner(), SobolPlanner()])
def test_constraints_that_draws_never_meet(planner: Any) -> None:
    """One part in a hundred thousand of the cube is found, and points at once are distinct."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    rules = [{"expression": "0.5 <= x0 * x1 * x2 <= 0.5001"}, {"expression": "x3 <= x0**3 - 0.6"}]
    problem = _problem({f"x{i}": real for i in range(4)}, constraints=rules)
    found = planner.propose(problem, [], 8, 3)
    for proposal in found:
        assert problem.check(proposal.parameters) == proposal.parameters
    assert len({tuple(p.parameters.items()) for p in found}) == 8


def test_a_walk_goes_on_from_call_to_call() -> None:
    """Where `sobol` walks, one point at each of five calls gives the points of one call for five."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    names = [f"x{i}" for i in range(9)]
    problem = _problem(dict.fromkeys(names, real), constraints=[{"sum": dict.fromkeys(names, 1.0), "at_least": 8.5}])
    at_once = [p.parameters for p in SobolPlanner().propose(problem, [], 5, 0)]
    trials: list[Trial] = []
    for i in range(5):
        found = SobolPlanner().propose(problem, trials, 1, i)[0]
        trials.append(Trial(number=i + 1, parameters=found.parameters, status=TrialStatus.RUNNING))
    assert [t.parameters for t in trials] == at_once


def test_no_room_at_all_is_said() -> None:
    """A constraint that no point keeps is an error with its text; so are components that cannot be chosen."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    problem = _problem({"a": real, "b": real}, constraints=[{"expression": "a * b >= 1.5"}])
    for planner in (RandomPlanner(), SobolPlanner()):
        with pytest.raises(InputError, match=r"a \* b >= 1\.5"):
            planner.propose(problem, [], 1, 0)


def test_integers_under_an_equality() -> None:
    """Five integers up to 100 that sum to ten, beside a real parameter, are found."""
    count = {"kind": "integer", "low": 0, "high": 100}
    parameters = {**{f"n{i}": count for i in range(5)}, "z": {"kind": "real", "low": 0, "high": 1, "unit": "1"}}
    rule = {"sum": {f"n{i}": 1.0 for i in range(5)}, "at_least": 10, "at_most": 10}
    problem = _problem(parameters, constraints=[rule])
    for proposal in RandomPlanner().propose(problem, [], 5, 2):
        assert sum(proposal.parameters[f"n{i}"] for i in range(5)) == 10


def test_fixed_and_derived_values_come_with_each_proposal() -> None:
    """Proposals hold every parameter in order; the derived one follows from the others, also from a fixed one."""
    problem = _problem(
        {
            "total": {"kind": "derived", "expression": "flow + rest", "unit": "mL/min"},
            "flow": {"kind": "real", "low": 1, "high": 5, "unit": "mL/min"},
            "rest": {"kind": "fixed", "value": 2.5, "unit": "mL/min"},
            "gas": {"kind": "fixed", "value": "argon"},
        },
        constraints=[{"sum": {"flow": 1.0, "rest": 1.0}, "at_most": 6.0}, {"expression": "total >= 4"}],
    )
    for planner in (RandomPlanner(), SobolPlanner()):
        for proposal in planner.propose(problem, [], 10, 0):
            values = proposal.parameters
            assert list(values) == ["total", "flow", "rest", "gas"]
            assert (values["rest"], values["gas"]) == (2.5, "argon")
            assert values["total"] == values["flow"] + 2.5
            assert 1.5 <= values["flow"] <= 3.5


def test_ordinal_values_are_levels() -> None:
    """A grid of an ordinal and an integer is walked once; the features keep the distances of the levels."""
    problem = _problem(
        {"sieve": {"kind": "ordinal", "levels": [1, 2, 10]}, "n": {"kind": "integer", "low": 0, "high": 1}}
    )
    found = RandomPlanner().propose(problem, [], 10, 0)
    assert sorted((p.parameters["sieve"], p.parameters["n"]) for p in found) == [
        (s, n) for s in (1.0, 2.0, 10.0) for n in (0, 1)
    ]
    trials = [Trial(number=i + 1, parameters=p.parameters, status=TrialStatus.RUNNING) for i, p in enumerate(found)]
    with pytest.raises(Exhausted):
        SobolPlanner().propose(problem, trials, 1, 0)
    space = Space(problem)
    features = space.features(np.array([[1.0, 0.0], [2.0, 0.0], [10.0, 1.0]]))
    assert np.allclose(features, [[0, 0], [1 / 9, 0], [1, 1]])


def test_features_of_levels() -> None:
    """Levels without descriptors are 1 apart; with descriptors they are where those are; twins stay apart."""
    levels = {"levels": ["a", "b", "c"], "kind": "categorical"}
    known = {"a": {"mass": 1.0}, "b": {"mass": 3.0}, "c": {"mass": 2.0}}
    twins = {"a": {"mass": 1.0, "z": 4}, "b": {"mass": 1.0, "z": 4}, "c": {"mass": 2.0, "z": 4}}
    problem = _problem({"p": levels, "q": {**levels, "descriptors": known}, "r": {**levels, "descriptors": twins}})
    space = Space(problem)
    features = space.features(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]))
    groups = np.array(space.feature_groups)
    p, q, r = (features[:, groups == j] for j in range(3))
    assert np.allclose([np.linalg.norm(p[0] - p[1]), np.linalg.norm(p[1] - p[2])], 1.0)
    assert q[:, 0].tolist() == [0.0, 1.0, 0.5]
    assert np.linalg.norm(r[0] - r[1]) > 0
    assert np.linalg.norm(r[0] - r[2]) > np.linalg.norm(r[0] - r[1])


def test_repeated_rows_of_a_pool_are_merged_and_said() -> None:
    """Rows that a pool holds twice are proposed once, and the reason says how many were merged."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    problem = _problem({"a": real, "b": real}, pool={"columns": {"a": [0, 0.5, 0.5, 1], "b": [1, 1, 1, 0]}})
    for planner in (RandomPlanner(), SobolPlanner()):
        found = planner.propose(problem, [], 10, 0)
        assert len(found) == 3
        assert found[0].reason.details["pool_rows_merged"] == 1
        assert "1 rows of the pool repeat others and were merged" in found[0].reason.summary


def test_a_long_pool_is_checked_and_searched_by_column() -> None:
    """A wrong value far down a long pool is named with its row; a good one is proposed from, and rows tried are left
    out."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    kind = {"kind": "categorical", "levels": ["u", "v"]}
    rng = np.random.default_rng(0)
    a, s = rng.random(30_000).tolist(), rng.choice(["u", "v"], 30_000).tolist()
    with pytest.raises(ValueError, match=r"pool row 20001: a: 7 is outside.*; pool row 3: s: 'w' is not a level"):
        _problem({"a": real, "s": kind}, pool={"columns": {"a": [*a[:20_000], 7], "s": ["u", "v", "w", *s[:19_998]]}})
    problem = _problem({"a": real, "s": kind}, pool={"columns": {"a": a, "s": s}})
    assert problem.pool is not None
    tried = [Trial(number=i + 1, parameters=problem.pool.row(i), status=TrialStatus.OBSERVED) for i in range(29_990)]
    left = RandomPlanner().propose(problem, tried, 50, 0)
    assert {p.parameters["a"] for p in left} == set(a[29_990:])


def test_an_unknown_level_in_a_trial_is_named() -> None:
    """A trial with a level that the problem does not have is an error that names both."""
    problem = _problem({"s": {"kind": "categorical", "levels": ["u", "v"]}})
    trial = Trial(number=1, parameters={"s": "w"}, status=TrialStatus.OBSERVED)
    with pytest.raises(InputError, match="s: 'w' is not a level; known: u, v"):
        RandomPlanner().propose(problem, [trial], 1, 0)
