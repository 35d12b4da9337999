"""Clocks."""

from __future__ import annotations

import asyncio
import time

__all__ = ["LabClock"]


class LabClock:
    """Wall time multiplied by a constant: 1 in a real lab, more when simulated instruments run fast."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed:g} must be above 0")
        self.speed = speed

    def now(self) -> float:
        """Lab seconds; never goes back."""
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for a span of lab time."""
        await asyncio.sleep(seconds / self.speed)
