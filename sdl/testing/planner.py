"""Conformance kit for planners: what a campaign relies on, as one call in a plug-in's own test.

    from sdl.testing import check_planner

    def test_conformance():
        check_planner(MyPlanner())

Every problem of `problems()` is put to the planner in several states of a campaign; all violations are reported
together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from sdl.model import (
    CategoricalParameter,
    Exhausted,
    IntegerParameter,
    Outcome,
    Parameter,
    Problem,
    Proposal,
    Scalar,
    Trial,
    TrialStatus,
)
from sdl.protocols import Planner

__all__ = ["PlannerReport", "PlannerViolations", "check_planner", "problems", "response"]


class PlannerViolations(AssertionError):
    """A planner breaks its contract. Carries the report."""

    def __init__(self, report: PlannerReport) -> None:
        self.report = report
        super().__init__(str(report))


@dataclass(frozen=True)
class PlannerReport:
    """What was checked and what was wrong."""

    planner: str
    """Class name of the planner."""
    checks: tuple[str, ...]
    """Every check made, in order."""
    violations: tuple[str, ...]
    """What was wrong, one sentence each, beginning with the check's name."""

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.violations

    def __str__(self) -> str:
        head = f"{self.planner}: {len(self.checks)} checks, {len(self.violations)} violations"
        return "\n  ".join([head, *self.violations])


def problems() -> dict[str, Problem]:
    """The problems of the kit by name: a box, a mixed space under a constraint, a matched target, and a pool."""
    real = {"kind": "real", "low": -2.0, "high": 3.0, "unit": "mm"}
    decade = {"kind": "real", "low": 0.01, "high": 100.0, "unit": "uL/min", "log": True}
    count = {"kind": "integer", "low": 1, "high": 9}
    solvent = {"kind": "categorical", "levels": ["water", "ethanol", "toluene"]}
    rows = [(a, c, s) for a in (-2.0, 0.0, 1.5, 3.0) for c in (1, 5) for s in ("water", "toluene")]
    pool = {name: [row[i] for row in rows] for i, name in enumerate(("a", "count", "solvent"))}
    best: dict[str, Any] = {"y": {"kind": "maximize", "unit": "1"}}
    raw: dict[str, dict[str, Any]] = {
        "box": {
            "parameters": {"a": real, "rate": decade},
            "objectives": {"y": {"kind": "minimize", "unit": "1"}},
        },
        "mixed": {
            "parameters": {"a": real, "b": real, "count": count, "solvent": solvent},
            "objectives": best,
            "constraints": [{"sum": {"a": 1.0, "b": 1.0, "count": 0.5}, "at_most": 3.0}],
        },
        "match": {
            "parameters": {"a": real, "b": real},
            "objectives": {"y": {"kind": "match", "target": 0.5, "unit": "1"}},
        },
        "pool": {
            "parameters": {"a": real, "count": count, "solvent": solvent},
            "objectives": best,
            "pool": {"columns": pool},
        },
    }
    return {name: Problem.model_validate(fields) for name, fields in raw.items()}


def check_planner(
    planner: Planner,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    seed_matters: bool = True,
    fresh_process: bool = True,
) -> PlannerReport:
    """Check that a planner keeps the contract of `sdl.protocols.Planner`.

    Args:
        planner: the object under test.
        seeds: seeds it is asked with, at least two.
        seed_matters: False for a planner that documents that the seed of a call changes nothing.
        fresh_process: also compare with a new interpreter, to which the planner is sent by pickle. That costs its
            imports once.

    Returns:
        The report, when nothing is wrong.

    Raises:
        PlannerViolations: an `AssertionError` that lists every violation.
    """
    kit = _Kit(planner, tuple(seeds), seed_matters)
    kit.run(fresh_process)
    report = PlannerReport(type(planner).__name__, tuple(kit.checks), tuple(kit.violations))
    if not report.ok:
        raise PlannerViolations(report)
    return report


def response(parameters: Mapping[str, Scalar]) -> float:
    """A smooth made-up outcome of any parameters, so that model-based planners have something to learn."""
    total = 0.0
    for position, (_, value) in enumerate(sorted(parameters.items())):
        number = float(len(value)) if isinstance(value, str) else float(value)
        total += math.sin(0.7 * number + position) / (1 + position)
    return total


_FULL = "all kinds of trials"
_Asked = tuple[Problem, list[Trial], int, int, list[Proposal]]


def _key(parameters: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(parameters.items()))


