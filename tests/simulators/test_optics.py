"""Optics of the silver twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import spherical_jn, spherical_yn

from sdl.simulators.silver.optics import (
    WATER_INDEX,
    depolarisation,
    extinction_cross_section,
    silver_permittivity,
)

WAVELENGTH = np.arange(320.0, 801.0)


def _mie(radius: float) -> np.ndarray:
    """Extinction cross-section of a sphere after Mie (Bohren and Huffman, section 4.4), nm²."""
    index = np.sqrt(silver_permittivity(WAVELENGTH, radius)) / WATER_INDEX
    wavenumber = 2 * np.pi * WATER_INDEX / WAVELENGTH
    x, inside = wavenumber * radius, wavenumber * radius * index
    total = np.zeros(WAVELENGTH.shape)
    for n in range(1, 8):
        psi, dpsi = x * spherical_jn(n, x), spherical_jn(n, x) + x * spherical_jn(n, x, True)
        chi, dchi = x * spherical_yn(n, x), spherical_yn(n, x) + x * spherical_yn(n, x, True)
        xi, dxi = psi + 1j * chi, dpsi + 1j * dchi
        psi_in = inside * spherical_jn(n, inside)
        dpsi_in = spherical_jn(n, inside) + inside * spherical_jn(n, inside, True)
        a = (index * psi_in * dpsi - psi * dpsi_in) / (index * psi_in * dxi - xi * dpsi_in)
        b = (psi_in * dpsi - index * psi * dpsi_in) / (psi_in * dxi - index * xi * dpsi_in)
        total += (2 * n + 1) * (a + b).real
    return 2 * np.pi / wavenumber**2 * total


@pytest.mark.parametrize(("radius", "tolerance"), [(2.0, 0.001), (5.0, 0.006), (10.0, 0.03), (20.0, 0.06)])
def test_spheres_agree_with_mie(radius: float, tolerance: float) -> None:
    """The dipole formula agrees with Mie's theory for spheres, the better the smaller they are."""
    mie = _mie(radius)
    dipole = extinction_cross_section(WAVELENGTH, np.array([radius]))[0]
    assert np.abs(dipole - mie).max() / mie.max() < tolerance
    assert abs(WAVELENGTH[dipole.argmax()] - WAVELENGTH[mie.argmax()]) <= 1


def test_small_sphere_obeys_froehlich() -> None:
    """A small sphere absorbs most where the permittivity of silver is −2 times that of water."""
    dipole = extinction_cross_section(WAVELENGTH, np.array([3.0]))[0]
    froehlich = np.abs(silver_permittivity(WAVELENGTH).real + 2 * WATER_INDEX**2).argmin()
    assert abs(WAVELENGTH[dipole.argmax()] - WAVELENGTH[froehlich]) <= 3
    assert 375 < WAVELENGTH[froehlich] < 395


def test_peak_moves_to_the_red_with_size_and_aspect() -> None:
    """Larger and flatter particles absorb further to the red."""
    peaks = [
        WAVELENGTH[extinction_cross_section(WAVELENGTH, np.array([r]), a)[0].argmax()]
        for r, a in [(5.0, 1.0), (20.0, 1.0), (35.0, 1.0), (35.0, 1.5), (35.0, 2.0)]
    ]
    assert peaks == sorted(set(peaks))


def test_depolarisation_factors() -> None:
    """1/3 for a sphere, continuous there, towards 1 for a flat plate."""
    assert depolarisation(1.0) == pytest.approx(1 / 3)
    assert depolarisation(1.00099) == pytest.approx(depolarisation(1.00101), abs=2e-5)
    assert depolarisation(100.0) > 0.97


def test_small_particles_are_damped() -> None:
    """Electrons of a small particle lose more energy at its surface: the line is broader than the bulk's."""
    at = np.array([385.0])
    assert silver_permittivity(at, 2.0).imag[0] > 2 * silver_permittivity(at).imag[0]
    assert silver_permittivity(at, 1e6).imag[0] == pytest.approx(silver_permittivity(at).imag[0], rel=1e-3)
