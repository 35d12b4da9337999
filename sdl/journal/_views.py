"""Query tables derived from the journal: for lists and for people's own SQL. Drop them, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sdl.journal import kinds
from sdl.journal._canonical import canonical
from sdl.journal._entry import Entry
from sdl.journal._rows import CampaignHead, CampaignRow
from sdl.journal.state import CampaignState, TrialState, best_trial, fold

if TYPE_CHECKING:
    from sdl.journal._store import Store

__all__ = ["campaign_rows", "changed", "drop", "sync", "tables"]

_metadata = sa.MetaData()


def _view(name: str, keys: tuple[str, ...], *columns: sa.Column[Any]) -> sa.Table:
    numbers = {"trial", "attempt"}
    return sa.Table(
        name,
        _metadata,
        *(
            sa.Column(key, sa.BigInteger if key in numbers else sa.Text, primary_key=True, autoincrement=False)
            for key in keys
        ),
        *columns,
    )


def _times(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger) for name in names)


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text) for name in names)


_campaigns = _view(
    "view_campaigns",
    ("campaign",),
    *_texts("name", "status", "unit"),
    sa.Column("best", sa.Double),
    *_times("trials", "created", "updated", "seq"),
    *_texts("seal"),
)
"""`seq`: the entry up to which the rows of this campaign, in all views, are derived; `seal`: SHA-256 of those rows."""
_trials = _view(
    "view_trials",
    ("campaign", "trial"),
    *_texts("status", "parameters", "planner", "message"),
    *_times("proposed", "started", "ended"),
)
"""`parameters`: JSON."""
_outcomes = _view(
    "view_outcomes",
    ("campaign", "trial", "name"),
    sa.Column("value", sa.Double),
    sa.Column("sem", sa.Double),
    *_texts("unit"),
)
_steps = _view(
    "view_steps",
    ("campaign", "trial", "step", "attempt"),
    *_texts("station", "status", "message"),
    *_times("started", "ended"),
)
_runs = _view(
    "view_runs",
    ("campaign", "uid"),
    *_texts("step", "exit_status"),
    *_times("trial", "attempt", "started", "ended"),
)
"""`exit_status`: of the stop document; null while the run is open."""

tables = (_campaigns, _trials, _outcomes, _steps, _runs)

_Row = dict[str, Any]


def sync(store: Store, engine: sa.Engine) -> None:
    """Derive again the rows of each campaign whose journal has grown since."""
    heads = store.campaigns()
    cursors = _cursors(engine)
    for head in heads:
        if cursors.get(head.id) != head.seq:
            _replace(engine, head, *_derive(head, store.entries(head.id)))


def _cursors(engine: sa.Engine) -> dict[str, int]:
    """Campaign → entry up to which its views are derived; makes the tables anew where one is missing or of old form."""
    query = sa.select(_campaigns.c.campaign, _campaigns.c.seq)
    with engine.execution_options(writing=False).connect() as connection:
        if _complete(connection):
            return {row.campaign: row.seq for row in connection.execute(query)}
    with engine.begin() as connection:
        _metadata.drop_all(connection)
        _metadata.create_all(connection)
    return {}


def _complete(connection: sa.Connection) -> bool:
    """Whether all views are there with the columns of this release."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    return all(
        table.name in there and {c["name"] for c in inspector.get_columns(table.name)} == set(table.c.keys())
        for table in tables
    )


def changed(connection: sa.Connection) -> Iterator[str]:
    """Campaigns whose rows are not as they were derived."""
    if not _complete(connection):
        return  # they are derived anew when somebody asks for them
    rows: dict[Any, dict[sa.Table, list[_Row]]] = {}
    for table in tables:
        for row in connection.execute(sa.select(table)).mappings():
            rows.setdefault(row["campaign"], {}).setdefault(table, []).append(dict(row))
    for campaign, own in rows.items():
        heads = own.get(_campaigns, [])
        if len(heads) != 1 or heads[0]["seal"] != _seal(own):
            yield campaign


