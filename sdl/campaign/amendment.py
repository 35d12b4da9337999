"""What may change about a campaign that has begun, and what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sdl.campaign.files import LoadedCampaign
from sdl.journal.state import CampaignState
from sdl.model import FileFault, InputError

__all__ = ["amendments"]

_FIXED = ("problem", "learn_from", "procedure", "seed")
_FREE = (
    "title", "description", "creators", "licence", "planner", "budget", "stop", "in_flight", "max_consecutive_faults",
    "initial",
)  # fmt: skip


def amendments(state: CampaignState, loaded: LoadedCampaign) -> dict[str, list[Any]]:
    """Fields that differ from the specification in force: dotted name → [old, new].

    Raises:
        InputError: something differs that would make earlier trials incomparable.
    """
    assert state.spec is not None
    new = loaded.recorded_spec()
    old = _known(state.spec.model_dump(mode="json"), new)
    faults = [
        FileFault(
            f"campaign {state.name!r} has begun with another {field}: {_difference(old[field], new[field])}; "
            "give the file another `name` to begin a new campaign, or put the old value back"
        )
        for field in _FIXED
        if old[field] != new[field]
    ]
    faults += _input_faults(state, loaded)
    if faults:
        raise InputError(faults)
    changes = dict(_changes({field: old[field] for field in _FREE}, {field: new[field] for field in _FREE}))
    before, now = state.created["lab"]["sha256"], loaded.lab.as_json()["sha256"]
    if before != now:
        changes["lab"] = [before, now]
    if loaded.project is not None:
        stated = {"project": state.created.get("project")}
        changes |= dict(_changes(stated, {"project": loaded.project.model_dump(mode="json")}))
    return changes


def _known(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old specification without what was read from other campaigns when it was created: that stays as it was."""
    if not any(given["campaign"] for given in new["learn_from"]):
        return old
    named = {source["name"] for source in new["problem"]["sources"]}
    sources = [source for source in old["problem"]["sources"] if source["name"] in named]
    return {**old, "problem": {**old["problem"], "sources": sources}}


def _changes(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Dotted keys whose values differ: key, [old, new]."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _changes(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif old != new:
        yield at, [old, new]


def _input_faults(state: CampaignState, loaded: LoadedCampaign) -> list[FileFault]:
    known: Mapping[str, Any] = state.created.get("inputs", {})
    return [
        FileFault(
            f"campaign {state.name!r} has begun with another content of input {name!r}: {known[name]['path']} "
            f"(SHA-256 {known[name]['sha256'][:12]}…), now {item.path} (SHA-256 {item.sha256[:12]}…)"
        )
        for name, item in loaded.lab.inputs.items()
        if name in known and known[name]["sha256"] != item.sha256
    ]


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return f"{key}: {_difference(old.get(key), new.get(key))}"
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for mine, theirs in zip(old, new, strict=True):
            if mine != theirs:
                label = mine.get("name", "") if isinstance(mine, dict) else ""
                return f"{label} {_difference(mine, theirs)}".strip()
    return f"{_short(old)} then, {_short(new)} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
