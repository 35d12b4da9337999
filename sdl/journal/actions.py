"""Actions on devices as the journal tells them: the states of one, and how entries move it from one to the next.

    PLANNED → DISPATCHED → [ARMED] → [ACKED] → DONE | FAILED_CLEAN | ABORTED
    DISPATCHED, ARMED or ACKED, found after a crash or a failure:
        IN_DOUBT → RESOLVED_DONE | RESOLVED_NOT_DONE | ABORTED | QUARANTINED

A plan that was not begun is PLANNED: the start of its step is on record, its actions are not yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sdl.journal import kinds
from sdl.journal._replace import replace
from sdl.protocols import ActionRecord, Effect

__all__ = ["ActionState", "ActionStatus", "apply", "cut_off", "in_words"]


class ActionStatus(StrEnum):
    """Where an action stands."""

    DISPATCHED = "dispatched"
    ARMED = "armed"
    ACKED = "acked"
    DONE = "done"
    FAILED_CLEAN = "failed_clean"
    ABORTED = "aborted"
    """Stopped part-way; how far is on record."""
    IN_DOUBT = "in_doubt"
    RESOLVED_DONE = "resolved_done"
    RESOLVED_NOT_DONE = "resolved_not_done"
    QUARANTINED = "quarantined"
    """Nobody can say: the sample is not used any more."""

    @property
    def under_way(self) -> bool:
        """Whether no entry says how it ended."""
        return self in (ActionStatus.DISPATCHED, ActionStatus.ARMED, ActionStatus.ACKED)

    @property
    def happened(self) -> bool:
        """Whether it is known to have happened in full."""
        return self in (ActionStatus.DONE, ActionStatus.RESOLVED_DONE)


@dataclass(frozen=True, slots=True)
class ActionState:
    """An action of a trial."""

    id: str
    trial: int
    step: str
    attempt: int
    station: str
    device: str
    path: str
    verb: str
    arguments: Mapping[str, Any]
    effect: Effect
    arms: bool
    continues: bool
    status: ActionStatus
    tries: int
    dispatched_at: int
    """UTC, ns, of the last try."""
    updated_at: int
    """UTC, ns."""
    remote: bool = False
    """Whether a worker carries it out, which goes on when the session ends."""
    armed: bool = False
    carried: Mapping[str, Any] = field(default_factory=dict)
    """Evidence of a try that was stopped part-way."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What was noted on the last try."""
    acked_at: int | None = None
    """UTC, ns."""
    message: str = ""
    by: str = ""
    """Who resolved it."""
    note: str = ""

    @property
    def guarded(self) -> bool:
        """Whether it must not be executed twice."""
        return self.effect is Effect.NON_REPEATABLE

    @property
    def unsettled(self) -> bool:
        """Whether it stands in the way of whatever would repeat it."""
        return self.guarded and (self.status.under_way or self.status is ActionStatus.IN_DOUBT)

    def as_record(self) -> ActionRecord:
        """For the device that is asked what became of it."""
        return ActionRecord(
            self.id, self.device, self.path, self.verb, self.arguments, self.effect,
            self.armed or not self.arms, {**self.carried, **self.evidence},
        )  # fmt: skip

    def in_words(self) -> str:
        """As in `dispense of silver_pump (100)`."""
        return in_words(self.device, self.path, self.verb, self.arguments)


def in_words(device: str, path: str, verb: str, arguments: Mapping[str, Any], unit: str = "") -> str:
    """An action for people, as in `dispense of silver_pump (100 uL)`; the unit is that of a single argument."""
    what = f"{path or verb} of {device}"
    values = [f"{v:.10g}" if isinstance(v, float) else str(v) for v in arguments.get("args", ())]
    if unit and len(values) == 1:
        values = [f"{values[0]} {unit}"]
    return f"{what} ({', '.join(values)})" if values else what


def cut_off(action: ActionState, message: str = "the process ended during this action") -> tuple[str, dict[str, Any]]:
    """The entry that puts an action in doubt whose process ended during it."""
    return kinds.ACTION_DOUBTFUL, {
        "trial": action.trial, "action": action.id, "cause": "interrupted", "message": message,
    }  # fmt: skip


def _dispatched(old: ActionState | None, body: Mapping[str, Any], at: int) -> ActionState:
    return ActionState(
        id=body["action"], trial=body["trial"], step=body["step"], attempt=body["attempt"], station=body["station"],
        device=body["device"], path=body["path"], verb=body["verb"], arguments=body["arguments"],
        effect=Effect(body["effect"]), arms=body.get("arms", False),
        continues=body.get("continues", False), remote="origin" in body, status=ActionStatus.DISPATCHED,
        tries=body["try"], dispatched_at=at, updated_at=at, carried=old.carried if old is not None else {},
    )  # fmt: skip


_VERDICTS = {
    "done": ActionStatus.RESOLVED_DONE,
    "not_done": ActionStatus.RESOLVED_NOT_DONE,
    "partial": ActionStatus.ABORTED,
    "quarantine": ActionStatus.QUARANTINED,
}


def _changed(old: ActionState, kind: str, body: Mapping[str, Any], at: int) -> ActionState:
    evidence = body.get("evidence", {})
    known = {**old.evidence, **evidence}
    message = body.get("message", "")
    match kind:
        case kinds.ACTION_ARMED:
            return replace(old, status=ActionStatus.ARMED, armed=True, evidence=known, updated_at=at)
        case kinds.ACTION_ACKED:
            return replace(old, status=ActionStatus.ACKED, evidence=known, updated_at=at, acked_at=at)
        case kinds.ACTION_DONE:
            return replace(old, status=ActionStatus.DONE, evidence=known, updated_at=at)
        case kinds.ACTION_FAILED:
            return replace(old, status=ActionStatus.FAILED_CLEAN, message=message, updated_at=at)
        case kinds.ACTION_ABORTED:
            return replace(
                old, status=ActionStatus.ABORTED, carried={**old.carried, **evidence}, message=message, updated_at=at
            )
        case kinds.ACTION_DOUBTFUL:
            return replace(old, status=ActionStatus.IN_DOUBT, message=message, evidence=known, updated_at=at)
        case kinds.ACTION_RESOLVED:
            status = _VERDICTS[body["verdict"]]
            carried = {**old.carried, **evidence} if status is ActionStatus.ABORTED else old.carried
            by, note = body["by"], body.get("note", "")
            return replace(old, status=status, carried=carried, by=by, note=note, updated_at=at, evidence=known)
    return old


def apply(actions: Mapping[str, ActionState], kind: str, body: Mapping[str, Any], at: int) -> Mapping[str, ActionState]:
    """The actions of a trial after one more entry of a kind `action.…`; one about an unknown action changes nothing.

    Args:
        actions: id → state.
        kind: of the entry.
        body: of the entry.
        at: of the entry, UTC, ns.
    """
    old = actions.get(body["action"])
    if kind == kinds.ACTION_DISPATCHED:
        return {**actions, body["action"]: _dispatched(old, body, at)}
    return actions if old is None else {**actions, old.id: _changed(old, kind, body, at)}
