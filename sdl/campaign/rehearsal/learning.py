"""How long steps will take and how often they will fail: what is known, with how well it is known.

What is drawn is a factor on the time that a step takes in the simulation. Its logarithm is normal, with a mean and a
variance that are themselves drawn once for a whole campaign, from their posterior under the conjugate normal-inverse-χ²
prior (A. Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.3). So a mean of few attempts makes every step of a
campaign too long or too short at once, instead of averaging out. The same holds for what all steps of a campaign have
in common: days differ.

Fault rates are drawn once for a campaign as well, from a beta distribution whose prior is the rate of all steps.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from sdl.campaign.rehearsal.experience import Experience, Timed, Tried
from sdl.campaign.scheduling.durations import MOST, SPREAD

__all__ = ["BETWEEN", "Draw", "Learned", "learn"]

TRUST_MEAN = 0.25
"""Attempts that the simulation's time counts for: where nothing is known it may be off by twice the spread."""
TRUST_SPREAD = 3.0
"""Attempts that the default spread counts for."""
BETWEEN = 0.04
"""Relative spread between campaigns that is taken for granted before several are known."""
TRUST_BETWEEN = 6.0
"""Campaigns that it counts for."""
TRUST_RATE = 20.0
"""Attempts that the fault rate of all steps counts for in the rate of one."""

Key = tuple[str, str]
"""Step and station."""


@dataclass(frozen=True)
class _Spread:
    """Posterior of the logarithm of one step's factor."""

    mean: float
    trust: float
    """Attempts that the mean rests on."""
    scale: float
    """Variance around the mean."""
    degrees: float
    extra: float = 0.0
    """Variance of the mean from the simulation's side."""


@dataclass(frozen=True)
class Draw:
    """One campaign's worth of what is not known: factors and rates that hold for all of it."""

    means: dict[Key, float]
    sigmas: dict[Key, float]
    rates: dict[Key, float]
    lost: dict[Key, tuple[float, ...]]
    common: float
    spread: tuple[float, float]
    """Mean and standard deviation for steps that nothing is known of."""

    def factor(self, rng: Random, step: str, station: str) -> float:
        """How many times as long as in the simulation one attempt takes."""
        key = (step, station)
        mean = self.means.get(key, self.spread[0])
        return math.exp(self.common + mean + self.sigmas.get(key, self.spread[1]) * rng.gauss(0.0, 1.0))

    def fails(self, rng: Random, step: str, station: str) -> bool:
        """Whether the equipment fails in an attempt."""
        rate = self.rates.get((step, station), self.rates.get(("", ""), 0.0))
        return rate > 0 and rng.random() < rate

    def lasts(self, rng: Random, step: str, station: str, seconds: float) -> float:
        """Lab seconds until an attempt fails that would have taken `seconds`."""
        known = self.lost.get((step, station))
        return rng.choice(known) if known else rng.random() * seconds


class Learned:
    """What is known of a procedure's steps."""

    def __init__(self, spreads: dict[Key, _Spread], between: tuple[float, float, int], tried: Sequence[Tried]) -> None:
        """Args:
        spreads: by step and station.
        between: variance between campaigns, its degrees of freedom, and how many campaigns it rests on.
        tried: attempts and faults.
        """
        self._spreads, self._between, self._tried = spreads, between, tried

    def expected(self, step: str, station: str) -> float:
        """How many times as long as in the simulation a step is expected to take: the median."""
        spread = self._spreads.get((step, station))
        return math.exp(spread.mean) if spread is not None else 1.0

    def draw(self, rng: Random) -> Draw:
        """Draw what holds for one campaign."""
        means, sigmas = {}, {}
        for key, spread in self._spreads.items():
            means[key], sigmas[key] = _mean_and_sigma(rng, spread)
        scale, degrees, campaigns = self._between
        between = _variance(rng, scale, degrees)
        # What is learned from one campaign carries that campaign's own share as well.
        common = rng.gauss(0.0, math.sqrt(between * (1 + 1 / max(campaigns, 1))))
        unknown = _mean_and_sigma(rng, _posterior([], []))
        lost = {(t.step, t.station): t.seconds for t in self._tried if t.seconds}
        return Draw(means, sigmas, self._rates(rng), lost, common, unknown)

    def _rates(self, rng: Random) -> dict[Key, float]:
        attempts, faults = sum(t.attempts for t in self._tried), sum(t.faults for t in self._tried)
        if attempts == 0:
            return {}
        # Half a fault in a hundred attempts more than there were: none so far does not mean never.
        pooled = (faults + 0.5) / (attempts + 100.0)
        prior = (TRUST_RATE * pooled, TRUST_RATE * (1 - pooled))
        rates = {
            (t.step, t.station): rng.betavariate(prior[0] + t.faults, prior[1] + t.attempts - t.faults)
            for t in self._tried
        }
        return {("", ""): rng.betavariate(*prior), **rates}


