"""The kit passes our planners, and catches planners that are broken in one way each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sdl.model import Exhausted, InputError, Prediction, Problem, Proposal, Reason, Trial, TrialStatus
from sdl.planners.bayes import BayesPlanner
from sdl.planners.random import RandomPlanner
from sdl.planners.sobol import SobolPlanner
from sdl.testing import PlannerViolations, check_planner


def test_random_conforms() -> None:
    """`random` keeps the contract, in another process as well."""
    assert check_planner(RandomPlanner()).ok


def test_sobol_conforms() -> None:
    """`sobol` keeps the contract; its points do not depend on the seed of a call."""
    assert check_planner(SobolPlanner(), seed_matters=False).ok


def test_bayes_conforms() -> None:
    """`bayes` keeps the contract, in another process as well."""
    report = check_planner(BayesPlanner(), seeds=(0, 1))
    assert len(report.checks) > 100


Change = Callable[[Problem, Sequence[Trial], list[Proposal]], list[Proposal]]


class Broken(RandomPlanner):
    """`random`, with one thing done to what it proposes."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        return self.change(problem, trials, super().propose(problem, trials, n, seed))


def _outside(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [p.model_copy(update={"parameters": {**p.parameters, "a": 99.0}}) for p in found]


def _text(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    """Integers as floats."""
    return [
        p.model_copy(update={"parameters": {k: float(v) if isinstance(v, int) else v for k, v in p.parameters.items()}})
        for p in found
    ]


def _same(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return found[:1] * len(found)


def _pending(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    waiting = [t for t in trials if t.status is TrialStatus.RUNNING]
    return [p.model_copy(update={"parameters": waiting[0].parameters}) for p in found] if waiting else found


def _unwritable(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [p.model_copy(update={"reason": Reason(summary="x", details={"why": {1, 2}})}) for p in found]


def _too_few(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return found[:1]


_calls = itertools.count()


def _counting(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [p.model_copy(update={"reason": Reason(summary=f"call {next(_calls)}")}) for p in found]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_outside, "outside the limits"),
        (_text, "must be of type int"),
        (_same, "the same point twice"),
        (_pending, "which is running"),
        (_unwritable, "cannot be written as JSON"),
        (_too_few, "asked for 2 trials, proposed 1"),
        (_counting, "pure function"),
    ],
)
def test_broken_planner_is_caught(change: Change, said: str) -> None:
    """Each way of breaking the contract is named in the one error that the kit raises."""
    with pytest.raises(PlannerViolations, match=said):
        check_planner(Broken(change), fresh_process=False)


class Deaf(RandomPlanner):
    """Ignores the seed."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        return super().propose(problem, trials, n, 0)


class Forgetful(RandomPlanner):
    """Proposes what was tried before."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        return super().propose(problem, (), n, seed)


class Raising(RandomPlanner):
    """Fails once trials are pending."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        if any(t.status.pending for t in trials):
            raise ZeroDivisionError("no time")
        return super().propose(problem, trials, n, seed)


class Lazy(RandomPlanner):
    """Gives up at once."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        raise Exhausted("enough")


@pytest.mark.parametrize(
    ("planner", "said"),
    [
        (Deaf(), "all gave the same first proposal"),
        (Forgetful(), "must raise Exhausted"),
        (Raising(), "raised ZeroDivisionError: no time"),
        (Lazy(), "although there are candidates left"),
    ],
)
def test_broken_behaviour_is_caught(planner: Any, said: str) -> None:
    """Ignoring the seed or the trials, raising and giving up are named."""
    with pytest.raises(PlannerViolations, match=said):
        check_planner(planner, fresh_process=False)


def test_every_violation_is_reported_at_once() -> None:
    """A planner that is wrong in two ways reads of both."""

    def both(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
        return _outside(problem, trials, _unwritable(problem, trials, found))

    with pytest.raises(PlannerViolations) as caught:
        check_planner(Broken(both), fresh_process=False)
    text = "\n".join(caught.value.report.violations)
    assert "outside the limits" in text
    assert "cannot be written as JSON" in text


def test_planner_that_cannot_travel_is_caught() -> None:
    """A planner that no worker process can receive is told so."""
    with pytest.raises(PlannerViolations, match="cannot run in a worker process"):
        check_planner(Broken(lambda problem, trials, found: found))


class Narrow(RandomPlanner):
    """Takes no mixtures, and says so."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        if problem.mixtures:
            raise InputError("planner 'narrow' takes no mixtures; use 'random'")
        return super().propose(problem, trials, n, seed)


def test_a_documented_refusal_is_kept_to() -> None:
    """A planner may refuse what it says it does. A refusal that it does not announce, and one that it does not make,
    are violations; the four basic problems may not be refused."""
    mixtures = ("mixture", "few components")
    assert check_planner(Narrow(), fresh_process=False, refuses=mixtures).ok
    with pytest.raises(PlannerViolations, match="raised InputError: planner 'narrow' takes no mixtures"):
        check_planner(Narrow(), fresh_process=False)
    with pytest.raises(PlannerViolations, match="is said to be refused, and 1 trials were proposed"):
        check_planner(RandomPlanner(), fresh_process=False, refuses=mixtures)
    with pytest.raises(ValueError, match="no planner may refuse box"):
        check_planner(RandomPlanner(), refuses=("box",))


class Breaking(Narrow):
    """Fails on mixtures with an error of its own."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        try:
            return super().propose(problem, trials, n, seed)
        except InputError as error:
            raise KeyError("iron") from error


def test_a_refusal_needs_the_right_error() -> None:
    """A crash is no refusal."""
    with pytest.raises(PlannerViolations, match="must raise InputError, raised KeyError"):
        check_planner(Breaking(), fresh_process=False, refuses=("mixture", "few components"))


def _standardised(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    reason = Reason(summary="x", predicted={"y": Prediction(mean=0.3, sem=1.0)})
    return [p.model_copy(update={"reason": reason}) for p in found]


def _unknown_outcome(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    reason = Reason(summary="x", predicted={"score": Prediction(mean=5000.0, sem=1.0)})
    return [p.model_copy(update={"reason": reason}) for p in found]


def _at_most_two(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return found[:2]


def _other_gas(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [
        p.model_copy(update={"parameters": {k: "air" if k == "gas" else v for k, v in p.parameters.items()}})
        for p in found
    ]


def _between_levels(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [
        p.model_copy(update={"parameters": {k: 50.0 if k == "sieve" else v for k, v in p.parameters.items()}})
        for p in found
    ]


def _off_the_sum(problem: Problem, trials: Sequence[Trial], found: list[Proposal]) -> list[Proposal]:
    return [
        p.model_copy(update={"parameters": {k: 0.3 if k == "iron" else v for k, v in p.parameters.items()}})
        for p in found
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_standardised, "units of predictions: predicted 0.3 where [45]"),
        (_unknown_outcome, "reason.predicted names score, which is no outcome"),
        (_at_most_two, "six at once: was asked for 6 trials, proposed 2"),
        (_other_gas, "gas: is fixed at argon"),
        (_between_levels, "sieve: 50 um is not a level"),
        (_off_the_sum, "mixture broken"),
    ],
)
def test_a_planner_that_breaks_a_wider_rule_is_caught(change: Change, said: str) -> None:
    """Predictions in their unit, as many as asked for, fixed values, ordinal levels and mixtures."""
    with pytest.raises(PlannerViolations, match=said):
        check_planner(Broken(change), fresh_process=False)


class Resentful(RandomPlanner):
    """Takes a failed trial's row for used up."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        held = [t.model_copy(update={"status": TrialStatus.REJECTED}) if t.status == "failed" else t for t in trials]
        return super().propose(problem, held, n, seed)


def test_a_row_whose_trial_failed_is_left() -> None:
    """A planner that bars the row of a failed trial is told that the equipment's failure says nothing of it."""
    with pytest.raises(PlannerViolations, match="pool, last row failed"):
        check_planner(Resentful(), fresh_process=False)


def test_slow_planner_is_caught() -> None:
    """A call that takes more CPU time than is allowed is a violation, and the report tells the slowest."""
    assert check_planner(RandomPlanner(), fresh_process=False).slowest > 0
    with pytest.raises(PlannerViolations, match="time: a call took"):
        check_planner(RandomPlanner(), fresh_process=False, seconds=0.0)
