"""A first pass over very many candidates, so that only promising ones are evaluated exactly.

Means are computed in single precision. Standard deviations are those given a few observations only, chosen so that they
explain most: never smaller than given all. Whatever grows with the standard deviation, as an expected improvement does,
is so never underestimated by more than rounding, and a point that the pass drops is hardly ever the best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sdl.planners._acquisition import Acquisition
from sdl.planners._mixed import Mixed
from sdl.planners._surrogate import Array, Surrogate

__all__ = ["thinned_out"]

_TELLING = 96  # observations that standard deviations are computed from
_BLOCK = 512
_PART = 65_536  # points whose acquisition values are computed at once
_FIVE, _THIRD, _ONE = np.float32(5.0), np.float32(1.0 / 3.0), np.float32(1.0)

Single = NDArray[np.float32]


def thinned_out(
    acquisition: Acquisition, rows: Array, features: Array, free: NDArray[np.intp], most: int
) -> NDArray[np.intp]:
    """The `most` candidates whose acquisition value may be greatest, in their order.

    Args:
        acquisition: where one of its models needs no stand-in, all candidates are kept.
        rows: raw points.
        features: theirs.
        free: indices of the candidates.
        most: how many are kept.
    """
    models = {name: _quick(model) for name, model in acquisition.models.items()}
    classifier = None if acquisition.classifier is None else _quick(acquisition.classifier)
    if None in models.values() or (classifier is None) != (acquisition.classifier is None):
        return free
    known = {name: model for name, model in models.items() if model is not None}
    quick = replace(acquisition, models=known, classifier=classifier)
    values = np.empty(len(free))
    for start in range(0, len(free), _PART):
        part = slice(start, start + _PART)
        values[part] = quick(rows[free[part]], features[free[part]])
    values = np.where(np.isnan(values), -np.inf, values)
    return free[np.sort(np.argpartition(-values, most)[:most])]


def _quick(model: Any) -> Any:
    """What stands in for a model; None for one that needs no stand-in, as on a device."""
    if isinstance(model, Surrogate):
        return Quick.of(model)
    if isinstance(model, Mixed):
        return model.rough(Quick.of)
    return None


@dataclass(frozen=True)
class Quick:
    """A surrogate in single precision, with standard deviations from a few observations."""

    exact: Surrogate
    few: int
    """Observations that the standard deviations are computed from; they come first."""
    distances: Single
    """What makes squared scaled distances of (features, their squared norm, 1): shape (f + 2, n)."""
    weights: Single
    """Of the correlations, for the mean, shape (n,)."""
    slopes: Array
    """Of the centred features, for the mean, shape (f,)."""
    whitening: Single
    """Turns correlations with the few into independent parts of what they explain, shape (few, few)."""
    whitening_linear: Single
    """The same of (centred features, 1), shape (f + 1, few)."""

    @property
    def scale(self) -> float:
        """Of the outcomes."""
        return self.exact.scale

    def prior_variance(self, z: Array) -> Array:
        """As `Surrogate.prior_variance`."""
        return self.exact.prior_variance(z)

    @classmethod
    def of(cls, exact: Surrogate) -> Quick:
        """From a fitted surrogate."""
        covariance = exact.chol @ exact.chol.T
        telling = _pivots(covariance, _TELLING)
        order = np.concatenate([telling, np.setdiff1d(np.arange(len(covariance)), telling)])
        scaled = (exact.x * exact.inverse_lengths)[order]
        chol = np.linalg.cholesky(covariance[np.ix_(telling, telling)])
        inverse = solve_triangular(chol, np.eye(len(telling)), lower=True).T
        centred = exact.x - exact.centre
        linear = np.vstack([exact.trend * centred[telling].T, np.ones(len(telling))])
        distances = np.vstack([-2.0 * scaled.T, np.ones(len(scaled)), (scaled**2).sum(axis=1)])
        return cls(
            exact=exact,
            few=len(telling),
            distances=distances.astype(np.float32),
            weights=(exact.signal * exact.weights[order]).astype(np.float32),
            slopes=exact.trend * (centred.T @ exact.weights),
            whitening=(exact.signal * inverse).astype(np.float32),
            whitening_linear=(linear @ inverse).astype(np.float32),
        )

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and an upper bound of the standard deviation, shape (m,)."""
        exact, centred = self.exact, z - self.exact.centre
        mean = centred @ self.slopes + float(exact.weights.sum())
        variance = exact.prior_variance(z)
        a = z * exact.inverse_lengths
        ones = np.ones((len(z), 1))
        left = np.hstack([a, (a * a).sum(axis=1)[:, None], ones]).astype(np.float32)
        linear = np.hstack([centred, ones]).astype(np.float32)
        k = np.empty((_BLOCK, self.distances.shape[1]), dtype=np.float32)
        root, half = np.empty_like(k), np.empty((_BLOCK, self.few), dtype=np.float32)
        for start in range(0, len(z), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(z)))
            m = part.stop - start
            np.matmul(left[part], self.distances, out=k[:m])
            _matern_into(k[:m], root[:m])
            mean[part] += k[:m] @ self.weights
            np.matmul(k[:m, : self.few], self.whitening, out=half[:m])
            half[:m] += linear[part] @ self.whitening_linear
            variance[part] -= np.einsum("ij,ij->i", half[:m], half[:m])
        return exact.mean + exact.scale * mean, exact.scale * np.sqrt(np.maximum(variance, 1e-6))

    def believing(self, z: Array) -> Quick:
        """As `Surrogate.believing`."""
        return Quick.of(self.exact.believing(z))


def _matern_into(squared: Single, root: Single) -> None:
    """Matérn-5/2 correlation in place of squared scaled distances."""
    np.maximum(squared, 0.0, out=squared)
    squared *= _FIVE
    np.sqrt(squared, out=root)
    squared *= _THIRD
    squared += root
    squared += _ONE
    np.negative(root, out=root)
    np.exp(root, out=root)
    squared *= root


def _pivots(covariance: Array, most: int) -> NDArray[np.intp]:
    """Observations that explain most of the others, by pivoted Cholesky decomposition."""
    n = len(covariance)
    if n <= most:
        return np.arange(n)
    left = covariance.diagonal().copy()
    rows = np.zeros((most, n))
    chosen: list[int] = []
    for i in range(most):
        pivot = int(left.argmax())
        chosen.append(pivot)
        rows[i] = (covariance[pivot] - rows[:i, pivot] @ rows[:i]) / np.sqrt(left[pivot])
        left -= rows[i] ** 2
        left[chosen] = -np.inf
    return np.sort(np.array(chosen, dtype=np.intp))
