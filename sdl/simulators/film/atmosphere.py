"""The glovebox's atmosphere: humidity that follows a target through a drier, temperature that wanders."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sdl.simulators.film.coating import Air

__all__ = ["Glovebox"]

_DRIER = 600.0
"""Time constant of the drier, s."""
_WANDER = ((0.6, 1.3 * 3600), (0.9, 5.3 * 3600))
"""Amplitude and period of what the drier does not hold: %RH, s."""
_DAY = (0.4, 24 * 3600)
"""Amplitude and period of the temperature: K, s."""


class Glovebox:
    """A function of lab time and of the targets set so far.

    Args:
        now: lab time, s.
        humidity: at the start, and target, %RH.
        ambient: degC.
        seed: of the phases of what wanders.
    """

    def __init__(
        self, now: Callable[[], float], *, humidity: float = 20.0, ambient: float = 22.0, seed: int = 0
    ) -> None:
        self._now, self._ambient = now, ambient
        self._target = self._level = humidity
        self._at = now()
        self._phases = np.random.default_rng([seed, 3]).uniform(0, 2 * math.pi, 3).tolist()

    @property
    def humidity_target(self) -> float:
        """What the drier aims at, %RH; can be set."""
        return self._target

    @humidity_target.setter
    def humidity_target(self, value: float) -> None:
        self._level, self._at = self._dried(), self._now()
        self._target = min(max(value, 0.0), 100.0)

    def humidity(self) -> float:
        """%RH, now."""
        wander = sum(
            size * math.sin(2 * math.pi * self._now() / period + phase)
            for (size, period), phase in zip(_WANDER, self._phases[1:], strict=True)
        )
        return min(max(self._dried() + wander, 0.1), 100.0)

    def temperature(self) -> float:
        """degC, now."""
        size, period = _DAY
        return self._ambient + size * math.sin(2 * math.pi * self._now() / period + self._phases[0])

    def air(self) -> Air:
        """Over the chuck, now."""
        return Air(self.temperature(), self.humidity())

    def _dried(self) -> float:
        return self._target + (self._level - self._target) * math.exp((self._at - self._now()) / _DRIER)
