"""What a worker that was killed has left open in its spool, and how the next one closes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sdl.journal import Store, kinds
from sdl.journal.actions import ActionState, cut_off
from sdl.journal.runs import stop_in_place
from sdl.worker._past import STEP_ANSWERED, Past, StepKey
from sdl.worker._spool import Spool

__all__ = ["close_interrupted", "interrupted_entries"]

_REASON = "the worker ended during this run"


async def close_interrupted(spool: Spool) -> list[str]:
    """Close the steps that have no end, in the chain of every campaign.

    Returns:
        Sentences about what was found.

    Raises:
        JournalError: the spool cannot be written or is damaged.
    """
    found = []
    for campaign in spool.campaigns():
        chain = spool.chain(campaign)
        try:
            entries = list(interrupted_entries(chain.past, spool.store, campaign))
            if entries:
                await chain.record_all(entries)
                found += [_in_words(campaign, body) for kind, body in entries if kind == STEP_ANSWERED]
        finally:
            chain.close()
    return found


def interrupted_entries(past: Past, store: Store, campaign: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What closes the steps without an end: first their runs, then their actions, then the steps."""
    for key, known in past.open_orders():
        where = {"trial": key.trial, "step": key.step, "attempt": key.attempt}
        for uid in _open_runs(store, campaign, known.seq):
            yield kinds.RUN_INTERRUPTED, {**where, "doc": stop_in_place(uid, _REASON)}
        doubtful = [action for action in past.actions.get(key.trial, {}).values() if _left(action, key)]
        for action in doubtful:
            yield cut_off(action, f"the worker ended while it was under way: {action.in_words()}")
        yield STEP_ANSWERED, {**where, **_answer(doubtful)}


def _left(action: ActionState, key: StepKey) -> bool:
    return action.guarded and action.status.under_way and action.step == key.step


def _answer(doubtful: list[ActionState]) -> dict[str, Any]:
    message = "its worker ended during this step and was started again"
    if doubtful:
        message += f"; it is not known whether {doubtful[0].in_words()} happened"
    action = doubtful[0].id if doubtful else ""
    device = doubtful[0].device if doubtful else ""
    empty: dict[str, Any] = {"runs": [], "error": ""}
    return {"outcome": "interrupted", "message": message, "device": device, "action": action, **empty}


def _open_runs(store: Store, campaign: str, after: int) -> list[str]:
    runs: dict[str, None] = {}
    for entry in store.entries(campaign, after=after, kinds={kinds.DOCUMENT, kinds.RUN_INTERRUPTED}):
        doc = entry.body["doc"]
        if entry.body.get("name") == "start":
            runs[doc["uid"]] = None
        elif "run_start" in doc and entry.body.get("name", "stop") == "stop":
            runs.pop(doc["run_start"], None)
    return list(runs)


def _in_words(campaign: str, body: Mapping[str, Any]) -> str:
    where = f"step {body['step']!r} of trial {body['trial']} of campaign {campaign}"
    return f"{where} was interrupted" + (f", action {body['action']} is in doubt" if body["action"] else "")
