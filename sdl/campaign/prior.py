"""Prior knowledge from earlier campaigns, read once, when a campaign is created.

What was read stands in the problem, and so in the journal: a planner stays a function of what is on record, and a
campaign that goes on knows what it knew when it began, whatever became of the others meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdl.campaign._knowledge import notes_on
from sdl.campaign.files import LoadedCampaign
from sdl.journal import Store
from sdl.journal.state import CampaignState, TrialState
from sdl.model import (
    CategoricalParameter,
    InputError,
    Outcome,
    Parameter,
    PriorSource,
    Problem,
    SdlError,
    Source,
    TrialStatus,
)
from sdl.model.measured import in_unit
from sdl.model.units import convert

__all__ = ["source_from_campaign", "with_prior"]


def with_prior(loaded: LoadedCampaign, store: Store, state: CampaignState | None = None) -> LoadedCampaign:
    """A campaign with the prior knowledge of its file in its problem.

    Args:
        loaded: the campaign as its files have it.
        store: of the campaign; its prior knowledge may come from others.
        state: of the campaign, where it has begun: it then keeps what it knew.

    Raises:
        InputError: every source that cannot be used.
    """
    spec = loaded.spec
    if not any(given.campaign for given in spec.learn_from):
        return loaded
    begun = state.spec if state is not None else None
    sources = begun.problem.sources if begun is not None else _gathered(loaded, store)
    problem = spec.problem.model_copy(update={"sources": sources})
    return replace(loaded, spec=spec.model_copy(update={"problem": problem}))


def _gathered(loaded: LoadedCampaign, store: Store) -> tuple[Source, ...]:
    """Sources in the order of the file; tables are in the problem already."""
    problem = loaded.spec.problem
    tables = {source.name: source for source in problem.sources}
    found: list[Source] = [source for source in problem.sources if source.name not in _inputs(loaded)]
    faults = []
    for given in loaded.spec.learn_from:
        if given.input is not None:
            found.append(tables[given.input])
            continue
        try:
            found.append(_from_store(given, problem, store, loaded.folder))
        except SdlError as error:
            faults.append(f"learn_from campaign {given.campaign!r}: {error}")
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        faults.append(f"learn_from names {', '.join(twice)} twice")
    if faults:
        raise InputError("; ".join(faults))
    return tuple(found)


def _inputs(loaded: LoadedCampaign) -> set[str]:
    return {given.input for given in loaded.spec.learn_from if given.input is not None}


def _from_store(given: PriorSource, problem: Problem, store: Store, folder: Path) -> Source:
    assert given.campaign is not None
    if given.store is None:
        return source_from_campaign(store.state(store.resolve(given.campaign)), problem, given)
    with Store.open(folder / given.store, create=False) as other:
        return source_from_campaign(other.state(other.resolve(given.campaign)), problem, given)


def source_from_campaign(state: CampaignState, problem: Problem, given: PriorSource) -> Source:
    """What the observed trials of a campaign say of a problem, in the problem's units.

    Parameters that the other campaign does not have are left out and noted, and so are values of a categorical
    parameter that are no level here, with their trials.

    Raises:
        InputError: nothing of it is of use here, or units do not convert.
    """
    if state.spec is None:
        raise InputError("it has not begun")
    theirs = {p.name: p for p in state.spec.problem.parameters}
    ours = {p.name: p for p in problem.searched if given.rename.get(p.name, p.name) in theirs}
    wanted = {o.name: o.unit for o in (*problem.objectives, *problem.outcome_constraints)}
    strange = sorted(set(given.rename) - set(problem.parameter_names) - set(wanted))
    if strange:
        raise InputError(f"rename names {', '.join(strange)}, which is no parameter or outcome of this campaign")
    observed = [t for t in state.trials.values() if t.status is TrialStatus.OBSERVED]
    told = {name: unit for name, unit in wanted.items() if _measured(observed, given.rename.get(name, name))}
    if not ours or not told:
        what = "parameters" if not ours else "observed outcomes"
        known = sorted(theirs) if not ours else sorted({name for t in observed for name in t.outcomes})
        raise InputError(f"it shares no {what} with this campaign; it has {', '.join(known) or 'none'}")
    faults = [f for name, p in ours.items() if (f := _mismatch(p, theirs[given.rename.get(name, name)]))]
    if faults:
        raise InputError("; ".join(faults))
    rows = [t for t in observed if _usable(t, ours, given.rename)]
    if not rows:
        raise InputError("none of its trials has values that this campaign knows")
    notes = notes_on(problem, ours, told)
    if len(rows) < len(observed):
        notes = (*notes, f"{len(observed) - len(rows)} of its {len(observed)} trials have levels that are unknown here")
    columns = {name: [_outcome(t, given.rename.get(name, name), unit) for t in rows] for name, unit in told.items()}
    return Source(
        name=state.name,
        kind=given.kind,
        parameters={name: tuple(_values(rows, p, theirs, given.rename)) for name, p in ours.items()},
        outcomes={name: tuple(o.value if o else None for o in column) for name, column in columns.items()},
        sems={
            name: tuple(o.sem if o else None for o in column)
            for name, column in columns.items()
            if any(o is not None and o.sem is not None for o in column)
        },
        cost=given.cost,
        notes=notes,
    )


def _measured(trials: list[TrialState], name: str) -> bool:
    return any(name in trial.outcomes for trial in trials)


def _mismatch(ours: Parameter, theirs: Parameter) -> str:
    """Why two parameters cannot stand for each other; empty when they can."""
    text = isinstance(ours, CategoricalParameter)
    other_text = isinstance(theirs, CategoricalParameter) or isinstance(getattr(theirs, "value", None), str)
    if text is not other_text:
        return f"{ours.name} is {'text' if text else 'a number'} here and {theirs.name} is not"
    if not text:
        try:
            convert(1.0, theirs.unit, ours.unit)
        except ValueError as error:
            return f"{ours.name}: {error}"
    return ""


def _usable(trial: TrialState, ours: Mapping[str, Any], rename: Mapping[str, str]) -> bool:
    for name, parameter in ours.items():
        value = trial.parameters.get(rename.get(name, name))
        if value is None or (isinstance(parameter, CategoricalParameter) and value not in parameter.levels):
            return False
    return True


def _values(
    rows: list[TrialState], ours: Parameter, theirs: Mapping[str, Parameter], rename: Mapping[str, str]
) -> Iterator[Any]:
    name = rename.get(ours.name, ours.name)
    for trial in rows:
        value = trial.parameters[name]
        yield value if isinstance(value, str) else convert(float(value), theirs[name].unit, ours.unit)


def _outcome(trial: TrialState, name: str, unit: str) -> Outcome | None:
    outcome = trial.outcomes.get(name)
    try:
        return None if outcome is None else in_unit(outcome, unit)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
