"""Synthetic functions: boxes, values, best values, and what is counted.

Sources: Branin, Hartmann and Ackley as in Surjanovic and Bingham's library (www.sfu.ca/~ssurjano); ZDT in Zitzler,
Deb and Thiele (Evol. Comput. 8, 173, 2000); DTLZ in Deb et al. (2002). Every function is minimised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdl.bench.tasks import FunctionTask
from sdl.model import InputError, Minimize, Problem, RealParameter, Scalar

__all__ = ["FUNCTIONS", "evaluate", "function_task", "hypervolume", "shortfall"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Function:
    box: tuple[tuple[float, float], ...]
    values: Callable[[Array], Sequence[float]]
    best: float
    """Least value; with two objectives the largest hypervolume that the front reaches."""
    reference: tuple[float, ...] = ()
    """Reference point of the hypervolume; empty for one objective."""


def _branin(x: Array) -> list[float]:
    curve = x[1] - 5.1 / (4 * math.pi**2) * x[0] ** 2 + 5 / math.pi * x[0] - 6
    return [float(curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10)]


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def _hartmann6(x: Array) -> list[float]:
    return [-float(_ALPHA @ np.exp(-(_A * (x - _P) ** 2).sum(axis=1)))]


_SHIFT = 13.0
"""Ackley's least value lies at the centre of its usual box, which some planners try first; here it is moved."""


def _ackley(x: Array) -> list[float]:
    z = x - _SHIFT
    far = -20 * math.exp(-0.2 * math.sqrt(float((z**2).mean())))
    return [far - math.exp(float(np.cos(2 * math.pi * z).mean())) + 20 + math.e]


def _zdt(x: Array, bend: Callable[[float, float], float]) -> list[float]:
    g = 1 + 9 * float(x[1:].mean())
    return [float(x[0]), g * bend(float(x[0]), g)]


def _zdt1(x: Array) -> list[float]:
    return _zdt(x, lambda f, g: 1 - math.sqrt(f / g))


def _zdt2(x: Array) -> list[float]:
    return _zdt(x, lambda f, g: 1 - (f / g) ** 2)


def _dtlz2(x: Array) -> list[float]:
    g = 1 + float(((x[1:] - 0.5) ** 2).sum())
    angle = float(x[0]) * math.pi / 2
    return [g * math.cos(angle), g * math.sin(angle)]


_UNIT6 = ((0.0, 1.0),) * 6
_FUNCTIONS = {
    "branin": _Function(((-5.0, 10.0), (0.0, 15.0)), _branin, 0.39788735772973816),
    "hartmann6": _Function(_UNIT6, _hartmann6, -3.322368011415515),
    "ackley10": _Function(((-32.768, 32.768),) * 10, _ackley, 0.0),
    # The front leaves these areas undominated: 1/3 below 1 − √f, 2/3 below 1 − f², π/4 in a quarter circle.
    "zdt1": _Function(_UNIT6, _zdt1, 11.0 * 11.0 - 1.0 / 3.0, (11.0, 11.0)),
    "zdt2": _Function(_UNIT6, _zdt2, 11.0 * 11.0 - 2.0 / 3.0, (11.0, 11.0)),
    "dtlz2": _Function(_UNIT6, _dtlz2, 1.1 * 1.1 - math.pi / 4, (1.1, 1.1)),
}
FUNCTIONS = tuple(_FUNCTIONS)
"""Names of the functions."""


def function_task(name: str) -> FunctionTask:
    """The task of a function.

    Raises:
        InputError: there is no such function; the message lists them.
    """
    if name not in _FUNCTIONS:
        raise InputError(f"no function {name!r}; known: {', '.join(FUNCTIONS)}")
    function = _FUNCTIONS[name]
    parameters = [
        RealParameter(name=f"x{i + 1}", low=low, high=high, unit="1") for i, (low, high) in enumerate(function.box)
    ]
    objectives = [_objective(f"f{i + 1}", worst) for i, worst in enumerate(function.reference)] or [
        _objective("f", None)
    ]
    return FunctionTask(name, Problem(parameters=tuple(parameters), objectives=tuple(objectives)))


def _objective(name: str, worst: float | None) -> Minimize:
    fields = {} if worst is None or "threshold" not in Minimize.model_fields else {"threshold": worst}
    return Minimize.model_validate({"name": name, "unit": "1", **fields})


def evaluate(name: str, parameters: Mapping[str, Scalar]) -> dict[str, float]:
    """Values of a function by outcome name."""
    function = _FUNCTIONS[name]
    x = np.array([float(parameters[f"x{i + 1}"]) for i in range(len(function.box))])
    values = function.values(x)
    return dict(zip([f"f{i + 1}" for i in range(len(values))] if function.reference else ["f"], values, strict=True))


def shortfall(name: str, outcomes: Sequence[Mapping[str, float]]) -> list[float]:
    """After each trial, how far the best so far is from the best there is.

    Simple regret (best value so far − least value) for one objective; for two the hypervolume that is still missing.

    Args:
        name: of the function.
        outcomes: of the trials in order.
    """
    function = _FUNCTIONS[name]
    if not function.reference:
        values = np.minimum.accumulate([o["f"] for o in outcomes]) - function.best
        return [max(0.0, float(value)) for value in values]
    points = np.array([[o["f1"], o["f2"]] for o in outcomes])
    front = [hypervolume(points[: i + 1], function.reference) for i in range(len(points))]
    return [max(0.0, function.best - volume) for volume in front]


def hypervolume(points: Array, reference: Sequence[float]) -> float:
    """Area that points dominate below a reference point, both objectives minimised.

    Args:
        points: shape (m, 2).
        reference: worst value of each objective that counts.
    """
    inside = points[(points < np.asarray(reference)).all(axis=1)]
    total, lowest = 0.0, reference[1]
    for first, second in inside[np.lexsort((inside[:, 1], inside[:, 0]))].tolist():
        if second < lowest:
            total += (reference[0] - first) * (lowest - second)
            lowest = second
    return total
