"""Kinetics of the silver twin."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.simulators.silver.kinetics import SILVER_PER_VOLUME, Mixture, grow

MIXTURE = Mixture(silver=0.6, reductant=1.0, stabiliser=1.0, seeds=0.05, temperature=60.0, seconds=90.0)


@settings(max_examples=25, deadline=None)
@given(
    silver=st.floats(0.05, 1.5),
    reductant=st.floats(0.05, 3.0),
    stabiliser=st.floats(0.1, 6.0),
    seeds=st.floats(0.001, 0.3),
    temperature=st.floats(20.0, 90.0),
    seconds=st.floats(5.0, 400.0),
)
def test_silver_is_conserved(
    silver: float, reductant: float, stabiliser: float, seeds: float, temperature: float, seconds: float
) -> None:
    """What went in as ions and seeds comes out dissolved or in particles, whatever the conditions."""
    out = grow(Mixture(silver, reductant, stabiliser, seeds, temperature, seconds))
    in_seeds = SILVER_PER_VOLUME * seeds * 64 * (1 + 3 * 0.12**2)
    assert out.silver + out.dissolved == pytest.approx(silver + in_seeds, rel=2e-3)
    assert out.radius > 0
    assert 1 <= out.aspect < 2.4
    assert 0 <= out.dispersity <= 0.6


def test_hotter_and_longer_convert_more() -> None:
    """Conversion grows with temperature and with time."""
    colder = grow(replace(MIXTURE, temperature=35.0))
    longer = grow(replace(MIXTURE, temperature=35.0, seconds=300.0))
    assert colder.silver < longer.silver
    assert colder.silver < grow(MIXTURE).silver


def test_more_seeds_make_smaller_particles() -> None:
    """The same silver on more seeds gives more and smaller particles."""
    few, many = grow(replace(MIXTURE, seeds=0.01)), grow(replace(MIXTURE, seeds=0.2))
    assert many.number > few.number
    assert many.radius < few.radius


def test_citrate_flattens() -> None:
    """More citrate to silver gives flatter particles."""
    assert grow(replace(MIXTURE, stabiliser=4.0)).aspect > grow(replace(MIXTURE, stabiliser=0.2)).aspect + 0.3


def test_nothing_happens_without_time() -> None:
    """After no time the seeds are as they came."""
    out = grow(replace(MIXTURE, seconds=1e-6))
    assert out.radius == pytest.approx(4.0, rel=1e-3)
    assert out.number == pytest.approx(0.05, rel=1e-3)


def test_nothing_without_silver_and_seeds() -> None:
    """Neither silver nor seeds: no particles."""
    out = grow(replace(MIXTURE, silver=0.0, seeds=0.0))
    assert out.number == 0
    assert out.silver == 0
