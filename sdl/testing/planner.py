"""Conformance kit for planners: what a campaign relies on, as one call in a plug-in's own test.

    from sdl.testing import check_planner

    def test_conformance():
        check_planner(MyPlanner())

Every problem of `problems()` is put to the planner in several states of a campaign; all violations are reported
together. A planner that documents that it does not take mixtures, say, names the problem in `refuses`, and is then held
to a clear `InputError` before the campaign starts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from sdl.model import Exhausted, InputError, Problem, Proposal, Scalar, Trial, TrialStatus
from sdl.protocols import Planner
from sdl.testing._planner_problems import BASIC, FULL, key, observed, problems, response, states

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
    slowest: float = 0.0
    """CPU seconds of the slowest call."""

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.violations

    def __str__(self) -> str:
        head = f"{self.planner}: {len(self.checks)} checks, {len(self.violations)} violations"
        return "\n  ".join([head, *self.violations])


def check_planner(
    planner: Planner,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    seed_matters: bool = True,
    fresh_process: bool = True,
    refuses: Collection[str] = (),
    seconds: float = 60.0,
) -> PlannerReport:
    """Check that a planner keeps the contract of `sdl.protocols.Planner`.

    Args:
        planner: the object under test.
        seeds: seeds it is asked with, at least two.
        seed_matters: False for a planner that documents that the seed of a call changes nothing.
        fresh_process: also compare with a new interpreter, to which the planner is sent by pickle. That costs its
            imports once.
        refuses: names of problems (of `problems()`, beyond the first four) that the planner documents not to take: it
            has to raise `InputError` for them, whatever the trials.
        seconds: CPU seconds that a call may take, a campaign waiting for it.

    Returns:
        The report, when nothing is wrong.

    Raises:
        PlannerViolations: an `AssertionError` that lists every violation.
    """
    strange = sorted(set(refuses) - set(problems()) | set(refuses) & set(BASIC))
    if strange:
        raise ValueError(
            f"no planner may refuse {', '.join(strange)}; it may {', '.join(problems().keys() - set(BASIC))}"
        )
    kit = _Kit(planner, tuple(seeds), seed_matters, frozenset(refuses), seconds)
    kit.run(fresh_process)
    report = PlannerReport(type(planner).__name__, tuple(kit.checks), tuple(kit.violations), kit.slowest)
    if not report.ok:
        raise PlannerViolations(report)
    return report


_Asked = tuple[Problem, list[Trial], int, int, list[Proposal]]


def _point(problem: Problem, proposal: Proposal) -> tuple[tuple[str, Scalar], ...]:
    """Identifies where a proposal is, with fixed and derived values that it may have left out."""
    try:
        return key(problem.check(proposal.parameters))
    except ValueError:
        return key(proposal.parameters)


def _answers(planner: Planner, questions: list[tuple[Problem, list[Trial], int, int]]) -> list[list[Proposal]]:
    return [planner.propose(*question) for question in questions]


class _Kit:
    """One examination of one planner."""

    def __init__(
        self, planner: Planner, seeds: tuple[int, ...], seed_matters: bool, refuses: frozenset[str], seconds: float
    ) -> None:
        self.refuses = refuses
        self.seconds = seconds
        self.slowest = 0.0
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
            if name in self.refuses:
                self._refused(name, problem)
                continue
            for state, trials in states(problem):
                if name not in BASIC and state not in ("no trials", FULL):
                    continue  # what differs between the other states does not hang on the kind of space
                first = self._compare(name, state, problem, trials)
                if first and state == FULL:
                    asked.append((problem, trials, 2, self.seeds[0], first))
        self._seeds_differ()
        self._many()
        self._own_unit()
        self._pool_runs_out()
        self._failed_again()
        if self.slowest > self.seconds:
            self.wrong("time", f"a call took {self.slowest:.1f} CPU s, allowed are {self.seconds:g}")
        if fresh_process:
            self._elsewhere(asked)

    def ask(self, where: str, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Proposals, or none and a violation when it raises or returns something else."""
        self.checks.append(where)
        started = time.process_time()
        try:
            found: Any = self.planner.propose(problem, tuple(trials), n, seed)
        except Exhausted as error:
            self.wrong(where, f"raised Exhausted ({error}) although there are candidates left")
            return []
        except Exception as error:  # a conformance report lists whatever a stranger's code raises
            self.wrong(where, f"raised {type(error).__name__}: {error}")
            return []
        self.slowest = max(self.slowest, time.process_time() - started)
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
        points = [_point(problem, proposal) for proposal in found]
        if len(set(points)) != len(points):
            self.wrong(where, "proposed the same point twice in one call")
        taken = {key(trial.parameters): trial for trial in trials if trial.status is not TrialStatus.FAILED}
        for point, proposal in zip(points, found, strict=True):
            self._typed(where, problem, proposal)
            self._recorded(where, proposal)
            met = taken.get(point)
            if met is not None and (problem.pool is not None or met.status.pending):
                self.wrong(where, f"proposed the point of trial {met.number} again, which is {met.status}")

    def _typed(self, where: str, problem: Problem, proposal: Proposal) -> None:
        try:
            checked = problem.check(proposal.parameters)
        except ValueError as error:
            self.wrong(where, str(error))
            return
        for parameter, value in checked.items():
            given = proposal.parameters.get(parameter, value)  # fixed and derived values may be left out
            if type(given) is not type(value):
                got = type(given).__name__
                self.wrong(where, f"{parameter} must be of type {type(value).__name__}, got {got}")
        if problem.pool is not None:
            rows = {key(problem.check(problem.pool.row(i))) for i in range(len(problem.pool))}
            if key(proposal.parameters) not in rows:
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
        points = {tuple(key(p.parameters) for p in self.ask(where, problem, [], 1, seed)) for seed in self.seeds} - {()}
        if self.seed_matters and len(points) == 1:
            self.wrong(
                where,
                f"seeds {self.seeds} all gave the same first proposal; all randomness must derive from the seed",
            )
        if not self.seed_matters and len(points) > 1:
            self.wrong(where, "is said not to depend on the seed, and does")

    def _refused(self, name: str, problem: Problem) -> None:
        """A problem that the planner does not take, without trials and with some."""
        for state, trials in states(problem):
            if state not in ("no trials", FULL):
                continue
            where = f"{name}, {state}, refused"
            self.checks.append(where)
            try:
                found = self.planner.propose(problem, tuple(trials), 1, self.seeds[0])
            except InputError as error:
                if not str(error).strip():
                    self.wrong(where, "InputError without a message: say what the planner does not take")
            except Exception as error:  # as in `ask`
                self.wrong(where, f"must raise InputError, raised {type(error).__name__}: {error}")
            else:
                self.wrong(where, f"is said to be refused, and {len(found)} trials were proposed")

    def _many(self) -> None:
        """Several at once, with trials under way."""
        for name in ("box", "mixed", "pool"):
            problem = problems()[name]
            trials = dict(states(problem))[FULL]
            where = f"{name}, six at once"
            self._valid(where, problem, trials, self.ask(where, problem, trials, 6, self.seeds[0]), 6)

    def _own_unit(self) -> None:
        """What is predicted of an outcome is in the outcome's own unit, not in a model's."""
        where = "units of predictions"
        problem = problems()["box"]
        trials = [observed(t.number, t.parameters, 5000.0) for t in dict(states(problem))["equal outcomes"]]
        values = [t.outcomes["y"].value for t in trials]
        room = 50 * (max(values) - min(values))
        for proposal in self.ask(where, problem, trials, 1, self.seeds[0]):
            strange = sorted(set(proposal.reason.predicted) - {"y"})
            if strange:
                self.wrong(where, f"reason.predicted names {', '.join(strange)}, which is no outcome of the problem")
            belief = proposal.reason.predicted.get("y")
            if belief is not None and not min(values) - room <= belief.mean <= max(values) + room:
                seen = f"{min(values):.0f} to {max(values):.0f}"
                self.wrong(where, f"predicted {belief.mean:g} where {seen} was observed: give it in the outcome's unit")

    def _failed_again(self) -> None:
        """The equipment's failure says nothing of a row: it may be tried again."""
        where = "pool, last row failed"
        problem = problems()["pool"]
        assert problem.pool is not None
        rows = [problem.check(problem.pool.row(i)) for i in range(len(problem.pool))]
        trials = [observed(number, row) for number, row in enumerate(rows[1:], start=1)]
        trials.append(Trial(number=len(rows), parameters=rows[0], status=TrialStatus.FAILED))
        found = self.ask(where, problem, trials, 1, self.seeds[0])
        if found and [key(p.parameters) for p in found] != [key(rows[0])]:
            self.wrong(where, "must propose the row whose trial failed, the only one left")

    def _pool_runs_out(self) -> None:
        where = "pool, exhausted"
        problem = problems()["pool"]
        assert problem.pool is not None
        rows = [problem.check(problem.pool.row(i)) for i in range(len(problem.pool))]
        trials = [observed(number, row) for number, row in enumerate(rows, start=1)]
        left = self.ask("pool, one row left", problem, trials[1:], 3, self.seeds[0])
        if left and [key(p.parameters) for p in left] != [key(rows[0])]:
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
