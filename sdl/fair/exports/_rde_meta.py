"""Metadata and invoices of RDE's data tiles, and the definitions that both have to follow."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sdl.fair._facts import iso
from sdl.fair._units import ucum
from sdl.fair.exports._parts import organisation_of, released_on
from sdl.fair.record import CampaignRecord, TrialInfo

__all__ = ["Quantities", "definitions", "invoice", "invoice_schema", "metadata", "quantities"]

_MOST_BYTES = 1024
_OWNER = "0" * 56
"""Stands for the id of the data's owner, which RDE gives; its form is checked before RDE fills it in."""

_FIXED: Mapping[str, tuple[str, str, str]] = {
    "campaign": ("キャンペーン", "Campaign", "string"),
    "title": ("題名", "Title", "string"),
    "lab": ("ラボ", "Lab", "string"),
    "licence": ("ライセンス", "Licence", "string"),
    "trials": ("試行数", "Trials", "integer"),
    "journal_entries": ("ジャーナルの記載数", "Entries of the journal", "integer"),
    "journal_head": ("ジャーナル末尾のSHA-256", "SHA-256 of the journal's head", "string"),
    "trial": ("試行番号", "Trial", "integer"),
    "status": ("状態", "Status", "string"),
    "message": ("備考", "Message", "string"),
    "planner": ("計画器", "Planner", "string"),
    "reason": ("提案の理由", "Reason of the proposal", "string"),
    "samples": ("試料", "Samples", "string"),
    "run": ("測定ID", "Run", "string"),
    "step": ("工程", "Step", "string"),
    "station": ("装置群", "Station", "string"),
    "instruments": ("装置", "Instruments", "string"),
    "events": ("測定点数", "Events", "integer"),
    "started": ("開始日時", "Started", "string"),
    "run_status": ("測定の状態", "Exit status of the run", "string"),
}
_TIMES = {"started"}

Quantities = Mapping[str, tuple[str, str, str]]
"""Key → label, unit and type of each parameter and outcome of a campaign."""


def definitions(known: Quantities) -> dict[str, Any]:
    """metadata-def.json: every key that a tile of a campaign with these parameters and outcomes may have."""
    made: dict[str, Any] = {}
    for order, (key, (ja, en, kind)) in enumerate(_FIXED.items(), 1):
        schema = {"type": kind} | ({"format": "date-time"} if key in _TIMES else {})
        made[key] = {"name": {"ja": ja, "en": en}, "schema": schema, "order": order}
    for key, (label, unit, kind) in known.items():
        made[key] = {
            "name": {"ja": label, "en": label},
            "schema": {"type": kind},
            "order": len(made) + 1,
        } | ({"unit": unit} if unit else {})
    return made


def quantities(record: CampaignRecord) -> Quantities:
    """Key → label, unit and type of each parameter and outcome."""
    found: dict[str, tuple[str, str, str]] = {}
    for trial in record.trials:
        for name, value in trial.parameters.items():
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            known = found.get(f"parameter.{name}")
            kind = "number" if numeric and (known is None or known[2] == "number") else "string"
            unit = _unit(record.units.get(name, "")) if kind == "number" else ""
            found[f"parameter.{name}"] = (f"Parameter {name}", unit, kind)
        for name, outcome in trial.outcomes.items():
            found.setdefault(f"outcome.{name}", (f"Outcome {name}", _unit(outcome.unit), "number"))
            found.setdefault(f"outcome.{name}.sem", (f"Standard error of {name}", _unit(outcome.unit), "number"))
    return found


def _unit(unit: str) -> str:
    return "" if unit in ("", "1") else ucum(unit) or unit


def metadata(record: CampaignRecord, trial: TrialInfo | None, known: Quantities) -> dict[str, Any]:
    """metadata.json of a tile: what holds for the tile, and what differs from run to run.

    Args:
        record: the campaign.
        trial: that the tile is of; None for the campaign's.
        known: parameters and outcomes of the campaign.
    """
    constant = dict(_campaign(record)) if trial is None else dict(_trial(record, trial, known))
    runs = list(_runs(record, trial)) if trial is not None else []
    return {"constant": constant, "variable": runs}


