"""Who decided what, when and why: the entries of a journal that are decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sdl.fair.record import Decision
from sdl.journal import Entry, kinds

__all__ = ["decision_of"]

_Body = Mapping[str, Any]
_SIGNED = "person:"


def _planner(body: _Body) -> tuple[str, str]:
    planner = body["planner"]
    return f"planner:{planner.get('name', '')} {planner.get('version', '')}".strip(), body["reason"].get("summary", "")


def _ended(body: _Body) -> tuple[str, str]:
    return f"rule:{body.get('rule', '')}", body.get("message", "")


def _amended(body: _Body) -> tuple[str, str]:
    changes = (f"{key}: {old} → {new}" for key, (old, new) in body.get("changes", {}).items())
    return "campaign file", "; ".join(changes)


def _paused(body: _Body) -> tuple[str, str]:
    return "campaign", ". ".join(text for text in (body.get("message", ""), body.get("advice", "")) if text)


def _resolved(body: _Body) -> tuple[str, str]:
    note = body.get("note", "")
    return body.get("by", ""), body["verdict"].replace("_", " ") + (f": {note}" if note else "")


def _failed(body: _Body) -> tuple[str, str]:
    device = body.get("device", "")
    return f"device:{device}" if device else "campaign", body.get("message", "")


def _tripped(body: _Body) -> tuple[str, str]:
    return f"interlock:{body.get('interlock', '')}", body.get("message", "")


_RULES: Final[Mapping[str, Callable[[_Body], tuple[str, str]]]] = {
    kinds.TRIAL_PROPOSED: _planner,
    kinds.TRIAL_INFEASIBLE: lambda body: ("analysis", body.get("message", "")),
    kinds.TRIAL_FAILED: _failed,
    kinds.ACTION_DOUBTFUL: lambda body: ("campaign", body.get("message", "")),
    kinds.ACTION_RESOLVED: _resolved,
    kinds.INTERLOCK_TRIPPED: _tripped,
    kinds.PLANNER_FAULT: lambda body: (f"planner:{body.get('planner', '')}", body.get("message", "")),
    kinds.CAMPAIGN_AMENDED: _amended,
    kinds.CAMPAIGN_PAUSED: _paused,
    kinds.CAMPAIGN_ENDED: _ended,
    kinds.CAMPAIGN_ABORTED: lambda body: ("campaign", body.get("message", "")),
}
_NOT: Final = frozenset({kinds.TRIAL_SCHEDULED, kinds.DOCUMENT})
"""Kinds whose `by` names no one who decides."""


def decision_of(entry: Entry) -> Decision | None:
    """The decision that an entry, as it may be shown, tells of; None where it tells of none.

    A kind that is not known here is a decision when it says by whom.
    """
    rule = _RULES.get(entry.kind)
    if rule is None and ("by" not in entry.body or entry.kind in _NOT):
        return None
    who, why = rule(entry.body) if rule is not None else _said(entry.body)
    trial = entry.body.get("trial")
    return Decision(
        entry.at, entry.seq, entry.kind, who.removeprefix(_SIGNED), why, trial if isinstance(trial, int) else None
    )


def _said(body: _Body) -> tuple[str, str]:
    why = next((body[key] for key in ("why", "message", "note", "text", "reason") if body.get(key)), "")
    return str(body["by"]), str(why)
