"""What became of an action of a spin coater, from what was noted when it was armed and what the coater says now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from sdl.devices._spin_coater_link import CoaterLink
from sdl.devices._spin_coater_protocol import Counters
from sdl.protocols import ActionRecord, Clock, Receipt, Verdict

__all__ = ["CARRIED", "UNITS", "Armed", "judge", "receipt_of", "whole"]

UNITS: Final[Mapping[str, str]] = {"LOAD": "substrate", "DISP": "uL", "SPIN": "s"}
"""Unit of what an action of each kind does."""
CARRIED: Final[Mapping[str, str]] = {"LOAD": "loaded", "DISP": "delivered", "SPIN": "spun"}
"""Key under which the evidence of an action that was stopped says how far it got."""
_NAMES: Final = {"LOAD": "loads", "DISP": "dispenses", "SPIN": "spin programs"}
_TOLERANCE: Final = {"LOAD": 0.0, "DISP": 0.015, "SPIN": 0.06}
SECOND_LOOK = 0.2
"""Wall seconds between two looks at a coater that knows nothing of an action: it may be on its way still."""


@dataclass(frozen=True)
class Armed:
    """An action as it was sent: its evidence."""

    tag: str
    kind: str
    asked: float
    """In the unit of its kind."""
    memory: str
    """Id of the memory of the counters."""
    count: int
    """How many actions of its kind there had been."""
    carried: float = 0.0
    """Done by earlier tries."""

    @classmethod
    def read(cls, evidence: Mapping[str, Any]) -> Self | None:
        """None when the evidence is of no action that can be judged."""
        try:
            kind = str(evidence["kind"])
            found = cls(
                str(evidence["tag"]),
                kind,
                float(evidence["asked"]),
                str(evidence["memory"]),
                int(evidence["count"]),
                float(evidence.get(CARRIED[kind], 0.0)),
            )
        except (KeyError, TypeError, ValueError):
            return None
        return found if found.tag and found.asked > 0 else None


class Asked(Protocol):
    """What is needed of the coater."""

    clock: Clock
    link: CoaterLink

    @property
    def name(self) -> str: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...


async def receipt_of(coater: Asked, action: ActionRecord) -> Receipt:
    """The receipt of an action: queries only. Waits for one that is under way.

    Raises:
        Fault: the coater does not answer.
    """
    armed = Armed.read(action.evidence)
    if armed is None:
        return Receipt(Verdict.UNKNOWN, f"{coater.name} keeps no record of {action.path or action.verb}")
    now = await coater.link.counters()
    if now.tag != armed.tag:
        await asyncio.sleep(SECOND_LOOK)
        now = await coater.link.counters()
    # A fifth more than it takes, and two wall seconds for a busy computer.
    end = coater.clock.now() + 1.2 * now.left + 10 + 2 * coater.clock.speed
    while now.tag == armed.tag and now.result == "RUN" and coater.clock.now() < end:
        await coater.poll_pause(now.left)
        now = await coater.link.counters()
    return judge(armed, now)


def whole(kind: str, done: float, asked: float) -> bool:
    """Whether so much is all that was asked for."""
    return done >= asked - _TOLERANCE[kind]


def judge(armed: Armed, now: Counters) -> Receipt:
    """The receipt of an action.

    Args:
        armed: the action.
        now: what the coater says; of an action that is over, unless it cannot be waited for.
    """
    name, count = _NAMES[armed.kind], now.count(armed.kind)
    counted = f"counter of {name} at {count}, {armed.count} before"
    if now.memory != armed.memory:
        text = f"its counters are others than before (memory {now.memory}, not {armed.memory}): was it replaced?"
        return Receipt(Verdict.UNKNOWN, text)
    if now.tag != armed.tag:
        if count == armed.count:
            return Receipt(Verdict.NOT_DONE, f"{counted}; it never accepted tag {armed.tag}, its last is {now.tag}")
        return Receipt(Verdict.UNKNOWN, f"{counted}; its last tag is {now.tag}, not {armed.tag}")
    text = f"tag {armed.tag}: {now.done:g} of {armed.asked:g} {UNITS[armed.kind]}, {now.result}; {counted}"
    if now.result == "RUN":
        return Receipt(Verdict.UNKNOWN, f"{text}; it does not come to its end")
    if whole(armed.kind, now.done, armed.asked):
        return Receipt(Verdict.DONE, text)
    if now.done == 0:
        return Receipt(Verdict.NOT_DONE, text)
    unit = {"unit": "uL"} if armed.kind == "DISP" else {}
    return Receipt(Verdict.PARTIAL, text, {CARRIED[armed.kind]: armed.carried + now.done, **unit})