def learn(experience: Experience, simulated: Iterable[Timed]) -> Learned:
    """Set what happened in the lab against what happens in the simulation.

    Args:
        experience: of the lab.
        simulated: steps that were done in a rehearsal.
    """
    real, twin = _logs(experience.timed), _logs(simulated)
    keys = {**twin, **real}
    spreads = {key: _posterior([x for _, x in real.get(key, [])], [x for _, x in twin.get(key, [])]) for key in keys}
    return Learned(spreads, _between(real), experience.tried)


def _logs(timed: Iterable[Timed]) -> dict[Key, list[tuple[str, float]]]:
    """Campaign and natural logarithm of actual over declared, by step and station."""
    found: dict[Key, list[tuple[str, float]]] = defaultdict(list)
    for one in timed:
        if one.declared > 0 and one.seconds > 0:
            shift = math.log(one.seconds) - math.log(one.declared)
            found[one.step, one.station].append((one.campaign, min(max(shift, -MOST), MOST)))
    return dict(found)


def _posterior(real: Sequence[float], twin: Sequence[float]) -> _Spread:
    """Posterior of the logarithm of real over simulated seconds.

    Both are taken relative to the declared seconds, since the trials are not the same; so what declared seconds do not
    explain is in the variance of both, and only the difference is left to chance.
    """
    count, prior = len(real), math.log1p(SPREAD) ** 2
    base = fmean(twin) if twin else 0.0
    wobble = _sum_of_squares(twin) / max(len(twin) - 1, 1)
    if count == 0:
        return _Spread(0.0, TRUST_MEAN, prior, TRUST_SPREAD)
    apart = fmean(real) - base
    squares = max(_sum_of_squares(real) - wobble * max(count - 1, 0), 0.0)
    # A rehearsal's declared and simulated seconds differ less from each other than both from the lab, so the prior of
    # the mean is weak: it may not pull what was measured.
    trust = count + TRUST_MEAN
    degrees = TRUST_SPREAD + count - 1
    scale = (TRUST_SPREAD * prior + squares) / degrees if degrees > 0 else prior
    extra = wobble / count + (wobble / len(twin) if twin else prior)
    return _Spread(apart, trust, scale, degrees, extra)


def _sum_of_squares(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    middle = fmean(values)
    return sum((value - middle) ** 2 for value in values)


def _between(real: dict[Key, list[tuple[str, float]]]) -> tuple[float, float, int]:
    """Variance between campaigns: of the mean by which each is off from all."""
    off: dict[str, list[float]] = defaultdict(list)
    for values in real.values():
        middle = fmean(x for _, x in values)
        for campaign, x in values:
            off[campaign].append(x - middle)
    prior, count = math.log1p(BETWEEN) ** 2, len(off)
    if count < 2:
        return prior, TRUST_BETWEEN, count
    squares = sum(fmean(values) ** 2 for values in off.values())
    degrees = TRUST_BETWEEN + count - 1
    return (TRUST_BETWEEN * prior + squares) / degrees, degrees, count


def _variance(rng: Random, scale: float, degrees: float) -> float:
    """Drawn from the scaled inverse χ² distribution."""
    return degrees * scale / rng.gammavariate(degrees / 2, 2.0)


def _mean_and_sigma(rng: Random, spread: _Spread) -> tuple[float, float]:
    # A spread of more than a factor of e tells of steps that are not understood, not of luck.
    variance = min(_variance(rng, spread.scale, spread.degrees), 1.0)
    mean = rng.gauss(spread.mean, math.sqrt(variance / spread.trust + spread.extra))
    return mean, math.sqrt(variance)
