"""The table of trials, a row each: its columns, their units, and the value of every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sdl.model import CategoricalParameter, FixedParameter, IntegerParameter, Outcome

if TYPE_CHECKING:
    from sdl.journal.state import CampaignState, TrialState
    from sdl.model import Parameter

__all__ = ["Column", "columns", "outcome_units"]

ColumnType = Literal["integer", "number", "text", "time"]


@dataclass(frozen=True)
class Column:
    """One column of the table of trials."""

    name: str
    type: ColumnType
    value: Callable[[TrialState], Any]
    """A cell: int, float or text; UTC nanoseconds for a time; None when empty."""
    role: str
    """trial | parameter | outcome | sem"""
    unit: str = ""
    """Empty when a unit makes no sense, `1` for a pure number."""
    description: str = ""


def columns(state: CampaignState) -> tuple[Column, ...]:
    """Columns in order: number, status, parameters, outcomes with standard errors, planner, times, message.

    Names are unique: a parameter or outcome that bears the name of another column gets its role in front, as
    in `parameter_status`.
    """
    middle = (*_parameters(state), *_outcomes(state))
    taken = {column.name for column in (*_FIRST, *_LAST)}
    return (*_FIRST, *_distinct(middle, taken), *_LAST)


def outcome_units(state: CampaignState) -> dict[str, str]:
    """Unit of each outcome: the objectives in order, then whatever else the analysis returned."""
    objectives = state.spec.problem.objectives if state.spec else ()
    units = {objective.name: objective.unit for objective in objectives}
    for trial in state.trials.values():
        for name, outcome in trial.outcomes.items():
            units.setdefault(name, outcome.unit)
    return units


def _distinct(found: tuple[Column, ...], taken: set[str]) -> Iterator[Column]:
    for column in found:
        name = column.name
        while name in taken:
            name = f"{column.role}_{name}"
        taken.add(name)
        yield Column(name, column.type, column.value, column.role, column.unit, column.description)


def _parameters(state: CampaignState) -> Iterator[Column]:
    for parameter in state.spec.problem.parameters if state.spec else ():
        kind, cast = _cast(parameter)
        text = parameter.description or f"parameter {parameter.name}"
        unit = "" if kind == "text" else parameter.unit
        yield Column(parameter.name, kind, _parameter(parameter.name, cast), "parameter", unit, text)


def _cast(parameter: Parameter) -> tuple[ColumnType, Callable[[Any], Any]]:
    fixed = parameter.value if isinstance(parameter, FixedParameter) else None
    if isinstance(parameter, CategoricalParameter) or isinstance(fixed, str):
        return "text", str
    whole = isinstance(parameter, IntegerParameter) or isinstance(fixed, int)
    return ("integer", int) if whole else ("number", float)


def _parameter(name: str, cast: Callable[[Any], Any]) -> Callable[[TrialState], Any]:
    return lambda trial: cast(trial.parameters[name]) if name in trial.parameters else None


def _outcomes(state: CampaignState) -> Iterator[Column]:
    for name, unit in outcome_units(state).items():
        yield Column(name, "number", _outcome(name, _value), "outcome", unit, f"outcome {name}")
        text = f"standard error of {name}"
        yield Column(f"{name}_sem", "number", _outcome(name, _sem), "sem", unit, text)


def _value(outcome: Outcome) -> float:
    return outcome.value


def _sem(outcome: Outcome) -> float | None:
    return outcome.sem


def _outcome(name: str, part: Callable[[Outcome], float | None]) -> Callable[[TrialState], Any]:
    return lambda trial: part(trial.outcomes[name]) if name in trial.outcomes else None


_FIRST = (
    Column("number", "integer", lambda t: t.number, "trial", description="number of the trial"),
    Column("status", "text", lambda t: t.status.value, "trial", description="where the trial stands"),
)
_LAST = (
    Column("planner", "text", lambda t: t.planner.get("name", ""), "trial", description="name of its planner"),
    Column("started", "time", lambda t: t.started_at, "trial", description="start of the first step, UTC"),
    Column("ended", "time", lambda t: t.ended_at, "trial", description="end of the trial, UTC"),
    Column("message", "text", lambda t: t.message, "trial", description="why it failed or was infeasible"),
)
