"""Trials as actions of a crate, whatever became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sdl.fair._cited import instant, slug
from sdl.fair.exports import ExportedFile
from sdl.fair.exports._crate_graph import Graph, property_value, ref
from sdl.fair.exports._crate_people import person_id
from sdl.fair.exports._crate_things import SDL, analysis_id, driver_id, planner_id, sample_id
from sdl.fair.record import CampaignRecord, TrialInfo

__all__ = ["CONTEXT_TERMS", "describe_trials"]

CONTEXT_TERMS: Final = {"standardError": "http://purl.obolibrary.org/obo/STATO_0000037"}
"""Terms beside those of RO-Crate's context: standard error of the mean, Statistics Ontology."""
_DONE: Final = "http://schema.org/CompletedActionStatus"
_FAILED: Final = "http://schema.org/FailedActionStatus"
_OPEN: Final = {
    "proposed": "PotentialActionStatus",
    "approved": "PotentialActionStatus",
    "running": "ActiveActionStatus",
}


def describe_trials(record: CampaignRecord, graph: Graph, root: dict[str, Any], files: Sequence[ExportedFile]) -> None:
    """Add each trial as a CreateAction, which the root mentions.

    Args:
        record: the campaign.
        graph: has everything that trials refer to.
        root: entity of the root.
        files: of the release; those about a trial, its runs and its samples are its results.
    """
    about: dict[str, list[str]] = {}
    for file in files:
        about.setdefault(file.about, []).append(file.path)
    agents = [ref(id_) for id_ in dict.fromkeys(_agents(record))] or root["author"]
    root["mentions"] = [ref(_trial(record, graph, trial, about, agents)) for trial in record.trials]


def _agents(record: CampaignRecord) -> list[str]:
    """People who ran the campaign: the project's operators, else those who decided in it, else its creators."""
    project = record.project
    for names in (
        [person.name for person in project.people if "operator" in person.roles],
        list(record.operators),
        [person.name for person in project.people if "creator" in person.roles],
    ):
        if found := [id_ for name in names if (id_ := person_id(project, name)) is not None]:
            return found
    return []


def _trial(
    record: CampaignRecord, graph: Graph, trial: TrialInfo, about: dict[str, list[str]], agents: list[dict[str, str]]
) -> str:
    id_ = f"#trial-{trial.number}"
    entity: dict[str, Any] = {
        "@id": id_,
        "@type": "CreateAction",
        "name": f"Trial {trial.number}",
        "description": _story(trial),
        "startTime": instant(trial.started or trial.proposed),
        "endTime": instant(trial.ended),
        "agent": agents,
        "instrument": [ref(tool) for tool in _tools(record, trial)],
        "object": _inputs(record, graph, trial, id_),
        "result": _results(graph, trial, id_, about),
        "actionStatus": _status(trial),
    }
    if entity["actionStatus"] == _FAILED:
        entity["error"] = f"{trial.status}: {trial.message}" if trial.message else trial.status
    return str(graph.add(entity)["@id"])


def _story(trial: TrialInfo) -> str:
    why = trial.reason.get("summary", "")
    corrected = [f"{said.get('by', '')}: {said.get('why') or said.get('text', '')}" for said in trial.corrections]
    parts = (f"{trial.status}", f"proposed because: {why}" if why else "", *corrected)
    return "; ".join(part for part in parts if part)


def _status(trial: TrialInfo) -> str:
    if trial.status == "observed":
        return _DONE
    return f"http://schema.org/{_OPEN[trial.status]}" if trial.status in _OPEN else _FAILED


def _tools(record: CampaignRecord, trial: TrialInfo) -> list[str]:
    """sdl, the planner, the drivers of the stations that took part, and the analysis."""
    stations = {record.runs[uid].station for uid in trial.runs}
    drivers = [driver_id(one.device) for one in record.instruments if one.station in stations]
    analysis = [analysis_id(trial.analysis)] if trial.analysis.get("name") else []
    return [SDL, planner_id(trial.planner), *drivers, *analysis]


def _inputs(record: CampaignRecord, graph: Graph, trial: TrialInfo, id_: str) -> list[dict[str, str]]:
    found = []
    for name, value in trial.parameters.items():
        entity = property_value(f"{id_}-parameter-{slug(name)}", name, value, record.units.get(name, ""))
        found.append(ref(graph.add(entity)["@id"]))
    for used in trial.stock:
        key = f"{id_}-stock-{slug(used.item)}-{slug(used.lot)}"
        entity = property_value(key, f"{used.item}, lot {used.lot}", used.amount, used.unit)
        found.append(ref(graph.add(entity)["@id"]))
    return found


def _results(graph: Graph, trial: TrialInfo, id_: str, about: dict[str, list[str]]) -> list[dict[str, str]]:
    found = []
    for name, outcome in trial.outcomes.items():
        error = {"standardError": outcome.sem} if outcome.sem is not None else {}
        entity = property_value(f"{id_}-outcome-{slug(name)}", name, outcome.value, outcome.unit, **error)
        found.append(ref(graph.add(entity)["@id"]))
    found += [ref(sample_id(sample)) for sample in trial.samples]
    topics = [f"trial:{trial.number}", *(f"run:{uid}" for uid in trial.runs), *(f"sample:{s}" for s in trial.samples)]
    found += [ref(path) for topic in topics for path in about.get(topic, ())]
    return found
