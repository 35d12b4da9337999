"""Extinction of silver spheroids in water: dielectric function, size corrections, orientation average."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

__all__ = ["WATER_INDEX", "depolarisation", "extinction_cross_section", "silver_permittivity"]

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

WATER_INDEX = 1.333
"""Refractive index of water, taken as constant over the visible."""

_PLASMA = 9.17
"""Plasma energy of the free electrons of silver, eV."""
_DAMPING = 0.021
"""Bulk damping of the free electrons, eV."""
_SURFACE = 0.915
"""ħ times the Fermi velocity of silver (1.39e6 m/s), eV nm; the surface-scattering constant A is taken as 1."""

# wavelength nm, n, k: P. B. Johnson and R. W. Christy, Phys. Rev. B 6, 4370 (1972), doi:10.1103/PhysRevB.6.4370
_MEASURED = np.array(
    [
        (284.4, 1.41, 1.264),
        (292.4, 1.39, 1.161),
        (300.9, 1.34, 0.964),
        (310.7, 1.13, 0.616),
        (320.4, 0.81, 0.392),
        (331.5, 0.17, 0.829),
        (342.5, 0.14, 1.142),
        (354.2, 0.10, 1.419),
        (367.9, 0.07, 1.657),
        (381.5, 0.05, 1.864),
        (397.4, 0.05, 2.070),
        (413.3, 0.05, 2.275),
        (430.5, 0.04, 2.462),
        (450.9, 0.04, 2.657),
        (471.4, 0.05, 2.869),
        (495.9, 0.05, 3.093),
        (520.9, 0.05, 3.324),
        (548.6, 0.06, 3.586),
        (582.1, 0.05, 3.858),
        (616.8, 0.06, 4.152),
        (659.5, 0.05, 4.483),
        (704.5, 0.04, 4.838),
        (756.0, 0.03, 5.242),
        (821.1, 0.04, 5.727),
        (892.0, 0.04, 6.312),
    ]
)
_EPSILON = (_MEASURED[:, 1] + 1j * _MEASURED[:, 2]) ** 2
_REAL = PchipInterpolator(_MEASURED[:, 0], _EPSILON.real)
_IMAGINARY = PchipInterpolator(_MEASURED[:, 0], _EPSILON.imag)


def silver_permittivity(wavelength: Array, radius: Array | float | None = None) -> Complex:
    """Relative permittivity of silver, with the damping that a small particle's surface adds.

    Values of Johnson and Christy (1972), interpolated; the free-electron part is re-damped with γ + ħv_F / r
    (U. Kreibig and M. Vollmer, Optical Properties of Metal Clusters, Springer 1995, section 2.2).

    Args:
        wavelength: in vacuum, nm, 284–892, shape (w,).
        radius: of a sphere of equal volume, nm, broadcast against `wavelength`; None for the bulk metal.
    """
    bulk = _REAL(wavelength) + 1j * _IMAGINARY(wavelength)
    if radius is None:
        return np.asarray(bulk, dtype=np.complex128)
    energy = 1239.84193 / wavelength
    damped = energy**2 + 1j * energy * (_DAMPING + _SURFACE / np.asarray(radius))
    free = energy**2 + 1j * energy * _DAMPING
    return np.asarray(bulk + _PLASMA**2 * (1 / free - 1 / damped), dtype=np.complex128)


def depolarisation(aspect: float) -> float:
    """Depolarisation factor along the short axis of an oblate spheroid; 1/3 for a sphere.

    C. F. Bohren and D. R. Huffman, Absorption and Scattering of Light by Small Particles, Wiley 1983, section 5.3.

    Args:
        aspect: long axis over short axis, at least 1.
    """
    if aspect < 1.001:
        return 1 / 3 + 4 / 15 * (max(aspect, 1.0) - 1)
    shape = np.sqrt(aspect**2 - 1)
    return float((1 + 1 / shape**2) * (1 - np.arctan(shape) / shape))


def extinction_cross_section(wavelength: Array, radius: Array, aspect: float = 1.0) -> Array:
    """Extinction cross-section of randomly oriented oblate silver spheroids in water, nm².

    Dipole polarisability of Gans with depolarisation by retardation and radiative damping, in the form of H. Kuwata
    et al., Appl. Phys. Lett. 83, 4625 (2003), doi:10.1063/1.1630351. Multipoles above the dipole are left out.

    Args:
        wavelength: in vacuum, nm, shape (w,).
        radius: of the sphere of equal volume, nm, shape (r,).
        aspect: long axis over short axis, at least 1.

    Returns:
        Array of shape (r, w).
    """
    size = radius[:, None]
    contrast = silver_permittivity(wavelength, size) / WATER_INDEX**2 - 1
    wavenumber = 2 * np.pi * WATER_INDEX / wavelength
    volume = 4 / 3 * np.pi * size**3
    radiated = 1j * wavenumber**3 * volume / (6 * np.pi)
    short = depolarisation(aspect)
    polarisability = np.zeros(contrast.shape)
    for weight, factor, stretch in (
        (1 / 3, short, aspect ** (-2 / 3)),
        (2 / 3, (1 - short) / 2, aspect ** (1 / 3)),
    ):
        second = -0.4865 * factor - 1.046 * factor**2 + 0.8481 * factor**3
        fourth = 0.01909 * factor + 0.1999 * factor**2 + 0.6077 * factor**3
        phase = (wavenumber * size * stretch) ** 2
        response = factor + 1 / contrast + second * phase + fourth * phase**2 - radiated
        polarisability += weight * (volume / response).imag
    return np.asarray(wavenumber * polarisability, dtype=np.float64)
