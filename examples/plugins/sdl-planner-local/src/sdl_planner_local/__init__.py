"""`local`: a planner that looks around the best trial, in steps that shrink while nothing better turns up.

A (1+1) random search in the sense of L. A. Rastrigin, Autom. Remote Control 24, 1337 (1963), restated as a pure
function of the trials: the best trial and the width of the step are read off the trials at every call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from sdl.model import (
    CategoricalParameter,
    Exhausted,
    InputError,
    IntegerParameter,
    Parameter,
    Problem,
    Proposal,
    RealParameter,
    Reason,
    Scalar,
    Trial,
    TrialStatus,
)

__all__ = ["LocalPlanner"]

Point = dict[str, Scalar]
Key = tuple[tuple[str, Scalar], ...]

LEAST_WIDTH = 0.01
"""The step never shrinks below this part of a parameter's range."""
ATTEMPTS = 2000
"""Draws before the planner gives up on a space whose points are taken or break a constraint."""


class LocalPlanner:
    """Proposes points around the best observed trial; random ones until there are enough trials to choose from."""

    version = "1"
    in_process = True
    """It answers in microseconds, so it needs no worker process."""

    def __init__(self, start: int = 5, width: float = 0.25, shrink: float = 0.85) -> None:
        """Set the options.

        Args:
            start: observed trials before it looks around the best, at least 1.
            width: first step, as a part of each parameter's range, above 0.
            shrink: factor on the step for each observed trial that was no better, in (0, 1].

        Raises:
            ValueError: an option is out of its range.
        """
        if start < 1 or not width > 0 or not 0 < shrink <= 1:
            raise ValueError(f"start {start} must be at least 1, width {width:g} above 0, shrink {shrink:g} in (0, 1]")
        self.start = start
        self.width = width
        self.shrink = shrink

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points that no trial has, except trials that the equipment failed.

        Raises:
            Exhausted: no such point is left.
            InputError: the problem has a mixture, or ordinal, fixed or derived parameters.
        """
        _refuse(problem)
        rng = np.random.default_rng(seed)
        taken = {_key(trial.parameters) for trial in trials if trial.status is not TrialStatus.FAILED}
        centre, width, summary = self._aim(problem, trials)
        reason = Reason(summary=summary, details={"planner": "local", "version": self.version, "width": width})
        proposals: list[Proposal] = []
        for point in _candidates(problem, centre, width, rng):
            if _key(point) not in taken:
                taken.add(_key(point))
                proposals.append(Proposal(parameters=point, reason=reason))
            if len(proposals) == n:
                break
        if not proposals:
            raise Exhausted("every candidate was tried, or the constraints leave no room that draws can hit")
        return proposals

    def _aim(self, problem: Problem, trials: Sequence[Trial]) -> tuple[Point | None, float, str]:
        """The point to look around, how far, and why."""
        objective = problem.objectives[0]
        observed = [trial for trial in trials if objective.name in trial.outcomes]
        if len(observed) < self.start:
            return None, 1.0, f"random: {len(observed)} of {self.start} trials observed"
        scores = [objective.score(trial.outcomes[objective.name].value) for trial in observed]
        best = max(range(len(observed)), key=scores.__getitem__)
        width = max(LEAST_WIDTH, self.width * self.shrink ** (len(observed) - 1 - best))
        return (
            observed[best].parameters,
            width,
            f"around trial {observed[best].number}, step {width:.2g} of the range",
        )


def _key(point: Point) -> Key:
    return tuple(sorted(point.items()))


def _refuse(problem: Problem) -> None:
    """Say what this planner cannot do before it does it wrongly; an `InputError` is what a campaign shows its operator.

    Raises:
        InputError: the problem has a mixture, or ordinal, fixed or derived parameters.
    """
    known = (RealParameter, IntegerParameter, CategoricalParameter)
    strange = [parameter.name for parameter in problem.parameters if not isinstance(parameter, known)]
    strange += [mixture.name for mixture in problem.mixtures]
    if strange:
        raise InputError(f"planner 'local' takes numbers and categories without mixtures, not: {', '.join(strange)}")


def _candidates(problem: Problem, centre: Point | None, width: float, rng: np.random.Generator) -> Iterator[Point]:
    """Points worth proposing, the most wanted first."""
    if problem.pool is not None:
        yield from _rows(problem, _draw(problem, centre, width, rng), rng)
        return
    for attempt in range(ATTEMPTS):
        # A step that keeps failing is widened to the whole space: the centre may sit in a corner of the constraints.
        point = _draw(problem, centre if attempt < ATTEMPTS // 2 else None, width, rng)
        if all(constraint.holds(point) for constraint in problem.constraints):
            yield point


def _rows(problem: Problem, wanted: Point, rng: np.random.Generator) -> list[Point]:
    """The rows of the pool, the nearest to a wanted point first."""
    assert problem.pool is not None
    rows = [problem.check(problem.pool.row(index)) for index in range(len(problem.pool))]
    ties = rng.random(len(rows))
    distances = [
        sum(_distance(parameter, row[parameter.name], wanted[parameter.name]) for parameter in problem.parameters)
        for row in rows
    ]
    return [rows[index] for index in sorted(range(len(rows)), key=lambda i: (distances[i], ties[i]))]


def _draw(problem: Problem, centre: Point | None, width: float, rng: np.random.Generator) -> Point:
    return {
        parameter.name: _value(parameter, None if centre is None else centre[parameter.name], width, rng)
        for parameter in problem.parameters
    }


def _value(parameter: Parameter, centre: Scalar | None, width: float, rng: np.random.Generator) -> Scalar:
    """One value: anywhere without a centre, else a normal step of `width` from it."""
    if isinstance(parameter, CategoricalParameter):
        stay = centre is not None and rng.random() > width
        level = parameter.levels[rng.integers(len(parameter.levels))]
        return centre if stay and centre is not None else level
    share = rng.random() if centre is None else rng.normal(_share(parameter, centre), width)
    return _from_share(parameter, min(max(float(share), 0.0), 1.0))


def _share(parameter: Parameter, value: Scalar) -> float:
    """Where a value lies in its parameter's range, 0 to 1; on the logarithm where the parameter says so."""
    assert not isinstance(parameter, CategoricalParameter)
    low, high, here = float(parameter.low), float(parameter.high), float(value)
    if not isinstance(parameter, IntegerParameter) and parameter.log:
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)


def _from_share(parameter: Parameter, share: float) -> Scalar:
    assert not isinstance(parameter, CategoricalParameter)
    if isinstance(parameter, IntegerParameter):
        return round(parameter.low + share * (parameter.high - parameter.low))
    if parameter.log:
        return parameter.check(math.exp(math.log(parameter.low) + share * math.log(parameter.high / parameter.low)))
    return parameter.check(parameter.low + share * (parameter.high - parameter.low))


def _distance(parameter: Parameter, a: Scalar, b: Scalar) -> float:
    if isinstance(parameter, CategoricalParameter):
        return float(a != b)
    return (_share(parameter, a) - _share(parameter, b)) ** 2
