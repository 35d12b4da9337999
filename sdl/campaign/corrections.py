"""What people say of a campaign afterwards: outcomes put right, notes on trials, and the withdrawal of its data.

Each is one entry more. Nothing is rewritten: the fold shows what holds now and keeps what it was, and planners are told
what holds. A session that runs has the campaign's lease and writes it; where none runs, it is written at once.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sdl.campaign._doubt import actions_state, has_session
from sdl.campaign.doubts import NotAnswered, signed
from sdl.journal import Entry, LeaseHeld, Store, kinds
from sdl.journal.state import CampaignState, TrialState
from sdl.model import FileFault, InputError, Outcome, TrialStatus
from sdl.model.units import convert
from sdl.plugins import suggest

__all__ = ["REQUEST", "Said", "annotation", "asked_entries", "correction", "put_on_record", "withdrawal"]

REQUEST: Final = "entry"
"""Kind of the request that asks a session to put one of these on record; its body has the `kind` and `body`."""

_ANSWER_S: Final = 10.0
"""Wall seconds in which a session answers."""
_LOOK_S: Final = 0.1
"""Wall seconds between two looks for its answer."""
_LONGEST: Final = 10_000
"""Characters of a reason or a note."""
_SAID: Final = frozenset({kinds.TRIAL_CORRECTED, kinds.TRIAL_ANNOTATED, kinds.CAMPAIGN_WITHDRAWN})
_PLUS_MINUS: Final = re.compile(r"±|\+/-|\+-")

Said = tuple[str, dict[str, Any]]
"""Kind and body of an entry."""


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
    name, equals, rest = text.partition("=")
    name = name.strip()
    parts = [part.split(maxsplit=1) for part in _PLUS_MINUS.split(rest)]
    if not equals or not 1 <= len(parts) <= 2 or not all(parts):
        raise ValueError(f"--set {text!r}: write it as in NAME=VALUE, 'peak=451.2 nm' or 'peak=451.2 ± 0.3 nm'")
    if name not in trial.outcomes:
        raise ValueError(f"trial {trial.number} has no outcome {name!r}{suggest(name, list(trial.outcomes))}")
    old = trial.outcomes[name]
    numbers, units = [_number(part[0], text) for part in parts], [part[1].strip() for part in parts if len(part) > 1]
    # `451.2 ± 0.3 nm` has one unit for both, `0.45 um ± 2 nm` one for each.
    first, last = (units[0], units[-1]) if units else (old.unit, old.unit)
    sem = old.sem
    if len(numbers) == 2:
        if numbers[1] < 0:
            raise ValueError(f"--set {text!r}: a standard error is not below 0")
        # As a difference: 0.5 degC of it are 0.5 K.
        sem = abs(convert(numbers[1], last, old.unit) - convert(0.0, last, old.unit))
    return name, Outcome(value=convert(numbers[0], first, old.unit), sem=sem, unit=old.unit)


def _number(text: str, given: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"--set {given!r}: {text!r} is not a finite number")
    return value


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


def put_on_record(store: Store, campaign: str, said: Said, *, wait: float = _ANSWER_S) -> Entry:
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
    seq = actions_state(store, campaign).seq
    end = time.monotonic() + wait
    request: int | None = None
    while True:
        if not has_session(store, campaign):
            try:
                with store.writer(campaign) as writer:
                    # A session that has just ended may have written it.
                    entry = _recorded(store, campaign, said, seq) or writer.append(kind, body)
                _close(store, request, "put on record without a session")
                return entry
            except LeaseHeld:
                pass
        if request is None:
            request = store.request(campaign, REQUEST, {"kind": kind, "body": body})
        if answer := _answer(store, campaign, request):
            if found := _recorded(store, campaign, said, seq):
                return found
            raise InputError(f"the session that runs the campaign refused: {answer}")
        if time.monotonic() > end:
            _close(store, request, "given up: it was not answered in time")
            if found := _recorded(store, campaign, said, seq):
                return found
            raise NotAnswered(
                f"the campaign runs, and its session did not answer within {wait:g} s; nothing is on record. "
                "Say it again later, or once the campaign has paused"
            )
        time.sleep(_LOOK_S)


def _answer(store: Store, campaign: str, request: int) -> str:
    asked = store.requests(campaign, open_only=False)
    return next((one.answer for one in asked if one.id == request and one.taken_at), "")


def _close(store: Store, request: int | None, text: str) -> None:
    if request is not None:
        store.answer(request, text)


def _recorded(store: Store, campaign: str, said: Said, after: int) -> Entry | None:
    kind, body = said
    later = store.entries(campaign, after=after, kinds={kind})
    return next((entry for entry in later if {k: v for k, v in entry.body.items() if k != "origin"} == body), None)
