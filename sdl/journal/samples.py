"""Samples as the journal tells them: what they are made of, and where they are or may be.

    live → archived | consumed | quarantined

While a step that moves a sample is under way, and after one that came to no good end, the sample is in transit: what
is known of the actions of that step says whether it may have left its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sdl.journal import kinds
from sdl.journal._replace import replace
from sdl.journal.actions import ActionState, ActionStatus

if TYPE_CHECKING:
    from sdl.journal.state import StepState, TrialState

__all__ = [
    "Event",
    "SampleState",
    "SampleStatus",
    "Spot",
    "Whereabouts",
    "apply",
    "claims",
    "may_have_happened",
    "where",
]

Spot = tuple[str, int]
"""A place and the number of a slot in it, from 1."""

_ABOUT_NOTHING = frozenset({"stage", "unstage"})
"""Verbs that bracket a run and move nothing."""
_NOT_DONE = frozenset({ActionStatus.FAILED_CLEAN, ActionStatus.RESOLVED_NOT_DONE})


class SampleStatus(StrEnum):
    """What a sample is good for."""

    LIVE = "live"
    """Its trial is at work on it."""
    ARCHIVED = "archived"
    """Its trial is done with it, and it is kept."""
    CONSUMED = "consumed"
    """There is nothing of it left."""
    QUARANTINED = "quarantined"
    """Not to be used. It is where it is until somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that became of a sample."""

    at: int
    """UTC, ns."""
    what: str
    """created, moved, archived, consumed, quarantined or located."""
    place: str = ""
    slot: int = 0
    step: str = ""
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SampleState:
    """A sample and all that became of it."""

    id: str
    label: str
    """What is written on it."""
    barcode: str
    trial: int
    place: str
    """Where it was last known to be; empty when it is out of the lab. See `where`."""
    slot: int
    placed_at: int
    """When it was put there, UTC, ns."""
    placed_by: tuple[str, int] | None
    """Step and attempt that put it there; None when a person says so."""
    status: SampleStatus = SampleStatus.LIVE
    stock: tuple[tuple[str, str], ...] = ()
    """Items and lots that it was made from."""
    parents: tuple[str, ...] = ()
    message: str = ""
    """Why it is in quarantine, or what became of it."""
    history: tuple[Event, ...] = ()

    @property
    def spot(self) -> Spot | None:
        """Place and slot; None when there is nothing of it in the lab."""
        return (self.place, self.slot) if self.place and self.status is not SampleStatus.CONSUMED else None


# ── the fold ──


def _created(body: Mapping[str, Any], at: int) -> SampleState:
    return SampleState(
        body["sample"], body.get("label", ""), body.get("barcode", ""), body["trial"], body["place"], body["slot"], at,
        _placed_by(body), stock=tuple((used["item"], used["lot"]) for used in body.get("stock", ())),
        parents=tuple(body.get("parents", ())),
    )  # fmt: skip


def _placed_by(body: Mapping[str, Any]) -> tuple[str, int] | None:
    return (body["step"], body["attempt"]) if body.get("step") and "attempt" in body else None


def _changed(old: SampleState, kind: str, body: Mapping[str, Any], at: int) -> SampleState:
    message = body.get("message", "")
    free = old.status in (SampleStatus.LIVE, SampleStatus.ARCHIVED)
    match kind:
        case kinds.SAMPLE_MOVED | kinds.SAMPLE_LOCATED:
            return _placed(old, body, at)
        case kinds.SAMPLE_ARCHIVED:
            status = SampleStatus.ARCHIVED if free else old.status
            return replace(_placed(old, body, at), status=status)
        case kinds.SAMPLE_CONSUMED:
            return replace(old, status=SampleStatus.CONSUMED, message=message)
        case kinds.SAMPLE_QUARANTINED if free:
            return replace(old, status=SampleStatus.QUARANTINED, message=message)
    return old


def _placed(old: SampleState, body: Mapping[str, Any], at: int) -> SampleState:
    return replace(old, place=body["place"], slot=body["slot"], placed_at=at, placed_by=_placed_by(body))


def apply(samples: Mapping[str, SampleState], kind: str, body: Mapping[str, Any], at: int) -> Mapping[str, SampleState]:
    """The samples after one more entry of a kind `sample.…`; one about an unknown sample changes nothing.

    Args:
        samples: id → state.
        kind: of the entry.
        body: of the entry.
        at: of the entry, UTC, ns.
    """
    id_ = body["sample"]
    if kind == kinds.SAMPLE_CREATED and id_ not in samples:
        new = _created(body, at)
    elif id_ in samples:
        new = _changed(samples[id_], kind, body, at)
    else:
        return samples
    event = Event(
        at, kind.removeprefix("sample."), new.place, new.slot, body.get("step", ""), body.get("by", ""),
        body.get("note", "") or body.get("message", ""),
    )  # fmt: skip
    return {**samples, id_: replace(new, history=(*new.history, event))}


# ── where it is ──


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a sample is, as far as is known."""

    place: str
    """Empty when it is out of the lab."""
    slot: int
    towards: tuple[Spot, ...] = ()
    """Where it may have come to, when a step that moves it is under way or came to no good end."""
    moving: bool = False
    """Whether that step is under way."""

    @property
    def spots(self) -> tuple[Spot, ...]:
        """Every slot that has to be taken for occupied by it."""
        own = ((self.place, self.slot),) if self.place else ()
        return tuple(dict.fromkeys((*own, *self.towards)))

    def in_words(self, slots: Mapping[str, int] | None = None) -> str:
        """As in `tray, slot 3` or `in transit from chuck to bed_a`.

        Args:
            slots: place → how many it has; of a place with one, the slot is not said.
        """

        def named(place: str, slot: int) -> str:
            return place if (slots or {}).get(place) == 1 else f"{place}, slot {slot}"

        here = named(self.place, self.slot) if self.place else "out of the lab"
        if not self.towards:
            return here
        return f"in transit from {here} to {' or '.join(named(*spot) for spot in self.towards)}"


