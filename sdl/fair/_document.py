"""The JSON export: one object that holds a campaign, its problem and every trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeVar

from sdl.fair._doubts import Episode, action_json, episodes
from sdl.fair._facts import JournalFacts, ended_at, gather, iso

if TYPE_CHECKING:
    from sdl.journal import Entry
    from sdl.journal.state import CampaignState, StepState, TrialState

__all__ = ["campaign_document", "campaign_header", "file_name", "in_order", "units"]

_Value = TypeVar("_Value")


def campaign_document(state: CampaignState, entries: Iterable[Entry]) -> dict[str, Any]:
    """The whole campaign as JSON-ready values: `campaign`, `problem`, `trials`, `units`.

    Args:
        state: the folded state.
        entries: every entry of the campaign, in order; read once.
    """
    problem = state.spec.problem.model_dump(mode="json") if state.spec else {}
    order, facts = list(units(state)), gather(entries)
    doubts: dict[str, list[Episode]] = {}
    for doubt in episodes(facts.doubts):
        doubts.setdefault(doubt.action, []).append(doubt)
    return {
        "campaign": campaign_header(state, facts),
        "problem": problem,
        "trials": [_trial(trial, order, doubts) for trial in state.trials.values()],
        "units": units(state),
    }


def campaign_header(state: CampaignState, facts: JournalFacts) -> dict[str, Any]:
    """Everything about a campaign but its problem and its trials; times are ISO 8601, UTC."""
    header: dict[str, Any] = {"id": state.id, "name": state.name, "status": state.status}
    if state.spec is not None:
        spec = state.spec.model_dump(mode="json", exclude={"name", "problem", "lab", "inputs"})
        header |= {"title": spec.pop("title"), "description": spec.pop("description"), **spec}
    lab = state.created.get("lab", {})
    return header | {
        "message": state.message,
        "created": iso(state.created_at) if state.created_at else None,
        "ended": iso(ended_at(state, facts)),
        "lab_seconds": state.lab_seconds,
        "lab": {"name": lab.get("name"), "file": file_name(lab.get("file")), "sha256": lab.get("sha256")},
        "inputs": {
            name: {"path": file_name(item.get("path")), "sha256": item.get("sha256")}
            for name, item in state.created.get("inputs", {}).items()
        },
        "versions": dict(facts.versions),
        "journal": {"entries": facts.entries, "head": facts.head},
    }


def file_name(path: str | None) -> str | None:
    """The last part of a path. The folders before it may tell things about people and machines; the hash stays."""
    return PureWindowsPath(path).name if path else path


def units(state: CampaignState) -> dict[str, str]:
    """Unit of every parameter and outcome, by name."""
    if state.spec is None:
        return {}
    problem = state.spec.problem
    known = {item.name: item.unit for item in (*problem.parameters, *problem.objectives)}
    for trial in state.trials.values():
        for name, outcome in trial.outcomes.items():
            known.setdefault(name, outcome.unit)
    return known


def in_order(values: Mapping[str, _Value], order: Sequence[str]) -> dict[str, _Value]:
    """`values` in the order of the problem, which the journal's canonical JSON does not keep."""
    return {name: values[name] for name in order if name in values} | dict(values)


def _trial(trial: TrialState, order: Sequence[str], doubts: Mapping[str, list[Episode]]) -> dict[str, Any]:
    outcomes = in_order(trial.outcomes, order)
    return {
        "number": trial.number,
        "status": trial.status.value,
        "parameters": in_order(trial.parameters, order),
        "outcomes": {name: outcome.model_dump(mode="json") for name, outcome in outcomes.items()},
        "planner": trial.planner.get("name", ""),
        "planner_version": trial.planner.get("version"),
        "planner_options": trial.planner.get("options", {}),
        "seed": trial.seed,
        "reason": dict(trial.reason),
        "proposed": iso(trial.proposed_at),
        "started": iso(trial.started_at),
        "ended": iso(trial.ended_at),
        "message": trial.message,
        "steps": [_step(step) for step in trial.steps],
        "actions": [action_json(action, doubts) for action in trial.actions.values()],
        "runs": [uid for step in trial.steps if step.status == "done" for uid in step.runs],
    }


def _step(step: StepState) -> dict[str, Any]:
    return {
        "name": step.name,
        "station": step.station,
        "attempt": step.attempt,
        "status": step.status,
        "started": iso(step.started_at),
        "ended": iso(step.ended_at),
        "runs": list(step.runs),
        "message": step.message,
    }
