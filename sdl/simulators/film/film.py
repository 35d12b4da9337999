"""A substrate and what is on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from sdl.simulators.film.annealing import Exposure
from sdl.simulators.film.coating import Air, Layer, spin
from sdl.simulators.film.ideal import coat_of
from sdl.simulators.film.options import FilmOptions
from sdl.simulators.film.properties import Properties, properties_of

__all__ = ["HALF_WIDTH", "Film", "Kind"]

HALF_WIDTH = 11.5
"""From the middle of a film to where the probe's four needles still stand on it, mm."""


class Kind(IntEnum):
    """What is random about a film; each kind has a stream of its own."""

    SPREAD = 0
    RESISTANCE = 1
    THICKNESS = 2


@dataclass
class Film:
    """One substrate, from the magazine to the tray.

    What is random about it depends on the twin's seed, its number and how often it was measured, and on nothing else,
    so the order in which several films are handled does not change any of them.

    Args:
        number: in the order of loading, from 1.
        seed: of the twin.
        ink: what it is coated with.
    """

    number: int
    seed: int
    ink: FilmOptions
    layer: Layer = field(default_factory=Layer)
    dispensed: float = 0.0
    """uL"""
    rpm: float = 0.0
    """Fastest spin."""
    spun_at: float | None = None
    """End of the last spin, lab s."""
    humidity: float = 20.0
    """At that time, %RH."""
    rested: float | None = None
    """Seconds from there to the furnace; None while it was in none."""
    weight: float = 1.0
    """Mean humidity meanwhile over 20 %RH."""
    exposure: Exposure = field(default_factory=Exposure)
    _measured: dict[Kind, int] = field(default_factory=dict)

    def dispense(self, microlitres: float) -> None:
        """Ink comes onto it."""
        self.layer = self.layer.with_ink(microlitres, self.ink)
        self.dispensed += microlitres

    def spin(self, rpm: float, seconds: float, air: Air, now: float) -> None:
        """It has turned."""
        self.layer = spin(self.layer, rpm, seconds, self.ink, air)
        self.rpm = max(self.rpm, rpm)
        self.spun_at, self.humidity = now, air.humidity

    def enter_furnace(self, air: Air, now: float) -> None:
        """It comes under the furnace's dry nitrogen, where it ages no longer."""
        if self.rested is None and self.spun_at is not None:
            self.rested, self.weight = self._rest(air, now)

    def properties(self, exposure: Exposure, air: Air, now: float) -> Properties:
        """The film as it is.

        Args:
            exposure: to heat, so far.
            air: around it.
            now: lab s.
        """
        rested, weight = (self.rested, self.weight) if self.rested is not None else self._rest(air, now)
        coat = coat_of(self.layer, self.dispensed, self.rpm, rested=rested, humid=weight)
        toughness = 1 + self.ink.film_spread * self._normal(Kind.SPREAD, 0)
        return properties_of(coat, exposure, self.ink.critical_thickness, toughness)

    def sheet_resistance(self, film: Properties, position: float) -> float | None:
        """A reading of the sheet's resistance, ohm; None where no current flows.

        Args:
            film: as it is.
            position: of the probe from the middle of the film, mm.
        """
        if not film.continuous or abs(position) > HALF_WIDTH:
            return None
        spread = 1 + self.ink.film_spread * self._normal(Kind.SPREAD, 1)
        clean = 1 / (film.conductivity * 1e-9 * film.thickness * self._profile(position) * spread)
        return clean * (1 + self.ink.resistance_noise * self._next(Kind.RESISTANCE))

    def thickness(self, film: Properties, position: float) -> float:
        """A reading of its thickness, nm.

        Args:
            film: as it is.
            position: of the gauge from the middle of the film, mm.
        """
        clean = film.thickness * self._profile(position) if abs(position) <= HALF_WIDTH else 0.0
        return max(clean * (1 + self.ink.thickness_noise * self._next(Kind.THICKNESS)), 0.0)

    def _profile(self, position: float) -> float:
        """Thickness there over that in the middle: it rises towards the rim, and is tilted a little."""
        tilt = 0.5 * self.ink.film_spread * self._normal(Kind.SPREAD, 2)
        relative = position / HALF_WIDTH
        return 1 + 0.1 * (self.dispensed / 300) ** 2 * relative**4 + tilt * relative

    def _rest(self, air: Air, now: float) -> tuple[float, float]:
        if self.spun_at is None:
            return 0.0, 1.0
        return max(now - self.spun_at, 0.0), (self.humidity + air.humidity) / 40

    def _next(self, kind: Kind) -> float:
        """Noise of the next measurement of a kind."""
        self._measured[kind] = self._measured.get(kind, 0) + 1
        return self._normal(kind, self._measured[kind])

    def _normal(self, kind: Kind, index: int) -> float:
        return float(np.random.default_rng([self.seed, self.number, kind, index]).standard_normal())
