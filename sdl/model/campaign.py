"""The campaign file: problem + procedure + planner + budget + stopping rule, and who answers for it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from sdl.model._base import JSON, Name, Record
from sdl.model.problem import Problem

__all__ = ["Budget", "CampaignSpec", "Creator", "PlannerChoice", "PoolSource", "StoppingRule"]


class Creator(Record):
    """A person who answers for the campaign's data."""

    name: Annotated[str, StringConstraints(min_length=1)]
    """Family name, given name."""
    orcid: str | None = None
    """ORCID iD, as in 0000-0002-1825-0097."""
    affiliation: str = ""

    @field_validator("orcid")
    @classmethod
    def _valid_orcid(cls, orcid: str | None) -> str | None:
        """The last character is an ISO 7064 MOD 11-2 check digit (support.orcid.org, "Structure of the ORCID")."""
        if orcid is None:
            return None
        digits = orcid.removeprefix("https://orcid.org/")
        compact = digits.replace("-", "")
        if not re.fullmatch(r"([0-9]{4}-){3}[0-9]{3}[0-9Xx]", digits):
            raise ValueError(f"{orcid!r} is not an ORCID iD; write it as 0000-0002-1825-0097")
        total = 0
        for digit in compact[:15]:
            total = (total + int(digit)) * 2
        check = (12 - total % 11) % 11
        if compact[15].upper() != ("X" if check == 10 else str(check)):
            raise ValueError(f"{orcid!r} is not a valid ORCID iD: its check digit does not fit; look for a typing slip")
        return digits.upper()


class PlannerChoice(Record):
    """A planner by its registered name, with options."""

    name: Name
    options: dict[str, JSON] = {}


class Budget(Record):
    """What a campaign may use up; it ends when the first limit is reached."""

    trials: int | None = Field(default=None, ge=1)
    """Trials proposed, whatever became of them."""
    hours: float | None = Field(default=None, gt=0)
    """Hours of lab time while the campaign runs."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.trials is None and self.hours is None:
            raise ValueError("a budget needs trials, hours or both")
        return self


class StoppingRule(Record):
    """When to stop before the budget is used up."""

    reach: dict[str, float] = {}
    """Objective name → value: stop once a trial is at least that good on each (for `match`: at most that far off)."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many observed trials without a better best."""


class PoolSource(Record):
    """Candidates taken from the distinct rows of a table that the lab file declares as an input."""

    input: Name
    """Name of the lab's input."""
    columns: dict[str, str] = {}
    """Parameter name → column of the table, where they differ."""


def _planner_by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _pool_by_name(value: Any) -> Any:
    return {"input": value} if isinstance(value, str) else value


class CampaignSpec(Record):
    """One campaign file. It refers only to names registered in the lab and in entry points: it never imports code."""

    name: Name
    title: str = ""
    description: str = ""
    creators: tuple[Creator, ...] = ()
    licence: str = ""
    """SPDX identifier of the data's licence, as in CC-BY-4.0."""
    lab: str
    """Path of the lab file, relative to the campaign file."""
    problem: Problem
    pool: Annotated[PoolSource | None, BeforeValidator(_pool_by_name)] = None
    """Where the candidates come from, when the space is a finite list."""
    procedure: Name
    """Name of a procedure in the lab file."""
    planner: Annotated[PlannerChoice, BeforeValidator(_planner_by_name)] = PlannerChoice(name="bayes")
    budget: Budget
    stop: StoppingRule = StoppingRule()
    seed: int = Field(default=0, ge=0, lt=2**63)
    in_flight: int = Field(default=1, ge=1, le=64)
    """Trials that may be under way at once."""
    schedule: Literal["lookahead", "first_come", "one_by_one"] = "lookahead"
    """How steps of several trials share the stations: planned ahead, first come first served, or a trial at a time."""
    priority: int = 0
    """Steps of campaigns and trials with a higher priority go first where several wait for one station."""
    max_consecutive_faults: int = Field(default=3, ge=1)
    """The campaign pauses for a person after so many trials in a row that failed through the equipment."""
    inputs: dict[str, str] = {}
    """Values for the inputs that the lab file declares."""

    @model_validator(mode="after")
    def _known_objectives(self) -> Self:
        objectives = {o.name for o in self.problem.objectives}
        unknown = sorted(set(self.stop.reach) - objectives)
        if unknown:
            raise ValueError(
                f"stop.reach names {', '.join(unknown)}, which is no objective; "
                f"objectives: {', '.join(sorted(objectives))}"
            )
        return self
