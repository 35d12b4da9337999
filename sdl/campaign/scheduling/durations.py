"""How long steps take: as declared, until what happened says otherwise.

What is learned is the ratio of actual to declared seconds, since declared ones depend on the trial's parameters. Its
logarithm is described by the median and by the median absolute deviation, times 1.4826 to be a standard deviation where
it is normal (F. R. Hampel, Journal of the American Statistical Association 69, 1974), so one attempt that hung for an
hour does not count for much. Both are shrunk towards what is assumed before anything is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from statistics import median
from typing import NamedTuple

__all__ = ["SPREAD", "Attempt", "Durations"]

SPREAD = 0.05
"""Relative spread taken for granted before anything is known."""
TRUST = 3.0
"""Attempts that the declared duration and `SPREAD` count for."""
MOST = math.log(1000.0)
"""An attempt is taken to have lasted at most a thousand times as long as declared, and at least a thousandth of it."""
TO_SIGMA = 1.4826

Attempt = tuple[str, str, float, float]
"""Step, station, declared lab seconds, actual lab seconds."""


class _Learned(NamedTuple):
    shift: float
    """Natural logarithm of actual over declared."""
    sigma: float


class Durations:
    """Durations of steps on stations, and their spread."""

    def __init__(self, attempts: Iterable[Attempt] = (), spread: float = SPREAD) -> None:
        """Learn from attempts that have been finished.

        Args:
            attempts: step, station, declared and actual lab seconds; those without a positive number are left out.
            spread: relative spread to assume before anything is known.
        """
        self._unknown = _Learned(0.0, math.log1p(spread))
        ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
        for step, station, declared, actual in attempts:
            if declared > 0 and actual > 0 and math.isfinite(actual) and math.isfinite(declared):
                shift = math.log(actual) - math.log(declared)
                ratios[step, station].append(min(max(shift, -MOST), MOST))
        self._learned = {key: self._describe(values) for key, values in ratios.items()}
        self._counts = {key: len(values) for key, values in ratios.items()}

    def _describe(self, values: list[float]) -> _Learned:
        count = len(values)
        middle = median(values)
        spread = TO_SIGMA * median(abs(value - middle) for value in values)
        weight = count / (count + TRUST)
        variance = (1 - weight) * self._unknown.sigma**2 + weight * spread**2
        return _Learned(weight * middle, math.sqrt(variance))

    def known(self, step: str, station: str) -> int:
        """Attempts that were learned from."""
        return self._counts.get((step, station), 0)

    def expect(self, step: str, station: str, declared: float) -> float:
        """Lab seconds that a step with that declared duration will take on a station: the median."""
        return declared * math.exp(self._learned.get((step, station), self._unknown).shift)

    def spread(self, step: str, station: str, declared: float) -> float:
        """Lab seconds by which it will differ from that, as a standard deviation."""
        sigma = self._learned.get((step, station), self._unknown).sigma
        return self.expect(step, station, declared) * math.exp(sigma**2 / 2) * math.sqrt(math.expm1(sigma**2))

    def sample(self, rng: Random, step: str, station: str, declared: float) -> float:
        """Lab seconds drawn from what is known, log-normal."""
        sigma = self._learned.get((step, station), self._unknown).sigma
        return self.expect(step, station, declared) * math.exp(sigma * rng.gauss(0.0, 1.0))
