"""What became of a delivery, from what was noted when it was armed and what the pump says now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sdl.devices._ne1000_memory import MARK
from sdl.devices._ne1000_protocol import format_number, step
from sdl.protocols import Receipt, Verdict

__all__ = ["Armed", "Readings", "in_words", "judge", "objections"]

_STATES = {
    "I": "infusing",
    "W": "withdrawing",
    "S": "standing still",
    "P": "paused",
    "T": "in a timed pause",
    "U": "waiting for a trigger",
    "X": "purging",
}
_ALARMS = {
    "R": "its power was interrupted",
    "S": "its motor stalled",
    "T": "its watchdog stopped it",
    "E": "error in its pumping program",
    "O": "phase out of range",
}
_CONCLUSIVE = "T"
"""Alarms after which the counter still tells what was delivered."""
_TINY = 1e-9


@dataclass(frozen=True)
class Armed:
    """A delivery as it was prepared: the evidence of an action on `dispense`."""

    volume: float
    """uL, as the pump has it."""
    rate: float
    """uL/min, as the pump has it."""
    direction: str
    """INF or WDR."""
    diameter: float
    """mm"""
    carried: float
    """Delivered by earlier tries, uL."""
    acknowledged: bool
    """Whether the pump answered that it runs."""

    @classmethod
    def read(cls, evidence: Mapping[str, Any]) -> Self | None:
        """None when the evidence is of no delivery that can be judged."""
        try:
            known = cls(
                float(evidence["volume"]),
                float(evidence["rate"]),
                str(evidence["direction"]),
                float(evidence["diameter"]),
                float(evidence.get("delivered", 0.0)),
                "status" in evidence,
            )
        except (KeyError, TypeError, ValueError):
            return None
        usable = known.direction in ("INF", "WDR") and evidence.get("unit") == "uL" and known.volume > 0 < known.rate
        return known if usable and evidence.get("baseline") == 0 else None


@dataclass(frozen=True)
class Readings:
    """What a pump says."""

    status: str
    infused: float
    """uL"""
    withdrawn: float
    """uL"""
    volume: float
    """To deliver, in `unit`."""
    unit: str
    rate: float
    """uL/min"""
    direction: str
    diameter: float
    """mm"""
    alarms: str = ""
    """Letters of those told since the delivery was prepared."""

    @property
    def moving(self) -> bool:
        """Whether the plunger is being driven."""
        return self.status in ("I", "W", "X")

    def counter(self, direction: str) -> float:
        """Volume counted in a direction, uL."""
        return self.infused if direction == "INF" else self.withdrawn


def objections(armed: Armed, now: Readings) -> list[str]:
    """Why the readings say nothing about the delivery; empty when they do."""
    found = [f"alarm {a} ({_ALARMS.get(a, 'unknown')})" for a in dict.fromkeys(now.alarms) if a not in _CONCLUSIVE]
    if now.unit != "UL" or abs(now.volume - armed.volume) > step(armed.volume) / 2:
        why = ", as drivers set it when its power was interrupted" if now.volume == MARK else ""
        found.append(
            f"its volume is set to {now.volume:g} {now.unit}{why}, not to the {armed.volume:g} UL of the delivery"
        )
    if abs(now.rate - armed.rate) > 1e-4 * armed.rate:
        found.append(f"its rate is set to {now.rate:g} uL/min, not to the {armed.rate:g} uL/min of the delivery")
    if now.direction != armed.direction:
        found.append(f"its direction is {now.direction}, not {armed.direction}")
    if abs(now.diameter - armed.diameter) > 0.005:
        found.append(f"its syringe is set to {now.diameter:g} mm, not to {armed.diameter:g} mm")
    counter, other = now.counter(armed.direction), now.counter("WDR" if armed.direction == "INF" else "INF")
    if other > 0:
        found.append(f"it also moved {other:g} uL the other way")
    if counter > armed.volume + step(counter) + _TINY:
        found.append("it counted more than it was to deliver")
    if now.status not in "ISWP" or (now.moving and now.status != armed.direction[0]):
        found.append(f"status {now.status} belongs to no delivery")
    return found


def judge(armed: Armed, now: Readings, *, own: bool) -> Receipt:
    """The receipt of a delivery.

    Args:
        armed: the delivery.
        now: readings; of a pump that stands still, unless it cannot be waited for.
        own: whether this process cleared the counters for it, and would know of any alarm since.
    """
    counter = now.counter(armed.direction)
    wrong = objections(armed, now)
    if now.moving:
        wrong.append("it does not come to its end")
    if counter == 0 and armed.acknowledged and not own:
        wrong.append("it answered that it runs and has counted nothing: was its power interrupted?")
    text = in_words(armed, now, wrong)
    if wrong:
        return Receipt(Verdict.UNKNOWN, text)
    if counter >= armed.volume - step(counter) - _TINY:
        return Receipt(Verdict.DONE, text)
    if counter == 0:
        return Receipt(Verdict.NOT_DONE, text)
    return Receipt(Verdict.PARTIAL, text, {"delivered": armed.carried + counter})


def in_words(armed: Armed, now: Readings, wrong: list[str]) -> str:
    """The readings, for a person who has to decide."""
    counter = now.counter(armed.direction)
    parts = [
        f"dispensed counter {format_number(min(counter, 9999.0))} uL of {armed.volume:g} uL ({armed.direction})",
        _STATES.get(now.status, f"status {now.status}"),
    ]
    if armed.carried:
        parts.insert(1, f"{armed.carried:.4g} uL delivered before that")
    parts += [f"alarm {a} ({_ALARMS[a]})" for a in dict.fromkeys(now.alarms) if a in _CONCLUSIVE]
    return ", ".join(parts + wrong)
