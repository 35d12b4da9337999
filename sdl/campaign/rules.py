"""When a campaign has ended by its own rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sdl.campaign.costing import spent
from sdl.journal.state import CampaignState, TrialState, best_trial
from sdl.model import CampaignSpec, Match, MatchCurve, Objective, TrialStatus

__all__ = ["PERSON", "Ending", "ended", "of_person", "reached"]

PERSON = "person:"
"""What the name of the planner of a trial begins with that a person told the campaign of."""


@dataclass(frozen=True)
class Ending:
    """Why a campaign has ended."""

    rule: Literal["trials", "hours", "cost", "reach", "patience", "improvement", "exhausted"]
    message: str


def ended(state: CampaignState, spec: CampaignSpec, lab_seconds: float) -> Ending | None:
    """The rule that ends the campaign, or None while it should go on.

    Args:
        state: the campaign.
        spec: the specification in force.
        lab_seconds: lab time used up in all.
    """
    if spec.stop.reach:
        for trial in state.trials.values():
            if reached(trial, spec):
                goals = ", ".join(_goal(spec, name) for name in spec.stop.reach)
                return Ending("reach", f"trial {trial.number} reached {goals}")
    if spec.stop.patience is not None:
        waited = _observed_since_best(state)
        if waited >= spec.stop.patience:
            return Ending("patience", f"no better trial in the last {waited} observed")
    if spec.stop.improvement is not None and (text := _little_left(state, spec)):
        return Ending("improvement", text)
    return _used_up(state, spec, lab_seconds)


def _used_up(state: CampaignState, spec: CampaignSpec, lab_seconds: float) -> Ending | None:
    """Which limit of the budget was reached. Trials that people told the campaign of use nothing of it."""
    budget = spec.budget
    if budget.trials is not None and sum(not of_person(t) for t in state.trials.values()) >= budget.trials:
        return Ending("trials", f"the budget of {budget.trials} trials is used up")
    if budget.hours is not None and lab_seconds >= budget.hours * 3600:
        return Ending("hours", f"the budget of {budget.hours:g} h of lab time is used up")
    if budget.cost is not None and (cost := spent(state)) is not None and cost[0] >= budget.cost:
        return Ending(
            "cost", f"the budget of {budget.cost:g} {cost[1]} is used up: it has cost {cost[0]:.6g} {cost[1]}"
        )
    return None


def of_person(trial: TrialState) -> bool:
    """Whether a person told the campaign of a trial, which it did not make itself."""
    return str(trial.planner.get("name", "")).startswith(PERSON)


def _little_left(state: CampaignState, spec: CampaignSpec) -> str:
    """Why the campaign should stop, when the last proposals all expected too little; empty otherwise."""
    rule = spec.stop.improvement
    assert rule is not None
    own = [t for t in state.trials.values() if not of_person(t)]
    left = [_improvement_left(trial.reason) for trial in own[-rule.trials :]]
    known = [item for item in left if item is not None]
    if len(known) < rule.trials or any(item["value"] >= rule.below for item in known):
        return ""
    last = known[-1]
    objectives = spec.problem.objectives
    unit = f" {objectives[0].unit}" if len(objectives) == 1 and objectives[0].unit != "1" else ""
    what = objectives[0].name if len(objectives) == 1 else "the hypervolume"
    sd = last.get("sd")
    uncertain = f" ± {sd:.3g}" if isinstance(sd, int | float) else ""
    times = "proposal" if rule.trials == 1 else f"{rule.trials} proposals"
    return (
        f"the last {times} expected to improve {what} by less than {rule.below:g}{unit}; a further trial is expected "
        f"to bring {last['value']:.3g}{uncertain}{unit}. To go on all the same, lower stop.improvement and run it again"
    )


def _improvement_left(reason: Any) -> dict[str, Any] | None:
    """What a planner said of the improvement that is left; None when it said nothing that can be used."""
    details = reason.get("details")
    left = details.get("improvement_left") if isinstance(details, dict) else None
    value = left.get("value") if isinstance(left, dict) else None
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return left if usable else None


def reached(trial: TrialState, spec: CampaignSpec) -> bool:
    """Whether an observed trial is at least as good as `stop.reach` asks on every objective named there."""
    if trial.status is not TrialStatus.OBSERVED:
        return False
    objectives = {o.name: o for o in spec.problem.objectives}
    return all(
        name in trial.outcomes and _good_enough(objectives[name], trial.outcomes[name].value, goal)
        for name, goal in spec.stop.reach.items()
    )


def _good_enough(objective: Objective, value: float, goal: float) -> bool:
    if isinstance(objective, Match):
        return abs(value - objective.target) <= goal
    return objective.score(value) >= objective.score(goal)


def _goal(spec: CampaignSpec, name: str) -> str:
    objective = next(o for o in spec.problem.objectives if o.name == name)
    goal = spec.stop.reach[name]
    unit = "" if objective.unit == "1" else f" {objective.unit}"
    if isinstance(objective, Match):
        return f"{name} within {goal:g}{unit} of {objective.target:g}{unit}"
    if isinstance(objective, MatchCurve):
        return f"{name} within {goal:g}{unit} of its curve"
    return f"{name} {'≥' if objective.kind == 'maximize' else '≤'} {goal:g}{unit}"


def _observed_since_best(state: CampaignState) -> int:
    best = best_trial(state)
    if best is None:
        return 0
    observed = [t for t in state.trials.values() if t.status is TrialStatus.OBSERVED]
    return sum((t.ended_at or 0) > (best.ended_at or 0) for t in observed)
