"""The twin of the flow synthesis: four feeds, a heated reactor, a flow cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from sdl.model import Record
from sdl.model.units import parse_quantity
from sdl.simulators.silver.detector import DiodeArray
from sdl.simulators.silver.flow import FlowHistory, residence_quantiles
from sdl.simulators.silver.kinetics import Mixture, Particles, grow
from sdl.simulators.silver.optics import extinction_cross_section
from sdl.simulators.silver.thermal import HeatedBlock

__all__ = ["FEEDS", "SilverFlowOptions", "SilverFlowTwin", "absorbance_of"]

FEEDS = ("silver", "reductant", "stabiliser", "seed")
"""Roles of the pumps."""

Array = npt.NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(9)


def _quantity(unit: str) -> Any:
    return BeforeValidator(lambda value: parse_quantity(value, unit))


class SilverFlowOptions(Record):
    """What `simulation.options` of a silver-flow lab may say. Quantities may carry another unit of the same kind."""

    silver: Annotated[float, _quantity("mmol/L"), Field(gt=0)] = 2.0
    """Silver nitrate in its stock, mM."""
    reductant: Annotated[float, _quantity("mmol/L"), Field(gt=0)] = 4.0
    """Ascorbic acid in its stock, mM."""
    stabiliser: Annotated[float, _quantity("mmol/L"), Field(gt=0)] = 10.0
    """Trisodium citrate in its stock, mM."""
    seed: Annotated[float, Field(gt=0)] = 0.6
    """Seed particles of 8 nm in their stock, 1e12/mL."""
    reactor_volume: Annotated[float, _quantity("uL"), Field(gt=0)] = 250.0
    """uL"""
    dead_volume: Annotated[float, _quantity("uL"), Field(ge=0)] = 20.0
    """Between reactor and detector, uL; there the liquid is cold and nothing reacts."""
    tanks: Annotated[int, Field(ge=1)] = 40
    """Axial dispersion as a cascade of so many stirred tanks."""
    path_length: Annotated[float, _quantity("cm"), Field(gt=0)] = 0.1
    """Of the flow cell, cm."""
    ambient: Annotated[float, _quantity("degC")] = 22.0
    """degC"""
    drift: Annotated[float, Field(ge=0)] = 0.004
    """Amplitude of the baseline drift, absorbance."""


def absorbance_of(particles: Particles, wavelength: Array, path_length: float) -> Array:
    """Absorbance (decadic) of a suspension, averaged over a log-normal size distribution; Beer and Lambert.

    Args:
        particles: in suspension.
        wavelength: nm, shape (w,).
        path_length: cm.
    """
    if particles.number <= 0:
        return np.zeros_like(wavelength)
    sigma = np.sqrt(np.log1p(particles.dispersity**2))
    radius = particles.radius * np.exp(np.sqrt(2) * sigma * _NODES - sigma**2 / 2)
    mean = _WEIGHTS / np.sqrt(np.pi) @ extinction_cross_section(wavelength, radius, particles.aspect)
    # 1e12/mL · nm² = 1e-2 /cm
    return np.asarray(particles.number * 1e-2 * mean * path_length / np.log(10), dtype=np.float64)


class SilverFlowTwin:
    """Flows and heater power in, spectra out; all times are lab time.

    Args:
        now: lab time, s.
        seed: of noise and drift.
        options: stocks, volumes, optics.
    """

    wavelength: Array = np.arange(320.0, 801.0)
    """Of the detector's diodes, nm, shape (481,)."""

    def __init__(self, now: Callable[[], float], *, seed: int, options: SilverFlowOptions | None = None) -> None:
        self.options = options or SilverFlowOptions()
        self.block = HeatedBlock(now, ambient=self.options.ambient)
        self.flows = FlowHistory(FEEDS)
        self.detector = DiodeArray(self.wavelength, np.random.default_rng(seed), drift=self.options.drift)
        self._now = now
        self._shares = residence_quantiles(self.options.tanks, 5)
        self._absorbance = lru_cache(maxsize=32)(self._absorbance_of_mixture)

    def set_flow(self, feed: str, rate: float, at: float | None = None) -> None:
        """Flow of a feed, uL/min, from a lab time on; from now on by default."""
        self.flows.set(feed, rate, self._now() if at is None else at)

    def steady_state(self, flows: Mapping[str, float], temperature: float) -> tuple[Particles, Array]:
        """Particles and their noise-free absorbance once flows, uL/min, and temperature, degC, have settled."""
        mixture = self._mixture(flows, temperature, 60 * self.options.reactor_volume / sum(flows.values()))
        particles = grow(mixture)
        return particles, absorbance_of(particles, self.wavelength, self.options.path_length)

    def sample(self) -> Mixture | None:
        """What is in front of the detector now; None while the flow cell still holds water."""
        now, options = self._now(), self.options
        volume = options.reactor_volume + options.dead_volume
        entries = [self.flows.entered(volume * share, now) for share in self._shares]
        known = [entry for entry in entries if entry is not None]
        if 2 * len(known) <= len(entries):
            return None
        entry = known[len(known) // 2]
        heated = (now - entry) * options.reactor_volume / volume
        shares = [self._mixture(self.flows.at(time), 0.0, heated) for time in known]
        part = 1 / len(entries)
        return Mixture(
            silver=part * sum(share.silver for share in shares),
            reductant=part * sum(share.reductant for share in shares),
            stabiliser=part * sum(share.stabiliser for share in shares),
            seeds=part * sum(share.seeds for share in shares),
            temperature=self.block.mean_temperature(entry, entry + heated),
            seconds=heated,
        )

    def spectrum(self, integration_ms: float = 100.0, averages: int = 1) -> Array:
        """Absorbance as the spectrometer reports it now, shape (481,)."""
        mixture = self.sample()
        clean = np.zeros_like(self.wavelength) if mixture is None else self._absorbance(mixture)
        return self.detector.measure(clean, self._now(), integration_ms, averages)

    def _mixture(self, flows: Mapping[str, float], temperature: float, seconds: float) -> Mixture:
        total = sum(flows.values()) or 1.0
        stock = self.options
        return Mixture(
            silver=stock.silver * flows["silver"] / total,
            reductant=stock.reductant * flows["reductant"] / total,
            stabiliser=stock.stabiliser * flows["stabiliser"] / total,
            seeds=stock.seed * flows["seed"] / total,
            temperature=temperature,
            seconds=seconds,
        )

    def _absorbance_of_mixture(self, mixture: Mixture) -> Array:
        return absorbance_of(grow(mixture), self.wavelength, self.options.path_length)
