"""Trials as the scheduler sees them: jobs of tasks, with how long each takes and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdl.journal.state import CampaignState
from sdl.lab.procedure import BoundStep, Procedure
from sdl.model import CampaignSpec

if TYPE_CHECKING:
    from sdl.campaign.scheduling.durations import Durations
    from sdl.campaign.scheduling.problem import Task

__all__ = ["UNDECLARED", "declared", "measured", "needs_planning", "set_up_for", "tasks_of", "units_of"]

UNDECLARED = 60.0
"""Lab seconds that a step is taken to need when nothing is declared and nothing is known."""


def needs_planning(procedure: Procedure, spec: CampaignSpec) -> bool:
    """Whether steps need more than their station: a place, a time, a choice, or a look at other trials."""
    steps = [step.spec for step in procedure.steps]
    if procedure.sample is not None or any(s.into or s.choose == "any" or s.keep_until for s in steps):
        return True
    if any(step.timing.min_wait or step.timing.max_wait is not None for step in procedure.steps):
        return True
    return spec.in_flight > 1 and len({step.station for step in steps}) > 1


def units_of(spec: CampaignSpec) -> dict[str, str]:
    """Parameter → unit."""
    return {parameter.name: parameter.unit for parameter in spec.problem.parameters}


def declared(step: BoundStep, parameters: Mapping[str, Any], units: Mapping[str, str]) -> float:
    """Seconds that a step is declared to need for a trial, set-up left out."""
    seconds = step.timing.duration(step.arguments(parameters), units)
    return UNDECLARED if seconds is None else seconds


def tasks_of(
    procedure: Procedure, parameters: Mapping[str, Any], units: Mapping[str, str], durations: Durations
) -> tuple[Task, ...]:
    """Every step of one trial.

    Args:
        procedure: the recipe.
        parameters: of the trial.
        units: of parameters.
        durations: what was learned from steps that have ended.
    """
    from sdl.campaign.scheduling.problem import Task

    tasks = []
    for index, step in enumerate(procedure.steps):
        spec, timing = step.spec, step.timing
        stations = spec.choices
        seconds = declared(step, parameters, units)
        into = spec.into
        if procedure.sample is not None and procedure.sample.made_by == spec.name:
            into = (procedure.sample.place,)
        tasks.append(
            Task(
                step=spec.name,
                stations=stations,
                durations={name: durations.expect(spec.name, name, seconds) for name in stations},
                min_wait=timing.min_wait,
                max_wait=timing.max_wait,
                into=into,
                frees=spec.archives or spec.consumes,
                keep_until=_kept_until(procedure, index),
                setup_value=timing.setup_value(step.arguments(parameters)),
                setup_per=timing.setup_per,
            )
        )
    return tuple(tasks)


def _kept_until(procedure: Procedure, index: int) -> int | None:
    """Index of the step until whose end the trial keeps the station of a step."""
    step = procedure.steps[index].spec
    if step.keep_until is not None:
        return procedure.index(step.keep_until)
    # A trial keeps its station while its steps stay there: nobody prepares it for another in between.
    last = index
    for later in range(index + 1, len(procedure.steps)):
        if procedure.steps[later].spec.station != step.station or step.choose == "any":
            break
        last = later
    return last if last > index else None


def set_up_for(state: CampaignState, procedure: Procedure) -> dict[str, float]:
    """Station → what its last step set it up for, or what it is set to at the start."""
    found: dict[str, float] = {}
    for step in procedure.steps:
        if step.timing.setup_start is not None:
            for station in step.spec.every_station:
                found.setdefault(station, step.timing.setup_start)
    known = {step.name: step for step in procedure.steps}
    begun = [
        (s.started_at, s.station, value)
        for trial in state.trials.values()
        for s in trial.steps
        if s.name in known
        and (value := known[s.name].timing.setup_value(known[s.name].arguments(trial.parameters))) is not None
    ]
    return found | {station: value for _, station, value in sorted(begun)}


def measured(
    state: CampaignState, procedure: Procedure, units: Mapping[str, str], speed: float
) -> list[tuple[str, str, float, float]]:
    """Step, station, declared and actual lab seconds of every attempt that was done, set-up left out of both.

    Args:
        state: of the campaign.
        procedure: its recipe.
        units: of parameters.
        speed: lab seconds a wall second.
    """
    known = {step.name: step for step in procedure.steps}
    done = [
        (s.started_at, s.ended_at, s, trial.parameters)
        for trial in state.trials.values()
        for s in trial.steps
        if s.status == "done" and s.ended_at is not None and s.name in known
    ]
    found, last = [], set_up_for(CampaignState(id=state.id), procedure)
    for began, ended, attempt, parameters in sorted(done, key=lambda item: item[0]):
        step = known[attempt.name]
        setup, value = 0.0, step.timing.setup_value(step.arguments(parameters))
        if value is not None:
            setup = step.timing.setup_per * abs(value - last.get(attempt.station, value))
            last[attempt.station] = value
        seconds = (ended - began) / 1e9 * speed - setup
        found.append((attempt.name, attempt.station, declared(step, parameters, units), seconds))
    return found
