"""How long steps take: declared, then learned."""

from __future__ import annotations

import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.campaign.scheduling.durations import SPREAD, Durations


def _attempts(ratio: float, sigma: float, count: int) -> list[tuple[str, str, float, float]]:
    rng = Random(1)
    declared = [rng.uniform(60.0, 600.0) for _ in range(count)]
    return [("anneal", "furnace_a", d, d * ratio * rng.lognormvariate(0.0, sigma)) for d in declared]


def test_nothing_known_means_as_declared() -> None:
    """Before the first attempt a step takes what was declared, with the assumed spread."""
    durations = Durations()
    assert durations.expect("coat", "coating", 180.0) == 180.0
    assert durations.spread("coat", "coating", 180.0) == pytest.approx(SPREAD * 180.0, rel=0.05)
    assert durations.known("coat", "coating") == 0


def test_a_step_that_takes_longer_than_declared_is_learned_for_its_station_alone() -> None:
    """A furnace that needs 20 % more is expected to, whatever the trial's annealing time; the other one is not."""
    durations = Durations(_attempts(1.2, 0.02, 50))
    assert durations.expect("anneal", "furnace_a", 1000.0) == pytest.approx(1200.0, rel=0.02)
    assert durations.expect("anneal", "furnace_b", 1000.0) == 1000.0
    assert durations.spread("anneal", "furnace_a", 1000.0) == pytest.approx(24.0, rel=0.5)


def test_few_attempts_count_for_little() -> None:
    """One attempt that took twice as long moves the expectation by less than a quarter."""
    durations = Durations([("coat", "coating", 100.0, 200.0)])
    assert 100.0 < durations.expect("coat", "coating", 100.0) < 125.0


def test_an_attempt_that_hung_is_not_what_is_expected() -> None:
    """One hour among twenty ordinary attempts changes nothing to speak of."""
    durations = Durations([*_attempts(1.0, 0.02, 20), ("anneal", "furnace_a", 100.0, 3600.0)])
    assert durations.expect("anneal", "furnace_a", 100.0) == pytest.approx(100.0, rel=0.02)
    assert durations.spread("anneal", "furnace_a", 100.0) < 5.0


def test_samples_have_the_median_and_the_spread() -> None:
    """What a rehearsal draws agrees with what is expected."""
    durations, rng = Durations(_attempts(1.1, 0.1, 200)), Random(2)
    drawn = [durations.sample(rng, "anneal", "furnace_a", 600.0) for _ in range(5000)]
    assert statistics.median(drawn) == pytest.approx(durations.expect("anneal", "furnace_a", 600.0), rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(durations.spread("anneal", "furnace_a", 600.0), rel=0.1)


@given(st.lists(st.tuples(st.floats(), st.floats())))
def test_whatever_was_measured_durations_stay_finite(pairs: list[tuple[float, float]]) -> None:
    """Zeros, negatives, infinities and NaN are not learned from."""
    durations = Durations(("s", "x", declared, actual) for declared, actual in pairs)
    assert 0.0 <= durations.expect("s", "x", 1.0) < float("inf")
    assert durations.spread("s", "x", 1.0) >= 0.0