def where(sample: SampleState, trial: TrialState | None) -> Whereabouts:
    """Where a sample is: at its place, or in transit by what is known of the steps after the one that put it there.

    Args:
        sample: the sample.
        trial: its trial; None where nothing more is known.
    """
    place = sample.place if sample.status is not SampleStatus.CONSUMED else ""
    if trial is None or not place or sample.status in (SampleStatus.ARCHIVED, SampleStatus.CONSUMED):
        return Whereabouts(place, sample.slot)
    attempts = list(_since(sample, trial))
    towards = tuple(_heading(attempts, trial, sample.placed_at if sample.placed_by is None else 0))
    moving = any(step.status == "started" for step in attempts)
    return Whereabouts(place, sample.slot, towards, moving and bool(towards))


def claims(trial: TrialState) -> tuple[Spot, ...]:
    """Slots taken by a trial whose sample is not on record yet: it is being made there, or may be there in part."""
    if not trial.status.pending:
        return ()
    return tuple(_heading([step for step in trial.steps if step.into is not None], trial, 0))


def _since(sample: SampleState, trial: TrialState) -> Iterator[StepState]:
    """Attempts that may have moved it since it was put where it is said to be."""
    steps = trial.steps
    if sample.placed_by is None:
        yield from (s for s in steps if s.into and (s.started_at > sample.placed_at or s.status == "started"))
        return
    index = next((i for i, s in enumerate(steps) if (s.name, s.attempt) == sample.placed_by), -1)
    yield from (s for s in steps[index + 1 :] if s.into)


def _heading(attempts: list[StepState], trial: TrialState, after: int) -> Iterator[Spot]:
    """Where these attempts may have brought it."""
    touched = {
        (action.step, action.attempt)
        for action in trial.actions.values()
        if action.dispatched_at > after and may_have_happened(action)
    }
    found = dict.fromkeys(
        step.into
        for step in attempts
        if step.into is not None and (step.status in ("started", "done") or (step.name, step.attempt) in touched)
    )
    yield from found


def may_have_happened(action: ActionState) -> bool:
    """Whether an action, or a part of it, happened or may have: all but those known not to have.

    Only of an action that must not be repeated does a failure on record say that it has not happened.
    """
    if action.verb in _ABOUT_NOTHING:
        return False
    return not (action.guarded and action.status in _NOT_DONE and not action.carried)
