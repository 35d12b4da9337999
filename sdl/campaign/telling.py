"""Trials that a person tells a campaign of: made by hand or elsewhere, with what came of them.

Each is two entries, `trial.proposed` by the planner `person:NAME` and `trial.observed` (or `trial.infeasible`), so that
planners count it as they count any other; it uses nothing of the budget. A session that runs has the campaign's lease
and writes it; where none runs, it is written at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sdl.campaign._doubt import actions_state
from sdl.campaign._told import Told, read_assignments, read_told
from sdl.campaign.asking import ANSWER_S, Said, Statement, put_on_record
from sdl.campaign.doubts import signed
from sdl.campaign.initial import quantities
from sdl.campaign.rules import PERSON
from sdl.journal import Entry, Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import FileFault, InputError, Problem
from sdl.model.measured import read_outcome
from sdl.plugins import suggest

__all__ = ["REQUEST", "Told", "asked_trials", "read_assignments", "read_told", "tell", "told_entries"]

REQUEST: Final = "tell"
"""Kind of the request that asks a session to put trials on record; its body has `trials`, `by` and `note`."""

_MOST: Final = 10_000
"""Trials that are told at once."""


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
        if name not in units:
            faults.append(f"{name} is no outcome of this campaign{suggest(name, list(units))}")
            continue
        try:
            outcomes[name] = read_outcome(given, units[name]).model_dump(mode="json")
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if told.infeasible and told.outcomes:
        faults.append("a trial has outcomes or is infeasible, not both")
    elif not told.infeasible and (lacking := [o.name for o in problem.objectives if o.name not in told.outcomes]):
        faults.append(f"no outcome {', '.join(lacking)}; where no material came of it, say that it is infeasible")
    if faults:
        raise ValueError("; ".join(faults))
    if told.infeasible:
        return parameters, (kinds.TRIAL_INFEASIBLE, {"message": told.infeasible})
    return parameters, (kinds.TRIAL_OBSERVED, {"outcomes": outcomes, "runs": []})


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
    store: Store, campaign: str, trials: Sequence[Told], by: str, note: str = "", *, wait: float = ANSWER_S
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
    planner = f"{PERSON}{signed(by).removeprefix(PERSON)}"

    def found(later: Sequence[Entry]) -> list[int] | None:
        """Numbers of the last trials that this person told of."""
        numbers = [entry.body["trial"] for entry in later if entry.body["planner"].get("name") == planner]
        return numbers[-len(trials) :] if len(numbers) >= len(trials) else None

    plain = [
        {"parameters": dict(t.parameters), "outcomes": dict(t.outcomes), "infeasible": t.infeasible} for t in trials
    ]
    statement = Statement(
        REQUEST,
        {"trials": plain, "by": by, "note": note},
        entries=lambda: told_entries(store.state(campaign), trials, by, note),
        shown_by=kinds.TRIAL_PROPOSED,
        found=found,
    )
    return put_on_record(store, state, statement, wait=wait)
