"""Nucleation and growth of silver nanoparticles: from what is mixed to the particles that leave the reactor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

__all__ = ["Mixture", "Particles", "grow"]

Array = npt.NDArray[np.float64]

SILVER_PER_VOLUME = 4.0787e-4
"""mM of silver in 1e12 spheres of 1 nm radius a mL: 4π/3 nm³ over the molar volume 10.27 cm³/mol."""
_GAS = 8.314462618e-3
"""kJ/(mol K)"""
_REFERENCE = 323.15
"""Temperature at which the rate constants hold, K."""
_REDUCTION = (0.008, 75.0)
"""Reduction in solution: 1/(mM s) and activation energy, kJ/mol."""
_SURFACE = (3.0e-4, 65.0)
"""Reduction on the particles' surface: mL/(1e12 nm² mM s) and kJ/mol."""
_NUCLEATION = (40.0, 90.0)
"""Homogeneous nucleation, third order in dissolved metal: 1e12/(mL s mM³) and kJ/mol."""
_GROWTH = (220.0, 30.0)
"""Growth by attachment of dissolved metal: nm/(s mM) and kJ/mol."""
_NUCLEUS = 0.8
"""Radius of a nucleus, nm."""
_SEED_RADIUS, _SEED_SPREAD = 4.0, 0.12
"""Mean radius of the seeds, nm, and its standard deviation over the mean."""
_RATIO = 2.5
"""Citrate to silver at which half of the growth is plate-like."""
_GROWTH_SPREAD = 0.10
"""Spread that differences between crystals (twins, faces) add, over the mean radius."""
_SEED_MOMENTS = (
    1.0,
    _SEED_RADIUS,
    _SEED_RADIUS**2 * (1 + _SEED_SPREAD**2),
    _SEED_RADIUS**3 * (1 + 3 * _SEED_SPREAD**2),
)
"""Moments of the radius of a seed, nm⁰ … nm³ (normal distribution)."""


@dataclass(frozen=True)
class Mixture:
    """What flows into the reactor, after mixing, and how it is treated."""

    silver: float
    """AgNO₃, mM."""
    reductant: float
    """Ascorbic acid, mM."""
    stabiliser: float
    """Trisodium citrate, mM."""
    seeds: float
    """Seed particles, 1e12/mL."""
    temperature: float
    """degC"""
    seconds: float
    """Time in the reactor, s."""


@dataclass(frozen=True)
class Particles:
    """Particles in suspension."""

    number: float
    """1e12/mL"""
    radius: float
    """Mean radius of the sphere of equal volume, nm."""
    dispersity: float
    """Standard deviation of the radius over its mean."""
    aspect: float
    """Long over short axis of the oblate spheroid; 1 for a sphere."""
    silver: float
    """Silver in particles, mM."""
    dissolved: float
    """Silver that is still in solution, as ion or atom, mM."""


def _rate(constant: tuple[float, float], kelvin: float) -> float:
    value, activation = constant
    return value * math.exp(activation / _GAS * (1 / _REFERENCE - 1 / kelvin))


def _capped(mixture: Mixture) -> tuple[float, float]:
    """Factors by which citrate slows nucleation and growth: it complexes silver and covers the surface."""
    coverage = mixture.stabiliser / (mixture.stabiliser + 1.5)
    return 1 / (1 + 6 * coverage**2), 1 / (1 + 3 * coverage)


def _aspect(mixture: Mixture, radius: float) -> float:
    """Citrate binds to (111) faces, so seeds thicken slowly and spread into plates as they grow.

    After J. Zeng et al., J. Am. Chem. Soc. 132, 8552 (2010): the ratio of citrate to silver sets the habit.
    """
    ratio = mixture.stabiliser / (mixture.silver + 1e-9)
    selective = ratio**2 / (ratio**2 + _RATIO**2)
    grown = 1 - math.exp(-max(radius - _SEED_RADIUS, 0.0) / 12)
    return 1 + 1.3 * selective * grown


def grow(mixture: Mixture) -> Particles:
    """Integrate reduction, nucleation and growth over the time in the reactor.

    Silver ions are reduced in solution and, autocatalytically, on the particles (M. A. Watzky and R. G. Finke,
    J. Am. Chem. Soc. 119, 10382 (1997)); dissolved metal nucleates once supersaturated (V. K. LaMer and
    R. H. Dinegar, J. Am. Chem. Soc. 72, 4847 (1950)) and grows particles at a rate independent of their size, which
    closes the moments of the radius distribution (A. D. Randolph and M. A. Larson, AIChE J. 8, 639 (1962)). Rate
    constants follow Arrhenius; they are plausible, not fitted to a published system.
    """
    kelvin = mixture.temperature + 273.15
    reduction, surface = _rate(_REDUCTION, kelvin), _rate(_SURFACE, kelvin)
    slow_nucleation, slow_growth = _capped(mixture)
    nucleation = _rate(_NUCLEATION, kelvin) * slow_nucleation
    growth = _rate(_GROWTH, kelvin) * slow_growth
    surface *= slow_growth
    unit = SILVER_PER_VOLUME

    def change(_: float, state: Array) -> list[float]:
        ion, acid, metal, m0, m1, m2, _m3 = state.tolist()
        ion, acid, metal = max(ion, 0.0), max(acid, 0.0), max(metal, 0.0)
        made = ion * acid * reduction
        nuclei = nucleation * metal**3
        attached = growth * metal
        plated = surface * ion * acid * m2
        advance = attached + (plated / (3 * unit * m2) if m2 > 1e-12 else 0.0)
        third = nuclei * _NUCLEUS**3 + 3 * advance * m2
        spent = unit * (nuclei * _NUCLEUS**3 + 3 * attached * m2)
        # one ascorbic acid reduces two silver ions
        return [
            -made - plated,
            -(made + plated) / 2,
            made - spent,
            nuclei,
            nuclei * _NUCLEUS + advance * m0,
            nuclei * _NUCLEUS**2 + 2 * advance * m1,
            third,
        ]

    start = np.array([mixture.silver, mixture.reductant, 0.0, *(mixture.seeds * m for m in _SEED_MOMENTS)])
    end = np.array([mixture.seconds])
    solution = solve_ivp(change, (0.0, mixture.seconds), start, method="LSODA", t_eval=end, rtol=1e-4, atol=1e-9)
    if not solution.success:
        raise ArithmeticError(f"kinetics of {mixture}: {solution.message}")
    return _particles(mixture, np.maximum(solution.y[:, -1], 0.0))


def _particles(mixture: Mixture, state: Array) -> Particles:
    ion, _acid, metal, m0, m1, m2, m3 = (float(value) for value in state)
    if m0 < 1e-9:
        return Particles(0.0, _NUCLEUS, 0.0, 1.0, 0.0, ion + metal)
    mean = m1 / m0
    spread = math.sqrt(max(m2 / m0 / mean**2 - 1, 0.0) + _GROWTH_SPREAD**2)
    return Particles(
        number=m0,
        radius=mean,
        dispersity=min(spread, 0.6),
        aspect=_aspect(mixture, mean),
        silver=SILVER_PER_VOLUME * m3,
        dissolved=ion + metal,
    )