def _seal(rows: Mapping[sa.Table, Sequence[_Row]]) -> str:
    """SHA-256 of a campaign's rows in all views, whatever their order."""
    texts = [
        sorted(
            canonical([ascii(row[c]) for c in table.c.keys() if c != "seal"])  # noqa: SIM118 - a collection of columns
            for row in rows.get(table, ())
        )
        for table in tables
    ]
    return sha256(canonical(texts).encode()).hexdigest()


def drop(engine: sa.Engine) -> None:
    """Drop the views."""
    with engine.begin() as connection:
        _metadata.drop_all(connection)


def campaign_rows(connection: sa.Connection) -> list[CampaignRow]:
    """The list of campaigns, the oldest first."""
    c = _campaigns.c
    query = sa.select(c.campaign, c.name, c.status, c.trials, c.best, c.unit, c.created, c.updated)
    return [CampaignRow(*row) for row in connection.execute(query.order_by(c.created, c.campaign))]


def _derive(head: CampaignHead, entries: Iterable[Entry]) -> tuple[CampaignState, list[_Row]]:
    state, runs = CampaignState(id=head.id), dict[str, _Row]()
    for entry in entries:
        state = fold(state, entry)
        _note_run(runs, entry)
    return state, list(runs.values())


def _note_run(runs: dict[str, _Row], entry: Entry) -> None:
    body = entry.body
    if entry.kind == kinds.DOCUMENT and body["name"] == "start":
        runs[body["doc"]["uid"]] = {
            "campaign": entry.campaign, "uid": body["doc"]["uid"], "trial": body["trial"], "step": body["step"],
            "attempt": body["attempt"], "started": entry.at, "ended": None, "exit_status": None,
        }  # fmt: skip
    elif entry.kind == kinds.RUN_INTERRUPTED or (entry.kind == kinds.DOCUMENT and body["name"] == "stop"):
        run = runs.get(body["doc"]["run_start"])
        if run is not None:
            run.update(ended=entry.at, exit_status=body["doc"].get("exit_status"))


def _replace(engine: sa.Engine, head: CampaignHead, state: CampaignState, runs: list[_Row]) -> None:
    rows: dict[sa.Table, list[_Row]] = {
        _campaigns: [_campaign_row(head, state)],
        _trials: [_trial_row(state.id, trial) for trial in state.trials.values()],
        _outcomes: [row for trial in state.trials.values() for row in _outcome_rows(state.id, trial)],
        _steps: [row for trial in state.trials.values() for row in _step_rows(state.id, trial)],
        _runs: runs,
    }
    rows[_campaigns][0]["seal"] = _seal(rows)
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(table.delete().where(table.c.campaign == state.id))
            if values:
                connection.execute(table.insert(), values)


def _campaign_row(head: CampaignHead, state: CampaignState) -> _Row:
    best = best_trial(state)
    outcome = None
    if best is not None and state.spec is not None:
        outcome = best.outcomes[state.spec.problem.objectives[0].name]
    return {
        "campaign": head.id,
        "name": head.name,
        "status": state.status,
        "trials": len(state.trials),
        "best": outcome.value if outcome else None,
        "unit": outcome.unit if outcome else "",
        "created": head.created_at,
        "updated": state.updated_at or head.created_at,
        "seq": state.seq,
    }


def _trial_row(campaign: str, trial: TrialState) -> _Row:
    return {
        "campaign": campaign,
        "trial": trial.number,
        "status": str(trial.status),
        "parameters": canonical(trial.parameters),
        "planner": trial.planner.get("name", ""),
        "message": trial.message,
        "proposed": trial.proposed_at,
        "started": trial.started_at,
        "ended": trial.ended_at,
    }


def _outcome_rows(campaign: str, trial: TrialState) -> Iterator[_Row]:
    for name, outcome in trial.outcomes.items():
        yield {
            "campaign": campaign, "trial": trial.number, "name": name,
            "value": outcome.value, "sem": outcome.sem, "unit": outcome.unit,
        }  # fmt: skip


def _step_rows(campaign: str, trial: TrialState) -> Iterator[_Row]:
    for step in trial.steps:
        yield {
            "campaign": campaign, "trial": trial.number, "step": step.name, "attempt": step.attempt,
            "station": step.station, "status": step.status, "message": step.message,
            "started": step.started_at, "ended": step.ended_at,
        }  # fmt: skip
