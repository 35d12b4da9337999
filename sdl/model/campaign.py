"""The campaign file: problem + procedure + planner + budget + stopping rule, and who answers for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from sdl.model._base import JSON, Name, Record, Scalar, Unit
from sdl.model._orcid import checked_orcid
from sdl.model.problem import Problem

__all__ = [
    "Budget",
    "CampaignSpec",
    "Creator",
    "ImprovementRule",
    "PlannerChoice",
    "PoolSource",
    "PriorSource",
    "StoppingRule",
]


def _below(value: Any) -> Any:
    """`improvement: 0.5` is `improvement: {below: 0.5}`."""
    return {"below": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


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
        return checked_orcid(orcid)


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
    cost: float | None = Field(default=None, gt=0)
    """Money, in the lab's currency: hours of stations and what is used of the stock, at the lab file's costs."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.trials is None and self.hours is None and self.cost is None:
            raise ValueError("a budget needs trials, hours or cost, or several of them")
        return self


class ImprovementRule(Record):
    """Stop once the planner expects little more."""

    below: float = Field(gt=0)
    """Improvement of the score that a further trial is expected to bring, in the unit of the objective (of the
    hypervolume, where there are several)."""
    trials: int = Field(default=3, ge=1)
    """So many proposals one after another have to expect less."""


class StoppingRule(Record):
    """When to stop before the budget is used up."""

    reach: dict[str, float] = {}
    """Objective name → value: stop once a trial is at least that good on each (for `match`: at most that far off)."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many observed trials without a better best."""
    improvement: Annotated[ImprovementRule | None, BeforeValidator(_below)] = None
    """Stop once the planner expects less improvement than this of a further trial."""


class PoolSource(Record):
    """Candidates taken from the distinct rows of a table that the lab file declares as an input."""

    input: Name
    """Name of the lab's input."""
    columns: dict[str, str] = {}
    """Parameter name → column of the table, where they differ."""


class PriorSource(Record):
    """Where prior knowledge comes from: an earlier campaign, or a table that the lab file declares as an input."""

    campaign: str | None = None
    """Name or id of a campaign."""
    store: str | None = None
    """Store that has it, relative to the campaign file; None for the store of the new campaign."""
    input: Name | None = None
    """Name of the lab's input, in place of a campaign."""
    rename: dict[Name, str] = {}
    """Parameter or outcome of this campaign → what the source calls it."""
    units: dict[Name, Unit] = {}
    """Unit of a column of the table, where it is another than this campaign's; campaigns know their units."""
    kind: Literal["campaign", "simulation", "prior_mean"] = "campaign"
    """Measured in a related space; cheap and approximate; or what the outcome is expected to be."""
    cost: float = Field(default=1.0, ge=0)
    """Cost of one of its points, in trials' worth."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.campaign is None) == (self.input is None):
            raise ValueError("prior knowledge comes from a campaign or from an input: give one of the two")
        if self.input is not None and self.store is not None:
            raise ValueError("a store has campaigns; an input needs none")
        if self.campaign is not None and self.units:
            raise ValueError("a campaign knows its units; leave `units` out")
        return self


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
    learn_from: tuple[PriorSource, ...] = ()
    """Prior knowledge; read once, when the campaign is created, into `problem.sources`."""
    initial: tuple[dict[str, Scalar], ...] = ()
    """Trials to begin with, before the planner is asked; fixed and derived values may be left out."""
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
