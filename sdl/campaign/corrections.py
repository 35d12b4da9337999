"""What people say of a campaign afterwards: outcomes put right, notes on trials, and the withdrawal of its data.

Each is one entry more. Nothing is rewritten: the fold shows what holds now and keeps what it was, and planners are told
what holds. A session that runs has the campaign's lease and writes it; where none runs, it is written at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sdl.campaign import asking
from sdl.campaign._doubt import actions_state
from sdl.campaign.asking import ANSWER_S, Said, Statement
from sdl.campaign.doubts import signed
from sdl.journal import Entry, Store, kinds
from sdl.journal.state import CampaignState, TrialState
from sdl.model import FileFault, InputError, Outcome, TrialStatus
from sdl.model.measured import read_outcome
from sdl.plugins import suggest

__all__ = ["REQUEST", "Said", "annotation", "asked_entries", "correction", "put_on_record", "withdrawal"]

REQUEST: Final = "entry"
"""Kind of the request that asks a session to put one of these on record; its body has the `kind` and `body`."""

_LONGEST: Final = 10_000
"""Characters of a reason or a note."""
_SAID: Final = frozenset({kinds.TRIAL_CORRECTED, kinds.TRIAL_ANNOTATED, kinds.CAMPAIGN_WITHDRAWN})


# ── the entries ──


def correction(state: CampaignState, trial: int, given: Iterable[str], by: str, why: str) -> Said:
    """The entry that puts outcomes of a trial right.

    Args:
        state: of the campaign.
        trial: number of the trial.
        given: as in `peak=451.2 nm` or `peak=451.2 ± 0.3 nm`; a bare number is in the unit on record. A standard error
            that is not given stays as it was.
        by: name of the person.
        why: reason, for those who come after.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    faults = _reason_faults(why, "--why")
    outcomes: dict[str, Any] = {}
    try:
        found = _trial(state, trial)
        if found.status is not TrialStatus.OBSERVED:
            raise InputError(f"trial {trial} of campaign {state.name!r} is {found.status.value}: it has no outcomes")
        for text in given:
            try:
                name, outcome = _corrected(found, text)
                outcomes[name] = outcome.model_dump(mode="json")
            except ValueError as error:
                faults.append(FileFault(str(error)))
    except InputError as error:
        faults += error.faults
    if not outcomes and not faults:
        faults.append(FileFault("say what is right, as in --set 'peak=451.2 nm'"))
    if faults:
        raise InputError(faults)
    return kinds.TRIAL_CORRECTED, {"trial": trial, "outcomes": outcomes, "by": signed(by), "why": why.strip()}


def annotation(state: CampaignState, trial: int, by: str, text: str) -> Said:
    """The entry that notes something about a trial.

    Raises:
        InputError: there is no such trial, or no text.
    """
    faults = _reason_faults(text, "the note")
    try:
        _trial(state, trial)
    except InputError as error:
        faults += error.faults
    if faults:
        raise InputError(faults)
    return kinds.TRIAL_ANNOTATED, {"trial": trial, "by": signed(by), "text": text.strip()}


def withdrawal(state: CampaignState, by: str, why: str) -> Said:
    """The entry that says that the data of a campaign are not to be relied on.

    Raises:
        InputError: no reason is given.
    """
    if faults := _reason_faults(why, "--why"):
        raise InputError(faults)
    if state.spec is None:
        raise InputError(f"campaign {state.name or state.id!r} has not begun: there is nothing to withdraw")
    return kinds.CAMPAIGN_WITHDRAWN, {"by": signed(by), "why": why.strip()}


def _reason_faults(text: str, name: str) -> list[FileFault]:
    if not text.strip():
        return [FileFault(f"{name} is empty: write it for those who come after you")]
    if len(text) > _LONGEST:
        return [FileFault(f"{name} has {len(text)} characters; it may have {_LONGEST}")]
    return []


def _trial(state: CampaignState, number: int) -> TrialState:
    if number not in state.trials:
        hint = suggest(str(number), [str(n) for n in state.trials][-10:])
        raise InputError(f"campaign {state.name!r} has no trial {number}{hint}")
    return state.trials[number]


def _corrected(trial: TrialState, text: str) -> tuple[str, Outcome]:
    """An outcome as it is to be.

    Raises:
        ValueError: it cannot be read, or the trial has no such outcome.
    """
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not rest:
        raise ValueError(f"--set {text!r}: write it as in NAME=VALUE, 'peak=451.2 nm' or 'peak=451.2 ± 0.3 nm'")
    if name not in trial.outcomes:
        raise ValueError(f"trial {trial.number} has no outcome {name!r}{suggest(name, list(trial.outcomes))}")
    old = trial.outcomes[name]
    try:
        new = read_outcome(rest, old.unit)
    except ValueError as error:
        raise ValueError(f"--set {text!r}: {error}") from error
    return name, new if new.sem is not None else new.model_copy(update={"sem": old.sem})


# ── putting them on record ──


def asked_entries(state: CampaignState, body: Mapping[str, Any]) -> list[Said]:
    """What a session that is asked puts on record.

    Args:
        state: of the campaign, up to date.
        body: of a request of kind `REQUEST`.

    Raises:
        InputError: it is no entry of this module, or its trial is not there.
    """
    kind, said = body.get("kind"), body.get("body")
    if kind not in _SAID or not isinstance(said, Mapping):
        raise InputError(f"{kind!r} is nothing that people put on record")
    if kind != kinds.CAMPAIGN_WITHDRAWN:
        _trial(state, said["trial"])
    return [(str(kind), dict(said))]


def put_on_record(store: Store, campaign: str, said: Said, *, wait: float = ANSWER_S) -> Entry:
    """Put an entry of this module on record, by the session that runs or in its absence; return it.

    Args:
        store: an open store.
        campaign: id.
        said: the entry.
        wait: wall seconds in which a session that runs is to answer.

    Raises:
        NotAnswered: a session runs and has not answered; nothing is on record.
        InputError: the session refused.
    """
    kind, body = said

    def found(later: Sequence[Entry]) -> Entry | None:
        return next((entry for entry in later if {k: v for k, v in entry.body.items() if k != "origin"} == body), None)

    statement = Statement(REQUEST, {"kind": kind, "body": body}, entries=lambda: [said], shown_by=kind, found=found)
    return asking.put_on_record(store, actions_state(store, campaign), statement, wait=wait)
