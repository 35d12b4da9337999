"""Spin coating: how an ink thins, dries and covers a plate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdl.simulators.film.options import FilmOptions

__all__ = ["AREA", "Air", "Layer", "coverage_of", "rim_of", "spin"]

AREA = 6.25e-4
"""Of a substrate, 25 mm square, m²."""
_REFERENCE = 2000 * 2 * math.pi / 60
"""Angular speed at which the rate of evaporation is given, rad/s."""
_GEL = 0.3
"""Volume fraction of solids above which the layer no longer flows."""
_BOUND = 0.15
"""Solvent that the gel keeps on the spinning plate, over the volume of its solids."""
_COVERS = 75.0
"""Scale of the volume that covers the plate, uL."""


@dataclass(frozen=True)
class Air:
    """The atmosphere over a film."""

    temperature: float = 22.0
    """degC"""
    humidity: float = 0.0
    """%RH"""


@dataclass(frozen=True)
class Layer:
    """What lies on a plate, by volume over area."""

    solids: float = 0.0
    """m"""
    solvent: float = 0.0
    """m"""

    @property
    def thickness(self) -> float:
        """Of solids and solvent, m."""
        return self.solids + self.solvent

    @property
    def wetness(self) -> float:
        """Volume of solvent over that of solids."""
        return self.solvent / self.solids if self.solids else 0.0

    def with_ink(self, microlitres: float, ink: FilmOptions) -> Layer:
        """The layer with more ink on it."""
        added = microlitres * 1e-9 / AREA
        return Layer(self.solids + added * ink.solids, self.solvent + added * (1 - ink.solids))


def spin(layer: Layer, rpm: float, seconds: float, ink: FilmOptions, air: Air) -> Layer:
    """The layer after the plate has turned.

    The ink first thins as A. G. Emslie, F. T. Bonner and L. G. Peck found, h = h₀ / √(1 + 4 K h₀² t) with
    K = ρ ω² / 3η (J. Appl. Phys. 29, 858 (1958), doi:10.1063/1.1723300). It does so until flow has become as slow as
    evaporation; from then on solvent leaves at a constant rate and the solids stay (D. Meyerhofer, J. Appl. Phys. 49,
    3993 (1978), doi:10.1063/1.325357), at the thickness c [e / 2(1 - c) K]^⅓. Since evaporation goes with √ω, the dry
    film goes with ω^-½.

    Args:
        layer: before.
        rpm: of the plate.
        seconds: that it turns.
        ink: viscosity, density, evaporation.
        air: humid air takes up solvent a little more slowly, warm air faster.
    """
    omega = rpm * 2 * math.pi / 60
    if omega <= 0 or seconds <= 0 or layer.solids <= 0:
        return layer
    share = layer.solids / layer.thickness
    evaporation = _evaporation(ink, air) * math.sqrt(omega / _REFERENCE)
    if share >= _GEL:
        return Layer(layer.solids, _dried(layer.solvent, layer.solids, evaporation * seconds))
    thinning = 1e6 * ink.density * omega**2 / (3 * ink.viscosity)  # 1/(m² s)
    flows_to = (evaporation / (2 * (1 - share) * thinning)) ** (1 / 3)
    start = layer.thickness
    flowing = max((flows_to**-2 - start**-2) / (4 * thinning), 0.0)
    if seconds <= flowing:
        reached = start / math.sqrt(1 + 4 * thinning * start**2 * seconds)
        return Layer(share * reached, (1 - share) * reached)
    reached = min(flows_to, start)
    solids = share * reached
    return Layer(solids, _dried((1 - share) * reached, solids, evaporation * (seconds - flowing)))


def _evaporation(ink: FilmOptions, air: Air) -> float:
    """m/s on a plate at the reference speed; the solvent's vapour pressure rises by 5 % a kelvin."""
    return 1e-6 * ink.evaporation * (1 - 0.3 * air.humidity / 100) * math.exp(0.05 * (air.temperature - 22.0))


def _dried(solvent: float, solids: float, lost: float) -> float:
    return max(solvent - lost, min(solvent, _BOUND * solids))


def coverage_of(microlitres: float, rpm: float) -> float:
    """Share of the plate that the ink covers.

    The rim of a drop that is too small breaks up into fingers before it reaches the edge (F. Melo, J. F. Joanny and
    S. Fauve, Phys. Rev. Lett. 63, 1958 (1989), doi:10.1103/PhysRevLett.63.1958); a faster plate brings them closer
    together. The form is plausible, not fitted.

    Args:
        microlitres: dispensed.
        rpm: fastest spin.
    """
    return 1 - math.exp(-((microlitres / _COVERS) ** 2) * (max(rpm, 1.0) / 2000) ** 0.15)


def rim_of(microlitres: float) -> float:
    """Height of the rim over that of the film, less one: ink beyond what covers gathers at the edge and flows back."""
    return 0.3 * (microlitres / 300) ** 2
