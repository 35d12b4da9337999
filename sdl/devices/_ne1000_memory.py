"""What this process knows of a pump whatever connection it heard it over: its framing, its alarms, whose counters.

A pump tells an alarm once, to whoever speaks to it next (§10.3). A process may hold several connections to it (a
station's, an interlock's), so what one of them was told counts for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

__all__ = ["MARK", "PumpMemory", "memory_of"]

MARK = 0.001
"""Volume to deliver, in the pump's unit, that says that its power was interrupted; see `PumpLine.mark`."""


@dataclass
class PumpMemory:
    """One pump."""

    safe: bool = True
    """Whether it listens in safe mode, as far as is known."""
    count: int = 0
    """How many alarms it has told."""
    alarms: str = ""
    """Letters of those told since its counters were cleared for `owner`; of all when this process has not done so."""
    owner: str | None = None
    """Id of the action for which this process cleared the counters last, empty outside a campaign; None before that."""
    unmarked: bool = False
    """Whether alarm R was told and the pump has not been marked since; see `PumpLine.mark`."""

    def told(self, alarm: str) -> None:
        """The pump told an alarm."""
        self.count += 1
        self.alarms += alarm
        self.unmarked = self.unmarked or alarm == "R"

    def cleared(self, owner: str) -> None:
        """Settings were written and the counters cleared: what was before says nothing about what comes."""
        self.owner, self.alarms, self.unmarked = owner, "", False


@cache
def memory_of(host: str, port: int, unit: int) -> PumpMemory:
    """The memory of the pump at an address."""
    return PumpMemory()
