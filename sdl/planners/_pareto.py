"""Several objectives: which trials are best, and the hypervolume that a point is expected to add, in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from sdl.planners._improvement import log_difference, log_improvement

__all__ = ["boxes", "front", "hypervolume", "log_hypervolume_improvement", "reference_point"]

Array = NDArray[np.float64]

_WIDEST = {2: 400, 3: 60}  # points of a front that are kept, by number of objectives; of a wider one the most apart
_WIDEST_OF_MORE = 16
_BLOCK = 2_000_000  # values computed at once: bounds the memory


def front(scores: Array) -> NDArray[np.intp]:
    """Indices of the points that no other is at least as good as in everything (of equal ones the first).

    Args:
        scores: the more the better, shape (n, k).
    """
    kept: list[int] = []
    for i in np.lexsort(-scores.T[::-1]):
        if not any((scores[j] >= scores[i]).all() for j in kept):
            kept.append(int(i))
    return np.sort(np.array(kept, dtype=np.intp))


def reference_point(scores: Array, thresholds: tuple[float | None, ...]) -> Array:
    """Worst scores that count, shape (k,): the thresholds; where there is none, a tenth of the front's range below its
    worst (Ishibuchi et al., Evolutionary Computation 26, 2018), of all trials' range where the front is one point.

    Args:
        scores: of the trials, shape (n, k).
        thresholds: by objective, as scores.
    """
    best = scores[front(scores)]
    wide, all_wide = np.ptp(best, axis=0), np.ptp(scores, axis=0)
    size = np.maximum(np.abs(best).max(axis=0), 1e-12)
    margin = np.where(wide > 0, wide, np.where(all_wide > 0, all_wide, size))
    given = np.array([np.nan if t is None else t for t in thresholds])
    return np.asarray(np.where(np.isnan(given), best.min(axis=0) - 0.1 * margin, given))


def boxes(scores: Array, reference: Array) -> tuple[Array, Array]:
    """Lower and upper corners, each of shape (b, k), of disjoint boxes that fill what no point dominates.

    Slabs along the last objective, each divided in the others (as Lacour, Klamroth and Fonseca, Computers and
    Operations Research 79, 2017, do for the dominated part). Upper corners may be infinite.

    Args:
        scores: of the front, shape (n, k).
        reference: shape (k,).
    """
    scores = scores[(scores > reference).all(axis=1)]
    k = len(reference)
    if k == 1:
        least = max([float(reference[0]), *scores[:, 0].tolist()])
        return np.array([[least]]), np.array([[np.inf]])
    edges = [float(reference[-1]), *np.unique(scores[:, -1]).tolist(), np.inf]
    lows, highs = [], []
    for low, high in pairwise(edges):
        above = scores[scores[:, -1] >= high, :-1] if np.isfinite(high) else scores[:0, :-1]
        if k > 2 and len(above):
            above = above[front(above)]
        inner_low, inner_high = boxes(above, reference[:-1])
        lows.append(np.column_stack([inner_low, np.full(len(inner_low), low)]))
        highs.append(np.column_stack([inner_high, np.full(len(inner_high), high)]))
    return np.concatenate(lows), np.concatenate(highs)


def thinned(scores: Array) -> Array:
    """A front of no more points than boxes can be made of: its extremes and those farthest apart."""
    most = _WIDEST.get(scores.shape[1], _WIDEST_OF_MORE)
    if len(scores) <= most:
        return scores
    unit = (scores - scores.min(axis=0)) / np.maximum(np.ptp(scores, axis=0), 1e-300)
    chosen = [int(i) for i in dict.fromkeys(scores.argmax(axis=0).tolist())]
    gap = np.min([((unit - unit[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < most:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, ((unit - unit[chosen[-1]]) ** 2).sum(axis=1))
    return np.asarray(scores[np.sort(chosen)])


def hypervolume(scores: Array, reference: Array) -> float:
    """Volume that is dominated by the points and above the reference."""
    scores = scores[(scores > reference).all(axis=1)]
    if not len(scores):
        return 0.0
    if scores.shape[1] == 1:
        return float(scores.max() - reference[0])
    total, below = 0.0, float(reference[-1])
    for level in np.unique(scores[:, -1]):
        total += (float(level) - below) * hypervolume(scores[scores[:, -1] >= level, :-1], reference[:-1])
        below = float(level)
    return total


def log_hypervolume_improvement(means: Array, sds: Array, lows: Array, highs: Array) -> Array:
    """log of the expected hypervolume improvement, shape (m,), for independent normal scores.

    The improvement is a sum over boxes of products over objectives of (min(y, high) - low)₊, whose expectation is the
    product of differences of expected improvements (Yang et al., Journal of Global Optimization 75, 2019; in
    logarithms as Ament et al., NeurIPS 2023, advise).

    Args:
        means: of the scores, shape (m, k).
        sds: likewise.
        lows: corners of `boxes`.
        highs: likewise.
    """
    m, k = means.shape
    step = max(1, _BLOCK // len(lows))
    found = np.empty(m)
    for start in range(0, m, step):
        part = slice(start, start + step)
        total = np.zeros((len(means[part]), len(lows)))
        for j in range(k):
            edges, which = np.unique(np.concatenate([lows[:, j], highs[:, j]]), return_inverse=True)
            finite = np.isfinite(edges)
            logs = np.full((len(total), len(edges)), -np.inf)
            mean, sd = means[part, j][:, None], sds[part, j][:, None]
            logs[:, finite] = log_improvement(mean, sd, edges[finite][None, :])
            low, high = logs[:, which[: len(lows)]], logs[:, which[len(lows) :]]
            total += np.where(np.isneginf(high), low, log_difference(low, np.where(np.isneginf(high), low - 1.0, high)))
        found[part] = logsumexp(total, axis=1)
    return found
