"""What a film is after all it went through: thickness, cracks, holes, conductivity."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdl.simulators.film.annealing import BURN, COLD, DENSIFY, DEWET, GROW, Exposure

__all__ = ["Coat", "Properties", "properties_of"]

_BULK = 6.3e7
"""Conductivity of silver, S/m."""
_FREE_PATH = 52.0
"""Mean free path of its electrons, nm (D. Gall, J. Appl. Phys. 119, 085101 (2016), doi:10.1063/1.4942216)."""
_REFLECTED = 0.4
"""Share of the electrons that a grain boundary throws back."""
_ROUGH = 3.0
"""Path along a rough surface over the way: what its roughness adds to the scattering of a flat one."""
_GRAIN = 20.0
"""Diameter of the particles, nm."""
_GREEN = 0.42
"""Pores and ligands in the dried layer, by volume."""
_AGEING = 900.0
"""Seconds in air of 20 %RH in which a layer that waits loses its order."""
_PERCOLATES = 0.5
"""Share of the plate, covered or not dewetted, below which no current finds a way."""


@dataclass(frozen=True)
class Coat:
    """A layer as it goes into the furnace."""

    solids: float
    """Volume over area, nm."""
    wetness: float
    """Volume of solvent over that of solids."""
    coverage: float
    """Share of the plate."""
    rim: float
    """Height of the rim over that of the film, less one."""
    age: float = 0.0
    """Seconds between coating and furnace, each weighted with the humidity over 20 %RH."""


@dataclass(frozen=True)
class Properties:
    """A film."""

    thickness: float
    """nm"""
    conductivity: float
    """S/m; 0 without a path for the current."""
    cracked: bool
    crack_drive: float
    """Energy that a crack would release over what it costs; the film cracks above 1."""
    coverage: float
    """Share of the plate that is covered."""
    dewetted: float
    """Share of the film that has drawn back."""
    grain: float
    """Diameter of the grains, nm."""
    porosity: float
    """Share of the volume."""

    @property
    def continuous(self) -> bool:
        """Whether current finds a way through it."""
        return not self.cracked and self.conductivity > 0


def properties_of(coat: Coat, exposure: Exposure, critical: float, toughness: float = 1.0) -> Properties:
    """The film that a coat has become.

    Args:
        coat: before the furnace.
        exposure: to heat.
        critical: thickness that just does not crack, nm, see `FilmOptions.critical_thickness`.
        toughness: of this film over the average.
    """
    theta = exposure.progress
    # Ligands have to diffuse out: thick films burn out more slowly.
    organics = math.exp(-theta[BURN] / (1 + (coat.solids / 250) ** 2))
    disorder = 1 - math.exp(-((coat.age / _AGEING) ** 2))
    sintered = 1 - 1 / (1 + theta[DENSIFY]) ** 0.7
    porosity = _GREEN * (1 - sintered * (1 - 0.5 * disorder)) + 0.05 * disorder
    thickness = coat.solids / (1 - porosity) * (1 - _GREEN)
    dewetted = _dewetted(theta[DEWET], thickness)
    drive = _crack_drive(coat, exposure, thickness, critical, porosity) / toughness
    # Grains stop growing when they are about as large as the film is thick (C. V. Thompson, Annu. Rev. Mater. Sci.
    # 20, 245 (1990), doi:10.1146/annurev.ms.20.080190.001333).
    grown = _GRAIN * (1 + theta[GROW]) ** (1 / 3)
    grain = 1 / math.hypot(1 / grown, 1 / thickness) if thickness else grown
    conductivity = (
        _BULK
        * _scattering(grain, thickness)
        * math.exp(-5 * organics)
        * max(1 - 1.5 * porosity, 0.0) ** 2
        / (1 + (drive / 0.75) ** 4)  # microcracks come before cracks
        * math.exp(-2.5 * disorder)
        * math.exp(-3 * coat.rim)
        * _path(coat.coverage)
        * _path(1 - dewetted)
    )
    return Properties(
        thickness=thickness,
        conductivity=conductivity if thickness > 1 else 0.0,
        cracked=drive > 1,
        crack_drive=drive,
        coverage=coat.coverage,
        dewetted=dewetted,
        grain=grain,
        porosity=porosity,
    )


def _dewetted(theta: float, thickness: float) -> float:
    """Holes nucleate and grow, the faster the thinner the film is.

    E. Jiran and C. V. Thompson, J. Electron. Mater. 19, 1153 (1990), doi:10.1007/BF02673327: the rate rises steeply as
    the film gets thinner; here with the third power. Holes overlap as Avrami has it.
    """
    return 1 - math.exp(-((theta * (150 / max(thickness, 1.0)) ** 3) ** 2))


def _crack_drive(coat: Coat, exposure: Exposure, thickness: float, critical: float, porosity: float) -> float:
    """Energy release rate of a channel crack over the energy of its faces.

    It is Z σ² h / E (J. W. Hutchinson and Z. Suo, Adv. Appl. Mech. 29, 63 (1992),
    doi:10.1016/S0065-2156(08)70164-9), so there is a critical thickness, as in drying layers of particles
    (M. S. Tirumkudulu and W. B. Russel, Langmuir 21, 4938 (2005), doi:10.1021/la048298k). The stress σ comes from
    shrinkage on a rigid substrate, from solvent that boils off, the more the faster the film is heated, and from the
    mismatch of thermal expansion on cooling.
    """
    shrinkage = (_GREEN - porosity) / _GREEN
    if exposure.peak < COLD:
        return 0.0
    boiling = 0.25 * coat.wetness * (1 + exposure.heating_rate / 30)
    heating = (exposure.heating_rate / 60) ** 2
    stress = 0.8 * shrinkage + 0.2 * (exposure.peak - 22) / 228 + 0.25 * heating * shrinkage + boiling
    return thickness / critical * stress**2 * (1 + 0.3 * coat.rim)


def _scattering(grain: float, thickness: float) -> float:
    """Conductivity over that of the bulk: grain boundaries and surfaces.

    A. F. Mayadas and M. Shatzkes, Phys. Rev. B 1, 1382 (1970), doi:10.1103/PhysRevB.1.1382; the surfaces after
    K. Fuchs (1938) and E. H. Sondheimer (1952) to first order in the free path over the thickness.
    """
    if grain <= 0 or thickness <= 0:
        return 0.0
    alpha = _FREE_PATH / grain * _REFLECTED / (1 - _REFLECTED)
    boundaries = 1 - 1.5 * alpha + 3 * alpha**2 - 3 * alpha**3 * math.log1p(1 / alpha)
    return boundaries / (1 + _ROUGH * 3 * _FREE_PATH / (8 * thickness))


def _path(share: float) -> float:
    """Conductivity of a sheet of which only a share conducts; percolation in two dimensions, exponent 1.3."""
    return float(max((share - _PERCOLATES) / (1 - _PERCOLATES), 0.0) ** 1.3)
