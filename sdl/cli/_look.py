"""`sdl list` and `sdl show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from sdl.campaign.doubts import Doubt, list_doubts
from sdl.campaign.inventory import today
from sdl.campaign.rehearsal.score import Score, score
from sdl.cli._as import only_data, opened_as, show_described
from sdl.cli._doubts import WAYS, how_to_resolve
from sdl.cli._format import console, duration, number, outcome, plain, print_json, when
from sdl.cli._quote import print_score
from sdl.fair.access import data_verdict, require_data, role_of, seen_by
from sdl.journal import CampaignRow, Store, kinds
from sdl.journal.actions import ActionState
from sdl.journal.location import StoreLocation, shown
from sdl.journal.state import CampaignState, StepState, TrialState, best_trial
from sdl.model import InputError, TrialStatus
from sdl.plugins import suggest

__all__ = ["list_command", "show_command"]

_STYLES = {
    TrialStatus.OBSERVED: "green",
    TrialStatus.INFEASIBLE: "magenta",
    TrialStatus.FAILED: "red",
    TrialStatus.REJECTED: "yellow",
}


def list_command(path: StoreLocation, json: bool, as_: str = "") -> None:
    """Print the campaigns of a store, the newest last; `as_`: for whom, as in `--as`."""
    role = role_of(as_)
    with Store.open(path, create=False) as store:
        listed = seen_by(store, role, today()).list_campaigns()
        rows = [(row, _status(store, row.id, row.status)) for row in listed]
        withheld = {row.id for row in listed if not data_verdict(store, row.id, role, today()).allowed}
    if json:
        for row, status in rows:
            print_json({**_list_row(row, row.id in withheld), "status": status})
        return
    if not rows:
        console().print(f"no campaign yet in {shown(path)}; begin one with: sdl run CAMPAIGN.yaml", markup=False)
        return
    table = Table("name", "id", "status", "trials", "best", "updated", box=None, pad_edge=False)
    for row, status in rows:
        trials = "–" if row.id in withheld else str(row.trials)
        unit = "" if row.unit in ("", "1") else f" {row.unit}"
        best = "–" if row.best is None else f"{number(row.best)}{unit}"
        cells = (row.name, row.id, status, trials, best, when(row.updated))
        table.add_row(*(Text(plain(cell), no_wrap=True, overflow="fold") for cell in cells))
    console().print(table)


def _list_row(row: CampaignRow, withheld: bool) -> dict[str, Any]:
    """A line of the list; how many trials there were is not known to whoever may not see the data."""
    return row._asdict() | ({"trials": None} if withheld else {})


def _status(store: Store, campaign: str, status: str) -> str:
    """The journal's status, but `interrupted` when it says running and nobody runs it, `quoted` before that."""
    if status not in ("running", "created"):
        return status
    lease = store.lease(campaign)
    if lease is not None and lease.alive:
        return status
    quoted = status == "created" and any(True for _ in store.entries(campaign, kinds={kinds.REHEARSAL_QUOTED}))
    return "quoted" if quoted else "interrupted"


def show_command(name: str, trial: int | None, path: StoreLocation, json: bool, as_: str = "") -> None:
    """Print a campaign, or one of its trials; `as_`: for whom, as in `--as`."""
    with opened_as(path, as_) as (seen, role):
        campaign = seen.resolve(name)
        verdict = data_verdict(seen, campaign, role, today())
        if not verdict.allowed and trial is None:
            show_described(seen, campaign, verdict.why, json)
            return
        require_data(seen, campaign, role, today())
        store = only_data(seen)
        state = store.state(campaign)
        status = _status(store, campaign, state.status)
        if json:
            _show_json(store, campaign, trial)
            return
        doubts = list_doubts(store, campaign)
        settled = {e.body["action"]: e.body for e in store.entries(campaign, kinds={kinds.ACTION_RESOLVED})}
        foretold = score(store, state) if trial is None else None
    where = path if role.kind == "owner" else None
    if trial is None:
        _show_campaign(state, status, doubts, where)
        _show_score(foretold)
    else:
        _show_trial(state, _find(state, trial), [d for d in doubts if d.action.trial == trial], settled, where)


