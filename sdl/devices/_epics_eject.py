"""Ejecting what lies on a stage, and what the IOC's counter says of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bluesky.protocols import Triggerable
from ophyd_async.core import AsyncStatus, Device

from sdl.devices._epics_ca import CaLink
from sdl.devices._epics_move import Mover
from sdl.lab.effects import current_action
from sdl.protocols import ActionRecord, Clock, Receipt, Verdict

__all__ = ["CLEAR", "Eject", "receipt_of"]

CLEAR = 1.0
"""How far from the ejector moves have to stay, mm."""
_SECOND_LOOK = 0.2
"""Seconds between two looks at a stage that stands still: what is on its way to it arrives meanwhile."""
_LONGEST = 3600.0
"""Lab seconds that a receipt waits for a stage that moves."""


class Eject(Device, Triggerable):
    """Triggerable: moves to the ejector, where what lies on the stage falls into the tray, and the stage goes home.

    Args:
        link: to the record.
        mover: of the stage.
        clear: gives the position nearest to the ejector that is none, mm.
    """

    def __init__(self, link: CaLink, mover: Mover, clear: Any) -> None:
        # Not plain attributes: a device would take them for its children.
        self._parts = (link, mover, clear)
        super().__init__()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Go to the ejector, first away from it where the stage was stopped there, and wait until it is home.

        Raises:
            Fault: the stage failed, or the IOC did not count it.
        """
        link, mover, clear = self._parts
        position, home, here = await link.get(":EJECT", ":HOME", ".RBV")
        if abs(here - position) < CLEAR:
            await mover.go(clear())
        noted: dict[str, Any] = {}
        action = current_action()

        async def arm() -> None:
            count, booted = await link.get(":EJECTED", ":BOOTED")
            noted.update(baseline=int(count), booted=float(booted), position=float(position), unit="mm")
            if action is not None:
                await action.arm(**noted)

        await mover.go(float(position), arm, then=float(home))
        (count,) = await link.get(":EJECTED")
        if int(count) != noted["baseline"] + 1:
            raise link.fault(
                f"was at the ejector, and its counter went from {noted['baseline']} to {int(count)}; look into the tray"
            )


async def receipt_of(link: CaLink, clock: Clock, action: ActionRecord) -> Receipt:
    """What became of an eject, by the counter of the IOC. Waits for a stage that moves.

    Raises:
        Fault: the IOC does not answer.
    """
    noted = _noted(action.evidence) if action.path == "eject" else None
    if noted is None:
        return Receipt(Verdict.UNKNOWN, f"{action.device} keeps no record of {action.path or action.verb}")
    baseline, booted = noted
    still, count, since, here = await _settled(link, clock)
    counted = f"ejected counter {count}, {baseline} before; the stage {'is' if still else 'moves,'} at {here:g} mm"
    if not still:
        return Receipt(Verdict.UNKNOWN, f"{counted}, and does not come to rest")
    if since != booted:
        return Receipt(Verdict.UNKNOWN, f"{counted}; the IOC was started again meanwhile, which clears the counter")
    if count == baseline:
        return Receipt(Verdict.NOT_DONE, counted)
    if count == baseline + 1:
        return Receipt(Verdict.DONE, counted)
    return Receipt(Verdict.UNKNOWN, f"{counted}: it was used by somebody else since")


def _noted(evidence: Mapping[str, Any]) -> tuple[int, float] | None:
    try:
        return int(evidence["baseline"]), float(evidence["booted"])
    except (KeyError, TypeError, ValueError):
        return None


async def _settled(link: CaLink, clock: Clock) -> tuple[bool, int, float, float]:
    """Whether it stands still, count, when the IOC was started, position (mm): as two looks see it alike."""
    end = clock.now() + _LONGEST
    before: list[Any] = []
    while True:
        now = await link.get(".DMOV", ":EJECTED", ":BOOTED", ".RBV")
        if (now[0] and now == before) or clock.now() > end:
            return bool(now[0]), int(now[1]), float(now[2]), float(now[3])
        before = now
        await (asyncio.sleep(_SECOND_LOOK) if now[0] else clock.sleep(1.0))
