"""When a campaign has ended by its own rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdl.journal.state import CampaignState, TrialState, best_trial
from sdl.model import CampaignSpec, Match, Objective, TrialStatus

__all__ = ["Ending", "ended", "reached"]


@dataclass(frozen=True)
class Ending:
    """Why a campaign has ended."""

    rule: Literal["trials", "hours", "reach", "patience", "exhausted"]
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
    budget = spec.budget
    if budget.trials is not None and len(state.trials) >= budget.trials:
        return Ending("trials", f"the budget of {budget.trials} trials is used up")
    if budget.hours is not None and lab_seconds >= budget.hours * 3600:
        return Ending("hours", f"the budget of {budget.hours:g} h of lab time is used up")
    return None


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
    return f"{name} {'≥' if objective.kind == 'maximize' else '≤'} {goal:g}{unit}"


def _observed_since_best(state: CampaignState) -> int:
    best = best_trial(state)
    if best is None:
        return 0
    observed = [t for t in state.trials.values() if t.status is TrialStatus.OBSERVED]
    return sum((t.ended_at or 0) > (best.ended_at or 0) for t in observed)
