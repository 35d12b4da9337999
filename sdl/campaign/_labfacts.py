"""What people put on record about a lab: stock received and counted, and what they say of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sdl.journal import Entry, kinds

__all__ = ["LabFacts", "Supply", "lab_facts"]


@dataclass(frozen=True, slots=True)
class Supply:
    """A lot was received, or counted."""

    counted: bool
    item: str
    lot: str
    amount: float
    unit: str
    expires: str
    at: int


@dataclass(frozen=True)
class LabFacts:
    """The chain of a lab: what was received and counted, and what people say of samples."""

    supplies: tuple[Supply, ...] = ()
    said: tuple[Entry, ...] = ()
    """Entries about samples."""


def lab_facts(entries: Iterable[Entry], before: LabFacts | None = None) -> LabFacts:
    """The facts of a lab's chain.

    Args:
        entries: of the chain, in order.
        before: facts of the entries before them.
    """
    before = before or LabFacts()
    supplies, said = list(before.supplies), list(before.said)
    for entry in entries:
        if entry.kind in (kinds.STOCK_RECEIVED, kinds.STOCK_COUNTED):
            body = entry.body
            counted, expires = entry.kind == kinds.STOCK_COUNTED, body.get("expires", "")
            supply = Supply(counted, body["item"], body["lot"], body["amount"], body["unit"], expires, entry.at)
            supplies.append(supply)
        elif entry.kind in (kinds.SAMPLE_LOCATED, kinds.SAMPLE_QUARANTINED):
            said.append(entry)
    return LabFacts(tuple(supplies), tuple(said))
