"""Random walks inside constraints that plain draws hardly ever meet.

Many chains at once: each begins at a draw, is brought towards the constraints by projections (Kaczmarz 1937), and then
walks by hit-and-run (Smith, Operations Research 32, 1984): a random direction in which the equalities stay true, and a
uniform step between the bounds. Integers and levels are drawn anew one at a time. A step that breaks the constraints
more than before is not taken, so chains that begin outside find their way in, and those inside stay there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sdl.planners._space import Space

__all__ = ["walked"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CHAINS = 256
_ROUNDS = 4  # attempts with new chains
_PROJECTIONS = 300
_INSET = 0.05  # part of the width by which bounds are drawn in at first
_STEPS = 40  # for each parameter
_MOST_STEPS = 600


def walked(space: Space, rng: np.random.Generator, m: int) -> Array:
    """Feasible points of a space, shape (≤ m, d); none where no chain found one.

    The first points of a longer call are those of a shorter one with an equal generator.
    """
    points = np.empty((0, space.d))
    rounds = 0
    while len(points) < m and (rounds < _ROUNDS or len(points)):
        # Chains that find no way in are replaced by those that did, which go on from where they are.
        start = points if rounds >= _ROUNDS else None
        ends = _Chains(space, rng, _CHAINS, start).walk(min(_STEPS * space.d, _MOST_STEPS))
        points = np.concatenate([points, ends[space.feasible(ends)]])
        rounds += 1
    return points[:m]


class _Chains:
    """Points that walk, shape (c, d)."""

    def __init__(self, space: Space, rng: np.random.Generator, chains: int, start: Array | None = None) -> None:
        self._space, self._rng = space, rng
        if start is None:
            self._x = space.from_cube(rng.random((chains, space.d)))
        else:
            self._x = start[rng.integers(len(start), size=chains)]
        left_out = space.optional & (self._x == 0)
        self._free: Mask = space.real & ~left_out
        """Columns that move, by chain: a component that is left out stays so."""
        self._low = np.where(self._free, space.floor, np.where(left_out, 0.0, space.low))
        self._high = np.where(self._free, space.high, np.where(left_out, 0.0, space.high))
        self._a, self._b = space.equalities
        self._g, self._h = space.inequalities
        self._width = np.where(space.high > space.low, space.high - space.low, 1.0)
        if start is None:
            self._approach()
        scaled = self._a * self._width * self._free[:, None, :]
        self._inverse = np.linalg.pinv(scaled) if len(self._a) else np.empty((len(self._x), space.d, 0))
        self._scaled = scaled
        self._discrete = np.flatnonzero(~space.real)

    def walk(self, steps: int) -> Array:
        """Where the chains are after so many steps."""
        outside = self._outside(self._x)
        for _ in range(steps):
            if self._free.any():
                outside = self._accept(self._moved(), outside)
            if len(self._discrete):
                outside = self._accept(self._switched(), outside)
        x = self._x
        near = 1e-12 * self._width
        x = np.where(np.abs(x - self._low) <= near, self._low, x)
        return np.asarray(np.where(np.abs(x - self._high) <= near, self._high, x))

    def _accept(self, proposed: Array, outside: Array) -> Array:
        """Take the steps that lead no further outside; how far outside the chains are then, shape (c,)."""
        then = self._outside(proposed)
        good = then <= outside
        if self._space.log.any():  # uniform in the logarithm: the density is 1/x
            log = self._space.log
            ratio = np.log(self._x[:, log]).sum(axis=1) - np.log(proposed[:, log]).sum(axis=1)
            good &= np.log(self._rng.random(len(good))) <= np.where(outside > 0, 0.0, ratio)
        self._x = np.where(good[:, None], proposed, self._x)
        return np.where(good, then, outside)

    def _outside(self, x: Array) -> Array:
        """By how much points miss the constraints, scaled; 0 inside. Shape (c,)."""
        found = self._outside_linear(x)
        if self._space.nonlinear or self._space.problem.derived:
            margin = self._space.margin(x)
            found += np.where(margin >= 0, 0.0, np.minimum(np.abs(margin), 1e6))
        return found

    def _outside_linear(self, x: Array) -> Array:
        found = np.zeros(len(x))
        if len(self._a):
            miss = np.abs(x @ self._a.T - self._b) / np.maximum(1.0, np.abs(self._b))
            found += np.where(miss > 4e-10, miss, 0.0).sum(axis=1)
        if len(self._g):
            miss = (x @ self._g.T - self._h) / np.maximum(1.0, np.abs(self._h))
            found += np.where(miss > 0, miss, 0.0).sum(axis=1)
        return found

    def _approach(self) -> None:
        """Project the chains onto one constraint after another until they keep them all, or nearly.

        Bounds are drawn in a little at first, so that chains begin inside rather than in a corner, where most
        directions lead out.
        """
        x, free = self._x, self._free
        inset, lengths = _INSET, np.sqrt(((self._g * self._width) ** 2).sum(axis=1))
        for _ in range(_PROJECTIONS):
            margin = inset * (self._high - self._low)
            for row, bound, length in zip(self._g, self._h, lengths, strict=True):
                x = self._projected(x, row, np.maximum(x @ row - bound + inset * length, 0.0), free)
            x = np.clip(x, self._low + margin, self._high - margin)
            for row, bound in zip(self._a, self._b, strict=True):
                x = self._projected(x, row, x @ row - bound, free)
            good = ((x >= self._low) & (x <= self._high)).all() and not self._outside_linear(x).any()
            if good:
                break
            inset *= 0.95
        self._x = np.clip(x, self._low, self._high)

    def _projected(self, x: Array, row: Array, excess: Array, free: Mask) -> Array:
        along = row * self._width * free
        length = (along**2).sum(axis=1)
        step = np.where(length > 0, excess / np.where(length > 0, length, 1.0), 0.0)
        return np.asarray(x - step[:, None] * along * self._width)

    def _moved(self) -> Array:
        """Each chain a uniform step along a random direction in which the equalities stay true."""
        direction = self._rng.standard_normal(self._x.shape) * self._free
        if len(self._a):
            direction -= np.einsum("cdq,cq->cd", self._inverse, np.einsum("cqd,cd->cq", self._scaled, direction))
            direction[np.abs(direction) < 1e-12] = 0.0
        direction *= self._width * self._free
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.stack([(self._low - self._x) / direction, (self._high - self._x) / direction])
        still = direction == 0
        least = np.where(still, -np.inf, ends.min(axis=0)).max(axis=1)
        most = np.where(still, np.inf, ends.max(axis=0)).min(axis=1)
        for row, bound in zip(self._g, self._h, strict=True):
            room, slope = bound - self._x @ row, direction @ row
            with np.errstate(divide="ignore", invalid="ignore"):
                end = room / slope
            inside = room >= 0  # what is broken already bounds nothing
            most = np.where(inside & (slope > 0), np.minimum(most, end), most)
            least = np.where(inside & (slope < 0), np.maximum(least, end), least)
        good = np.isfinite(least) & np.isfinite(most) & (most >= least)
        least, most = np.where(good, least, 0.0), np.where(good, most, 0.0)
        step = least + self._rng.random(len(least)) * (most - least)
        return np.asarray(np.clip(self._x + step[:, None] * direction, self._low, self._high))

    def _switched(self) -> Array:
        """Each chain with one integer or level drawn anew."""
        x = self._x.copy()
        fresh = self._space.discrete(self._rng.random(x.shape))
        column = self._rng.choice(self._discrete, size=len(x))
        rows = np.arange(len(x))
        x[rows, column] = fresh[rows, column]
        return x