def _show_json(store: Store, campaign: str, trial: int | None) -> None:
    from sdl.fair import campaign_json

    document = campaign_json(store, campaign)
    if trial is None:
        foretold = score(store, store.state(campaign))
        print_json(document if foretold is None else {**document, "quote": foretold.as_json()})
        return
    _find(store.state(campaign), trial)
    print_json(next(t for t in document["trials"] if t["number"] == trial))


def _find(state: CampaignState, number_: int) -> TrialState:
    if number_ not in state.trials:
        hint = suggest(str(number_), [str(n) for n in state.trials][-10:])
        raise InputError(f"campaign {state.name!r} has no trial {number_}{hint}")
    return state.trials[number_]


def _show_doubts(doubts: list[Doubt], path: StoreLocation | None) -> None:
    """What is in doubt, and how to settle it where the store (its path) is the owner's."""
    for doubt in doubts:
        text = Text(f"IN DOUBT: {plain(doubt.what)}, trial {doubt.action.trial}", style="bold red")
        if path is not None:
            text.append(f"\n  settle it: {how_to_resolve(doubt.key, path)} {WAYS}", style="not bold default")
        console().print(text, soft_wrap=True)
    if doubts:
        console().print("  `sdl doubts` shows the evidence\n", style="dim")


def _show_campaign(state: CampaignState, status: str, doubts: list[Doubt], path: StoreLocation | None) -> None:
    out = console()
    out.print(Text(f"{state.name}  {state.id}", style="bold"))
    _show_doubts(doubts, path)
    out.print(_grid(_campaign_facts(state, status)))
    if state.trials:
        out.print()
        out.print(_trial_table(state))


def _show_score(foretold: Score | None) -> None:
    if foretold is not None:
        console().print()
        print_score(foretold)


def _campaign_facts(state: CampaignState, status: str) -> Iterator[tuple[str, str]]:
    spec = state.spec
    said = f"{status}: {state.message}" if state.message else status
    yield "status", said
    if state.withdrawn is not None:
        yield "WITHDRAWN", f"{state.withdrawn.why} ({state.withdrawn.by}, {when(state.withdrawn.at)})"
    if state.advice:
        yield "what to do", state.advice
    if spec is None:
        return
    if spec.title:
        yield "title", spec.title
    yield (
        "objectives",
        ", ".join(
            f"{o.kind} {o.name}"
            + (f" to {o.target:g}" if o.kind == "match" else "")
            + (f" [{o.unit}]" if o.unit != "1" else "")
            for o in spec.problem.objectives
        ),
    )
    yield "procedure", spec.procedure
    yield "planner", f"{spec.planner.name}, seed {spec.seed}"
    counts = {s: state.count(s) for s in TrialStatus}
    listed = ", ".join(f"{n} {s.value}" for s, n in counts.items() if n)
    yield "trials", f"{len(state.trials)} ({listed})" if listed else "none yet"
    yield "lab time", duration(state.lab_seconds)
    yield "created", when(state.created_at)
    yield "updated", when(state.updated_at)
    best = best_trial(state)
    if best is not None:
        told = ", ".join(f"{name} {outcome(value)}" for name, value in best.outcomes.items())
        yield "best", f"trial {best.number}: {told}"


