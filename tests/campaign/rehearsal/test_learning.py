"""What is learned of steps, and how well it is known."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, pstdev

import pytest

from sdl.campaign.rehearsal.experience import Experience, Timed, Tried
from sdl.campaign.rehearsal.learning import Draw, Learned, learn

TWIN = [Timed("", "coat", "coating", 100.0, 110.0)] * 5


def _drawn(known: Learned, count: int = 4000) -> list[Draw]:
    rng = Random(1)
    return [known.draw(rng) for _ in range(count)]


def _factors(known: Learned, count: int = 4000) -> list[float]:
    rng = Random(2)
    return [draw.factor(rng, "coat", "coating") for draw in _drawn(known, count)]


def test_nothing_known_is_the_simulation() -> None:
    """Without a record steps take what they take in the simulation, give or take a tenth, and nothing fails."""
    known = learn(Experience(), TWIN)
    assert known.expected("coat", "coating") == 1.0
    logs = [math.log(f) for f in _factors(known)]
    assert fmean(logs) == pytest.approx(0.0, abs=0.02)
    assert 0.05 < pstdev(logs) < 0.25
    rng = Random(3)
    assert not any(draw.fails(rng, "coat", "coating") for draw in _drawn(known, 300))


def test_the_simulation_is_corrected() -> None:
    """A step that takes 1.5 times the declared time in the lab, and 1.1 times in the simulation, gets the quotient."""
    real = tuple(Timed("a", "coat", "coating", s, 1.5 * s) for s in (80.0, 100.0, 120.0) * 6)
    known = learn(Experience(real), TWIN)
    assert known.expected("coat", "coating") == pytest.approx(1.5 / 1.1, rel=0.02)
    assert fmean(_factors(known)) == pytest.approx(1.5 / 1.1, rel=0.05)


def test_what_parameters_explain_is_no_noise() -> None:
    """Where nothing is declared, times differ with the parameters in the lab and in the simulation alike.

    Only what the simulation does not explain is left to chance.
    """
    rng = Random(4)
    spans = [rng.lognormvariate(5.0, 0.5) for _ in range(60)]
    real = tuple(Timed("a", "coat", "coating", 60.0, s * 1.2 * rng.lognormvariate(0, 0.02)) for s in spans[:30])
    twin = [Timed("", "coat", "coating", 60.0, s) for s in spans[30:]]
    draws = _drawn(learn(Experience(real), twin), 500)
    assert fmean(draw.sigmas["coat", "coating"] for draw in draws) < 0.25
    # How the two sets of trials differ is not known, and so it is in the mean.
    assert pstdev(draw.means["coat", "coating"] for draw in draws) > 0.05


def test_a_mean_of_few_attempts_is_drawn_once_for_a_campaign() -> None:
    """From two attempts the mean is not known: it differs from campaign to campaign, not from step to step."""
    few = tuple(Timed("a", "coat", "coating", 100.0, s) for s in (90.0, 150.0))
    many = tuple(Timed("a", "coat", "coating", 100.0, s) for s in (90.0, 150.0) * 40)
    spreads = [
        pstdev(d.means["coat", "coating"] for d in _drawn(learn(Experience(x), TWIN), 1000)) for x in (few, many)
    ]
    assert spreads[0] > 3 * spreads[1]
    draw = _drawn(learn(Experience(few), TWIN), 1)[0]
    rng = Random(5)
    logs = [math.log(draw.factor(rng, "coat", "coating")) for _ in range(2000)]
    assert fmean(logs) == pytest.approx(draw.common + draw.means["coat", "coating"], abs=0.03)


def test_days_that_differ_are_common_to_all_steps() -> None:
    """Campaigns of which each has a pace of its own make the common part wide; those that agree make it narrow."""

    def record(paces: list[float]) -> Experience:
        timed = [
            Timed(str(n), step, "coating", 100.0, 100.0 * pace)
            for n, pace in enumerate(paces)
            for step in ("coat", "rinse")
            for _ in range(10)
        ]
        return Experience(tuple(timed))

    wide = pstdev(d.common for d in _drawn(learn(record([0.8, 1.2, 0.85, 1.25, 0.8, 1.2]), TWIN), 1000))
    narrow = pstdev(d.common for d in _drawn(learn(record([1.0] * 6), TWIN), 1000))
    assert wide > 0.12 > 0.06 > narrow


def test_fault_rates_are_shrunk() -> None:
    """A step that never failed in 20 attempts may fail; one that failed in 10 of 100 does so in about a tenth."""
    tried = (Tried("coat", "coating", 20, 0), Tried("bake", "oven", 100, 10, (5.0, 7.0)))
    draws = _drawn(learn(Experience((), tried), TWIN), 2000)
    assert 0 < fmean(d.rates["coat", "coating"] for d in draws) < 0.06
    assert fmean(d.rates["bake", "oven"] for d in draws) == pytest.approx(0.1, abs=0.02)
    rng = Random(6)
    assert {draws[0].lasts(rng, "bake", "oven", 100.0) for _ in range(50)} == {5.0, 7.0}
    assert all(0 <= draws[0].lasts(rng, "coat", "coating", 100.0) <= 100 for _ in range(50))


def test_an_attempt_that_hung_for_ever_does_not_break_it() -> None:
    """One attempt that took a thousand times as long makes steps longer, but all of it stays finite."""
    real = (*(Timed("a", "coat", "coating", 100.0, 100.0) for _ in range(20)), Timed("a", "coat", "coating", 1.0, 1e12))
    factors = _factors(learn(Experience(tuple(real)), TWIN), 2000)
    assert all(0 < f < 1e5 for f in factors)
