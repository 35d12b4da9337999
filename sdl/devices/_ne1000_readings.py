"""Asks a pump what became of a delivery: queries only, and patience with one that still runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

from sdl.devices._ne1000_bus import PumpLine
from sdl.devices._ne1000_protocol import RATE_UNITS
from sdl.devices._ne1000_receipt import Armed, Readings, in_words, judge, objections
from sdl.protocols import ActionRecord, Clock, Receipt, Verdict

__all__ = ["receipt_of"]

SECOND_LOOK = 0.2
"""Wall seconds between two looks at a pump that stands still: what is on its way to it arrives meanwhile."""


class Asked(Protocol):
    """What is needed of the pump."""

    clock: Clock
    line: PumpLine

    @property
    def name(self) -> str: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...


async def receipt_of(pump: Asked, action: ActionRecord) -> Receipt:
    """The receipt of an action on `dispense`; see `judge`.

    Raises:
        Fault: the pump does not answer.
    """
    armed = Armed.read(action.evidence) if action.path == "dispense" else None
    if armed is None:
        return Receipt(Verdict.UNKNOWN, f"{pump.name} keeps no record of {action.path or action.verb}")
    owner = pump.line.memory.owner
    now = await _settled(pump, armed)
    if owner not in (None, action.id) or pump.line.memory.owner != owner:
        return Receipt(Verdict.UNKNOWN, in_words(armed, now, ["it was used for something else since"]))
    return judge(armed, now, own=owner == action.id)


async def _settled(pump: Asked, armed: Armed) -> Readings:
    """Readings of a pump that stands still, or is not on the delivery, or does not come to its end in time."""
    now = await _readings(pump)
    left = 60 * max(armed.volume - now.counter(armed.direction), 0.0) / armed.rate
    # A fifth more than it takes, and two wall seconds for a busy computer.
    end = pump.clock.now() + 1.2 * left + 10 + 2 * pump.clock.speed
    while pump.clock.now() < end:
        before = now
        if not now.moving:
            await asyncio.sleep(SECOND_LOOK)
        elif objections(armed, now):
            return now
        else:  # each look feeds the pump's watchdog
            await pump.poll_pause(min(1.0, left))
        now = await _readings(pump)
        if now == before and not now.moving:
            return now
    return now


async def _readings(pump: Asked) -> Readings:
    """What the pump says, whatever alarm is pending."""
    ask, parse = pump.line.ask, pump.line.parse_number
    volume, unit = parse("VOL", (await ask("VOL")).data)
    rate, rate_unit = parse("RAT", (await ask("RAT")).data)
    diameter, _ = parse("DIA", (await ask("DIA")).data)
    direction = (await ask("DIR")).data
    reply = await ask("DIS")
    infused, withdrawn, _ = pump.line.parse_volumes(reply.data)
    found = Readings(
        reply.status, infused, withdrawn, volume, unit, rate * RATE_UNITS.get(rate_unit, 0.0), direction, diameter
    )
    return replace(found, alarms=pump.line.memory.alarms)
