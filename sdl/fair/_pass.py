"""One pass over the entries of a campaign: the fold, and what the fold leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdl.fair._decided import decision_of
from sdl.fair._facts import iso
from sdl.fair.record import Decision, RunInfo
from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, fold
from sdl.protocols import RunRecord

__all__ = ["Gathered"]


@dataclass
class _Run:
    uid: str
    trial: int
    step: str
    attempt: int
    started: int
    ended: int | None = None
    documents: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def info(self, station: str) -> RunInfo:
        start, stop = self.documents[0][1], dict[str, Any]()
        descriptors, events = [], []
        for name, doc in self.documents:
            if name == "descriptor":
                descriptors.append(doc)
            elif name == "event":
                events.append(doc)
            elif name == "event_page":
                events.extend(_events(doc))
            elif name == "stop":
                stop = dict(doc)
        record = RunRecord(self.step, start, tuple(descriptors), tuple(events), stop)
        status = "interrupted" if _cut_off(stop) else str(stop.get("exit_status", "interrupted"))
        return RunInfo(
            self.uid, self.trial, self.step, self.attempt, station, self.started, self.ended, status, record,
            tuple(self.documents),
        )  # fmt: skip


def _events(page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of an event page, which holds each key's values as one column (event-model)."""
    columns = ("data", "timestamps", "filled")
    for index, number in enumerate(page["seq_num"]):
        values = {name: {key: column[index] for key, column in page.get(name, {}).items()} for name in columns}
        one = {"uid": page["uid"][index], "time": page["time"][index], "seq_num": number}
        yield {"descriptor": page["descriptor"], **one, **values}


def _cut_off(stop: Mapping[str, Any]) -> bool:
    return str(stop.get("uid", "")).startswith("interrupted-")


@dataclass
class Gathered:
    """The folded state, and what the fold leaves out."""

    state: CampaignState
    entries: int = 0
    head: str = ""
    withheld: list[int] = field(default_factory=list)
    runs: dict[str, _Run] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    session: Mapping[str, Any] = field(default_factory=dict)
    opened: dict[str, Any] = field(default_factory=dict)
    analyses: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    corrections: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    ended: int | None = None
    _of_descriptor: dict[str, _Run] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.state = fold(self.state, entry)
        self.entries, self.head = self.entries + 1, entry.hash
        if (decision := decision_of(entry)) is not None:
            self.decisions.append(decision)
        body = entry.body
        match entry.kind:
            case kinds.DOCUMENT:
                self._document(body, entry.at)
            case kinds.RUN_INTERRUPTED:
                self._place("stop", body["doc"], entry.at)
            case kinds.SESSION_OPENED:
                self.session = body
                self.versions |= body.get("versions", {})
            case kinds.LAB_OPENED:
                self._lab(body)
            case kinds.TRIAL_PROPOSED:
                self.known[body["trial"]] = body.get("known_seq", 0)
            case kinds.TRIAL_OBSERVED:
                self.analyses[body["trial"]] = _analysis(body.get("analysis", {}))
                self.ends[body["trial"]] = entry.seq
            case kinds.TRIAL_INFEASIBLE | kinds.TRIAL_FAILED | kinds.TRIAL_REJECTED:
                self.ends[body["trial"]] = entry.seq
            case kinds.CAMPAIGN_ENDED | kinds.CAMPAIGN_ABORTED:
                self.ended = entry.at
            case kinds.TRIAL_CORRECTED | kinds.TRIAL_ANNOTATED:
                said = {"seq": entry.seq, "at": iso(entry.at), "kind": entry.kind, **body}
                said["by"] = str(body.get("by", "")).removeprefix("person:")
                self.corrections.setdefault(body["trial"], []).append(said)

    def _document(self, body: Mapping[str, Any], at: int) -> None:
        name, doc = body["name"], body["doc"]
        if name == "start":
            run = _Run(doc["uid"], body["trial"], body["step"], body["attempt"], at)
            run.documents.append((name, doc))
            self.runs[run.uid] = run
        else:
            self._place(name, doc, at)

    def _place(self, name: str, doc: Mapping[str, Any], at: int) -> None:
        """Put a document into its run; one of an unknown run is left in the journal."""
        run = self.runs.get(doc.get("run_start", "")) or self._of_descriptor.get(doc.get("descriptor", ""))
        if run is None:
            return
        run.documents.append((name, doc))
        if name == "descriptor":
            self._of_descriptor[doc["uid"]] = run
        elif name == "stop":
            run.ended = at

    def _lab(self, body: Mapping[str, Any]) -> None:
        for key in ("addresses", "certificates", "identity"):
            self.opened[key] = {**self.opened.get(key, {}), **body.get(key, {})}
        self.opened["simulated"] = [*self.opened.get("simulated", ()), *body.get("simulated", ())]


def _analysis(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": body.get("name", ""),
        "version": body.get("version", ""),
        "options": body.get("options") or body.get("with", {}),
    }
