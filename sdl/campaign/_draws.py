"""What a trial has used of the lab's stock: a view of the record of its effects, never a count of its own.

True or pessimistic, never optimistic: whatever may have happened has used what it takes. Only an action that is known
not to have happened used nothing, and only evidence of how much was delivered makes a part of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdl.journal.actions import ActionState, ActionStatus
from sdl.journal.samples import may_have_happened
from sdl.journal.state import StepState, TrialState
from sdl.journal.stock import Reserved
from sdl.model.units import convert
from sdl.protocols import Effect

__all__ = ["Draw", "draws", "left_over", "takes"]

_TINY = 1e-9
"""Part of an amount that is rounding of sums."""


@dataclass(frozen=True, slots=True)
class Draw:
    """An amount that one action, or one attempt of a step, took of a lot."""

    item: str
    lot: str
    amount: float
    unit: str
    settled_at: int | None
    """UTC, ns, from which on nothing more of it is taken; None while that is not known."""


def takes(reserved: Reserved, action: ActionState) -> bool:
    """Whether an action is one that takes what is set aside."""
    if action.step != reserved.step or action.device not in reserved.devices:
        return False
    if reserved.path:
        return action.path == reserved.path or action.path.startswith(f"{reserved.path}.")
    # No part is named: the device's own verbs, and whatever must not be repeated on any part of it.
    return action.effect is not Effect.ABSOLUTE or (not action.path and action.verb not in ("stage", "unstage"))


def draws(trial: TrialState, reserved: Sequence[Reserved]) -> list[Draw]:
    """What a trial has used, lot by lot.

    Args:
        trial: the trial.
        reserved: all that was ever set aside for it.
    """
    return [draw for _, found in _by_use(trial, reserved) for draw in found]


def left_over(trial: TrialState | None, reserved: Sequence[Reserved]) -> list[tuple[Reserved, float]]:
    """What is still set aside for a trial, with the amount; nothing of what was released.

    Args:
        trial: the trial; None where only the reservation is on record.
        reserved: all that was ever set aside for it.
    """
    found: list[tuple[Reserved, float]] = []
    for lots, used in _by_use(trial, reserved):
        amounts = _poured(lots, sum(draw.amount for draw in used))
        for item, amount in zip(lots, amounts, strict=True):
            rest = item.amount - amount
            if not item.released and rest > _TINY * item.amount:
                found.append((item, rest))
    return found


def _by_use(
    trial: TrialState | None, reserved: Sequence[Reserved]
) -> Iterator[tuple[tuple[Reserved, ...], list[Draw]]]:
    """For each step and item: what was set aside in turn, and what was taken of it."""
    uses: dict[tuple[str, str], list[Reserved]] = {}
    for item in reserved:
        uses.setdefault((item.step, item.item), []).append(item)
    for lots in uses.values():
        yield tuple(lots), _draws_of(trial, lots) if trial is not None else []


def _draws_of(trial: TrialState, lots: Sequence[Reserved]) -> list[Draw]:
    """The amounts taken, each of the lots in the order in which they were set aside; the last one takes the rest."""
    room = [item.amount for item in lots]
    found = []
    for amount, settled in _amounts(trial, lots[0]):
        rest = amount
        for index, item in enumerate(lots):
            last = index == len(lots) - 1
            part = rest if last else min(rest, room[index])
            if part > 0:
                room[index] -= part
                rest -= part
                found.append(Draw(item.item, item.lot, part, item.unit, settled))
    return found


def _poured(lots: Sequence[Reserved], used: float) -> list[float]:
    """How much of each reservation a used amount fills."""
    filled = []
    for item in lots:
        part = min(item.amount, used)
        filled.append(part)
        used -= part
    return filled


def _amounts(trial: TrialState, use: Reserved) -> Iterator[tuple[float, int | None]]:
    """Amounts taken, in the order in which they were begun, each with the time at which that was over."""
    attempts = [step for step in trial.steps if step.name == use.step and step.cause != "refused"]
    if not use.devices:
        yield from ((use.each, _over(trial, step.ended_at)) for step in attempts)
        return
    taking = [action for action in trial.actions.values() if takes(use, action)]
    for action in sorted(taking, key=lambda a: a.dispatched_at):
        yield _portion(action, use), _settled(trial, action)
    if not taking:
        yield from _unseen(trial, use, attempts)


def _unseen(trial: TrialState, use: Reserved, attempts: Sequence[StepState]) -> Iterator[tuple[float, int | None]]:
    """A step that is done without any action that is said to take the item: the lab file may name the wrong part."""
    done = [step for step in attempts if step.status == "done"]
    if done:
        yield use.each, _over(trial, done[-1].ended_at)


def _portion(action: ActionState, use: Reserved) -> float:
    if not may_have_happened(action):
        return 0.0
    nothing_since = action.guarded and action.status in (
        ActionStatus.ABORTED, ActionStatus.FAILED_CLEAN, ActionStatus.RESOLVED_NOT_DONE,
    )  # fmt: skip
    delivered = _delivered(action, use.unit) if nothing_since else None
    return use.each if delivered is None else delivered


def _delivered(action: ActionState, unit: str) -> float | None:
    """What was delivered of an action that was stopped part-way, in `unit`; None where the evidence does not say."""
    known: Mapping[str, Any] = {**action.evidence, **action.carried}
    value, given = action.carried.get("delivered"), known.get("unit") or known.get("units")
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(given, str):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    try:
        return convert(float(value), given, unit)
    except ValueError:
        return None


def _settled(trial: TrialState, action: ActionState) -> int | None:
    open_ = action.status.under_way or action.status is ActionStatus.IN_DOUBT
    return _over(trial, None if open_ else action.updated_at)


def _over(trial: TrialState, at: int | None) -> int | None:
    """The end of something in a trial: its own, or the trial's where nothing says so."""
    return at if at is not None else None if trial.status.pending else trial.ended_at
