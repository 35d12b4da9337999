"""A furnace's bed: what a controller heats, and what the heat does to the film on it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sdl.protocols import Clock
from sdl.simulators._heater_loop import FirstOrderPlant
from sdl.simulators.film.annealing import Exposure, exposed, followed

__all__ = ["FurnaceBed"]

Array = npt.NDArray[np.float64]

_STEP = 5.0
"""Longest time between temperatures from which an exposure is worked out, s."""
_COOLS = 8.0
"""Time constants after which a film that was lifted is cold."""


class FurnaceBed(FirstOrderPlant):
    """A hot plate under dry nitrogen, with pins that hold a film above it.

    A film is put on the raised pins, where it stays cold whatever the plate's temperature is. An output of the
    controller's timer lowers them while the timer runs, slowly, so that the film follows the plate with a time
    constant. So a film is annealed for as long as the timer counts, at the temperature that the plate has then.

    The plate's temperature is known in closed form. What a film has been through is worked out when it is looked at or
    taken away.

    Args:
        clock: lab time.
        ambient: degC.
        gain: rise of the plate at full power, K.
        time_constant: of the plate, s.
        approach: time constant with which a film follows, s.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ambient: float = 22.0,
        gain: float = 700.0,
        time_constant: float = 120.0,
        approach: float = 90.0,
    ) -> None:
        super().__init__(clock, gain=gain, time_constant=time_constant, ambient=ambient)
        self._approach = approach
        self._exposure: Exposure | None = None
        self._down: list[tuple[float, float]] = []

    def lower(self, until: float) -> None:
        """The pins are down from now on until a lab time, s, unless they are lifted before."""
        now = self._clock.now()
        if self._down and self._down[-1][1] >= now:
            self._down[-1] = (self._down[-1][0], until)
        else:
            self._down.append((now, until))

    def lift(self) -> None:
        """The pins are up from now on."""
        now = self._clock.now()
        if self._down and self._down[-1][1] > now:
            self._down[-1] = (self._down[-1][0], now)

    def insert(self, exposure: Exposure) -> None:
        """A film that has been through `exposure` is on the pins from now on."""
        now = self._clock.now()
        self._exposure = exposure
        self._down = [(max(start, now), end) for start, end in self._down if end > now]

    def exposure(self) -> Exposure | None:
        """Of the film on the bed, up to now; None without one."""
        if self._exposure is None:
            return None
        exposure, celsius, now = self._exposure, self.ambient, self._clock.now()
        for index, (start, end) in enumerate(self._down):
            following = self._down[index + 1][0] if index + 1 < len(self._down) else math.inf
            times, film = self._stay(start, min(end, now), celsius, following if end <= now else now)
            exposure, celsius = exposed(exposure, times, film), float(film[-1])
        return exposure

    def remove(self) -> Exposure | None:
        """The film leaves the bed; its exposure, None without one."""
        exposure, self._exposure = self.exposure(), None
        return exposure

    def _stay(self, start: float, end: float, celsius: float, until: float) -> tuple[Array, Array]:
        """Times and temperatures of a film while the pins are down and, from then on, while it cools.

        That is taken for done once it has begun: a film cools in the gripper as well.
        """
        times, plate = self.history(start, end, _STEP)
        film = followed(times, plate, celsius, self._approach)
        cooling = min(until - end, _COOLS * self._approach)
        if cooling <= 0:
            return times, film
        after = np.linspace(0.0, cooling, max(2, round(cooling / _STEP) + 1))[1:]
        falling = self.ambient + (film[-1] - self.ambient) * np.exp(-after / self._approach)
        return np.concatenate([times, end + after]), np.concatenate([film, falling])
