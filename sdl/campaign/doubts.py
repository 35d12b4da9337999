"""Actions in doubt: what is known of them, and what a person says became of them."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sdl.campaign._doubt import RESOLVE, Doubt, actions_state, has_session, list_doubts, open_in
from sdl.campaign.asking import ANSWER_S, NotAnswered, Statement, put_on_record
from sdl.journal import Store, kinds
from sdl.journal.actions import ActionState, ActionStatus, cut_off
from sdl.journal.state import CampaignState, TrialState
from sdl.model import InputError

__all__ = [
    "RESOLVE", "VERDICTS", "Doubt", "NotAnswered", "find_doubt", "has_session", "list_doubts", "resolution", "resolve",
    "signed",
]  # fmt: skip

VERDICTS: Final = ("done", "not_done", "quarantine")
"""What a person can say of an action in doubt."""

_FOLLOWS: Final = {
    "done": "it is not done again: trial {trial} goes on after it",
    "not_done": "trial {trial} does it when it goes on",
    "quarantine": "trial {trial} will be given up",
}


# ── which one a person means ──


def find_doubt(store: Store, campaigns: Sequence[str], text: str) -> Doubt:
    """The action in doubt that a person means by its id, by `trial/step/position`, or by the first parts of either.

    Args:
        store: an open store.
        campaigns: ids of those to look in.
        text: what the person wrote.

    Raises:
        InputError: none or several fit; the message names them, says how it was settled, or names the nearest.
    """
    doubts = [doubt for campaign in campaigns for doubt in list_doubts(store, campaign)]
    text = text.strip().strip("/")
    ways = (
        [d for d in doubts if d.action.id == text],
        [d for d in doubts if d.key == text],
        [d for d in doubts if text and f"{d.key}/".startswith(f"{text}/")],
        [d for d in doubts if text and f"{d.action.id}/".startswith(f"{text}/")],
    )
    fits = next((way for way in ways if way), [])
    if len(fits) == 1:
        return fits[0]
    if fits:
        several = "; ".join(f"{d.action.id} ({d.what})" for d in fits)
        raise InputError(f"{text!r} fits several actions in doubt: {several}. Write more of the one you mean")
    _explain(store, campaigns, text)
    known = [d.key for d in doubts]
    near = difflib.get_close_matches(text, [*known, *(d.action.id for d in doubts)], n=3)
    raise InputError(
        f"no action {text!r} is in doubt"
        + (f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; what is: {', '.join(known) or 'nothing'}")
    )


def _explain(store: Store, campaigns: Sequence[str], text: str) -> None:
    """Raise what there is to say of an action that is not in doubt; return when there is none of that name."""
    for campaign in reversed(campaigns):
        state = actions_state(store, campaign)
        for trial in state.trials.values():
            for action in trial.actions.values():
                if text in (action.id, action.id.removeprefix(f"{campaign}/")):
                    raise InputError(_settled(trial, action))


def _settled(trial: TrialState, action: ActionState) -> str:
    what = f"{action.in_words()} ({action.id})"
    if action.by:
        noted = f": {action.note}" if action.note else ""
        return f"{what} is settled already: {_word(action)} by {action.by}, {_when(action.updated_at)}{noted}"
    if action.status is ActionStatus.IN_DOUBT or (action.unsettled and not trial.status.pending):
        return f"{what} needs no answer any more: trial {trial.number} has ended ({trial.status.value})"
    if action.status.under_way and action.remote:
        return f"{what} was begun by the worker of station {action.station}, which is asked by `sdl run`; do that first"
    if action.status.under_way:
        return f"{what} is under way in the session that runs; it is not in doubt"
    return f"{what} is not in doubt: {_word(action)}, {_when(action.updated_at)}"


def _word(action: ActionState) -> str:
    return action.status.value.removeprefix("resolved_").replace("_", " ")


def _when(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at / 1e9))


# ── settling one ──


def signed(name: str) -> str:
    """A person's name as the journal has it: `person:NAME`.

    Raises:
        InputError: it is empty.
    """
    name = name.strip().removeprefix("person:").strip()
    if not name:
        raise InputError("whose decision is it? Give a name, as in --by hana")
    return f"person:{name}"


def resolution(
    state: CampaignState, action: str, verdict: str, by: str, note: str, *, alone: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Entries that put a person's decision on record.

    Args:
        state: of the campaign, up to date.
        action: id.
        verdict: one of `VERDICTS`.
        by: `person:NAME`.
        note: what it is based on.
        alone: whether no session runs; an action found under way was then cut off, which is put on record first.

    Raises:
        InputError: there is no such action in doubt, the verdict is unknown, or the note is missing.
    """
    if verdict not in VERDICTS:
        raise InputError(f"{verdict!r} is no verdict; say one of {', '.join(VERDICTS)}")
    if not note.strip():
        raise InputError("a note is needed: what did you see that shows it? Those who come after you read it")
    for trial in state.trials.values():
        found = trial.actions.get(action)
        if found is None:
            continue
        if not open_in(trial, found, alive=not alone):
            raise InputError(_settled(trial, found))
        about = {"trial": trial.number, "action": action}
        said = {"verdict": verdict, "by": signed(by), "note": note.strip(), "evidence": {}}
        first = [cut_off(found)] if found.status.under_way else []
        return [*first, (kinds.ACTION_RESOLVED, {**about, **said})]
    raise InputError(f"campaign {state.name!r} has no action {action!r}")


def resolve(
    store: Store, campaign: str, action: str, verdict: str, by: str, note: str, *, wait: float = ANSWER_S
) -> str:
    """Settle an action in doubt, by the session that runs or in its absence; return what happened, for people.

    Args:
        store: an open store.
        campaign: id.
        action: as `find_doubt` takes it.
        verdict: `done`, `not_done` or `quarantine`.
        by: name of the person.
        note: what the decision is based on.
        wait: wall seconds in which a session that runs is to answer.

    Raises:
        InputError: there is no such action in doubt, it is settled already, or something is missing or unknown.
        NotAnswered: a session runs and has not answered; the decision waits for it in the store.
    """
    doubt = find_doubt(store, [campaign], action)
    state = actions_state(store, campaign)
    action, said = doubt.action.id, {"verdict": verdict, "by": signed(by), "note": note.strip()}
    resolution(state, action, **said, alone=not has_session(store, campaign))  # refuse at once
    body = {"action": action, **said}
    asked = doubt.asked
    statement = Statement(
        RESOLVE,
        body,
        entries=lambda: resolution(actions_state(store, campaign), action, **said, alone=True),
        shown_by=kinds.ACTION_RESOLVED,
        found=lambda later: True if any(_says(entry.body, body) for entry in later) else None,
        request=asked.id if asked is not None and _says(asked.body, body) else None,
        seen_by="sdl doubts",
    )
    put_on_record(store, state, statement, wait=wait)
    told = f"{doubt.what} of trial {doubt.action.trial} is on record as {verdict.replace('_', ' ')}, by {said['by']}"
    for request in store.requests(campaign):  # whatever else was said of it has come too late
        if request.kind == RESOLVE and request.body.get("action") == action:
            store.answer(request.id, f"settled meanwhile: {told}")
    return f"{told}; {_FOLLOWS[verdict].format(trial=doubt.action.trial)}"


def _says(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(body.get(key) == value for key, value in wanted.items())
