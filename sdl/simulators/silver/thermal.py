"""The heated block around the reactor: one lump that loses heat to the room."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sdl.simulators._heater_plant import FirstOrderPlant

__all__ = ["HeatedBlock"]


class _Told(NamedTuple):
    """Lab time from a function."""

    now: Callable[[], float]


class HeatedBlock(FirstOrderPlant):
    """A lump of heat capacity with a heater and a loss to ambient.

    C dT/dt = P·power − U (T − ambient), known in closed form, now and in the past.

    Args:
        now: lab time, s.
        ambient: degC.
        heat_capacity: J/K.
        loss: W/K.
        heater: full power, W.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        ambient: float = 22.0,
        heat_capacity: float = 21.0,
        loss: float = 0.3,
        heater: float = 36.0,
    ) -> None:
        self.heater, self.loss = heater, loss
        super().__init__(_Told(now), gain=heater / loss, time_constant=heat_capacity / loss, ambient=ambient)

    def mean_temperature(self, start: float, end: float) -> float:
        """Mean over a span of lab time, degC; of what lies before all that is remembered, the part after that."""
        begin = max(start, self.remembered)
        finish = max(begin, min(end, self._clock.now()))
        if finish == begin:
            return float(self.history(begin, finish)[1][0])
        return self.integrate(lambda temperature: temperature, begin, finish) / (finish - begin)
