"""Frozen records of the domain. No I/O, no state."""

from sdl.model._base import JSON, Name, Record, Scalar, Unit
from sdl.model.campaign import (
    Budget,
    CampaignSpec,
    Creator,
    ImprovementRule,
    PlannerChoice,
    PoolSource,
    PriorSource,
    StoppingRule,
)
from sdl.model.constraints import Constraint, LinearConstraint, NonlinearConstraint
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
from sdl.model.expressions import Expression
from sdl.model.mixtures import Mixture
from sdl.model.objectives import Match, MatchCurve, Maximize, Minimize, Objective, OutcomeConstraint
from sdl.model.parameters import (
    CategoricalParameter,
    DerivedParameter,
    FixedParameter,
    IntegerParameter,
    OrdinalParameter,
    Parameter,
    RealParameter,
    Searched,
)
from sdl.model.pool import Pool, PoolReference
from sdl.model.problem import Problem, ProblemFaults
from sdl.model.sources import Source
from sdl.model.trials import Outcome, Prediction, Proposal, Reason, Trial, TrialStatus

__all__ = [
    "JSON",
    "Budget",
    "CampaignSpec",
    "CategoricalParameter",
    "Constraint",
    "Creator",
    "DerivedParameter",
    "Exhausted",
    "Expression",
    "Fault",
    "FileFault",
    "FixedParameter",
    "ImprovementRule",
    "Infeasible",
    "InputError",
    "IntegerParameter",
    "LinearConstraint",
    "Match",
    "MatchCurve",
    "Maximize",
    "Minimize",
    "MissingExtra",
    "Mixture",
    "Name",
    "NonlinearConstraint",
    "Objective",
    "OrdinalParameter",
    "Outcome",
    "OutcomeConstraint",
    "Parameter",
    "PlannerChoice",
    "Pool",
    "PoolReference",
    "PoolSource",
    "Prediction",
    "PriorSource",
    "Problem",
    "ProblemFaults",
    "Proposal",
    "RealParameter",
    "Reason",
    "Record",
    "Refusal",
    "Scalar",
    "SdlError",
    "Searched",
    "Source",
    "StoppingRule",
    "Trial",
    "TrialStatus",
    "Unit",
    "UnsafeState",
]
