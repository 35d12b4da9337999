"""The heated block around the reactor: one lump that loses heat to the room."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

__all__ = ["HeatedBlock"]


class HeatedBlock:
    """A lump of heat capacity with a heater and a loss to ambient.

    C dT/dt = P·power − U (T − ambient), integrated exactly between changes of power.

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
        self.ambient, self.heater, self.loss = ambient, heater, loss
        self.time_constant = heat_capacity / loss
        """s"""
        self._now = now
        self._power = 0.0
        self._time, self._temperature = now(), ambient
        self._past: deque[tuple[float, float]] = deque([(self._time, ambient)], maxlen=4096)

    def temperature(self) -> float:
        """degC, now."""
        self._advance()
        return self._temperature

    def set_power(self, fraction: float) -> None:
        """Heater power from now on, as a fraction of full power, 0 to 1."""
        self._advance()
        self._power = min(max(fraction, 0.0), 1.0)

    def mean_temperature(self, start: float, end: float) -> float:
        """Mean over a span of lab time, degC."""
        self._advance()
        times, temperatures = np.array([*self._past, (self._time, self._temperature)]).T
        return float(np.interp(np.linspace(start, end, 33), times, temperatures).mean())

    def _advance(self) -> None:
        now = self._now()
        target = self.ambient + self._power * self.heater / self.loss
        decay = math.exp(-max(now - self._time, 0.0) / self.time_constant)
        self._temperature = target + (self._temperature - target) * decay
        self._time = now
        if now - self._past[-1][0] >= 1.0:
            self._past.append((now, self._temperature))
