"""Actions in doubt: which there are, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sdl.journal import Entry, Request, Store, kinds
from sdl.journal.actions import ActionState, ActionStatus, in_words
from sdl.journal.state import CampaignState, TrialState, fold_all

__all__ = ["RESOLVE", "Doubt", "actions_state", "has_session", "list_doubts", "open_in"]

RESOLVE: Final = "resolve"
"""Kind of the request that asks a session to settle one; its body has `action`, `verdict`, `by` and `note`."""
_KINDS: Final = kinds.KINDS - {kinds.DOCUMENT}
"""What the state of actions depends on; documents are many, and none of it."""


@dataclass(frozen=True)
class Doubt:
    """An action of which nobody knows yet whether it happened."""

    campaign: str
    """Id of the campaign."""
    name: str
    """Name of the campaign."""
    action: ActionState
    unit: str = ""
    """Unit of the action's argument, where it is known."""
    asked: Request | None = None
    """A person's decision that a session has not taken up yet."""

    @property
    def key(self) -> str:
        """`trial/step/position`: names it within its campaign."""
        return self.action.id.removeprefix(f"{self.campaign}/")

    @property
    def what(self) -> str:
        """As in `dispense of silver_pump (100 uL)`."""
        action = self.action
        return in_words(action.device, action.path, action.verb, action.arguments, self.unit)

    @property
    def cut_off(self) -> bool:
        """Whether its process ended during it, so that the instrument has not been asked yet."""
        return self.action.status.under_way

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; times are UTC in ns."""
        action = self.action
        return {
            "id": action.id,
            "key": self.key,
            "campaign": self.campaign,
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            **{name: getattr(action, name) for name in ("trial", "step", "attempt", "station")},
            **{name: getattr(action, name) for name in ("device", "path", "verb")},
            "arguments": dict(action.arguments),
            "status": action.status.value,
            "tries": action.tries,
            "dispatched_at": action.dispatched_at,
            "acked_at": action.acked_at,
            "armed": action.armed or not action.arms,
            "evidence": {**action.carried, **action.evidence},
            "message": action.message,
            "asked": None if self.asked is None else dict(self.asked.body),
        }


def list_doubts(store: Store, campaign: str) -> list[Doubt]:
    """Actions in doubt of a campaign's trials that have not ended, in the order in which they began.

    Once no session is alive, those are among them that were under way when the last one died.

    Args:
        store: an open store.
        campaign: id.
    """
    alive = has_session(store, campaign)  # before the state: what a session ends meanwhile is no doubt
    state = actions_state(store, campaign)
    asked = {str(r.body.get("action")): r for r in store.requests(campaign) if r.kind == RESOLVE}
    found = [
        Doubt(campaign, state.name, action, asked=asked.get(action.id))
        for trial in state.trials.values()
        for action in trial.actions.values()
        if open_in(trial, action, alive=alive)
    ]
    units = _units(store, campaign, found)
    return [replace(doubt, unit=units.get(doubt.action.id, "")) for doubt in found]


def open_in(trial: TrialState, action: ActionState, *, alive: bool) -> bool:
    """Whether an action of a trial stands in doubt, a session being alive or not.

    One that a worker has begun is not, whatever became of the session: the worker may be at it still, and is asked.
    """
    in_doubt = action.status is ActionStatus.IN_DOUBT
    cut_off = action.unsettled and not alive and not action.remote
    return trial.status.pending and (in_doubt or cut_off)


def actions_state(store: Store, campaign: str) -> CampaignState:
    """The campaign's state but for its open runs."""
    return fold_all(campaign, store.entries(campaign, kinds=_KINDS))


def has_session(store: Store, campaign: str) -> bool:
    """Whether a living process holds the campaign's lease."""
    lease = store.lease(campaign)
    return lease is not None and lease.alive


def _units(store: Store, campaign: str, doubts: Sequence[Doubt]) -> dict[str, str]:
    """Action → unit of its argument: from what its driver noted, or from a descriptor with a key of that name."""
    found: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    for doubt in doubts:
        action = doubt.action
        noted = action.evidence.get("unit") or action.evidence.get("units")
        if isinstance(noted, str):
            found[action.id] = noted
        elif action.arguments.get("args"):
            key = f"{action.device}-{action.path.replace('.', '-')}".rstrip("-")
            wanted.setdefault(key, []).append(action.id)
    documents = store.entries(campaign, kinds={kinds.DOCUMENT}) if wanted else iter(())
    for entry in documents:
        for key, unit in _described(entry):
            found.update(dict.fromkeys(wanted.pop(key, ()), unit))
        if not wanted:
            break
    return {action: "" if unit == "1" else unit for action, unit in found.items()}


def _described(entry: Entry) -> Iterator[tuple[str, str]]:
    """Data keys of a descriptor with their units, those of configurations too."""
    doc = entry.body["doc"]
    if entry.body["name"] != "descriptor":
        return
    configured = [device.get("data_keys", {}) for device in doc.get("configuration", {}).values()]
    for keys in (doc.get("data_keys", {}), *configured):
        for name, about in keys.items():
            if about.get("units"):
                yield name, str(about["units"])
