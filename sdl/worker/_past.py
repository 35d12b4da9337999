"""What a worker's spool says: a fold over the entries of one campaign's chain.

Beside kinds of the journal a spool has kinds of its own, which never reach a journal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sdl.journal import Entry, kinds
from sdl.journal.actions import ActionState, ActionStatus, apply

__all__ = [
    "EPOCH_RAISED",
    "OWN_KINDS",
    "SPOOL_CREATED",
    "SPOOL_OPENED",
    "STEP_ANSWERED",
    "STEP_ORDERED",
    "Known",
    "Past",
    "StepKey",
    "split",
]

SPOOL_CREATED: Final = "spool.created"
"""`spool` (id), `station`. In the worker's own chain."""
SPOOL_OPENED: Final = "spool.opened"
"""`station`, `incarnation`: a worker took the chain up. What follows has numbers above all that was there before."""
EPOCH_RAISED: Final = "epoch.raised"
"""`epoch`, `holder`: a coordinator with a newer lease; older ones are refused from here on."""
STEP_ORDERED: Final = "step.ordered"
"""`trial`, `step`, `attempt`, `epoch`, `procedure`, `parameters`. On the disk before any byte leaves."""
STEP_ANSWERED: Final = "step.answered"
"""`trial`, `step`, `attempt`, `outcome`, `runs`, `message`, `device`, `action`, `error`, `faults`: how the step
ended."""
OWN_KINDS: Final = frozenset({SPOOL_CREATED, SPOOL_OPENED, EPOCH_RAISED, STEP_ORDERED, STEP_ANSWERED})

_SCALE: Final = 1_000_000_000
"""A number is the incarnation times this, plus `seq`. A power cut may lose the end of a chain that a coordinator has
seen already; the entries in its place have higher numbers, since the worker that writes them is another incarnation."""


class StepKey(NamedTuple):
    """One attempt of one step."""

    trial: int
    step: str
    attempt: int


@dataclass(frozen=True)
class Known:
    """An order that the spool has."""

    seq: int
    answer: Mapping[str, Any] | None = None
    answer_seq: int = 0


@dataclass
class Past:
    """A chain as far as it has been read."""

    seq: int = 0
    epoch: int = 0
    """Newest seen, of a coordinator."""
    incarnations: list[tuple[int, int]] = field(default_factory=list)
    """`seq` of its first entry, and incarnation."""
    orders: dict[StepKey, Known] = field(default_factory=dict)
    actions: dict[int, Mapping[str, ActionState]] = field(default_factory=dict)
    """By trial, by id."""
    doubted: dict[str, int] = field(default_factory=dict)
    """Action → `seq` of the entry that calls it doubtful."""

    def take(self, entry: Entry) -> None:
        """Fold one more entry."""
        self.seq = entry.seq
        body = entry.body
        if entry.kind.startswith("action."):
            trial = body["trial"]
            self.actions[trial] = apply(self.actions.get(trial, {}), entry.kind, body, entry.at)
            if entry.kind == kinds.ACTION_DOUBTFUL:
                self.doubted[body["action"]] = entry.seq
        elif entry.kind == STEP_ORDERED:
            self.orders[_key(body)] = Known(entry.seq)
        elif entry.kind == STEP_ANSWERED:
            begun = self.orders.get(_key(body), Known(entry.seq))
            self.orders[_key(body)] = Known(begun.seq, body, entry.seq)
        elif entry.kind == EPOCH_RAISED:
            self.epoch = max(self.epoch, body["epoch"])
        elif entry.kind == SPOOL_OPENED:
            self.incarnations.append((entry.seq, body["incarnation"]))

    def open_orders(self) -> list[tuple[StepKey, Known]]:
        """Steps without an end."""
        return [(key, known) for key, known in self.orders.items() if known.answer is None]

    def number(self, seq: int) -> int:
        """Number of an entry."""
        if seq <= 0:
            return 0
        index = bisect_right(self.incarnations, (seq, _SCALE)) - 1
        return self.incarnations[max(index, 0)][1] * _SCALE + seq

    def next_seq(self, number: int) -> int | None:
        """`seq` of the first entry above a number; None when no chain of this spool can have given that number out."""
        if number == 0:
            return 1
        incarnation, seq = divmod(number, _SCALE)
        known = [entry for entry in self.incarnations if entry[1] == incarnation]
        later = [first for first, other in self.incarnations if other > incarnation]
        if not known or (not later and seq > self.seq):
            return None
        return min(seq + 1, *later) if later else seq + 1

    def doubts(self, trial: int | None = None, after: int = 0) -> list[ActionState]:
        """Actions in doubt, of one trial or of all, that entries above a number called so."""
        first = self.next_seq(after) or 1
        trials = self.actions.values() if trial is None else [self.actions.get(trial, {})]
        return [
            action
            for actions in trials
            for action in actions.values()
            if action.status is ActionStatus.IN_DOUBT and self.doubted.get(action.id, 0) >= first
        ]

    def merged(self, trial: int, theirs: Mapping[str, ActionState]) -> dict[str, ActionState]:
        """Actions of a trial: as the coordinator knows them, and as the spool does where it knows better.

        The spool has every entry of the station first. What only the coordinator has is how a person or an instrument
        settled a doubt, unless the action was begun again since.
        """
        result = dict(theirs)
        for id_, own in self.actions.get(trial, {}).items():
            other = theirs.get(id_)
            if other is None or not other.by or other.tries != own.tries:
                result[id_] = own
        return result


def split(number: int) -> tuple[int, int]:
    """Incarnation and `seq` of a number."""
    return divmod(number, _SCALE)


def _key(body: Mapping[str, Any]) -> StepKey:
    return StepKey(body["trial"], body["step"], body["attempt"])
