"""Actions that were in doubt, and how each doubt was settled, read from the entries.

The folded state has the last word on an action only; one that was settled as not done and repeated is done there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdl.fair._facts import iso
from sdl.fair._words import moment
from sdl.journal import kinds
from sdl.journal.actions import ActionStatus

if TYPE_CHECKING:
    from sdl.journal import Entry
    from sdl.journal.actions import ActionState
    from sdl.journal.state import CampaignState

__all__ = ["Episode", "action_json", "doubt_rows", "episodes", "quarantined"]


@dataclass(frozen=True)
class Episode:
    """One time that an action was in doubt."""

    trial: int
    action: str
    """Id."""
    since: int
    """UTC, ns."""
    message: str
    """Why, and what the instrument said."""
    settled_at: int | None = None
    """UTC, ns; None while it is open."""
    verdict: str = ""
    by: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; times are ISO 8601, UTC."""
        return {
            "since": iso(self.since),
            "message": self.message,
            "settled": iso(self.settled_at),
            "verdict": self.verdict,
            "by": self.by,
            "note": self.note,
        }


def episodes(entries: Iterable[Entry]) -> list[Episode]:
    """Every doubt of a campaign in the order in which they arose.

    Args:
        entries: `action.doubtful` and `action.resolved`, in order; others are passed over.
    """
    found: list[Episode] = []
    open_: dict[str, int] = {}
    for entry in entries:
        body = entry.body
        if entry.kind not in (kinds.ACTION_DOUBTFUL, kinds.ACTION_RESOLVED):
            continue
        if body["action"] not in open_:
            open_[body["action"]] = len(found)
            found.append(Episode(body["trial"], body["action"], entry.at, ""))
        index = open_[body["action"]]
        if entry.kind == kinds.ACTION_DOUBTFUL:
            found[index] = replace(found[index], message=body.get("message", ""))
            continue
        del open_[body["action"]]
        said = {"verdict": body["verdict"], "by": body["by"], "note": body.get("note", "")}
        found[index] = replace(found[index], settled_at=entry.at, **said)
    return found


def doubt_rows(state: CampaignState, doubts: Iterable[Episode]) -> Iterator[tuple[str, ...]]:
    """Trial, action, since when and why in doubt, how it was settled, and the note, as texts."""
    for doubt in doubts:
        action = _action(state, doubt)
        what = action.in_words() if action is not None else doubt.action
        settled = "not yet"
        if doubt.settled_at is not None:
            settled = f"{doubt.verdict.replace('_', ' ')}, says {_who(doubt.by)}, {moment(doubt.settled_at)}"
        yield str(doubt.trial), what, f"{moment(doubt.since)}: {doubt.message}", settled, doubt.note


def _action(state: CampaignState, doubt: Episode) -> ActionState | None:
    trial = state.trials.get(doubt.trial)
    return None if trial is None else trial.actions.get(doubt.action)


def _who(by: str) -> str:
    kind, _, name = by.partition(":")
    return {"person": name, "instrument": f"the instrument {name}"}.get(kind, by)


def quarantined(state: CampaignState) -> list[str]:
    """A sentence for each sample that nobody may use, since nobody can say what was done to it."""
    return [
        f"trial {trial.number}, after {action.in_words()}" + (f": {action.note}" if action.note else "")
        for trial in state.trials.values()
        for action in trial.actions.values()
        if action.status is ActionStatus.QUARANTINED
    ]


def action_json(action: ActionState, doubts: Mapping[str, list[Episode]]) -> dict[str, Any]:
    """An action for the JSON export; times are ISO 8601, UTC.

    Args:
        action: its state.
        doubts: action id → its episodes.
    """
    return {
        "id": action.id,
        "step": action.step,
        "attempt": action.attempt,
        "station": action.station,
        "device": action.device,
        "path": action.path,
        "verb": action.verb,
        "arguments": dict(action.arguments),
        "effect": action.effect.value,
        "status": action.status.value,
        "tries": action.tries,
        "dispatched": iso(action.dispatched_at),
        "updated": iso(action.updated_at),
        "evidence": {**action.carried, **action.evidence},
        "message": action.message,
        "by": action.by,
        "note": action.note,
        "doubts": [doubt.as_json() for doubt in doubts.get(action.id, ())],
    }
