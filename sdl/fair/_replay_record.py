"""What a journal has of proposals and outcomes, each with what was known when it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, TrialState, fold
from sdl.model import CampaignSpec, Trial

if TYPE_CHECKING:
    from sdl.journal import Store

__all__ = ["Ended", "Proposed", "ended", "proposed"]

_ENDS = frozenset({kinds.TRIAL_OBSERVED, kinds.TRIAL_INFEASIBLE, kinds.TRIAL_FAILED})
_KNOWN = _ENDS | {
    kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED, kinds.SESSION_OPENED, kinds.TRIAL_PROPOSED, kinds.TRIAL_APPROVED,
    kinds.TRIAL_REJECTED, kinds.TRIAL_CORRECTED, kinds.STEP_STARTED,
}  # fmt: skip
"""What a planner's view of the campaign depends on."""
_OF_RUNS = frozenset({kinds.STEP_STARTED, kinds.DOCUMENT, kinds.RUN_INTERRUPTED})


@dataclass(frozen=True)
class Proposed:
    """A proposal on record, and what the planner knew."""

    trial: int
    body: Mapping[str, Any]
    spec: CampaignSpec
    """In force when it was made, with the planner of that time."""
    known: tuple[Trial, ...]
    late: tuple[tuple[Trial, ...], ...]
    """The same without the last end of a trial, and without the last two: several trials in flight may end while the
    planner is asked, and an entry that was being recorded then was not known yet."""
    versions: Mapping[str, str]
    """Of packages, in its session."""
    created: Mapping[str, Any]
    """Body of the entry in force that created or amended the campaign."""


class _View:
    """Trials as planners see them; those that have not changed are not built again."""

    def __init__(self) -> None:
        self._built: dict[int, tuple[TrialState, Trial]] = {}

    def of(self, state: CampaignState) -> tuple[Trial, ...]:
        seen = []
        for number, trial in state.trials.items():
            kept = self._built.get(number)
            if kept is None or kept[0] is not trial:
                kept = self._built[number] = (trial, trial.as_trial())
            seen.append(kept[1])
        return tuple(seen)


def proposed(store: Store, campaign: str) -> Iterator[Proposed]:
    """Every proposal of a campaign, in order.

    Args:
        store: an open store.
        campaign: id.

    Raises:
        StoreError: an entry is missing or was changed.
    """
    entries = list(store.entries(campaign, kinds=_KNOWN))
    state, view, at = CampaignState(id=campaign), _View(), 0
    before: list[tuple[Trial, ...]] = []
    versions: Mapping[str, str] = {}
    created: Mapping[str, Any] = {}
    spec: CampaignSpec | None = None
    for entry in entries:
        if entry.kind == kinds.SESSION_OPENED:
            versions = entry.body.get("versions", {})
        elif entry.kind in (kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED):
            created = {**created, **entry.body}
            spec = CampaignSpec.model_validate(entry.body["spec"])
        elif entry.kind == kinds.TRIAL_PROPOSED:
            while at < len(entries) and entries[at].seq <= entry.body["known_seq"]:
                if entries[at].kind in _ENDS:
                    before = [view.of(state), *before[:1]]
                state = fold(state, entries[at])
                at += 1
            assert spec is not None
            planned = _with_planner(spec, entry)
            known, body = view.of(state), entry.body
            yield Proposed(body["trial"], body, planned, known, tuple(before), versions, created)


def _with_planner(spec: CampaignSpec, entry: Entry) -> CampaignSpec:
    planner = entry.body["planner"]
    choice = spec.planner.model_copy(update={"name": planner["name"], "options": planner.get("options", {})})
    return spec.model_copy(update={"planner": choice})


@dataclass
class Ended:
    """A trial that ended, with what its analysis was given."""

    trial: int
    kind: str
    """Of the entry that ended it."""
    body: Mapping[str, Any]
    created: Mapping[str, Any]
    """Body of the entry in force that created or amended the campaign."""
    versions: Mapping[str, str]
    entries: list[Entry] = field(default_factory=list)
    """Its documents and the starts of its steps."""
    done: frozenset[str] = frozenset()
    """Steps of which the last attempt was done."""


def ended(store: Store, campaign: str) -> Iterator[Ended]:
    """Every trial that ended, in the order of their ends; of the others nothing is kept in memory.

    Args:
        store: an open store.
        campaign: id.

    Raises:
        StoreError: an entry is missing or was changed.
    """
    open_: dict[int, list[Entry]] = {}
    done: dict[int, set[str]] = {}
    created: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}
    for entry in store.entries(campaign):
        body = entry.body
        if entry.kind in (kinds.CAMPAIGN_CREATED, kinds.CAMPAIGN_AMENDED):
            created = {**created, **body}
        elif entry.kind == kinds.SESSION_OPENED:
            versions = body.get("versions", {})
        elif entry.kind in _OF_RUNS:
            open_.setdefault(body["trial"], []).append(entry)
            if entry.kind == kinds.STEP_STARTED:
                done.setdefault(body["trial"], set()).discard(body["step"])
        elif entry.kind == kinds.STEP_DONE:
            done.setdefault(body["trial"], set()).add(body["step"])
        elif entry.kind in _ENDS:
            number = body["trial"]
            steps = frozenset(done.pop(number, ()))
            yield Ended(number, entry.kind, body, created, versions, open_.pop(number, []), steps)
