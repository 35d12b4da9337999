"""When a campaign ends by its own rule."""

from __future__ import annotations

from typing import Any

import pytest

from sdl.campaign.rules import ended
from sdl.journal.state import CampaignState, TrialState, best_trial
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
