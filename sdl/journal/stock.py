"""What trials have set aside of the lab's stock, as the journal tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdl.journal import kinds
from sdl.journal._replace import replace

__all__ = ["Reserved", "apply"]


@dataclass(frozen=True, slots=True)
class Reserved:
    """An amount of one lot that is set aside for one step of a trial."""

    item: str
    lot: str
    amount: float
    """In `unit`."""
    unit: str
    step: str
    each: float
    """What one action, or one attempt of the step where no device is named, takes of the item, in `unit`."""
    devices: tuple[str, ...] = ()
    """Devices whose actions take it, one for each station that can do the step; empty for the step as a whole."""
    path: str = ""
    """Part of the device that takes it."""
    released: bool = False
    """Whether what was not used is free again."""


def _reserved(item: Mapping[str, Any]) -> Reserved:
    return Reserved(
        item["item"], item["lot"], item["amount"], item["unit"], item["step"], item.get("each", item["amount"]),
        tuple(item.get("devices", ())), item.get("path", ""),
    )  # fmt: skip


def apply(
    reserved: Mapping[int, tuple[Reserved, ...]], kind: str, body: Mapping[str, Any]
) -> Mapping[int, tuple[Reserved, ...]]:
    """What is set aside, by trial, after one more entry; what is released stays in the list, for the account of lots.

    Args:
        reserved: trial → what is set aside for it.
        kind: of the entry.
        body: of the entry.
    """
    trial = body["trial"]
    old = reserved.get(trial, ())
    if kind == kinds.STOCK_RESERVED:
        return {**reserved, trial: (*old, *map(_reserved, body["items"]))}
    if kind == kinds.STOCK_RELEASED and old:
        return {**reserved, trial: tuple(replace(item, released=True) for item in old)}
    return reserved
