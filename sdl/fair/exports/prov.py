"""Provenance as PROV-JSON (W3C Member Submission 2013): who and what proposed, decided, executed and analysed.

| PROV | here |
| --- | --- |
| entity | campaign, proposal, run, outcomes, sample, lot of stock, instrument |
| activity | proposing, deciding, executing, analysing, correcting |
| agent | planner, analysis, sdl, policy, person, organisation |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdl.fair._cited import organisation, slug
from sdl.fair._files import need
from sdl.fair.exports import ExportedFile
from sdl.fair.record import CampaignRecord, Decision, Instrument, TrialInfo
from sdl.journal import kinds
from sdl.model.project import Person

if TYPE_CHECKING:
    from prov.model import ProvDocument

__all__ = ["prov_document", "write"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TERMS: Final = "urn:sdl:terms:"
_TOLD: Final = frozenset({kinds.TRIAL_PROPOSED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED})
"""Decisions that proposals, outcomes and states of trials tell already."""


def write(record: CampaignRecord, folder: Path) -> list[ExportedFile]:
    """Write `prov.json`.

    Raises:
        MissingExtra: the package prov is not installed.
    """
    text = prov_document(record).serialize(format="json", indent=1)
    (folder / "prov.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")
    title = "Provenance: who and what proposed, decided, executed and analysed each trial"
    return [ExportedFile("prov.json", "application/json", "http://www.w3.org/ns/prov#", title)]


def prov_document(record: CampaignRecord) -> ProvDocument:
    """The provenance of a campaign.

    Raises:
        MissingExtra: the package prov is not installed.
    """
    return _Account(record).told()


def _time(at: int | None) -> datetime | None:
    return _EPOCH + timedelta(microseconds=at // 1000) if at is not None else None


class _Account:
    """Builds the document; each part is told once."""

    def __init__(self, record: CampaignRecord) -> None:
        model = need("prov.model", "the PROV export")
        self._record = record
        self._prov: Mapping[str, Any] = {name: model.PROV[name] for name in ("Person", "Organization", "SoftwareAgent")}
        self._label = model.PROV["label"]
        self._type = model.PROV["type"]
        self._document: ProvDocument = model.ProvDocument()
        self._c = self._document.add_namespace("c", f"urn:sdl:campaign:{slug(record.id)}:")
        self._sdl = self._document.add_namespace("sdl", _TERMS)
        self._agents: set[str] = set()

    def told(self) -> ProvDocument:
        self._campaign()
        for instrument in self._record.instruments:
            self._instrument(instrument)
        for sample in self._record.samples:
            self._sample_entity(sample.id, sample.label, sample.status, sample.parents)
        self._trials()
        for decision in self._record.decisions:
            if decision.what not in _TOLD:
                self._decision(decision)
        return self._document

    # ── names and agents ──

    def _id(self, *parts: object) -> Any:
        return self._c["-".join(slug(str(part)) for part in parts)]

    def _attributes(self, label: str = "", type_: str = "", **values: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {self._sdl[key]: value for key, value in values.items() if value not in ("", None)}
        if label:
            found[self._label] = label
        if type_:
            found[self._type] = self._sdl[type_]
        return found

    def _agent(self, who: str, **more: Any) -> Any:
        """The agent behind the name of whoever decided; what more is known of it is told with its first mention."""
        kind, colon, _ = who.partition(":")
        person = bool(who) and not colon
        id_ = self._id("person", who) if person else self._id("agent", *(who or "unknown").replace(":", " ").split())
        if str(id_) not in self._agents:
            self._agents.add(str(id_))
            type_ = self._prov["Person" if person else "SoftwareAgent"]
            about = self._attributes(who, kind=kind if colon else "", **more)
            self._document.agent(id_, {**about, self._type: type_})
        return id_

    def _person(self, person: Person) -> Any:
        id_ = self._agent(person.name, orcid=person.orcid, e_rad=person.e_rad)
        if person.affiliation:
            ror = organisation(self._record.project, person.affiliation).ror
            self._document.actedOnBehalfOf(id_, self._organisation(person.affiliation, ror))
        return id_

    def _organisation(self, name: str, ror: str) -> Any:
        id_ = self._id("organisation", name)
        if str(id_) not in self._agents:
            self._agents.add(str(id_))
            more = {self._sdl["ror"]: ror} if ror else {}
            self._document.agent(id_, {self._type: self._prov["Organization"], self._label: name, **more})
        return id_

    # ── entities ──

    def _campaign(self) -> None:
        record = self._record
        units = {f"unit.{name}": unit for name, unit in record.units.items()}
        self._document.entity(
            self._id("campaign"),
            self._attributes(
                record.project.title or record.name, "Campaign", name=record.name, status=record.status,
                entries=record.entries, head=record.head, lab=record.lab.get("name", ""),
                lab_sha256=record.lab.get("sha256", ""), revision=record.revision, **units,
            ),
        )  # fmt: skip
        for person in record.project.people:
            self._document.wasAttributedTo(self._id("campaign"), self._person(person))
        versions = {software.name: software.version for software in record.software}
        self._agent("software:sdl", version=versions.get("self-driving-lab", ""))

    def _instrument(self, one: Instrument) -> None:
        stated = {
            key: getattr(one, key)
            for key in ("driver", "station", "manufacturer", "model", "serial", "owner", "calibrated", "identifier")
        }
        about = self._attributes(one.device, "Instrument", simulated=one.simulated, **stated)
        self._document.entity(self._id("instrument", one.device), about)

    def _sample_entity(self, id_: str, label: str, status: str, parents: tuple[str, ...]) -> None:
        self._document.entity(self._id("sample", id_), self._attributes(label, "Sample", status=status))
        for parent in parents:
            self._document.wasDerivedFrom(self._id("sample", id_), self._id("sample", parent))

    # ── trials ──

    def _trials(self) -> None:
        ended = sorted((t.ended_with, t.number) for t in self._record.trials if t.outcomes)
        told = 0
        for trial in self._record.trials:
            self._proposal(trial)
            if trial.number > 1:
                self._document.wasInformedBy(self._id("propose", trial.number), self._id("propose", trial.number - 1))
            # What the planner learnt since its last proposal; the rest it knew by then.
            while told < len(ended) and ended[told][0] <= trial.known:
                self._document.used(self._id("propose", trial.number), self._id("outcomes", ended[told][1]))
                told += 1
            if trial.started is not None:
                self._execution(trial)
            if trial.outcomes:
                self._outcomes(trial)

    def _proposal(self, trial: TrialInfo) -> None:
        number, planner = trial.number, trial.planner
        values = {f"parameter.{slug(name)}": value for name, value in trial.parameters.items()}
        about = self._attributes(
            f"proposal of trial {number}", "Proposal", trial=number, seed=str(trial.seed),
            reason=trial.reason.get("summary", ""), **values,
        )  # fmt: skip
        proposal, activity = self._id("proposal", number), self._id("propose", number)
        self._document.entity(proposal, about)
        at = _time(trial.proposed)
        self._document.activity(activity, None, at, self._attributes(type_="Proposing", trial=number))
        agent = self._agent(f"planner:{planner.get('name', '')} {planner.get('version', '')}".strip())
        self._document.wasGeneratedBy(proposal, activity, at)
        self._document.wasAssociatedWith(activity, agent)

    def _execution(self, trial: TrialInfo) -> None:
        activity = self._id("execute", trial.number)
        about = self._attributes(
            f"trial {trial.number}", "Execution", trial=trial.number, status=trial.status, message=trial.message
        )
        self._document.activity(activity, _time(trial.started), _time(trial.ended), about)
        self._document.wasAssociatedWith(activity, self._agent("software:sdl"))
        self._document.used(activity, self._id("proposal", trial.number))
        stations = {self._record.runs[uid].station for uid in trial.runs}
        for instrument in self._record.instruments:
            if instrument.station in stations:
                self._document.used(activity, self._id("instrument", instrument.device))
        for used in trial.stock:
            self._stock(activity, used.item, used.lot, used.amount, used.unit)
        for sample in trial.samples:
            self._document.wasGeneratedBy(self._id("sample", sample), activity)
        for uid in trial.runs:
            run = self._record.runs[uid]
            about = self._attributes(f"run {uid}", "Run", step=run.step, attempt=run.attempt, status=run.status)
            self._document.entity(self._id("run", uid), about)
            self._document.wasGeneratedBy(self._id("run", uid), activity, _time(run.ended))

    def _stock(self, activity: Any, item: str, lot: str, amount: float, unit: str) -> None:
        id_ = self._id("stock", item, lot)
        if str(id_) not in self._agents:
            self._agents.add(str(id_))
            self._document.entity(id_, self._attributes(f"{item}, lot {lot}", "Stock", item=item, lot=lot))
        self._document.used(activity, id_, None, None, self._attributes(amount=amount, unit=unit))

    def _outcomes(self, trial: TrialInfo) -> None:
        values: dict[str, Any] = {}
        for name, outcome in trial.outcomes.items():
            values[f"outcome.{slug(name)}"] = outcome.value
            values[f"sem.{slug(name)}"] = outcome.sem
        entity, activity = self._id("outcomes", trial.number), self._id("analyse", trial.number)
        about = self._attributes(f"outcomes of trial {trial.number}", "Outcomes", trial=trial.number, **values)
        self._document.entity(entity, about)
        analysis = f"analysis:{trial.analysis.get('name', '')} {trial.analysis.get('version', '')}".strip()
        ended = _time(trial.ended)
        self._document.activity(activity, None, ended, self._attributes(type_="Analysing", trial=trial.number))
        self._document.wasAssociatedWith(activity, self._agent(analysis))
        self._document.wasGeneratedBy(entity, activity, ended)
        for uid in trial.runs:
            self._document.used(activity, self._id("run", uid))
            if self._record.runs[uid].status == "success":
                self._document.wasDerivedFrom(entity, self._id("run", uid))

    def _decision(self, decision: Decision) -> None:
        activity = self._id("decide", decision.seq)
        about = self._attributes(
            decision.what, "Deciding", what=decision.what, why=decision.why, seq=decision.seq, trial=decision.trial
        )
        at = _time(decision.at)
        self._document.activity(activity, at, at, about)
        self._document.wasAssociatedWith(activity, self._agent(decision.who))
        about_what = self._id("proposal", decision.trial) if decision.trial is not None else self._id("campaign")
        self._document.used(activity, about_what)
