"""What random search would draw from: the outcomes of a whole pool, or those of campaigns that searched at random."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdl.fair._metrics_search import Reference
from sdl.lab.tables import Table, column_specs, read_table
from sdl.model import CategoricalParameter, InputError, TrialStatus
from sdl.model.units import convert

if TYPE_CHECKING:
    from sdl.journal import Store
    from sdl.journal.state import CampaignState
    from sdl.lab.spec import LabSpec

__all__ = ["NO_REFERENCE", "of_campaigns", "of_pool"]

NO_REFERENCE: Final = (
    "not known: the space is no pool whose outcomes are on record, and no campaign of the same problem in the store "
    "searched at random; run one with --set planner=random, or name one with --baseline"
)
_AT_RANDOM: Final = frozenset({"random", "sobol"})
"""Planners whose trials do not depend on outcomes."""


def of_pool(state: CampaignState, lab: LabSpec | None) -> Reference | None:
    """The outcomes of all candidates of a pool, where its table is in the journal and has the first objective.

    Replicates of a candidate count as their mean.

    Args:
        state: of the campaign.
        lab: the lab file of the journal, which may say what the columns are called.
    """
    spec = state.spec
    if spec is None or spec.pool is None:
        return None
    text = state.created.get("inputs", {}).get(spec.pool.input, {}).get("text")
    if not text:
        return None
    objective = spec.problem.objectives[0]
    simulated: Mapping[str, Any] = lab.simulation.options if lab is not None and lab.simulation is not None else {}
    named = simulated.get("outcomes") if isinstance(simulated.get("outcomes"), Mapping) else None
    column = (named or {}).get(objective.name, {"column": objective.name})
    try:
        outcome = column_specs({objective.name: column})[objective.name]
        columns = {
            p.name: {"column": spec.pool.columns.get(p.name, p.name), "text": isinstance(p, CategoricalParameter)}
            for p in spec.problem.searched
        }
        table = _read(text, column_specs(columns), {objective.name: outcome})
        unit = outcome.unit if outcome.unit != "1" else objective.unit
        scores = {
            key: objective.score(convert(sum(table.outcomes[objective.name][r] for r in rows) / len(rows), unit,
                                         objective.unit))
            for key, rows in table.groups.items()
        }  # fmt: skip
        found = {t.number: table.find(t.parameters) for t in state.trials.values()}
    except (InputError, ValueError, KeyError):  # the table has no such column: it holds candidates only
        return None
    of_trial = {number: scores[key] for number, key in found.items() if key is not None}
    return Reference(tuple(scores.values()), f"all {len(scores)} candidates of the pool", True, of_trial)


def _read(text: str, inputs: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Table:
    with tempfile.TemporaryDirectory(prefix="sdl-metrics-") as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text, encoding="utf-8")
        return read_table(path, inputs, outcomes)


def of_campaigns(store: Store, state: CampaignState, baseline: str = "") -> Reference | None:
    """The outcomes of campaigns of the same problem that searched at random, in the same store.

    Args:
        store: an open store.
        state: of the campaign that is compared.
        baseline: name or id of the one to compare with, whatever its planner; empty for all that searched at random.

    Raises:
        InputError: there is no such campaign, or its problem is another one.
    """
    if state.spec is None:
        return None
    others = [store.resolve(baseline)] if baseline else [id_ for id_ in _at_random(store) if id_ != state.id]
    scores: list[float] = []
    names: list[str] = []
    for id_ in others:
        other = store.state(id_) if baseline or _same_problem(store, id_, state) else None
        if other is None or other.spec is None:
            continue
        if baseline and other.spec.problem != state.spec.problem:
            raise InputError(f"campaign {other.name!r} has another problem than {state.name!r}: they do not compare")
        own = list(_scores(other, any_planner=bool(baseline)))
        scores += own
        names += [other.name] if own else []
    if not scores:
        return None
    trials = "1 trial" if len(scores) == 1 else f"{len(scores)} trials"
    return Reference(tuple(scores), f"the {trials} of {', '.join(dict.fromkeys(names))}, in any order", False)


def _at_random(store: Store) -> list[str]:
    """Campaigns with a trial that was drawn at random, the oldest first."""
    import sqlalchemy as sa

    from sdl.fair._seen import whole_of
    from sdl.journal._views import tables

    whole = whole_of(store)
    whole.sync_views()
    trials = next(table for table in tables if table.name == "view_trials").c
    with whole._read() as connection:
        query = sa.select(trials.campaign).where(trials.planner.in_(sorted(_AT_RANDOM))).distinct()
        found = set(connection.execute(query).scalars())
    return [head.id for head in store.campaigns() if head.id in found]


def _same_problem(store: Store, campaign: str, state: CampaignState) -> bool:
    from sdl.journal import kinds

    assert state.spec is not None
    entry = next(iter(store.entries(campaign, kinds={kinds.CAMPAIGN_CREATED})), None)
    return entry is not None and entry.body["spec"]["problem"] == state.spec.problem.model_dump(mode="json")


def _scores(state: CampaignState, *, any_planner: bool) -> Iterator[float]:
    assert state.spec is not None
    objective = state.spec.problem.objectives[0]
    for trial in state.trials.values():
        drawn = any_planner or trial.planner.get("name") in _AT_RANDOM
        if drawn and trial.status is TrialStatus.OBSERVED and objective.name in trial.outcomes:
            yield objective.score(trial.outcomes[objective.name].value)
