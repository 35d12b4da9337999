"""A temperature in closed form: a straight line and an exponential, and where it crosses a bound."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Course", "Leg"]

Array = npt.NDArray[np.float64]
_STEP = 5.0
"""K between two marks of a course."""
_NOISE = 1e-6
"""K that no mark is worth."""


@dataclass(frozen=True, slots=True)
class Course:
    """x(t) = level + slope·t + swing·e^(−t/theta), with t in seconds from its start."""

    level: float
    slope: float
    swing: float
    theta: float
    """s"""

    def at(self, t: float) -> float:
        """The value at one moment."""
        return self.level + self.slope * t + self.swing * math.exp(-t / self.theta)

    def values(self, t: Array) -> Array:
        """The values at many moments, shape as `t`."""
        return np.asarray(self.level + self.slope * t + self.swing * np.exp(-t / self.theta), dtype=np.float64)

    def rises_over(self, bound: float, horizon: float) -> float:
        """When it first is above `bound`, from the start on and up to `horizon`; infinity when it never is.

        Args:
            bound: of the value.
            horizon: s; finite where there is a slope.
        """
        if self.at(0.0) > bound:
            return 0.0
        if not self.slope:
            return self._without_slope(bound)
        ratio = self.slope * self.theta / self.swing if self.swing else 0.0
        turn = -self.theta * math.log(ratio) if 0 < ratio < 1 else math.inf
        marks = [0.0, turn, horizon] if turn < horizon else [0.0, horizon]
        for low, high in itertools.pairwise(marks):
            if self.at(high) > bound:  # it has no turn between the two
                return self._crossing(bound, low, high)
        return math.inf

    def falls_under(self, bound: float, horizon: float) -> float:
        """When it first is below `bound`, as `rises_over`."""
        return Course(-self.level, -self.slope, -self.swing, self.theta).rises_over(-bound, horizon)

    def _without_slope(self, bound: float) -> float:
        if self.level <= bound:
            return math.inf
        return self.theta * math.log(self.swing / (bound - self.level)) + 1e-9 * self.theta

    def _crossing(self, bound: float, low: float, high: float) -> float:
        while high - low > 1e-9 * max(1.0, high):
            middle = (low + high) / 2
            low, high = (low, middle) if self.at(middle) > bound else (middle, high)
        return high

    def marks(self, start: float, end: float) -> Array:
        """Moments from `start` to `end` between which it changes by at most 5 K, or fades out along its exponential."""
        parts = [np.array([start, end])]
        swing = abs(self.swing) * math.exp(-start / self.theta)
        if swing > _NOISE:
            steps = math.ceil(swing / _STEP)
            even = -np.log1p(-np.arange(1, steps) / steps)
            fading = math.log(steps) + np.arange(math.ceil(math.log(swing / steps / _NOISE)) + 1)
            parts.append(start + self.theta * np.concatenate([even, fading]))
        if self.slope:
            parts.append(np.arange(start, end, _STEP / abs(self.slope)))
        moments = np.unique(np.concatenate(parts))
        return np.asarray(moments[(moments >= start) & (moments <= end)], dtype=np.float64)


class Leg(NamedTuple):
    """A span of lab time with one course."""

    start: float
    """Lab s."""
    end: float
    """Lab s; infinity for one that goes on until something is changed."""
    course: Course

    def at(self, moment: float) -> float:
        """The value at a lab time."""
        return self.course.at(moment - self.start)
