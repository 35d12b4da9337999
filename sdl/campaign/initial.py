"""Trials that a campaign file asks for before its planner is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdl.model import CampaignSpec, FixedParameter, Problem, Proposal, Reason, Scalar, Trial
from sdl.model.units import parse_quantity

__all__ = ["BY", "initial_proposals", "quantities"]

BY = "campaign file"
"""Who asked for such a trial, as the reason of its proposal says it."""


def initial_proposals(spec: CampaignSpec, trials: Sequence[Trial], n: int) -> list[Proposal]:
    """Up to `n` of the trials that the file asks for and that have not been proposed; none once all have been.

    They are proposed in their order, each once, whatever becomes of it. Trials that people told the campaign of do not
    count.
    """
    made = sum(trial.origin == "planner" for trial in trials)
    total = len(spec.initial)
    return [
        Proposal(
            parameters=dict(values),
            reason=Reason(
                summary=f"asked for by the campaign file ({made + i} of {total})",
                details={"by": BY, "position": made + i, "of": total},
            ),
        )
        for i, values in enumerate(spec.initial[made : made + n], 1)
    ]


def quantities(problem: Problem, values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Parameter values as people write them, checked and completed: `25 mL/min` becomes a number of the right unit.

    Raises:
        ValueError: everything that is wrong with them.
    """
    read: dict[str, Any] = dict(values)
    faults = []
    numeric = {p.name: p for p in problem.parameters if hasattr(p, "low") or p.kind == "derived"}
    numeric |= {p.name: p for p in problem.parameters if isinstance(p, FixedParameter) and p.numeric}
    for name, value in values.items():
        if isinstance(value, str) and name in numeric:
            try:
                read[name] = parse_quantity(value, numeric[name].unit)
            except ValueError as error:
                faults.append(f"{name}: {error}")
    if faults:
        raise ValueError("; ".join(faults))
    return problem.check(read)