def _grid(rows: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for key, value in rows:
        grid.add_row(Text(key, style="dim"), Text(plain(value)))
    return grid


def _trial_table(state: CampaignState) -> Table:
    assert state.spec is not None
    names = state.spec.problem.parameter_names
    objectives = [o.name for o in state.spec.problem.objectives]
    best = best_trial(state)
    table = Table(box=None, pad_edge=False)
    for column in ("trial", "status", *objectives, *names):
        left = column == "status"
        # Where the terminal is narrow, names of parameters are broken, never a value and its standard error.
        table.add_column(column, justify="left" if left else "right", overflow="fold", no_wrap=column in objectives)
    for trial in state.trials.values():
        star = "★ " if best is not None and trial.number == best.number else ""
        told = [outcome(trial.outcomes[o], unit=False) if o in trial.outcomes else "–" for o in objectives]
        values = [number(trial.parameters.get(name, "–")) for name in names]
        status = Text(trial.status.value, style=_STYLES.get(trial.status, "cyan"))
        table.add_row(f"{star}{trial.number}", status, *map(Text, told), *map(Text, values))
    return table


def _show_trial(
    state: CampaignState,
    trial: TrialState,
    doubts: list[Doubt],
    settled: Mapping[str, Mapping[str, Any]],
    path: StoreLocation | None,
) -> None:
    out = console()
    out.print(Text(f"{state.name}, trial {trial.number}: {trial.status.value}", style="bold"))
    _show_doubts(doubts, path)
    out.print(_grid(_trial_facts(state, trial)))
    if trial.steps:
        out.print()
        table = Table("step", "attempt", "station", "status", "began", "took", "message", box=None, pad_edge=False)
        for step in trial.steps:
            table.add_row(*map(Text, _step_row(step)))
        out.print(table)
    if trial.actions:
        out.print()
        table = Table("action", "what", "effect", "status", "tries", "by", "note", box=None, pad_edge=False)
        for action in trial.actions.values():
            table.add_row(*map(Text, _action_row(action, settled.get(action.id, {}))))
        out.print(table)


def _trial_facts(state: CampaignState, trial: TrialState) -> Iterator[tuple[str, str]]:
    if trial.message:
        yield "message", trial.message
    units = {p.name: p.unit for p in state.spec.problem.parameters} if state.spec else {}
    names = state.spec.problem.parameter_names if state.spec else tuple(trial.parameters)
    for name in names:
        unit = units.get(name, "1")
        yield name, f"{number(trial.parameters[name], 6)}" + ("" if unit == "1" else f" {unit}")
    for name, value in trial.outcomes.items():
        yield f"→ {name}", outcome(value)
    for change in trial.corrections:
        for name, value in change.before.items():
            yield f"  {name} was", f"{outcome(value)} until {when(change.at)}: {change.why} ({change.by})"
    for note in trial.notes:
        yield "note", f"{note.text} ({note.by}, {when(note.at)})"
    reason = trial.reason
    yield (
        "proposed by",
        f"{trial.planner.get('name', '?')} {trial.planner.get('version', '')}, seed {trial.seed}",
    )
    yield "why", str(reason.get("summary", ""))
    if reason.get("acquisition") is not None:
        yield "acquisition", number(float(reason["acquisition"]))
    for name, expected in (reason.get("predicted") or {}).items():
        yield f"expected {name}", f"{number(expected['mean'])} ± {number(expected['sem'], 2)}"
    yield "proposed", when(trial.proposed_at)
    if trial.ended_at:
        yield "ended", when(trial.ended_at)
    for step in trial.steps:
        for run in step.runs:
            yield "run", f"{run} ({step.name})"


def _step_row(step: StepState) -> tuple[str, ...]:
    took = duration((step.ended_at - step.started_at) / 1e9) if step.ended_at else "–"
    message = plain(step.message)
    return step.name, str(step.attempt), step.station, step.status, when(step.started_at), took, message


def _action_row(action: ActionState, settled: Mapping[str, Any]) -> tuple[str, ...]:
    """`settled`: the last verdict on it; what was settled as not done may have been done since."""
    key = "/".join(action.id.split("/")[-2:])  # of the trial: its step and position
    effect, status = (text.replace("_", " ") for text in (action.effect.value, action.status.value))
    verdict = f"{settled['verdict'].replace('_', ' ')}: " if settled else ""
    note = f"{verdict}{settled.get('note') or action.message}"
    return key, plain(action.in_words()), effect, status, str(action.tries), plain(settled.get("by", "")), plain(note)
