"""What the views need of a journal besides the folded state, gathered in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from sdl.journal import kinds

if TYPE_CHECKING:
    from sdl.journal import Entry
    from sdl.journal.state import CampaignState

__all__ = ["JournalFacts", "ended_at", "gather", "iso", "upto"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class JournalFacts:
    """Figures of a campaign's journal."""

    entries: int = 0
    head: str = ""
    """Hash of the last entry, hexadecimal: it vouches for every entry before it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version, of the last session."""
    lab_speed: float = 1.0
    """Lab seconds a wall second, of the last session."""
    over_at: int | None = None
    """UTC in ns of the last entry that ended or aborted the campaign."""
    kept: list[Entry] = field(default_factory=list)
    """Entries of the trial asked for."""
    doubts: list[Entry] = field(default_factory=list)
    """Entries that put an action in doubt or settled one."""


def gather(entries: Iterable[Entry], keep_trial: int | None = None) -> JournalFacts:
    """Read the entries once; keep those of one trial (its documents can be large, the others' are let go)."""
    facts = JournalFacts()
    for entry in entries:
        facts.entries += 1
        facts.head = entry.hash
        if entry.kind == kinds.SESSION_OPENED:
            facts.versions = entry.body.get("versions", {})
            facts.lab_speed = entry.body.get("lab_speed", 1.0)
        elif entry.kind in (kinds.CAMPAIGN_ENDED, kinds.CAMPAIGN_ABORTED):
            facts.over_at = entry.at
        elif entry.kind in (kinds.ACTION_DOUBTFUL, kinds.ACTION_RESOLVED):
            facts.doubts.append(entry)
        if keep_trial is not None and entry.body.get("trial") == keep_trial:
            facts.kept.append(entry)
    return facts


def upto(state: CampaignState, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries that the state was folded from: a running campaign may have written more since."""
    return takewhile(lambda entry: entry.seq <= state.seq, entries)


def ended_at(state: CampaignState, facts: JournalFacts) -> int | None:
    """UTC in ns at which the campaign ended or was aborted; None while it can go on."""
    return facts.over_at if state.status in ("ended", "aborted") else None


def iso(at: int | None) -> str | None:
    """UTC nanoseconds as ISO 8601 with microseconds, as in 2026-01-02T03:04:05.000006Z."""
    if at is None:
        return None
    moment: Any = _EPOCH + timedelta(microseconds=at // 1000)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