def _observed(number: int, parameters: dict[str, Scalar]) -> Trial:
    outcome = Outcome(value=response(parameters), sem=0.02)
    return Trial(number=number, parameters=parameters, status=TrialStatus.OBSERVED, outcomes={"y": outcome})


def _states(problem: Problem) -> Iterator[tuple[str, list[Trial]]]:
    """States of a campaign by name, each with its trials."""
    points = _points(problem, 10)
    yield "no trials", []
    yield "two observed", [_observed(i + 1, p) for i, p in enumerate(points[:2])]
    seen = [_observed(i + 1, p) for i, p in enumerate(points[:5])]
    rest = [
        TrialStatus.FAILED,
        TrialStatus.INFEASIBLE,
        TrialStatus.REJECTED,
        TrialStatus.RUNNING,
        TrialStatus.PROPOSED,
    ]
    ended = [Trial(number=6 + i, parameters=points[5 + i], status=status) for i, status in enumerate(rest)]
    yield _FULL, seen + ended
    yield "none observed", [t.model_copy(update={"number": i + 1}) for i, t in enumerate(ended)]
    flat = Outcome(value=1.0)
    yield "equal outcomes", [t.model_copy(update={"outcomes": {"y": flat}}) for t in seen]


def _points(problem: Problem, n: int) -> list[dict[str, Scalar]]:
    """Valid points of a problem, without chance: rows of the pool, or a walk along irrational steps."""
    if problem.pool is not None:
        return [problem.check(problem.pool.row(i)) for i in range(n)]
    found: list[dict[str, Scalar]] = []
    step = 0
    while len(found) < n:
        step += 1
        values = {p.name: _at(p, (step * (0.618034 + 0.09 * j)) % 1.0) for j, p in enumerate(problem.parameters)}
        if all(constraint.holds(values) for constraint in problem.constraints):
            found.append(problem.check(values))
    return found


def _at(parameter: Parameter, share: float) -> Scalar:
    if isinstance(parameter, CategoricalParameter):
        return parameter.levels[int(share * len(parameter.levels))]
    value = parameter.low + share * (parameter.high - parameter.low)
    return round(value) if isinstance(parameter, IntegerParameter) else value


def _answers(planner: Planner, questions: list[tuple[Problem, list[Trial], int, int]]) -> list[list[Proposal]]:
    return [planner.propose(*question) for question in questions]


