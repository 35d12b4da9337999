"""Trials that a person tells a campaign of: made by hand or elsewhere, with what came of them.

Each is two entries, `trial.proposed` by the planner `person:NAME` and `trial.observed` (or `trial.infeasible`), so that
planners count it as they count any other; it uses nothing of the budget. A session that runs has the campaign's lease
and writes it; where none runs, it is written at once.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sdl.campaign._doubt import actions_state, has_session
from sdl.campaign._told import Told, read_assignments, read_told
from sdl.campaign.corrections import Said
from sdl.campaign.doubts import NotAnswered, signed
from sdl.campaign.initial import quantities
from sdl.campaign.rules import PERSON
from sdl.journal import LeaseHeld, Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import FileFault, InputError, Outcome, Problem
from sdl.model.units import convert
from sdl.plugins import suggest

__all__ = ["REQUEST", "Told", "asked_trials", "read_assignments", "read_told", "tell", "told_entries"]

REQUEST: Final = "tell"
"""Kind of the request that asks a session to put trials on record; its body has `trials`, `by` and `note`."""

_ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.1
_MOST: Final = 10_000
"""Trials that are told at once."""
_PLUS_MINUS: Final = re.compile(r"±|\+/-|\+-")


# ── the entries ──


def told_entries(state: CampaignState, trials: Sequence[Told], by: str, note: str = "") -> list[Said]:
    """The entries that put trials on record.

    Args:
        state: of the campaign, up to date; new trials get the numbers after its last.
        trials: at least one.
        by: name of the person.
        note: where they come from, for those who come after.

    Raises:
        InputError: everything that is wrong with them.
    """
    if state.spec is None:
        raise InputError(f"campaign {state.name or state.id!r} has not begun; begin it with `sdl run`")
    person = signed(by).removeprefix(PERSON)
    if not trials:
        raise InputError("tell it of a trial: values of its parameters and what came of it")
    if len(trials) > _MOST:
        raise InputError(f"{len(trials)} trials at once; the most is {_MOST}")
    faults: list[FileFault] = []
    entries: list[Said] = []
    number = max(state.trials, default=0)
    for told in trials:
        number += 1
        try:
            parameters, ending = _checked(state.spec.problem, told)
        except ValueError as error:
            faults.append(FileFault(str(error), told.source))
            continue
        reason = {"summary": f"told by {person}" + (f": {note.strip()}" if note.strip() else ""), "details": {}}
        proposed = {
            "trial": number,
            "parameters": parameters,
            "reason": reason,
            "planner": {"name": f"{PERSON}{person}", "version": "", "options": {}},
            "seed": 0,
            "known_seq": state.seq,
        }
        kind, body = ending
        entries += [(kinds.TRIAL_PROPOSED, proposed), (kind, {"trial": number, **body})]
    if faults:
        raise InputError(faults)
    return entries


def _checked(problem: Problem, told: Told) -> tuple[dict[str, Any], Said]:
    """Parameters and the entry of the end.

    Raises:
        ValueError: everything that is wrong with the trial.
    """
    faults = []
    parameters: dict[str, Any] = {}
    try:
        parameters = quantities(problem, told.parameters)
    except ValueError as error:
        faults.append(str(error))
    units = {o.name: o.unit for o in (*problem.outcome_constraints, *problem.objectives)}
    outcomes = {}
    for name, given in told.outcomes.items():
        try:
            if name not in units:
                raise ValueError(f"{name} is no outcome of this campaign{suggest(name, list(units))}")
            outcomes[name] = _outcome(name, given, units[name]).model_dump(mode="json")
        except ValueError as error:
            faults.append(str(error))
    if told.infeasible and told.outcomes:
        faults.append("a trial has outcomes or is infeasible, not both")
    elif not told.infeasible and (lacking := [o.name for o in problem.objectives if o.name not in told.outcomes]):
        faults.append(f"no outcome {', '.join(lacking)}; where no material came of it, say that it is infeasible")
    if faults:
        raise ValueError("; ".join(faults))
    if told.infeasible:
        return parameters, (kinds.TRIAL_INFEASIBLE, {"message": told.infeasible})
    return parameters, (kinds.TRIAL_OBSERVED, {"outcomes": outcomes, "runs": []})


def _outcome(name: str, given: Any, unit: str) -> Outcome:
    """An outcome from a number, or from `451.2 nm`, `451.2 ± 0.3 nm`, `0.45 um ± 2 nm`."""
    parts = [part.split(maxsplit=1) for part in _PLUS_MINUS.split(str(given))]
    if not 1 <= len(parts) <= 2 or not all(parts):
        raise ValueError(f"{name}: {given!r} is not a number with its unit, as in '451.2 ± 0.3 {unit}'")
    numbers = []
    for part in parts:
        try:
            value = float(part[0])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{name}: {part[0]!r} is not a finite number")
        numbers.append(value)
    units = [part[1].strip() for part in parts if len(part) > 1] or [unit]
    sem = None
    if len(numbers) == 2:
        if numbers[1] < 0:
            raise ValueError(f"{name}: a standard error is not below 0, got {numbers[1]:g}")
        sem = abs(convert(numbers[1], units[-1], unit) - convert(0.0, units[-1], unit))
    return Outcome(value=convert(numbers[0], units[0], unit), sem=sem, unit=unit)


# ── putting them on record ──


def asked_trials(state: CampaignState, body: Mapping[str, Any]) -> list[Said]:
    """What a session that is asked puts on record.

    Args:
        state: of the campaign, up to date.
        body: of a request of kind `REQUEST`.

    Raises:
        InputError: something is wrong with the trials.
    """
    trials = [Told(**{key: item[key] for key in ("parameters", "outcomes", "infeasible")}) for item in body["trials"]]
    return told_entries(state, trials, str(body["by"]), str(body["note"]))


def tell(
    store: Store, campaign: str, trials: Sequence[Told], by: str, note: str = "", *, wait: float = _ANSWER_S
) -> list[int]:
    """Put trials of a person on record, by the session that runs or in its absence; return their numbers.

    Args:
        store: an open store.
        campaign: id.
        trials: at least one.
        by: name of the person.
        note: where they come from.
        wait: wall seconds in which a session that runs is to answer.

    Raises:
        InputError: everything that is wrong with them, or the session refused.
        NotAnswered: a session runs and has not answered; nothing is on record.
    """
    state = actions_state(store, campaign)
    told_entries(state, trials, by, note)  # refuse at once
    request: int | None = None
    end = time.monotonic() + wait
    while True:
        if not has_session(store, campaign):
            if numbers := _write(store, campaign, trials, by, note, request, state.seq):
                return numbers
        elif request is None:
            plain = [
                {"parameters": dict(t.parameters), "outcomes": dict(t.outcomes), "infeasible": t.infeasible}
                for t in trials
            ]
            request = store.request(campaign, REQUEST, {"trials": plain, "by": by, "note": note})
        if answer := _answer(store, campaign, request):
            numbers = _recorded(store, campaign, trials, by, state.seq)
            if len(numbers) == len(trials):
                return numbers
            raise InputError(f"the session that runs the campaign refused: {answer}")
        if time.monotonic() > end:
            if request is not None:
                store.answer(request, "given up: it was not answered in time")
            raise NotAnswered(
                f"the campaign runs, and its session did not answer within {wait:g} s; nothing is on record. "
                "Tell it again later, or once the campaign has paused"
            )
        time.sleep(_LOOK_S)


def _write(
    store: Store, campaign: str, trials: Sequence[Told], by: str, note: str, request: int | None, after: int
) -> list[int]:
    """Put them on record in the absence of a session; none when one has just begun."""
    try:
        with store.writer(campaign) as writer:
            numbers = _recorded(store, campaign, trials, by, after) if request is not None else []
            if len(numbers) < len(trials):  # a session that has just ended may have written them
                entries = told_entries(store.state(campaign), trials, by, note)
                writer.submit_all(entries)[-1].result()
                numbers = [body["trial"] for kind, body in entries if kind == kinds.TRIAL_PROPOSED]
    except LeaseHeld:
        return []
    if request is not None:
        store.answer(request, "put on record without a session")
    return numbers


def _answer(store: Store, campaign: str, request: int | None) -> str:
    if request is None:
        return ""
    asked = store.requests(campaign, open_only=False)
    return next((one.answer for one in asked if one.id == request and one.taken_at), "")


def _recorded(store: Store, campaign: str, trials: Sequence[Told], by: str, after: int) -> list[int]:
    """Numbers of the last trials that this person told of since."""
    name = f"{PERSON}{signed(by).removeprefix(PERSON)}"
    later = store.entries(campaign, after=after, kinds={kinds.TRIAL_PROPOSED})
    return [entry.body["trial"] for entry in later if entry.body["planner"].get("name") == name][-len(trials) :]
