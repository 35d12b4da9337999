"""Journals as text, one JSON line an entry exactly as it is stored, and what their fold says in short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sdl.journal import Store
from sdl.journal._packing import put
from sdl.journal._schema import heads
from sdl.journal.actions import ActionState
from sdl.journal.state import CampaignState, best_trial
from support.postgres import rows

__all__ = ["dump", "load", "summary"]

_COLUMNS = ("campaign", "seq", "at", "kind", "body", "prev_hash", "hash")


def dump(path: str | Path, campaign: str) -> str:
    """The entries of a campaign; `body` is the text that was hashed."""
    found = rows(path, f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE campaign = '{campaign}' ORDER BY seq")
    return "".join(json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in found)


def load(text: str, path: str | Path) -> str:
    """Put the entries into a store as they are; return the campaign's id."""
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    campaign, last = lines[0]["campaign"], lines[-1]
    with Store.open(path) as store:
        store.create(campaign, json.loads(lines[0]["body"])["spec"]["name"])
        with store._write() as connection:
            put(connection, campaign, [tuple(line[name] for name in _COLUMNS) for line in lines])
            moved = heads.update().where(heads.c.campaign == campaign)
            connection.execute(moved.values(seq=last["seq"], hash=last["hash"]))
    return str(campaign)


def summary(state: CampaignState) -> dict[str, Any]:
    """What the first release knew of a campaign. Keys may be added to the fold; these keep their meaning for good."""
    best = best_trial(state)
    return {
        **{
            name: getattr(state, name)
            for name in (
                "id", "name", "status", "message", "advice", "sessions", "epoch", "lab_seconds", "seq", "created_at",
                "updated_at",
            )
        },
        "open_runs": sorted(state.open_runs),
        "best": best.number if best else None,
        "procedure": state.created["procedure"]["name"],
        "parameters": list(state.spec.problem.parameter_names) if state.spec else [],
        "budget": state.spec.budget.trials if state.spec else None,
        "trials": [_trial(trial) for trial in state.trials.values()],
    }  # fmt: skip


def _trial(trial: Any) -> dict[str, Any]:
    names = ("number", "seed", "proposed_at", "first_seq", "started_at", "ended_at", "message")
    step_names = ("name", "station", "attempt", "status", "started_at", "ended_at", "cause", "message")
    return {
        **{name: getattr(trial, name) for name in names},
        "status": trial.status.value,
        "parameters": dict(trial.parameters),
        "planner": trial.planner["name"],
        "outcomes": {name: [o.value, o.sem, o.unit] for name, o in trial.outcomes.items()},
        "steps": [{**{n: getattr(step, n) for n in step_names}, "runs": list(step.runs)} for step in trial.steps],
        **({"actions": [_action(action) for action in trial.actions.values()]} if trial.actions else {}),
    }


def _action(action: ActionState) -> dict[str, Any]:
    names = (
        "id", "trial", "step", "attempt", "station", "device", "path", "verb", "arms", "continues", "tries",
        "dispatched_at", "updated_at", "armed", "acked_at", "message", "by", "note", "guarded", "unsettled",
    )  # fmt: skip
    return {
        **{name: getattr(action, name) for name in names},
        "arguments": dict(action.arguments),
        "effect": action.effect.value,
        "status": action.status.value,
        "carried": dict(action.carried),
        "evidence": dict(action.evidence),
    }