def _campaign(record: CampaignRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _present(
        {
            "campaign": record.id,
            "title": record.project.title or record.spec.title or record.name,
            "lab": record.lab.get("name"),
            "licence": record.project.licence or record.spec.licence,
            "trials": len(record.trials),
            "journal_entries": record.entries,
            "journal_head": record.head,
        }
    )


def _trial(record: CampaignRecord, trial: TrialInfo, known: Quantities) -> Iterator[tuple[str, dict[str, Any]]]:
    samples = [item.label or item.id for item in record.samples if item.trial == trial.number]
    yield from _present(
        {
            "campaign": record.id,
            "trial": trial.number,
            "status": trial.status,
            "message": trial.message,
            "planner": trial.planner.get("name"),
            "reason": trial.reason.get("summary"),
            "samples": ", ".join(samples),
            "licence": record.project.licence or record.spec.licence,
        }
    )
    for name, value in trial.parameters.items():
        _, unit, kind = known[f"parameter.{name}"]
        yield f"parameter.{name}", _value(value if kind == "number" else _as_text(value), unit)
    for name, outcome in trial.outcomes.items():
        unit = known[f"outcome.{name}"][1]
        if math.isfinite(outcome.value):
            yield f"outcome.{name}", _value(outcome.value, unit)
        if outcome.sem is not None and math.isfinite(outcome.sem):
            yield f"outcome.{name}.sem", _value(outcome.sem, unit)


def _runs(record: CampaignRecord, trial: TrialInfo) -> Iterator[dict[str, Any]]:
    for uid in trial.runs:
        if run := record.runs.get(uid):
            devices = [item.device for item in record.instruments if item.station == run.station]
            yield dict(
                _present(
                    {
                        "run": uid,
                        "step": run.step,
                        "station": run.station,
                        "instruments": ", ".join(devices),
                        "events": len(run.record.events),
                        "started": iso(run.started),
                        "run_status": run.status,
                    }
                )
            )


def _present(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((key, _value(value)) for key, value in values.items() if value not in (None, ""))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: Any, unit: str = "") -> dict[str, Any]:
    """A value as RDE takes it: texts of at most 1024 bytes."""
    if isinstance(value, str) and len(value.encode()) > _MOST_BYTES:
        value = value.encode()[: _MOST_BYTES - 3].decode(errors="ignore") + "…"
    return {"value": value} | ({"unit": unit} if unit else {})


_CUSTOM: Mapping[str, tuple[str, str]] = {
    "campaign": ("キャンペーン", "Campaign"),
    "creators": ("データ作成者", "Creators"),
    "funding": ("資金", "Funding"),
    "identifier": ("識別子", "Identifier"),
    "journal_head": ("ジャーナル末尾のSHA-256", "SHA-256 of the journal's head"),
}


def invoice_schema() -> dict[str, Any]:
    """invoice.schema.json: the fields of the invoice that are ours."""
    properties = {key: {"label": {"ja": ja, "en": en}, "type": "string"} for key, (ja, en) in _CUSTOM.items()}
    custom = {
        "type": "object",
        "label": {"ja": "固有情報", "en": "Custom information"},
        "required": ["campaign", "journal_head"],
        "properties": properties,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://rde.nims.go.jp/rde/dataset-templates/self-driving-lab/invoice.schema.json",
        "description": "Campaigns of self-driving laboratories",
        "type": "object",
        "required": ["custom"],
        "properties": {"custom": custom},
    }


def invoice(record: CampaignRecord, trial: TrialInfo | None) -> dict[str, Any]:
    """invoice.json of a tile."""
    project = record.project
    title = project.title or record.spec.title or record.name
    creators = []
    for person in project.people:
        if "creator" in person.roles:
            home = organisation_of(record, person)
            creators.append(f"{person.name} ({home.name})" if home else person.name)
    grants = [" ".join(part for part in (grant.funder, grant.number) if part) for grant in project.funding]
    custom = {
        "campaign": record.id,
        "creators": "; ".join(creators),
        "funding": "; ".join(grants),
        "identifier": project.identifier,
        "journal_head": record.head,
    }
    return {
        "datasetId": "",
        "basic": {
            "dateSubmitted": released_on(record),
            "dataOwnerId": _OWNER,
            "dataName": title if trial is None else f"{title}: trial {trial.number}",
            "instrumentId": None,
            "experimentId": record.id if trial is None else f"{record.id}/{trial.number}",
            "description": project.description or record.spec.description or None,
        },
        "custom": {key: text for key, text in custom.items() if text},
    }
