"""What exports see of a campaign: plain values, gathered once from the journal.

Every export of a release is a function of this record, so that no two of them can tell different things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdl.model import CampaignSpec, Outcome
from sdl.model.project import Project
from sdl.protocols import RunRecord

if TYPE_CHECKING:
    from sdl.journal import Entry

__all__ = [
    "CampaignRecord",
    "Decision",
    "Instrument",
    "ReleasedEntry",
    "RunInfo",
    "SampleInfo",
    "Software",
    "StockUse",
    "TrialInfo",
]


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
    firmware: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What the instrument said of itself when the lab was opened."""


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
    documents: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """(name, document) of every document, of whatever kind, in the order in which they were recorded."""


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
    known: int = 0
    """Number of the last entry that its planner knew when it proposed it."""
    ended_with: int = 0
    """Number of the entry that says how it ended; 0 while it has not."""


@dataclass(frozen=True)
class ReleasedEntry:
    """An entry of the journal as it may be shown."""

    entry: Entry
    """Its body holds no paths of machines and no names of accounts."""
    withheld: tuple[str, ...] = ()
    """Where in the body something was left out; the entry's hash then is not that of what is shown."""


def _no_entries() -> Iterator[ReleasedEntry]:
    return iter(())


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
    """Version-control revision of the lab's folder, as in `git:4f9a…`, or empty."""
    decisions: tuple[Decision, ...]
    entries: int
    head: str
    """Hash of the last entry the record was gathered from."""
    replaces: str = ""
    """Identifier of the release that this one replaces."""
    withdrawn: str = ""
    """Why the data were withdrawn; empty when they were not."""
    released: str = ""
    """The one creation time that a release states: an ISO date; the day of the last entry unless told."""
    withheld: tuple[int, ...] = ()
    """Numbers of the entries in which something is left out."""
    data: bool = True
    """Whether its data are told; else trials, runs, samples, decisions and inputs are left out, for they are closed."""
    ended: int | None = None
    """UTC, ns, when it ended or was aborted; None while it can go on."""
    environment: tuple[str, ...] = ()
    """Packages that were installed when the last session was opened, as `NAME==VERSION`."""
    operators: tuple[str, ...] = ()
    """People who decided, as decisions name them."""
    procedure: Mapping[str, Any] = field(default_factory=dict)
    """Name, steps and analysis, as the lab file has them."""
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Files that filled inputs of the lab: name → {path (its last part), sha256, text or None}."""
    journal: Callable[[], Iterator[ReleasedEntry]] = _no_entries
    """Reads the journal once more, entry by entry, up to the head."""
