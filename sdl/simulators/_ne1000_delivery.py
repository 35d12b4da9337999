"""What a simulated pump delivered, exactly, as its log tells it."""

from __future__ import annotations

from typing import Any

from sdl.simulators._faults import Probe

__all__ = ["Deliveries"]


class Deliveries:
    """The deliveries of one pump, numbered from 1, and its volumes in uL, to the last digit of a float.

    `RUN` from standstill begins a delivery, `RUN` from a pause goes on with it. An action that ends a stretch of
    pumping (`target`, `stop`, `alarm`, `reset`, or `direction` for a change on the run) is recorded with the `number`
    of its delivery, the `volume` moved since its last `run` or change of direction, and what the whole delivery has
    `delivered`. Every action has the `total` of each direction since the pump was switched on, which nothing clears;
    the volumes recorded for one direction add up to its total.

    Args:
        probe: where actions are recorded.
    """

    def __init__(self, probe: Probe) -> None:
        self.delivered = 0.0
        """By the present delivery, uL."""
        self.total = {"INF": 0.0, "WDR": 0.0}
        """uL since the pump was switched on."""
        self._probe = probe
        self._number = 0
        self._open = False
        self._before = 0.0

    def run(self, *, direction: str, rate: float, target: float, continued: bool) -> None:
        """The pump starts: `rate` in uL/min, `target` in uL, 0 for no end."""
        if not continued:
            self._number += 1
            self.delivered = 0.0
        self._open, self._before = True, self.delivered
        self._probe.record(
            "run",
            number=self._number,
            continued=continued,
            direction=direction,
            rate=rate,
            target=target,
            delivered=self.delivered,
            total=dict(self.total),
        )

    def move(self, volume: float, direction: str, goal: float) -> float:
        """Count a volume, uL, up to `goal` of the delivery (0 for none); return what was moved."""
        reached = goal > 0 and self.delivered + volume >= goal
        # The volume of a delivery that has reached its end is the goal itself, not a sum with rounding errors.
        end = max(goal, self.delivered) if reached else self.delivered + volume
        moved, self.delivered = end - self.delivered, end
        self.total[direction] += moved
        return moved

    def end(self, action: str, direction: str, *, over: bool, **details: Any) -> None:
        """Record what ends a stretch of pumping; `over` when the delivery cannot be continued."""
        stretch: dict[str, Any] = {}
        if self._open:
            volume = self.delivered - self._before
            stretch = {
                "number": self._number,
                "direction": direction,
                "volume": volume,
                "delivered": self.delivered,
            }
        self._probe.record(action, **details, **stretch, total=dict(self.total))
        self._open, self._before = self._open and not over, self.delivered
