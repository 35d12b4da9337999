"""Trials, proposals and outcomes."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from sdl.model._base import JSON, Record, Scalar, Unit

__all__ = ["Outcome", "Prediction", "Proposal", "Reason", "Trial", "TrialStatus"]


class TrialStatus(StrEnum):
    """Where a trial stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RUNNING = "running"
    OBSERVED = "observed"
    """Executed and analysed: has outcomes."""
    INFEASIBLE = "infeasible"
    """The chemistry or physics failed; planners learn from it."""
    FAILED = "failed"
    """The equipment failed; planners learn nothing from it."""
    REJECTED = "rejected"
    """A person or policy did not let it through."""

    @property
    def pending(self) -> bool:
        """Proposed and not yet ended."""
        return self in (TrialStatus.PROPOSED, TrialStatus.APPROVED, TrialStatus.RUNNING)


class Outcome(Record):
    """An analysed value."""

    value: float
    sem: float | None = Field(default=None, ge=0)
    """Standard error of `value`, same unit; None when the analysis cannot say."""
    unit: Unit = "1"


class Prediction(Record):
    """What a planner's model expected of an outcome before the trial."""

    mean: float
    sem: float = Field(ge=0)
    """Standard deviation of the model's posterior, same unit as the outcome."""


class Reason(Record):
    """Why a planner proposed a trial."""

    summary: str
    """One line for people."""
    acquisition: float | None = None
    """Value of the acquisition function at the proposal."""
    predicted: dict[str, Prediction] = {}
    """By outcome name."""
    details: dict[str, JSON] = {}
    """Model and acquisition names, length scales, fallbacks taken, seeds: whatever explains the choice."""


class Proposal(Record):
    """Parameter values that a planner wants tried."""

    parameters: dict[str, Scalar]
    reason: Reason


class Trial(Record):
    """A trial as planners see it."""

    number: int = Field(ge=1)
    """1, 2, 3 … in the order of proposal; never reused within a campaign."""
    parameters: dict[str, Scalar]
    status: TrialStatus
    outcomes: dict[str, Outcome] = {}
    """By objective or outcome name; filled once observed."""
    origin: Literal["planner", "person"] = "planner"
    """Who wanted it: a planner, or a person who told the campaign of it."""
