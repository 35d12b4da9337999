"""Draws of one mixture: points with a given sum between limits, of which at most so many components are not zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blend"]

_Array = NDArray[np.float64]
_SWEEPS = 30  # of pairwise exchanges: after some ten, no trace of the start is left in 20 components
_SPREAD = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0])) * 2.0**20  # make numbers between 0 and 1 into keys that look random


class Blend:
    """One mixture, over its own columns only."""

    def __init__(self, low: _Array, high: _Array, total: float, most: int | None) -> None:
        self.low, self.high, self.total, self.most = low, high, total, most
        self.n = len(low)
        """Components."""
        slack = high - (total - (low.sum() - low if most is None else np.zeros(self.n)))
        self.exact = bool((slack >= 0).all())
        """Whether `from_cube` is uniform as it is: no upper limit can bind."""
        self._sizes = self._possible_sizes()

    def _possible_sizes(self) -> NDArray[np.intp]:
        """Numbers of non-zero components with which the total can be reached at all."""
        if self.most is None:
            return np.array([self.n])
        sizes = np.arange(1, min(self.most, self.n) + 1)
        most, least = np.cumsum(np.sort(self.high)[::-1]), np.cumsum(np.sort(self.low))
        eps = 1e-12 * self.total
        good = (most[sizes - 1] >= self.total - eps) & (least[sizes - 1] <= self.total + eps)
        return sizes[good] if good.any() else sizes[-1:]

    def from_cube(self, cube: _Array) -> _Array:
        """Points of the mixture from uniform draws, shape (m, n); where a choice of components cannot reach the total,
        the sum is wrong.

        One component after another gets its share of what is left, by the inverse of its conditional distribution
        (Rosenblatt, Annals of Mathematical Statistics 23, 1952): uniform where no upper limit binds, otherwise near it.
        The last column, which the sum decides, chooses the components.
        """
        keys = self._keys(cube[:, -1])
        chosen = self._supports(cube[:, -1], keys)
        # Where a limit binds, whoever comes last gets the leavings: so each point has an order of its own.
        order = np.broadcast_to(np.arange(self.n), keys.shape) if self.exact else (-keys).argsort(axis=1)
        chosen = np.take_along_axis(chosen, order, axis=1)
        low, high = np.where(chosen, self.low[order], 0.0), np.where(chosen, self.high[order], 0.0)
        after_low = low[:, ::-1].cumsum(axis=1)[:, ::-1] - low
        after_high = high[:, ::-1].cumsum(axis=1)[:, ::-1] - high
        after = chosen[:, ::-1].cumsum(axis=1)[:, ::-1] - chosen
        left = np.full(len(cube), self.total)
        shares = np.zeros_like(low)
        for i in range(self.n):
            now = low[:, i], high[:, i], after_low[:, i], after_high[:, i], after[:, i]
            shares[:, i] = np.where(chosen[:, i], _share(cube[:, i], left, *now), 0.0)
            left = left - shares[:, i]
        found = np.empty_like(shares)
        np.put_along_axis(found, order, shares, axis=1)
        return found

    def _keys(self, draws: _Array) -> _Array:
        """For each point and component a number between 0 and 1 that looks random, from one draw a point."""
        columns = np.arange(1, self.n + 1)
        mixed = (draws[:, None] * _SPREAD[0] + columns * _SPREAD[1] / 2**20) * (1 + columns * _SPREAD[2] / 2**20)
        return np.asarray(mixed % 1.0)

    def _supports(self, draws: _Array, keys: _Array) -> NDArray[np.bool_]:
        """Which components are not zero, shape (m, n)."""
        if self.most is None:
            return np.ones_like(keys, dtype=bool)
        sizes = self._sizes[np.minimum((draws * len(self._sizes)).astype(int), len(self._sizes) - 1)]
        return np.asarray(keys.argsort(axis=1).argsort(axis=1) < sizes[:, None])

    def shuffle(self, rng: np.random.Generator, points: _Array) -> _Array:
        """Points of the mixture, uniform over those with the same non-zero components.

        Gibbs sampling by pairs: what two components have together is divided anew, uniformly between their limits.
        """
        points = points.copy()
        used = points != 0 if self.most is not None else np.ones_like(points, dtype=bool)
        rows = np.arange(len(points))
        pairs = int(used.sum(axis=1).max(initial=0)) // 2
        for _ in range(_SWEEPS):
            order = np.where(used, rng.random(points.shape), 2.0).argsort(axis=1)
            for p in range(pairs):
                i, j = order[:, 2 * p], order[:, 2 * p + 1]
                both = points[rows, i] + points[rows, j]
                least = np.maximum(self.low[i], both - self.high[j])
                most = np.minimum(self.high[i], both - self.low[j])
                good = used[rows, i] & used[rows, j] & (most > least)
                share = np.where(good, least + rng.random(len(points)) * (most - least), points[rows, i])
                points[rows, i] = share
                points[rows, j] = np.where(good, both - share, points[rows, j])
        return points

    def project(self, points: _Array) -> _Array:
        """Points nearby that keep the mixture: few enough components, each between its limits, the right sum.

        Where the components that a point has cannot reach the total, the sum stays wrong.
        """
        used = np.ones_like(points, dtype=bool)
        if self.most is not None:
            ranks = (-points).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
            used = (points > 1e-9 * self.total) & (ranks < self.most)
            used |= ranks == 0
            far = points < self.low / 2
            used &= ~far | (ranks == 0)
        low, high = np.where(used, self.low, 0.0), np.where(used, self.high, 0.0)
        found = np.clip(points, low, high)
        gap = (self.total - found.sum(axis=1))[:, None]
        room = np.where(gap > 0, high - found, found - low)
        whole = room.sum(axis=1, keepdims=True)
        share = np.where(whole > 0, np.abs(gap) / np.where(whole > 0, whole, 1.0), 0.0)
        found = found + np.sign(gap) * np.minimum(share, 1.0) * room
        return np.asarray(np.clip(found, low, high))

    def holds(self, points: _Array, slack: float) -> NDArray[np.bool_]:
        """Which points have the right sum, few enough components, and those that are not zero above their limits."""
        good = np.abs(points.sum(axis=1) - self.total) <= slack * max(1.0, self.total)
        if self.most is not None:
            used = points != 0
            good &= (used.sum(axis=1) <= self.most) & ((points >= self.low) | ~used).all(axis=1)
        return np.asarray(good)


def _share(
    draw: _Array, left: _Array, low: _Array, high: _Array, after_low: _Array, after_high: _Array, after: _Array
) -> _Array:
    """What one component gets of what is left, given the limits and the number of those that come after it."""
    least, most = np.maximum(low, left - after_high), np.minimum(high, left - after_low)
    room = left - low - after_low
    free = (room > 0) & (after > 0) & (most > least)
    wide = np.where(free, room, 1.0)
    power = np.maximum(after, 1).astype(np.float64)
    start = (1 - np.clip((least - low) / wide, 0, 1)) ** power
    end = (1 - np.clip((most - low) / wide, 0, 1)) ** power
    share = low + wide * (1 - ((1 - draw) * start + draw * end) ** (1 / power))
    return np.where(free, np.clip(share, least, np.maximum(least, most)), np.where(after > 0, least, left))
