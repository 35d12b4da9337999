"""Query tables derived from the journal: for lists and for people's own SQL. Drop them, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sdl.journal import kinds
from sdl.journal._canonical import canonical
from sdl.journal._database import Database, exclude_others
from sdl.journal._entry import Entry
from sdl.journal._rows import CampaignHead, CampaignRow
from sdl.journal._select import distinct, raw_rows
from sdl.journal._tables import derived, names_of, trial_names, trial_values, values_of
from sdl.journal.state import CampaignState, TrialState, best_trial, fold

if TYPE_CHECKING:
    from sdl.journal._store import Store

__all__ = ["campaign_rows", "changed", "compare", "derived_for", "drop", "sync", "tables"]


def _view(name: str, keys: tuple[str, ...], *columns: sa.Column[Any]) -> sa.Table:
    numbers = {"trial", "attempt"}
    return sa.Table(
        name,
        derived,
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

tables = (_campaigns, _trials, _outcomes, _steps, _runs, trial_values, trial_names)

_Row = dict[str, Any]
_GROWN = 3
"""Times as many rows as were counted call for counting anew."""


def sync(store: Store, engine: sa.Engine) -> None:
    """Derive again the rows of each campaign whose journal has grown since."""
    heads = store.campaigns()
    cursors = _cursors(engine)
    grown = [head for head in heads if cursors.get(head.id) != head.seq]
    for head in grown:
        _replace(engine, head, *_derive(head, store.for_the_fold(head.id)))
    if grown:
        _count(store.database, engine)


def _count(database: Database, engine: sa.Engine) -> None:
    """Let the planning of queries know about rows that came; without that a query takes seconds in place of 2 ms."""
    with engine.begin() as connection:
        rows = connection.execute(sa.select(sa.func.sum(trial_names.c.trials))).scalar() or 0
        if rows > _GROWN * database.counted(connection, trial_values.name):
            exclude_others(connection)
            database.count(connection, [table.name for table in tables])


def _cursors(engine: sa.Engine) -> dict[str, int]:
    """Campaign → entry up to which its views are derived; makes the tables anew where one is missing or of old form."""
    query = sa.select(_campaigns.c.campaign, _campaigns.c.seq)
    with engine.execution_options(writing=False).connect() as connection:
        if _complete(connection):
            return {row.campaign: row.seq for row in connection.execute(query)}
    with engine.begin() as connection:
        exclude_others(connection)
        derived.drop_all(connection)
        derived.create_all(connection)
    return {}


def _complete(connection: sa.Connection) -> bool:
    """Whether all views are there with the columns of this release."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    return all(
        table.name in there and {c["name"] for c in inspector.get_columns(table.name)} == set(table.c.keys())
        for table in tables
    )


def derived_for(connection: sa.Connection) -> list[Any]:
    """Campaigns that have derived rows; none where the tables are of another release, for then they are made anew."""
    if not _complete(connection):
        return []
    return sorted(set().union(*(distinct(connection, table.c.campaign) for table in tables)), key=repr)


def changed(connection: sa.Connection, campaigns: Iterable[Any]) -> Iterator[Any]:
    """Of some campaigns those whose rows are not as they were derived."""
    for campaign in campaigns:
        try:
            own = {table: _stored(connection, table, campaign) for table in tables}
            heads = connection.execute(sa.select(_campaigns.c.seal).where(_campaigns.c.campaign == campaign)).all()
        except UnicodeEncodeError:  # an id that was changed
            yield campaign
            continue
        if len(heads) != 1 or heads[0].seal != _seal(own):
            yield campaign


def _stored(connection: sa.Connection, table: sa.Table, campaign: Any) -> list[tuple[Any, ...]]:
    columns = [column for column in table.c if column.name != "seal"]
    return list(raw_rows(connection, sa.select(*columns).where(table.c.campaign == campaign)))


def _values(table: sa.Table, rows: Iterable[_Row]) -> list[tuple[Any, ...]]:
    names = [column.name for column in table.c if column.name != "seal"]
    return [tuple([row[name] for name in names]) for row in rows]


def _seal(rows: Mapping[sa.Table, Iterable[tuple[Any, ...]]]) -> str:
    """SHA-256 of a campaign's rows in all views, whatever their order."""
    sealed = sha256()
    for table in tables:
        # Damaged texts have lone surrogates in them, which `ascii` escapes.
        sealed.update("\n".join([*sorted(map(ascii, rows[table])), table.name]).encode())
    return sealed.hexdigest()


def drop(engine: sa.Engine) -> None:
    """Drop the views."""
    with engine.begin() as connection:
        exclude_others(connection)
        derived.drop_all(connection)


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


def _rows_of(head: CampaignHead, state: CampaignState, runs: list[_Row]) -> dict[sa.Table, list[_Row]]:
    """All derived rows of a campaign."""
    rows: dict[sa.Table, list[_Row]] = {
        _campaigns: [_campaign_row(head, state)],
        _trials: [_trial_row(state.id, trial) for trial in state.trials.values()],
        _outcomes: [row for trial in state.trials.values() for row in _outcome_rows(state.id, trial)],
        _steps: [row for trial in state.trials.values() for row in _step_rows(state.id, trial)],
        _runs: runs,
        trial_values: values_of(state),
    }
    rows[trial_names] = names_of(rows[trial_values])
    return rows


def _replace(engine: sa.Engine, head: CampaignHead, state: CampaignState, runs: list[_Row]) -> None:
    rows = _rows_of(head, state, runs)
    rows[_campaigns][0]["seal"] = _seal({table: _values(table, rows[table]) for table in tables})
    with engine.begin() as connection:
        exclude_others(connection)
        for table, values in rows.items():
            connection.execute(table.delete().where(table.c.campaign == state.id))
            if values:
                connection.execute(table.insert(), values)


def compare(store: Store, engine: sa.Engine, head: CampaignHead) -> tuple[int, bool]:
    """Up to which entry the rows of a campaign are derived (−1: none), and whether they are what the journal gives.

    The latter is False where they are not up to date.
    """
    with engine.connect() as connection:
        upto = connection.execute(sa.select(_campaigns.c.seq).where(_campaigns.c.campaign == head.id)).scalar()
        stored = {table: sorted(map(ascii, _stored(connection, table, head.id))) for table in tables}
    if upto != head.seq:
        return -1 if upto is None else upto, False
    rows = _rows_of(head, *_derive(head, store.for_the_fold(head.id, upto=head.seq)))
    return head.seq, all(stored[table] == sorted(map(ascii, _values(table, rows[table]))) for table in tables)


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
