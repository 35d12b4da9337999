"""Gather what exports may tell of a campaign: one pass over its journal, with the fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdl.fair._document import file_name, units
from sdl.fair._facts import iso
from sdl.fair._instruments import instruments_of, lab_of
from sdl.fair._pass import Gathered
from sdl.fair._private import Discretion
from sdl.fair.record import (
    CampaignRecord,
    ReleasedEntry,
    RunInfo,
    SampleInfo,
    Software,
    StockUse,
    TrialInfo,
)
from sdl.journal import kinds
from sdl.journal.actions import ActionStatus
from sdl.journal.samples import where
from sdl.journal.state import CampaignState, TrialState, fold
from sdl.model import InputError, TrialStatus
from sdl.model.project import Person, Project

if TYPE_CHECKING:
    from sdl.journal import Store
    from sdl.lab.spec import LabSpec

__all__ = ["campaign_project", "gather_record", "project_of"]


def gather_record(store: Store, campaign: str, project: Project | None = None) -> CampaignRecord:
    """Everything that an export may tell of a campaign.

    Args:
        store: an open store.
        campaign: id of the campaign.
        project: who answers for it; as the campaign says unless given.

    Raises:
        InputError: the campaign has not been begun.
        StoreError: an entry is missing or was changed.
    """
    whose = project if project is not None else _project_on_record(store, campaign)
    discretion = Discretion(whose.people if whose is not None else ())
    gathered = Gathered(CampaignState(id=campaign))
    for entry in store.entries(campaign):
        shown, places = discretion.clean(entry)
        gathered.add(shown)
        if places:
            gathered.withheld.append(entry.seq)
    state = gathered.state
    if state.spec is None:
        raise InputError(f"campaign {campaign} has not been begun: there is nothing to tell of it")
    return _record(store, gathered, project_of(state, whose), discretion)


def campaign_project(store: Store, campaign: str, project: Project | None = None) -> Project:
    """The project of a campaign as a release would state it.

    Args:
        store: an open store.
        campaign: id of the campaign.
        project: who answers for it; as the campaign says unless given.

    Raises:
        InputError: the campaign has not been begun.
    """
    state = CampaignState(id=campaign)
    for entry in store.entries(campaign, kinds={kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED}):
        state = fold(state, entry)
    if state.spec is None:
        raise InputError(f"campaign {campaign} has not been begun: there is nothing to tell of it")
    return project_of(state, project if project is not None else _project_on_record(store, campaign))


def project_of(state: CampaignState, project: Project | None) -> Project:
    """The project, where it says nothing filled with what the campaign file says."""
    spec = state.spec
    assert spec is not None
    own = project if project is not None else Project(name=spec.name)
    creators = tuple(Person(name=c.name, orcid=c.orcid, affiliation=c.affiliation) for c in spec.creators)
    filled: dict[str, Any] = {
        "title": own.title or spec.title,
        "description": own.description or spec.description,
        "licence": own.licence or spec.licence,
    }
    if not any("creator" in person.roles for person in own.people):
        filled["people"] = (*creators, *own.people)
    return own.model_copy(update=filled)


def _project_on_record(store: Store, campaign: str) -> Project | None:
    """The project that the campaign file named, as the newest of its entries has it."""
    found: Any = None
    for entry in store.entries(campaign, kinds={kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED}):
        found = entry.body.get("project") or entry.body.get("spec", {}).get("project")
    return Project.model_validate(found) if isinstance(found, Mapping) else None


def _record(store: Store, gathered: Gathered, project: Project, discretion: Discretion) -> CampaignRecord:
    state = gathered.state
    assert state.spec is not None
    lab = lab_of(state)
    of_lab = state.created.get("lab", {})
    runs = _runs(gathered)
    of_trial: dict[int, list[str]] = {}
    for run in runs.values():
        of_trial.setdefault(run.trial, []).append(run.uid)
    return CampaignRecord(
        id=state.id,
        name=state.name,
        status=state.status,
        spec=state.spec,
        project=project,
        created=state.created_at,
        updated=state.updated_at,
        lab={
            "name": of_lab.get("name", ""),
            "sha256": of_lab.get("sha256", ""),
            "description": lab.description if lab is not None else "",
        },
        units=units(state),
        trials=tuple(_trial(trial, gathered, of_trial.get(trial.number, ())) for trial in state.trials.values()),
        runs=runs,
        samples=_samples(state, lab),
        instruments=instruments_of(lab, gathered.opened),
        software=tuple(Software(name, version) for name, version in sorted(gathered.versions.items())),
        revision=gathered.session.get("revision", ""),
        decisions=tuple(gathered.decisions),
        entries=gathered.entries,
        head=gathered.head,
        withheld=tuple(gathered.withheld),
        withdrawn=state.withdrawn.why if state.withdrawn is not None else "",
        released=(iso(state.updated_at) or "")[:10],
        ended=gathered.ended if state.status in ("ended", "aborted") else None,
        environment=tuple(gathered.session.get("environment", ())),
        operators=discretion.operators,
        procedure=state.created.get("procedure", {}),
        inputs={
            name: {**item, "path": file_name(item.get("path"))}
            for name, item in state.created.get("inputs", {}).items()
        },
        journal=lambda: _shown(store, state.id, gathered.entries, replace(discretion)),
    )


def _shown(store: Store, campaign: str, entries: int, discretion: Discretion) -> Iterator[ReleasedEntry]:
    for entry in store.entries(campaign):
        if entry.seq > entries:  # written since the record was gathered
            return
        yield ReleasedEntry(*discretion.clean(entry))


def _runs(gathered: Gathered) -> dict[str, RunInfo]:
    stations = {
        (trial.number, step.name, step.attempt): step.station
        for trial in gathered.state.trials.values()
        for step in trial.steps
    }
    return {uid: run.info(stations.get((run.trial, run.step, run.attempt), "")) for uid, run in gathered.runs.items()}


def _trial(trial: TrialState, gathered: Gathered, runs: Sequence[str]) -> TrialInfo:
    return TrialInfo(
        number=trial.number,
        status=_status(trial),
        parameters=trial.parameters,
        outcomes=trial.outcomes,
        seed=trial.seed,
        planner=trial.planner,
        reason=trial.reason,
        analysis=gathered.analyses.get(trial.number, {}),
        proposed=trial.proposed_at,
        started=trial.started_at,
        ended=trial.ended_at,
        message=trial.message,
        runs=tuple(runs),
        samples=tuple(id_ for id_, sample in gathered.state.samples.items() if sample.trial == trial.number),
        stock=_stock(trial, gathered.state),
        corrections=tuple(gathered.corrections.get(trial.number, ())),
        known=gathered.known.get(trial.number, 0),
        ended_with=gathered.ends.get(trial.number, 0),
    )


def _status(trial: TrialState) -> str:
    """A failed trial whose action nobody could settle is `quarantined`."""
    given_up = any(action.status is ActionStatus.QUARANTINED for action in trial.actions.values())
    return "quarantined" if given_up and trial.status is TrialStatus.FAILED else trial.status.value


def _stock(trial: TrialState, state: CampaignState) -> tuple[StockUse, ...]:
    from sdl.campaign._draws import draws

    used: dict[tuple[str, str, str], float] = {}
    for draw in draws(trial, state.reserved.get(trial.number, ())):
        key = (draw.item, draw.lot, draw.unit)
        used[key] = used.get(key, 0.0) + draw.amount
    return tuple(StockUse(item, lot, amount, unit) for (item, lot, unit), amount in used.items())


def _samples(state: CampaignState, lab: LabSpec | None) -> tuple[SampleInfo, ...]:
    slots = {name: place.slots for name, place in lab.places.items()} if lab is not None else {}
    return tuple(
        SampleInfo(
            sample.id, sample.label, sample.barcode, sample.trial, sample.status.value,
            where(sample, state.trials.get(sample.trial)).in_words(slots), sample.parents,
            tuple({"item": item, "lot": lot} for item, lot in sample.stock),
        )
        for sample in state.samples.values()
    )  # fmt: skip
