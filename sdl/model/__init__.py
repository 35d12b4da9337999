"""Frozen records of the domain. No I/O, no state."""

from sdl.model._base import JSON, Name, Record, Scalar, Unit
from sdl.model.campaign import Budget, CampaignSpec, Creator, PlannerChoice, PoolSource, StoppingRule
from sdl.model.errors import (
    Exhausted,
    Fault,
    FileFault,
    Infeasible,
    InputError,
    MissingExtra,
    Refusal,
    SdlError,
    UnsafeState,
)
from sdl.model.objectives import Match, Maximize, Minimize, Objective
from sdl.model.parameters import CategoricalParameter, IntegerParameter, Parameter, RealParameter
from sdl.model.problem import LinearConstraint, Pool, Problem
from sdl.model.trials import Outcome, Prediction, Proposal, Reason, Trial, TrialStatus

__all__ = [
    "JSON",
    "Budget",
    "CampaignSpec",
    "CategoricalParameter",
    "Creator",
    "Exhausted",
    "Fault",
    "FileFault",
    "Infeasible",
    "InputError",
    "IntegerParameter",
    "LinearConstraint",
    "Match",
    "Maximize",
    "Minimize",
    "MissingExtra",
    "Name",
    "Objective",
    "Outcome",
    "Parameter",
    "PlannerChoice",
    "Pool",
    "PoolSource",
    "Prediction",
    "Problem",
    "Proposal",
    "RealParameter",
    "Reason",
    "Record",
    "Refusal",
    "Scalar",
    "SdlError",
    "StoppingRule",
    "Trial",
    "TrialStatus",
    "Unit",
    "UnsafeState",
]
