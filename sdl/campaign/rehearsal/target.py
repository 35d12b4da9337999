"""What a campaign is hoped to reach, as people write it: `conductivity > 10 MS/m`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sdl.campaign.rules import reached
from sdl.journal.state import TrialState
from sdl.model import CampaignSpec, InputError, Match, TrialStatus
from sdl.model.units import convert
from sdl.plugins import suggest

__all__ = ["Target", "target_of"]

_FORM = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*(?P<op><=|>=|≤|≥|<|>)\s*(?P<value>\S+?)(?:\s+(?P<unit>\S.*?))?\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, "≤": operator.le, ">": operator.gt, ">=": operator.ge, "≥": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What one trial has to reach."""

    text: str
    spec: CampaignSpec | None = None
    """Campaign whose `stop.reach` is meant; None where a comparison is."""
    name: str = ""
    operator: str = ">"
    limit: float = math.nan
    """In the objective's unit."""

    def reached(self, trial: TrialState) -> bool:
        """Whether a trial reached it."""
        if self.spec is not None:
            return reached(trial, self.spec)
        if trial.status is not TrialStatus.OBSERVED or self.name not in trial.outcomes:
            return False
        return _OPERATORS[self.operator](trial.outcomes[self.name].value, self.limit)


def target_of(text: str, spec: CampaignSpec) -> Target | None:
    """The target that a person states, or else the campaign's `stop.reach`; None where there is neither.

    Args:
        text: as in `conductivity > 10 MS/m`, a bare number in the objective's unit; empty for `stop.reach`.
        spec: of the campaign.

    Raises:
        InputError: it is no comparison, names no objective, or has a unit that does not convert.
    """
    if not text.strip():
        return Target(_goals(spec), spec) if spec.stop.reach else None
    objectives = {objective.name: objective for objective in spec.problem.objectives}
    first = spec.problem.objectives[0]
    unit = "" if first.unit == "1" else f" {first.unit}"
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputError(f"--target {text!r} is no comparison, as in '{first.name} > 10{unit}'")
    name = found["name"]
    if name not in objectives:
        raise InputError(f"--target {text!r}: the campaign has no objective {name!r}{suggest(name, list(objectives))}")
    own = objectives[name].unit
    try:
        value = float(found["value"])
        if not math.isfinite(value):
            raise ValueError(f"{found['value']} is not finite")
        limit = convert(value, found["unit"], own) if found["unit"] else value
    except ValueError as error:
        raise InputError(
            f"--target {text!r}: {error}; write a number, in {own if own != '1' else 'no unit'} or with its unit, "
            f"as in '{first.name} > 10{unit}'"
        ) from None
    return Target(" ".join(text.split()), None, name, found["op"], limit)


def _goals(spec: CampaignSpec) -> str:
    objectives = {objective.name: objective for objective in spec.problem.objectives}
    said = []
    for name, goal in spec.stop.reach.items():
        objective = objectives[name]
        unit = "" if objective.unit == "1" else f" {objective.unit}"
        if isinstance(objective, Match):
            said.append(f"{name} within {goal:g}{unit} of {objective.target:g}{unit}")
        else:
            said.append(f"{name} {'≥' if objective.kind == 'maximize' else '≤'} {goal:g}{unit}")
    return ", ".join(said)
