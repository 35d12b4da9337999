"""When a campaign ends by its own rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sdl.campaign.costing import spent
from sdl.campaign.rules import ended
from sdl.journal.state import CampaignState, StepState, TrialState, best_trial
from sdl.journal.stock import Reserved
from sdl.journal.timing import SessionTime
from sdl.model import CampaignSpec, Outcome, TrialStatus


def spec(kind: str = "minimize", **fields: Any) -> CampaignSpec:
    objective = {"kind": kind, "unit": "nm", **({"target": 450} if kind == "match" else {})}
    problem = {
        "parameters": {"x": {"kind": "real", "low": 0, "high": 1, "unit": "1"}},
        "objectives": {"z": objective},
    }
    plain = {"name": "c", "lab": "lab.yaml", "problem": problem, "procedure": "p", "budget": {"trials": 10}}
    return CampaignSpec.model_validate({**plain, **fields})


def state(spec: CampaignSpec, *values: float | None) -> CampaignState:
    """One trial a value; None is a trial that the equipment failed."""
    trials = {}
    for number, value in enumerate(values, start=1):
        status = TrialStatus.FAILED if value is None else TrialStatus.OBSERVED
        outcomes = {} if value is None else {"z": Outcome(value=value, unit="nm")}
        trials[number] = TrialState(number, {}, status, {}, {}, 0, 0, ended_at=number, outcomes=outcomes)
    return CampaignState(id="c", spec=spec, trials=trials)


def rule(campaign: CampaignSpec, *values: float | None, lab_seconds: float = 0.0) -> str:
    ending = ended(state(campaign, *values), campaign, lab_seconds)
    return ending.rule if ending else ""


def test_the_budget_counts_every_trial() -> None:
    """Trials count whatever became of them."""
    campaign = spec(budget={"trials": 3})
    assert rule(campaign, 1.0, None) == ""
    assert rule(campaign, 1.0, None, None) == "trials"


def test_the_budget_of_hours() -> None:
    """Lab time ends the campaign at the hour, not before."""
    campaign = spec(budget={"hours": 2})
    assert rule(campaign, lab_seconds=7199.9) == ""
    assert rule(campaign, lab_seconds=7200) == "hours"


@pytest.mark.parametrize(
    ("kind", "goal", "misses", "hits"),
    [("minimize", 5, 5.1, 5.0), ("maximize", 5, 4.9, 5.0), ("match", 5, 444.9, 455.0)],
)
def test_reaching_the_goal(kind: str, goal: float, misses: float, hits: float) -> None:
    """Each objective is reached on its own side; for a match, the goal is the greatest distance."""
    campaign = spec(kind, stop={"reach": {"z": goal}})
    assert rule(campaign, misses) == ""
    ending = ended(state(campaign, misses, hits), campaign, 0)
    assert ending is not None
    assert ending.message.startswith("trial 2 reached z ")
    assert "5 nm" in ending.message


def test_patience_counts_observed_trials_since_the_best() -> None:
    """Failed trials do not count, a better one starts again, and an equal one is no better."""
    campaign = spec(stop={"patience": 2})
    assert rule(campaign, 3.0, None, None) == ""
    assert rule(campaign, 3.0, 4.0) == ""
    assert rule(campaign, 3.0, 4.0, 2.0, 5.0) == ""
    assert rule(campaign, 3.0, 4.0, 3.0) == "patience"


def test_the_earliest_of_equals_is_best() -> None:
    """Two equal trials: the first is the best one. None before the first observation."""
    best = best_trial(state(spec(), 3.0, 2.0, 2.0))
    assert best is not None
    assert best.number == 2
    assert best_trial(state(spec(), None)) is None


def told(campaign: CampaignState, number: int) -> CampaignState:
    """The campaign with one more trial, of a person."""
    trial = TrialState(number, {}, TrialStatus.OBSERVED, {"name": "person:hana"}, {}, 0, 0, ended_at=number)
    return replace(campaign, trials={**campaign.trials, number: trial})


def test_trials_of_people_use_nothing_of_the_budget() -> None:
    """A budget of three trials is used up by three of the campaign's own, whatever people tell it of."""
    campaign = spec(budget={"trials": 3})
    assert ended(told(state(campaign, 1.0, 2.0), 3), campaign, 0) is None
    ending = ended(told(state(campaign, 1.0, 2.0, 3.0), 4), campaign, 0)
    assert ending is not None
    assert ending.rule == "trials"


def expecting(campaign: CampaignSpec, *left: float | None) -> CampaignState:
    """One observed trial each, whose planner expected so much improvement of a further one; None where it said
    nothing."""
    found = state(campaign, *(1.0 for _ in left))
    trials = {}
    for (number, trial), value in zip(found.trials.items(), left, strict=True):
        details = {} if value is None else {"improvement_left": {"value": value, "sd": 0.05, "text": ""}}
        trials[number] = replace(trial, reason={"summary": "", "details": details})
    return replace(found, trials=trials)


def test_little_improvement_left() -> None:
    """The rule waits for so many proposals in a row; the message gives the amount, its uncertainty and what to do."""
    campaign = spec(stop={"improvement": {"below": 0.5, "trials": 2}})
    for left in ((0.3,), (0.3, 0.6), (0.3, None), (0.3, 0.5)):
        assert ended(expecting(campaign, *left), campaign, 0) is None
    ending = ended(expecting(campaign, 0.9, 0.3, 0.21), campaign, 0)
    assert ending is not None
    assert ending.rule == "improvement"
    assert "by less than 0.5 nm; a further trial is expected to bring 0.21 ± 0.05 nm" in ending.message
    assert "lower stop.improvement" in ending.message
    assert ended(told(expecting(campaign, 0.3, 0.2), 3), campaign, 0) == ended(
        expecting(campaign, 0.3, 0.2), campaign, 0
    )


LAB = """\
name: dear
devices: {d: {driver: soft_detector}}
stations: {oven: {devices: [d], cost: 36000}}
stock: {ink: {unit: mL, cost: 20}}
currency: EUR
procedures:
  p:
    steps: [{name: bake, station: oven, plan: "plans.py:bake"}]
    analysis: {name: "plans.py:analyse"}
"""


def test_the_budget_of_money() -> None:
    """Ten seconds of a station at 36,000 an hour and 5 mL of ink at 20 make 200, and end a budget of 200."""
    campaign = spec(budget={"cost": 200}, procedure="p")
    step = StepState("bake", "oven", 1, "done", 1_000_000_000, 11_000_000_000)
    trial = TrialState(1, {"x": 0.5}, TrialStatus.OBSERVED, {}, {}, 0, 0, steps=(step,), ended_at=11_000_000_000)
    reserved = Reserved("ink", "lot1", 10_000.0, "uL", "bake", 5000.0)
    found = CampaignState(
        id="c", spec=campaign, created={"lab": {"text": LAB}}, trials={1: trial}, updated_at=11_000_000_000,
        times=(SessionTime(0, 1.0),), reserved={1: (reserved,)},
    )  # fmt: skip
    assert spent(found) == (pytest.approx(200), "EUR")
    ending = ended(found, campaign, 0)
    assert ending is not None
    assert ending.message == "the budget of 200 EUR is used up: it has cost 200 EUR"
    assert ended(found, spec(budget={"cost": 201}, procedure="p"), 0) is None
    assert spent(replace(found, created={})) is None
