"""What people say of a campaign afterwards: corrections, notes and a withdrawal. Nothing is rewritten by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdl.model import Outcome

__all__ = ["Correction", "Note", "Withdrawal", "corrected", "correction", "note"]


@dataclass(frozen=True, slots=True)
class Correction:
    """Outcomes of a trial that were put right."""

    at: int
    """UTC, ns."""
    seq: int
    """Number of its entry."""
    by: str
    why: str
    outcomes: Mapping[str, Outcome]
    """What holds from here on."""
    before: Mapping[str, Outcome] = field(default_factory=dict)
    """What those were until then; an outcome that was not there is missing here."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that somebody wrote about a trial."""

    at: int
    """UTC, ns."""
    seq: int
    """Number of its entry."""
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Somebody says that the data of a campaign are not to be relied on."""

    at: int
    """UTC, ns."""
    seq: int
    """Number of its entry."""
    by: str
    why: str


def correction(outcomes: Mapping[str, Outcome], body: Mapping[str, Any], seq: int, at: int) -> Correction:
    """The correction that an entry makes.

    Args:
        outcomes: of the trial, as they are before it.
        body: of the entry.
        seq: of the entry.
        at: of the entry, UTC, ns.
    """
    now = {name: Outcome.model_validate(outcome) for name, outcome in body["outcomes"].items()}
    before = {name: outcomes[name] for name in now if name in outcomes}
    return Correction(at, seq, body["by"], body["why"], now, before)


def corrected(outcomes: Mapping[str, Outcome], change: Correction) -> Mapping[str, Outcome]:
    """Outcomes of a trial as they hold after a correction."""
    return {**outcomes, **change.outcomes}


def note(body: Mapping[str, Any], seq: int, at: int) -> Note:
    """The note that an entry holds."""
    return Note(at, seq, body["by"], body["text"])