class _Kit:
    """One examination of one planner."""

    def __init__(self, planner: Planner, seeds: tuple[int, ...], seed_matters: bool) -> None:
        self.planner = planner
        self.seeds = seeds
        self.seed_matters = seed_matters
        self.checks: list[str] = []
        self.violations: list[str] = []

    def run(self, fresh_process: bool) -> None:
        if not isinstance(getattr(self.planner, "version", None), str) or not self.planner.version:
            self.violations.append("version: must be a non-empty string; proposals are recorded with it")
        if not callable(getattr(self.planner, "propose", None)):
            self.violations.append("propose: there is no such method")
            return
        asked: list[_Asked] = []
        for name, problem in problems().items():
            for state, trials in _states(problem):
                first = self._compare(name, state, problem, trials)
                if first and state == _FULL:
                    asked.append((problem, trials, 2, self.seeds[0], first))
        self._seeds_differ()
        self._pool_runs_out()
        if fresh_process:
            self._elsewhere(asked)

    def ask(self, where: str, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Proposals, or none and a violation when it raises or returns something else."""
        self.checks.append(where)
        try:
            found: Any = self.planner.propose(problem, tuple(trials), n, seed)
        except Exhausted as error:
            self.wrong(where, f"raised Exhausted ({error}) although there are candidates left")
            return []
        except Exception as error:  # a conformance report lists whatever a stranger's code raises
            self.wrong(where, f"raised {type(error).__name__}: {error}")
            return []
        if not isinstance(found, list) or not all(isinstance(item, Proposal) for item in found):
            self.wrong(where, f"must return a list of Proposal, got {type(found).__name__}")
            return []
        return list(found)

    def wrong(self, where: str, what: str) -> None:
        self.violations.append(f"{where}: {what}")

    def _compare(self, name: str, state: str, problem: Problem, trials: list[Trial]) -> list[Proposal]:
        """Valid proposals, and the same ones again after other calls."""
        where = f"{name}, {state}"
        before = [trial.model_dump_json() for trial in trials]
        first = self.ask(where, problem, trials, 2, self.seeds[0])
        self._valid(where, problem, trials, first, 2)
        for seed in self.seeds[1:]:
            self._valid(f"{where}, seed {seed}", problem, trials, self.ask(where, problem, trials, 1, seed), 1)
        if self.ask(f"{where}, again", problem, trials, 2, self.seeds[0]) != first:
            self.wrong(
                where,
                "equal arguments gave other proposals after other calls: propose must be a pure function",
            )
        if [trial.model_dump_json() for trial in trials] != before:
            self.wrong(where, "propose changed the trials it was given")
        return first

    def _valid(self, where: str, problem: Problem, trials: Sequence[Trial], found: list[Proposal], n: int) -> None:
        if found and len(found) != n:
            self.wrong(where, f"was asked for {n} trials, proposed {len(found)}")
        points = [_key(proposal.parameters) for proposal in found]
        if len(set(points)) != len(points):
            self.wrong(where, "proposed the same point twice in one call")
        taken = {_key(trial.parameters): trial for trial in trials if trial.status is not TrialStatus.FAILED}
        for proposal in found:
            self._typed(where, problem, proposal)
            self._recorded(where, proposal)
            met = taken.get(_key(proposal.parameters))
            if met is not None and (problem.pool is not None or met.status.pending):
                self.wrong(where, f"proposed the point of trial {met.number} again, which is {met.status}")

    def _typed(self, where: str, problem: Problem, proposal: Proposal) -> None:
        try:
            checked = problem.check(proposal.parameters)
        except ValueError as error:
            self.wrong(where, str(error))
            return
        for parameter, value in checked.items():
            if type(proposal.parameters[parameter]) is not type(value):
                got = type(proposal.parameters[parameter]).__name__
                self.wrong(where, f"{parameter} must be of type {type(value).__name__}, got {got}")
        if problem.pool is not None:
            rows = {_key(problem.check(problem.pool.row(i))) for i in range(len(problem.pool))}
            if _key(proposal.parameters) not in rows:
                self.wrong(where, f"{dict(proposal.parameters)} is no row of the pool")

    def _recorded(self, where: str, proposal: Proposal) -> None:
        if not proposal.reason.summary.strip() or "\n" in proposal.reason.summary:
            self.wrong(where, "reason.summary must be one line for people")
        try:
            text = json.dumps(proposal.reason.details, allow_nan=False)
        except (TypeError, ValueError) as error:
            self.wrong(where, f"reason.details cannot be written as JSON: {error}")
            return
        if json.loads(text) != proposal.reason.details:
            self.wrong(
                where,
                "reason.details comes back from JSON as something else (tuples, or keys that are no strings)",
            )

    def _seeds_differ(self) -> None:
        where = "seeds"
        problem = problems()["box"]
        points = {tuple(_key(p.parameters) for p in self.ask(where, problem, [], 1, seed)) for seed in self.seeds} - {
            ()
        }
        if self.seed_matters and len(points) == 1:
            self.wrong(
                where,
                f"seeds {self.seeds} all gave the same first proposal; all randomness must derive from the seed",
            )
        if not self.seed_matters and len(points) > 1:
            self.wrong(where, "is said not to depend on the seed, and does")

    def _pool_runs_out(self) -> None:
        where = "pool, exhausted"
        problem = problems()["pool"]
        assert problem.pool is not None
        rows = [problem.check(problem.pool.row(i)) for i in range(len(problem.pool))]
        trials = [_observed(number, row) for number, row in enumerate(rows, start=1)]
        left = self.ask("pool, one row left", problem, trials[1:], 3, self.seeds[0])
        if left and [_key(p.parameters) for p in left] != [_key(rows[0])]:
            self.wrong("pool, one row left", "must propose that row, once")
        self.checks.append(where)
        try:
            found = self.planner.propose(problem, tuple(trials), 1, self.seeds[0])
        except Exhausted:
            return
        except Exception as error:  # as above
            self.wrong(where, f"must raise Exhausted, raised {type(error).__name__}: {error}")
        else:
            self.wrong(where, f"must raise Exhausted, proposed {len(found)} trials")

    def _elsewhere(self, asked: list[_Asked]) -> None:
        """The same questions, in reverse, to a copy in a new interpreter."""
        where = "fresh process"
        self.checks.append(where)
        questions = [item[:4] for item in reversed(asked)]
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
                theirs = executor.submit(_answers, self.planner, questions).result()
        except Exception as error:  # whatever pickling or a stranger's code raises, there or here
            self.wrong(where, f"cannot run in a worker process: {type(error).__name__}: {error}")
            return
        ours = [item[4] for item in reversed(asked)]
        different = sum(a != b for a, b in zip(ours, theirs, strict=True))
        if different:
            self.wrong(where, f"{different} of {len(ours)} equal calls gave other proposals in another process")
