"""Campaigns with actions in doubt, written entry by entry as a session writes them."""

from __future__ import annotations

from typing import Any

from sdl.journal import Entry, Store, Writer, kinds
from sdl.model import CampaignSpec

__all__ = ["NOTE", "begin", "dispense", "doubt", "last"]

NOTE = "the beaker holds 100 uL"
_SPEC = {
    "name": "silver",
    "lab": "lab.yaml",
    "problem": {
        "parameters": {"flow": {"kind": "real", "low": 1, "high": 100, "unit": "uL/min"}},
        "objectives": {"peak": {"kind": "match", "target": 450, "unit": "nm"}},
    },
    "procedure": "synthesis",
    "budget": {"trials": 40},
    "seed": 3,
}


def begin(writer: Writer, *trials: int, name: str = "silver") -> None:
    """A campaign with trials that are in their step `mix`, as a session writes them."""
    spec = CampaignSpec.model_validate({**_SPEC, "name": name}).model_dump(mode="json")
    lab = {"name": "flow", "file": "lab.yaml", "sha256": "cd" * 32, "text": "name: flow"}
    procedure = {"name": "synthesis", "steps": [{"name": "mix", "station": "flow", "plan": "dispense"}]}
    writer.append(kinds.CAMPAIGN_CREATED, {"spec": spec, "lab": lab, "inputs": {}, "procedure": procedure})
    writer.append(kinds.SESSION_OPENED, {"holder": "here", "epoch": writer.epoch, "versions": {}, "lab_speed": 1})
    for trial in trials:
        proposed = {"parameters": {"flow": 20.0}, "reason": {"summary": "sampled"}, "seed": 1, "known_seq": 2}
        planner = {"name": "random", "version": "1", "options": {}}
        writer.append(kinds.TRIAL_PROPOSED, {"trial": trial, "planner": planner, **proposed})
        writer.append(kinds.TRIAL_APPROVED, {"trial": trial, "by": "policy"})
        step = {"trial": trial, "step": "mix", "attempt": 1, "station": "flow"}
        writer.append(kinds.STEP_STARTED, {**step, "plan": "dispense", "arguments": {}})


def dispense(writer: Writer, trial: int, position: str, *, tried: int = 1, noted: dict[str, Any] | None = None) -> str:
    """A dispense whose bytes have left, and which the pump has acknowledged; return its id."""
    action = f"{writer.campaign}/{trial}/mix/{position}"
    about = {"step": "mix", "attempt": 1, "try": tried, "station": "flow", "device": "silver_pump", "path": "dispense"}
    writer.append(
        kinds.ACTION_DISPATCHED,
        {"trial": trial, "action": action, **about, "verb": "set", "arguments": {"args": [100.0], "kwargs": {}},
         "effect": "non_repeatable", "arms": True, "continues": True, "epoch": writer.epoch},
    )  # fmt: skip
    writer.append(
        kinds.ACTION_ARMED, {"trial": trial, "action": action, "evidence": {"counter": 12.5, **(noted or {})}}
    )
    writer.append(kinds.ACTION_ACKED, {"trial": trial, "action": action, "evidence": {}})
    return action


def doubt(writer: Writer, action: str) -> None:
    """The pump could not say what became of it."""
    message = "silver_pump does not answer; its counter was 12.5 uL before"
    trial = int(action.split("/")[1])
    writer.append(kinds.ACTION_DOUBTFUL, {"trial": trial, "action": action, "cause": "fault", "message": message})


def last(store: Store, kind: str) -> Entry:
    """The last entry of a kind of the campaign `c1`."""
    return list(store.entries("c1", kinds={kind}))[-1]
