"""What exports see of a campaign: plain values, gathered once from the journal.

Every export of a release is a function of this record, so that no two of them can tell different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdl.model import CampaignSpec, Outcome
from sdl.model.project import Project
from sdl.protocols import RunRecord

__all__ = ["CampaignRecord", "Decision", "Instrument", "RunInfo", "SampleInfo", "Software", "StockUse", "TrialInfo"]


@dataclass(frozen=True)
class Instrument:
    """An instrument, with the fields of PIDINST 1.0 (doi:10.15497/RDA00070) that are known."""

    device: str
    """Its name in the lab file."""
    station: str
    driver: str
    simulated: bool
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    owner: str = ""
    calibrated: str = ""
    """ISO date."""
    identifier: str = ""
    """A persistent identifier of the instrument, where it has one."""
    certificate: Mapping[str, Any] = field(default_factory=dict)
    """What is cited of its certificate of conformance."""


@dataclass(frozen=True)
class Software:
    """A package that took part, or the environment as a whole."""

    name: str
    version: str


@dataclass(frozen=True)
class Decision:
    """Who decided what, when and why."""

    at: int
    """UTC, ns."""
    seq: int
    """Number of its entry in the journal."""
    what: str
    """Kind of the entry, as in `trial.proposed`."""
    who: str
    """planner:NAME VERSION, policy:NAME, instrument:NAME, or a person's name."""
    why: str
    """One line for people."""
    trial: int | None = None


@dataclass(frozen=True)
class StockUse:
    """What a trial used up."""

    item: str
    lot: str
    amount: float
    unit: str


@dataclass(frozen=True)
class SampleInfo:
    """A sample of a trial, with its lineage."""

    id: str
    label: str
    barcode: str
    trial: int
    status: str
    place: str
    parents: tuple[str, ...] = ()
    stock: tuple[Mapping[str, str], ...] = ()
    """{item, lot} it was made of."""


@dataclass(frozen=True)
class RunInfo:
    """A Bluesky run and where it belongs. `documents` is read when it is asked for."""

    uid: str
    trial: int
    step: str
    attempt: int
    station: str
    started: int
    """UTC, ns."""
    ended: int | None
    status: str
    """Exit status of the stop document; interrupted when a process ended before it."""
    record: RunRecord


@dataclass(frozen=True)
class TrialInfo:
    """One trial, whatever became of it."""

    number: int
    status: str
    """observed, infeasible, failed, rejected, quarantined, or where it stands while it has not ended."""
    parameters: Mapping[str, Any]
    outcomes: Mapping[str, Outcome]
    seed: int
    planner: Mapping[str, Any]
    reason: Mapping[str, Any]
    analysis: Mapping[str, Any]
    """{name, version, options}; empty unless observed."""
    proposed: int
    """UTC, ns; so the other two."""
    started: int | None
    ended: int | None
    message: str
    runs: tuple[str, ...]
    """uids, in order, of every run it made."""
    samples: tuple[str, ...]
    stock: tuple[StockUse, ...]
    corrections: tuple[Mapping[str, Any], ...] = ()
    """Entries that correct or annotate it, the oldest first."""


@dataclass(frozen=True)
class CampaignRecord:
    """Everything that an export may tell of a campaign."""

    id: str
    name: str
    status: str
    spec: CampaignSpec
    project: Project
    """The project as the campaign or a project file has it; what is missing there is filled from the campaign."""
    created: int
    """UTC, ns."""
    updated: int
    lab: Mapping[str, Any]
    """name, sha256 of the lab file, description."""
    units: Mapping[str, str]
    """Unit of each parameter and outcome, as pint writes it."""
    trials: tuple[TrialInfo, ...]
    runs: Mapping[str, RunInfo]
    """By uid, in the order in which they began."""
    samples: tuple[SampleInfo, ...]
    instruments: tuple[Instrument, ...]
    software: tuple[Software, ...]
    revision: str
    """Version-control revision of the lab's folder, or empty."""
    decisions: tuple[Decision, ...]
    entries: int
    head: str
    """Hash of the last entry the record was gathered from."""
    replaces: str = ""
    """Identifier of the release that this one replaces."""
    withdrawn: str = ""
    """Why the data were withdrawn; empty when they were not."""
