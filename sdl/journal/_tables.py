"""The derived tables that questions are put to: every value of every trial, one row each.

They hold nothing that the journal does not tell, and are part of the views: `refresh` brings them up to date for the
campaigns whose journals have grown, `Store.rebuild_views` makes them anew, and `Store.verify` compares their seal.

A question with several conditions takes one search of the index (name, value) or (name, text) for each. Units differ
from campaign to campaign: `trial_names` says which campaign has which names, in which unit and range, so that a
condition is converted once for each campaign, and campaigns without its name are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from sdl.journal._canonical import canonical

if TYPE_CHECKING:
    from sdl.journal._store import Store
    from sdl.journal.samples import SampleState
    from sdl.journal.state import CampaignState, TrialState

__all__ = ["ROLES", "derived", "names_of", "refresh", "trial_names", "trial_values", "values_of"]

ROLES: Final = ("parameter", "outcome", "sample", "stock", "instrument", "person")
"""What a row of `trial_values` is about:

| role | name | value, unit | text |
| --- | --- | --- | --- |
| parameter | of the parameter | the number, in the unit of the problem | of a categorical one |
| outcome | of the outcome | the number, with its `sem`, in the unit on record | – |
| sample | `id`, `label`, `barcode` | – | of each sample that the trial made |
| stock | item | the amount that was set aside | its lot |
| instrument | `device`, `station` | – | each that took part |
| person | `creator`, `orcid` | – | of the campaign: these rows have trial 0, and hold for all trials of it |
| person | `by` | – | who settled a doubt of the trial, corrected or annotated it |

Status, planner and message of a trial are in `view_trials`.
"""

derived = sa.MetaData()


def _key(name: str, kind: type[sa.Text | sa.BigInteger] = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False, nullable=False)


trial_values = sa.Table(
    "trial_values",
    derived,
    _key("campaign"),
    _key("trial", sa.BigInteger),
    _key("role"),
    _key("name"),
    _key("n", sa.BigInteger),
    sa.Column("value", sa.Double),
    sa.Column("sem", sa.Double),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("text", sa.Text),
    sa.Index("trial_values_by_value", "name", "value"),
    sa.Index("trial_values_by_text", "text", "name", sqlite_where=sa.text("text IS NOT NULL")),
    sqlite_with_rowid=False,  # so each index holds campaign and trial as well, and answers without the table
)
"""`n`: 0, or 1, 2 … for further rows of one name, as of a second sample. `value`: number, null where there is none.
`text`: null for numbers but those of stock; cut after 500 characters, so that it fits an index. `unit`: as on record,
"1" for a pure number, "" where there is no number."""

trial_names = sa.Table(
    "trial_names",
    derived,
    _key("campaign"),
    _key("role"),
    _key("name"),
    _key("unit"),
    sa.Column("trials", sa.BigInteger, nullable=False),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Index("trial_names_by_name", "name"),
    sqlite_with_rowid=False,
)
"""Each name of a parameter or an outcome that a campaign has values for: in how many trials, and their range."""

_Row = dict[str, Any]
_LONGEST: Final = 500
"""Characters of a text; PostgreSQL takes 2,700 bytes into an index."""


def refresh(store: Store) -> None:
    """Bring the derived tables up to date with the journal: only campaigns that have grown are derived again.

    Raises:
        StoreError: the store cannot be read or written, or an entry is damaged.
    """
    store.sync_views()


def values_of(state: CampaignState) -> list[_Row]:
    """Rows of `trial_values` for a campaign."""
    units = _units(state)
    samples: dict[int, list[SampleState]] = {}
    for sample in state.samples.values():
        samples.setdefault(sample.trial, []).append(sample)
    people = [] if state.spec is None else _creators(state.spec.creators)
    return [*_numbered(state.id, 0, people)] + [
        row
        for trial in state.trials.values()
        for row in _numbered(
            state.id,
            trial.number,
            _of_trial(trial, units),
            _of_samples(samples.get(trial.number, ())),
            (("stock", r.item, float(r.amount), None, r.unit, r.lot) for r in state.reserved.get(trial.number, ())),
        )
    ]


_Value = tuple[str, str, float | None, float | None, str, str | None]
"""Role, name, value, sem, unit, text."""


def _numbered(campaign: str, trial: int, *parts: Iterable[_Value]) -> Iterator[_Row]:
    seen: dict[tuple[str, str], int] = {}
    for part in parts:
        for role, name, value, sem, unit, text in part:
            n = seen[role, name] = seen.get((role, name), -1) + 1
            yield {
                "campaign": campaign, "trial": trial, "role": role, "name": name, "n": n, "value": value, "sem": sem,
                "unit": unit, "text": None if text is None else text[:_LONGEST],
            }  # fmt: skip


def _units(state: CampaignState) -> Mapping[str, str]:
    """Parameter → unit."""
    if state.spec is None:
        return {}
    return {p.name: getattr(p, "unit", "") for p in state.spec.problem.parameters}


def _of_trial(trial: TrialState, units: Mapping[str, str]) -> Iterator[_Value]:
    for name, given in trial.parameters.items():
        yield _parameter(name, given, units.get(name, ""))
    for name, outcome in trial.outcomes.items():
        yield "outcome", name, outcome.value, outcome.sem, outcome.unit, None
    yield from _texts("instrument", "station", (step.station for step in trial.steps))
    yield from _texts("instrument", "device", (action.device for action in trial.actions.values()))
    who = [action.by for action in trial.actions.values()]
    yield from _texts("person", "by", [*who, *(c.by for c in trial.corrections), *(n.by for n in trial.notes)])


def _parameter(name: str, given: Any, unit: str) -> _Value:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return "parameter", name, float(given), None, unit or "1", None
    return "parameter", name, None, None, "", given if isinstance(given, str) else canonical(given)


def _of_samples(samples: Iterable[SampleState]) -> Iterator[_Value]:
    for sample in samples:
        for name, text in (("id", sample.id), ("label", sample.label), ("barcode", sample.barcode)):
            yield from _texts("sample", name, (text,))


def _creators(creators: Iterable[Any]) -> list[_Value]:
    found = [_texts("person", "creator", (c.name,)) for c in creators]
    found += [_texts("person", "orcid", (c.orcid or "",)) for c in creators]
    return [value for values in found for value in values]


def _texts(role: str, name: str, texts: Iterable[str]) -> list[_Value]:
    """One value for each different text that is not empty, in order."""
    return [(role, name, None, None, "", text) for text in dict.fromkeys(texts) if text]


def names_of(values: Iterable[Mapping[str, Any]]) -> list[_Row]:
    """Rows of `trial_names` for the values of one campaign."""
    found: dict[tuple[str, str, str], _Row] = {}
    for row in values:
        if row["role"] not in ("parameter", "outcome"):
            continue
        key = (row["role"], row["name"], row["unit"])
        value = row["value"]
        known = found.setdefault(
            key, {"campaign": row["campaign"], "role": key[0], "name": key[1], "unit": key[2], "trials": 0,
                  "low": value, "high": value},
        )  # fmt: skip
        known["trials"] += 1
        if value is not None and known["low"] is not None:
            known["low"], known["high"] = min(known["low"], value), max(known["high"], value)
    return list(found.values())
