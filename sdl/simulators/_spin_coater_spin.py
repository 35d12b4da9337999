"""The rotor of a simulated spin coater: its speed along a program, and what it amounts to for the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sdl.devices._spin_coater_protocol import Segment

__all__ = ["BRAKE", "Rotation"]

BRAKE: Final = 3000.0
"""With which the rotor is brought to a standstill, rpm/s."""


@dataclass
class Rotation:
    """One program: its segments, then the brake."""

    program: Sequence[Segment]
    stopped_after: float | None = None
    """Lab seconds into the program at which it was stopped; None for one that runs to its end."""
    stalled: bool = False
    """Whether the rotor stood still when it was stopped."""

    @property
    def length(self) -> float:
        """Lab seconds from the start until the brake."""
        whole = sum(segment.seconds for segment in self.program)
        return whole if self.stopped_after is None else self.stopped_after

    @property
    def duration(self) -> float:
        """Lab seconds from the start until the rotor stands still."""
        return self.length + (0.0 if self.stalled else self._speed_in_program(self.length) / BRAKE)

    def speed(self, elapsed: float) -> float:
        """rpm, so many lab seconds after the start."""
        if elapsed < self.length:
            return self._speed_in_program(elapsed)
        return max(self._speed_in_program(self.length) - BRAKE * (elapsed - self.length), 0.0)

    def amounts_to(self) -> tuple[float, float]:
        """The highest speed that was reached (rpm), and the seconds of its segment."""
        best, begun, before = (0.0, 0.0), 0.0, 0.0
        for segment in self.program:
            spent = min(segment.seconds, self.length - begun)
            if spent <= 0:
                break
            reached = max(before, _ramped(before, segment, spent))
            if reached > best[0]:
                best = (reached, spent)
            begun, before = begun + segment.seconds, segment.rpm
        return best

    def _speed_in_program(self, elapsed: float) -> float:
        before = 0.0
        for segment in self.program:
            if elapsed <= segment.seconds:
                return _ramped(before, segment, elapsed)
            elapsed -= segment.seconds
            before = segment.rpm
        return before


def _ramped(before: float, segment: Segment, seconds: float) -> float:
    """Speed (rpm) so many seconds into a segment that began at another speed."""
    change = segment.acceleration * seconds
    return before + max(-change, min(change, segment.rpm - before))
