"""The problems and the states of a campaign that the conformance kit puts to a planner."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sdl.model import Outcome, Problem, Scalar, Trial, TrialStatus

__all__ = ["BASIC", "FULL", "key", "observed", "points", "problems", "response", "states"]

FULL = "all kinds of trials"
"""The state in which a trial of each status is there."""
BASIC = ("box", "mixed", "match", "pool")
"""Problems that every planner takes; the others one may refuse when it documents so."""

_REAL = {"kind": "real", "low": -2.0, "high": 3.0, "unit": "mm"}
_DECADE = {"kind": "real", "low": 0.01, "high": 100.0, "unit": "uL/min", "log": True}
_COUNT = {"kind": "integer", "low": 1, "high": 9}
_SOLVENT = {"kind": "categorical", "levels": ["water", "ethanol", "toluene"]}
_SHARE = {"kind": "real", "low": 0.1, "high": 0.8, "unit": "1"}
_BEST: dict[str, Any] = {"y": {"kind": "maximize", "unit": "1"}}


def problems() -> dict[str, Problem]:
    """The problems of the kit by name.

    A box, a mixed space under a constraint, a matched target and a pool; then mixtures, ordinal, fixed and derived
    parameters, levels with descriptors, a nonlinear constraint, several objectives, a constraint on an outcome, prior
    knowledge, and costs.
    """
    return {name: Problem.model_validate(fields) for name, fields in (_basic() | _wider() | _richer()).items()}


def _basic() -> dict[str, dict[str, Any]]:
    rows = [(a, c, s) for a in (-2.0, 0.0, 1.5, 3.0) for c in (1, 5) for s in ("water", "toluene")]
    pool = {name: [row[i] for row in rows] for i, name in enumerate(("a", "count", "solvent"))}
    return {
        "box": {
            "parameters": {"a": _REAL, "rate": _DECADE},
            "objectives": {"y": {"kind": "minimize", "unit": "1"}},
        },
        "mixed": {
            "parameters": {"a": _REAL, "b": _REAL, "count": _COUNT, "solvent": _SOLVENT},
            "objectives": _BEST,
            "constraints": [{"sum": {"a": 1.0, "b": 1.0, "count": 0.5}, "at_most": 3.0}],
        },
        "match": {
            "parameters": {"a": _REAL, "b": _REAL},
            "objectives": {"y": {"kind": "match", "target": 0.5, "unit": "1"}},
        },
        "pool": {
            "parameters": {"a": _REAL, "count": _COUNT, "solvent": _SOLVENT},
            "objectives": _BEST,
            "pool": {"columns": pool},
        },
    }


def _wider() -> dict[str, dict[str, Any]]:
    """Spaces."""
    parts = {"iron": _SHARE, "nickel": _SHARE, "cobalt": _SHARE, "cerium": _SHARE}
    return {
        "mixture": {
            "parameters": {**{n: {**p, "low": 0.0} for n, p in parts.items()}, "heat": _REAL},
            "objectives": _BEST,
            "mixtures": {"alloy": {"components": list(parts)}},
        },
        "few components": {
            "parameters": parts,
            "objectives": _BEST,
            "mixtures": {"alloy": {"components": list(parts), "max_components": 2}},
        },
        "ordinal, fixed and derived": {
            "parameters": {
                "sieve": {"kind": "ordinal", "levels": [20.0, 45.0, 63.0, 125.0, 500.0], "unit": "um"},
                "a": _REAL,
                "b": _REAL,
                "gas": {"kind": "fixed", "value": "argon"},
                "total": {"kind": "derived", "expression": "a + b", "unit": "mm"},
            },
            "objectives": _BEST,
        },
        "descriptors": {
            "parameters": {
                "a": _REAL,
                "solvent": {
                    **_SOLVENT,
                    "descriptors": {"water": {"eps": 78.4}, "ethanol": {"eps": 24.6}, "toluene": {"eps": 2.4}},
                },
            },
            "objectives": _BEST,
        },
        "nonlinear": {
            "parameters": {"a": _REAL, "b": _REAL},
            "objectives": _BEST,
            "constraints": [{"expression": "a ** 2 + b ** 2 <= 4"}],
        },
    }


def _richer() -> dict[str, dict[str, Any]]:
    """Aims, prior knowledge and costs."""
    prior = {
        "parameters": {"a": [-1.0, 0.5, 2.0], "rate": [0.1, 1.0, 10.0]},
        "outcomes": {"y": [0.2, 0.4, 0.1]},
    }
    return {
        "several objectives": {
            "parameters": {"a": _REAL, "b": _REAL},
            "objectives": {
                "y": {"kind": "maximize", "unit": "1", "threshold": -2.0},
                "z": {"kind": "minimize", "unit": "1", "threshold": 2.0},
            },
        },
        "outcome constraint": {
            "parameters": {"a": _REAL, "b": _REAL},
            "objectives": _BEST,
            "outcome_constraints": {"z": {"unit": "1", "at_most": 0.5}},
        },
        "prior knowledge": {
            "parameters": {"a": _REAL, "rate": _DECADE},
            "objectives": _BEST,
            "sources": {"earlier": {"kind": "campaign", **prior}},
        },
        "costs": {
            "parameters": {"a": {**_REAL, "change_cost": 0.5}, "b": _REAL},
            "objectives": _BEST,
            "trial_cost": "1 + a ** 2",
        },
    }


def response(parameters: Mapping[str, Scalar]) -> float:
    """A smooth made-up outcome of any parameters, so that model-based planners have something to learn."""
    total = 0.0
    for position, (_, value) in enumerate(sorted(parameters.items())):
        number = float(len(value)) if isinstance(value, str) else float(value)
        total += math.sin(0.7 * number + position) / (1 + position)
    return total


def key(parameters: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    """Identifies a point."""
    return tuple(sorted(parameters.items()))


def observed(number: int, parameters: dict[str, Scalar], shift: float = 0.0) -> Trial:
    """A trial with its outcomes: `y`, and `z` for problems that ask for a second one."""
    outcomes = {
        "y": Outcome(value=response(parameters) + shift, sem=0.02),
        "z": Outcome(value=-0.5 * response(parameters) + 0.1 * number, sem=0.02),
    }
    return Trial(number=number, parameters=parameters, status=TrialStatus.OBSERVED, outcomes=outcomes)


def states(problem: Problem) -> Iterator[tuple[str, list[Trial]]]:
    """States of a campaign by name, each with its trials."""
    found = points(problem, 10)
    yield "no trials", []
    yield "two observed", [observed(i + 1, p) for i, p in enumerate(found[:2])]
    seen = [observed(i + 1, p) for i, p in enumerate(found[:5])]
    rest = [
        TrialStatus.FAILED,
        TrialStatus.INFEASIBLE,
        TrialStatus.REJECTED,
        TrialStatus.RUNNING,
        TrialStatus.PROPOSED,
    ]
    ended = [Trial(number=6 + i, parameters=found[5 + i], status=status) for i, status in enumerate(rest)]
    yield FULL, seen + ended
    yield "none observed", [t.model_copy(update={"number": i + 1}) for i, t in enumerate(ended)]
    flat = {name: Outcome(value=1.0) for name in ("y", "z")}
    yield "equal outcomes", [t.model_copy(update={"outcomes": flat}) for t in seen]


def points(problem: Problem, n: int) -> list[dict[str, Scalar]]:
    """Valid points of a problem, the same at each call: rows of the pool, or draws with one seed."""
    if problem.pool is not None:
        return [problem.check(problem.pool.row(i)) for i in range(n)]
    from sdl.planners.random import RandomPlanner

    return [problem.check(found.parameters) for found in RandomPlanner().propose(problem, (), n, 618_034)]
