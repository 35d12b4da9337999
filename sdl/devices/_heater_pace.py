"""How long to wait between two looks at a temperature that is on its way."""

from __future__ import annotations

__all__ = ["LONGEST", "SHORTEST", "Pace"]

SHORTEST, LONGEST = 1.0, 60.0
"""Lab seconds between two looks."""


class Pace:
    """Estimates from ramp and observed speed when a temperature arrives.

    Whatever approaches its setpoint slows down, so that the latest speed tells too early a time, and looks become more
    frequent near the end. Without a ramp a move is never waited for longer than it has taken so far.

    Args:
        tolerance: K either side of the setpoint.
        ramp: of the setpoint, K/min; 0 for none.
        start: lab s.
    """

    def __init__(self, tolerance: float, ramp: float, start: float) -> None:
        self._tolerance, self._ramp, self._start = tolerance, ramp / 60, start
        self._last: tuple[float, float] | None = None

    def pause(self, now: float, distance: float) -> float:
        """Lab seconds to the next look, 1 to 60.

        Args:
            now: lab s.
            distance: from the setpoint, K.
        """
        before, self._last = self._last, (now, distance)
        approach = (before[1] - distance) / (now - before[0]) if before is not None and now > before[0] else 0.0
        speed = approach if not self._ramp or 0 < approach < self._ramp else self._ramp
        left = (distance - self._tolerance) / speed if speed > 0 else LONGEST
        if not self._ramp:
            left = min(left, now - self._start)
        return min(max(left, SHORTEST), LONGEST)
