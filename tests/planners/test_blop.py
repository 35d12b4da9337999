"""Blop's optimizer protocol, both ways, with Blop's own plans and protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.engines import run_engine

from sdl.model import InputError, Problem, TrialStatus
from sdl.planners.adapters.blop import PlannerOptimizer
from sdl.planners.random import RandomPlanner

protocols = pytest.importorskip("blop.protocols")

REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
PLANE = Problem.model_validate(
    {"parameters": {"x": REAL, "y": REAL}, "objectives": {"f": {"kind": "minimize", "unit": "1"}}}
)


def _optimizer(problem: Problem = PLANE) -> PlannerOptimizer:
    return PlannerOptimizer(RandomPlanner(), problem, seed=3)


def test_a_planner_satisfies_the_protocols() -> None:
    """Blop takes it for an optimizer that registers suggestions, hears of failures and can end a plan."""
    optimizer = _optimizer()
    for name in ("Optimizer", "CanRegisterSuggestions", "TrialFaultAware", "SupportsStoppingCriteria"):
        assert isinstance(optimizer, getattr(protocols, name))


def test_suggestions_become_trials() -> None:
    """A suggestion is pending until it is ingested or failed; outcomes may come with their standard error."""
    optimizer = _optimizer()
    first, second, third = optimizer.suggest(3)
    assert [s["_id"] for s in (first, second, third)] == [1, 2, 3]
    optimizer.ingest([{"_id": 2, "f": 0.5}, {"_id": 1, "f": (0.25, 0.01)}])
    optimizer.register_failures([third])
    optimizer.ingest([{"x": 0.5, "y": 0.5, "f": 0.75}])
    (manual,) = optimizer.register_suggestions([{"_id": 99, "x": 0.1, "y": 0.2}])
    assert [t.status for t in optimizer.trials] == [
        TrialStatus.OBSERVED,
        TrialStatus.OBSERVED,
        TrialStatus.FAILED,
        TrialStatus.OBSERVED,
        TrialStatus.PROPOSED,
    ]
    assert manual["_id"] == 5
    assert optimizer.trials[0].outcomes["f"].sem == 0.01
    number, parameters, outcomes = optimizer.get_best_points()[0]
    assert (number, parameters, outcomes) == (1, {k: first[k] for k in "xy"}, {"f": 0.25})


def test_bad_points_are_refused() -> None:
    """A point outside the problem, an unknown suggestion and a missing outcome are named."""
    optimizer = _optimizer()
    with pytest.raises(InputError, match="outside the limits"):
        optimizer.register_suggestions([{"x": 2.0, "y": 0.0}])
    with pytest.raises(InputError, match="no suggestion has the _id 7"):
        optimizer.register_failures([{"_id": 7}])
    optimizer.suggest()
    with pytest.raises(InputError, match="the evaluation gave no 'f', only g"):
        optimizer.ingest([{"_id": 1, "g": 0.1}])


def test_the_front_of_several_objectives() -> None:
    """With two objectives the best points are those that no other beats in both."""
    both = {"f": {"kind": "minimize", "unit": "1"}, "g": {"kind": "maximize", "unit": "1"}}
    problem = Problem.model_validate({"parameters": {"x": REAL}, "objectives": both})
    optimizer = _optimizer(problem)
    optimizer.ingest([{"x": 0.1, "f": 1.0, "g": 1.0}, {"x": 0.2, "f": 2.0, "g": 2.0}, {"x": 0.3, "f": 2.0, "g": 1.5}])
    assert [number for number, _, _ in optimizer.get_best_points()] == [1, 2]


def test_a_planner_with_nothing_left_ends_the_plan() -> None:
    """After the last row of a pool nothing is suggested, and Blop is told to stop and why."""
    pool = {"parameters": {"x": REAL}, "objectives": {"f": {"kind": "minimize", "unit": "1"}}}
    optimizer = _optimizer(Problem.model_validate({**pool, "pool": {"columns": {"x": [0.1, 0.9]}}}))
    assert len(optimizer.suggest(5)) == 2
    assert optimizer.should_stop() == (False, None)
    assert optimizer.suggest() == []
    stop, why = optimizer.should_stop()
    assert stop
    assert "tried" in str(why)


class _Axis:
    """A motor that is where it is told, for Blop's own plan."""

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.position = 0.0

    def set(self, value: float) -> Any:
        from ophyd_async.core import AsyncStatus

        async def move() -> None:
            self.position = value

        return AsyncStatus(move())

    def read(self) -> dict[str, Any]:
        return {self.name: {"value": self.position, "timestamp": 0.0}}

    def describe(self) -> dict[str, Any]:
        return {self.name: {"source": "test", "dtype": "number", "shape": []}}


def test_a_run_engine_runs_blops_plan_with_our_planner() -> None:
    """Blop's `optimize` plan moves the actuators to each suggestion and tells the optimizer what came of it."""
    from blop.plans import optimize

    axes = [_Axis("x"), _Axis("y")]
    optimizer = _optimizer()

    def acquire(suggestions: Sequence[Mapping[str, Any]], actuators: Any, sensors: Any = None, **_: Any) -> Any:
        from bluesky import plan_stubs as bps

        where = []
        for suggestion in suggestions:
            for axis in actuators:
                yield from bps.abs_set(axis, suggestion[axis.name], wait=True)
            where.append({axis.name: axis.position for axis in actuators})
        return where

    def evaluate(uid: Any, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{"_id": s["_id"], "f": at["x"] + at["y"]} for s, at in zip(suggestions, uid, strict=True)]

    problem = protocols.OptimizationProblem(optimizer, axes, [], evaluate, acquire)
    with run_engine() as engine:
        engine(optimize(problem, iterations=4, n_points=2))
    assert len(optimizer.trials) == 8
    assert all(t.status is TrialStatus.OBSERVED for t in optimizer.trials)
    best = optimizer.get_best_points()[0]
    assert best[2]["f"] == min(t.outcomes["f"].value for t in optimizer.trials)
    assert best[2]["f"] == pytest.approx(best[1]["x"] + best[1]["y"])
