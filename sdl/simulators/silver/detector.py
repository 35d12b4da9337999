"""From a suspension's extinction to what a diode-array spectrometer reports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["DiodeArray"]

Array = npt.NDArray[np.float64]


class DiodeArray:
    """Lamp and diode array: stray light, photon and read-out noise, a baseline that drifts with lab time.

    Args:
        wavelength: of the diodes, nm.
        rng: source of the noise and of the drift's phases.
        drift: amplitude of the baseline drift, absorbance.
    """

    full_scale = 65535.0
    """Counts at which a diode saturates."""
    read_noise = 12.0
    """Counts, per exposure."""
    stray_light = 5e-4
    """Fraction of the lamp's light that reaches a diode past the sample."""

    def __init__(self, wavelength: Array, rng: np.random.Generator, *, drift: float = 0.004) -> None:
        self._rng, self._drift = rng, drift
        # a halogen-deuterium lamp is weak at both ends
        self._lamp = 380.0 * (0.35 + 0.65 * np.exp(-(((wavelength - 560.0) / 160.0) ** 2)))
        self._tilt = (wavelength - wavelength.mean()) / np.ptp(wavelength)
        self._phase = rng.uniform(0, 2 * np.pi, 3)
        self._period = np.array([1.1, 3.7, 9.3]) * 3600.0

    def baseline(self, at: float) -> Array:
        """Drift at lab time `at` seconds, absorbance."""
        slow = np.sin(2 * np.pi * at / self._period + self._phase) / 3
        return np.asarray(self._drift * (slow.sum() + 0.5 * slow[1] * self._tilt), dtype=np.float64)

    def measure(self, absorbance: Array, at: float, integration_ms: float, averages: int) -> Array:
        """Absorbance as reported, of the shape given.

        Args:
            absorbance: of the sample.
            at: lab time, s.
            integration_ms: exposure, ms.
            averages: exposures that are averaged.
        """
        full = self._lamp * integration_ms
        light = (1 - self.stray_light) * 10 ** -(absorbance + self.baseline(at)) + self.stray_light
        counts = np.minimum(full * light, self.full_scale)
        sigma = np.sqrt((counts + self.read_noise**2) / averages)
        seen = counts + sigma * self._rng.standard_normal(counts.shape)
        reference = np.minimum(full, self.full_scale)
        return np.asarray(-np.log10(np.maximum(seen, 1.0) / reference), dtype=np.float64)
