"""Annealing: what heat does to a film, as integrals of Arrhenius rates over its temperature history.

With one activation energy to a process its progress depends on the history only through Θ = ∫ k(T) dt, the idea of
the master sintering curve (H. Su and D. L. Johnson, J. Am. Ceram. Soc. 79, 3211 (1996),
doi:10.1111/j.1151-2916.1996.tb08097.x). So a furnace adds up four integrals, and a film is a function of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BURN", "COLD", "DENSIFY", "DEWET", "GROW", "PROCESSES", "Exposure", "exposed", "followed", "rate"]

Array = npt.NDArray[np.float64]

BURN, DENSIFY, GROW, DEWET = PROCESSES = range(4)
"""Ligands burn off; particles sinter; grains grow; the film draws back into islands."""
COLD = 100.0
"""Below, degC, a film only dries: heating is timed from here."""

_GAS = 8.314462618
"""J/(mol K)"""
_ARRHENIUS = (
    (150.0, 1 / 1800, 80e3),
    (200.0, 1 / 1200, 105e3),
    (240.0, 1 / 12, 105e3),
    (260.0, 1 / 6500, 55e3),
)
"""Of each process: temperature, degC, at which it has a rate, 1/s, and its activation energy, J/mol.

Plausible for silver particles of 20 nm, not fitted to a published ink.
"""
_NEAR = 5.0
"""Kelvins below the highest temperature at which the heating is over."""


@dataclass(frozen=True)
class Exposure:
    """What a film has been through."""

    progress: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """∫ k dt of each process: `BURN`, `DENSIFY`, `GROW`, `DEWET`."""
    peak: float = 22.0
    """Highest temperature, degC."""
    heating_rate: float = 0.0
    """Mean from 100 degC to the highest temperature, K/min; 0 when it never was that warm."""


def rate(process: int, celsius: Array) -> Array:
    """Rate of a process, 1/s, at temperatures; Arrhenius."""
    at, known, energy = _ARRHENIUS[process]
    return np.asarray(known * np.exp(energy / _GAS * (1 / (at + 273.15) - 1 / (celsius + 273.15))), dtype=np.float64)


def followed(times: Array, plate: Array, start: float, constant: float) -> Array:
    """Temperature of something that follows a plate with a time constant, exact where that moves in straight lines.

    Args:
        times: s, ascending, shape (n,).
        plate: its temperatures, degC, shape (n,).
        start: of what follows, degC.
        constant: s.
    """
    film = np.empty_like(plate)
    film[0] = start
    steps = np.diff(times)
    keeps = np.exp(-steps / constant)
    slopes = np.divide(np.diff(plate), steps, out=np.zeros_like(steps), where=steps > 0)
    for index, (kept, slope) in enumerate(zip(keeps.tolist(), slopes.tolist(), strict=True)):
        lag = slope * constant
        film[index + 1] = plate[index + 1] - lag + (film[index] - plate[index] + lag) * kept
    return film


def exposed(exposure: Exposure, times: Array, celsius: Array) -> Exposure:
    """The exposure after a further stay in a furnace; Simpson's rule between the times.

    Args:
        exposure: before.
        times: during the stay, s, ascending, shape (n,).
        celsius: the film's temperatures then, shape (n,).
    """
    steps, middle = np.diff(times), (celsius[1:] + celsius[:-1]) / 2
    more = []
    for process in PROCESSES:
        at = rate(process, celsius)
        more.append(float(np.sum(steps * (at[1:] + at[:-1] + 4 * rate(process, middle)) / 6)))
    burn, densify, grow, dewet = (before + later for before, later in zip(exposure.progress, more, strict=True))
    top = float(celsius.max())
    if top <= exposure.peak:
        return Exposure((burn, densify, grow, dewet), exposure.peak, exposure.heating_rate)
    return Exposure((burn, densify, grow, dewet), top, _heating_rate(times, celsius, top))


def _heating_rate(times: Array, celsius: Array, top: float) -> float:
    """K/min"""
    if top <= COLD + _NEAR:
        return 0.0
    begins, ends = (_first(times, celsius, level) for level in (COLD, top - _NEAR))
    return 60 * (top - _NEAR - COLD) / max(ends - begins, 1.0)


def _first(times: Array, celsius: Array, level: float) -> float:
    """When a temperature is reached for the first time, between two readings on the straight line."""
    index = int(np.argmax(celsius >= level))
    if index == 0:
        return float(times[0])
    low, high = float(celsius[index - 1]), float(celsius[index])
    return float(times[index - 1] + (times[index] - times[index - 1]) * (level - low) / (high - low))
