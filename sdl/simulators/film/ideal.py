"""The film that a set of parameters gives without noise, on a plate that has its temperature."""

from __future__ import annotations

import math

import numpy as np

from sdl.simulators.film.annealing import Exposure, exposed, followed
from sdl.simulators.film.coating import Air, Layer, coverage_of, rim_of, spin
from sdl.simulators.film.options import FilmOptions
from sdl.simulators.film.properties import Coat, Properties, properties_of

__all__ = ["coat_of", "ideal_film", "left_wet"]

_RELEASE = 300.0
"""Seconds in which the solvent in a gel at rest falls to 1/e."""


def left_wet(layer: Layer, seconds: float) -> float:
    """Volume of solvent over that of solids once a layer has rested."""
    return layer.wetness * math.exp(-seconds / _RELEASE)


def coat_of(layer: Layer, microlitres: float, rpm: float, *, rested: float, humid: float) -> Coat:
    """A spun layer as it goes into the furnace.

    Args:
        layer: after the last spin.
        microlitres: dispensed in all.
        rpm: fastest spin.
        rested: seconds since then.
        humid: humidity meanwhile over 20 %RH.
    """
    return Coat(
        solids=1e9 * layer.solids,
        wetness=left_wet(layer, rested),
        coverage=coverage_of(microlitres, rpm) if rpm else 0.0,
        rim=rim_of(microlitres),
        age=rested * math.sqrt(humid),
    )


def ideal_film(
    speed: float,
    volume: float,
    anneal_temperature: float,
    anneal_time: float,
    *,
    options: FilmOptions | None = None,
    spin_time: float = 45.0,
    wait: float = 60.0,
) -> Properties:
    """The film of a trial whose instruments do exactly what they are told.

    Args:
        speed: rpm.
        volume: of ink, uL.
        anneal_temperature: degC.
        anneal_time: lab seconds.
        options: of the twin.
        spin_time: s.
        wait: between coating and furnace, s.
    """
    chosen = options or FilmOptions()
    layer = spin(Layer().with_ink(volume, chosen), speed, spin_time, chosen, Air(chosen.ambient, chosen.humidity))
    coat = coat_of(layer, volume, speed, rested=wait, humid=chosen.humidity / 20)
    exposure = _exposure(anneal_temperature, anneal_time, chosen)
    return properties_of(coat, exposure, chosen.critical_thickness)


def _exposure(temperature: float, seconds: float, options: FilmOptions) -> Exposure:
    """To a plate of one temperature, and to the cooling afterwards."""
    constant, ambient = options.approach, options.ambient
    heating = np.linspace(0.0, seconds, max(2, round(seconds / 5) + 1))
    cooling = np.linspace(0.0, 8 * constant, max(2, round(8 * constant / 5) + 1))[1:]
    film = followed(heating, np.full_like(heating, temperature), ambient, constant)
    falling = ambient + (film[-1] - ambient) * np.exp(-cooling / constant)
    return exposed(
        Exposure(peak=ambient), np.concatenate([heating, seconds + cooling]), np.concatenate([film, falling])
    )
