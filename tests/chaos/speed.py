"""Lab time that runs fast though every instrument has an address: simulated by a process that lives on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["SPEED", "hurry"]

SPEED: Final = "CHAOS_SPEED"
"""Lab seconds a wall second. An address means a real instrument to `sdl`, whose clock then is the wall's."""


def hurry(environment: Mapping[str, str]) -> None:
    """Let campaigns of this process run at the speed that the environment says; by default at their own."""
    if not (said := environment.get(SPEED)):
        return
    from sdl.lab import opening
    from sdl.lab.clock import LabClock

    opening.LabClock = lambda speed=1.0: LabClock(float(said))  # type: ignore[assignment,misc]
