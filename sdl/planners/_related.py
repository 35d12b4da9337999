"""A model of trials that know of an earlier source: how like it they are is inferred, not assumed.

With f_s the response that a source measured, by its own Gaussian process, the trials' is taken to be

    f(x) = a · (ρ f_s(x) + √(1 - ρ²) g(x)) + level,

where g is a process of the same kind that the source says nothing of: two correlated outputs (Bonilla, Chai and
Williams, NIPS 2007), the source's part settled by its own data. The correlation ρ and the size a of effects are
averaged over a grid, weighted by the probability of the trials under each (Hoeting et al., Statistical Science 14,
1999); the level is integrated out. Where the trials speak for ρ = 0, the model of the trials alone answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack, solve_triangular

from sdl.planners._expert import Expert
from sdl.planners._surrogate import Array, Data, Surrogate, factor

__all__ = ["LEVEL", "PATIENCE", "TINY", "Part", "Related", "alone", "related"]

PATIENCE = 4
"""Trials from which on a model of the trials alone is taken for what they say; before, it hardly has a scale."""
_LIKENESS = (0.5, 0.8, 0.95, 0.99)
"""Correlations ρ that are considered, beside 0."""
_SIZES = (0.4, 0.63, 1.0, 1.6, 2.5)
"""Sizes a of effects, over the source's, that are considered."""
_SIZE_SPREAD = math.log(2.0)
"""Standard deviation of log a, before any trial."""
_UNRELATED = 0.2
"""Probability of ρ = 0, before any trial."""
LEVEL = 1.0
"""Variance of the level, over that of the source's outcomes."""
_JITTER = 1e-8
TINY = 1e-12


@dataclass(frozen=True)
class Part:
    """One likeness and one size, given the trials. In units of the source's outcomes, standardised."""

    weight: float
    like: float
    size: float
    noise: float
    chol: Array
    """Lower Cholesky factor of the covariance of the trials, shape (n, n)."""
    pull: Array
    """Covariance⁻¹ · what the trials differ by from what is expected of them, shape (n,)."""

    def covariance(self, left: Array, other: Array) -> Array:
        """From that which the source's data leave open and that of a process which it says nothing of."""
        own = self.like * self.like
        return self.size * self.size * (own * left + (1.0 - own) * other + LEVEL)

    def mean(self, expected: Array, covariance: Array) -> Array:
        return np.asarray(self.size * self.like * expected + covariance @ self.pull)


@dataclass(frozen=True)
class Related:
    """The trials as they follow from one source, for several likenesses and sizes."""

    expert: Expert
    z: Array
    """Features of the trials, shape (n, f)."""
    half: Array
    """What the source explains of them, shape (k, n)."""
    parts: tuple[Part, ...]

    @property
    def weight(self) -> float:
        """Of all its parts."""
        return float(sum(part.weight for part in self.parts))

    def _between(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """Of points: what the source expects, its halves, and covariances with the trials, left open and of others."""
        expected, half = self.expert.explained(z)
        left = self.expert.kernel(z, self.z) - half.T @ self.half
        return expected, half, left, replace(self.expert.whole, x=self.z).covariance(z)

    def predict(self, z: Array) -> list[tuple[float, Array, Array]]:
        """Weight, mean and variance of each part at points, in the outcome's unit."""
        expected, half, left, other = self._between(z)
        columns, model = self.expert.columns, self.expert.model
        open_ = np.maximum(model.prior_variance(z[:, columns]) - np.einsum("ij,ij->j", half, half), 0.0)
        free = self.expert.whole.prior_variance(z)
        found = []
        for part in self.parts:
            covariance = part.covariance(left, other)
            known = solve_triangular(part.chol, covariance.T, lower=True, check_finite=False)
            variance = part.covariance(open_, free) - np.einsum("ij,ij->j", known, known)
            mean = model.mean + model.scale * part.mean(expected, covariance)
            found.append((part.weight, mean, model.scale**2 * np.maximum(variance, TINY)))
        return found

    def joint(self, z: Array) -> list[tuple[float, Array, Array]]:
        """Weight, mean and covariance of each part at points, in the outcome's unit."""
        expected, half, left, other = self._between(z)
        among, free = self.expert.kernel(z, z) - half.T @ half, replace(self.expert.whole, x=z).covariance(z)
        found, model = [], self.expert.model
        for part in self.parts:
            covariance = part.covariance(left, other)
            known = solve_triangular(part.chol, covariance.T, lower=True, check_finite=False)
            mean = model.mean + model.scale * part.mean(expected, covariance)
            found.append((part.weight, mean, model.scale**2 * (part.covariance(among, free) - known.T @ known)))
        return found

    def believing(self, z: Array) -> Related:
        """As if points had been observed to be what each part expects of them."""
        _, half, left, other = self._between(z)
        among, free = self.expert.kernel(z, z) - half.T @ half, replace(self.expert.whole, x=z).covariance(z)
        n, m = len(self.z), len(z)
        parts = []
        for part in self.parts:
            known = solve_triangular(part.chol, part.covariance(left, other).T, lower=True, check_finite=False)
            corner = part.covariance(among, free) - known.T @ known
            corner[np.diag_indices(m)] += part.noise + _JITTER
            chol = np.zeros((n + m, n + m))
            chol[:n, :n], chol[n:, :n], chol[n:, n:] = part.chol, known.T, factor(corner)
            parts.append(replace(part, chol=chol, pull=np.concatenate([part.pull, np.zeros(m)])))
        return replace(
            self, z=np.concatenate([self.z, z]), half=np.concatenate([self.half, half], axis=1), parts=tuple(parts)
        )


def related(expert: Expert, data: Data, experts: int) -> tuple[Related, list[float]]:
    """Every likeness and size, and the logarithm of its probability with that of the trials under it."""
    model, n = expert.model, len(data.y)
    expected, half = expert.explained(data.x)
    left = expert.kernel(data.x, data.x) - half.T @ half
    other = replace(expert.whole, x=data.x).covariance(data.x)
    y, known = (data.y - model.mean) / model.scale, data.variance / model.scale**2
    parts, logs = [], []
    weights = [math.exp(-0.5 * (math.log(size) / _SIZE_SPREAD) ** 2) for size in _SIZES]
    for size, weight in zip(_SIZES, weights, strict=True):
        for like in (0.0, *_LIKENESS):
            part = Part(0.0, like, size, model.noise * size * size, np.empty((0, 0)), np.empty(0))
            covariance = part.covariance(left, other)
            covariance[np.diag_indices(n)] += part.noise + known + _JITTER
            chol = factor(covariance)
            away = y - size * like * expected
            pull, _ = lapack.dpotrs(chol, away, lower=1)
            parts.append(replace(part, chol=chol, pull=pull))
            chance = _UNRELATED if like == 0.0 else (1.0 - _UNRELATED) / len(_LIKENESS)
            if like == 0.0 and n >= PATIENCE:
                chance /= 2.0  # the other half is the model's of the trials alone
            prior = math.log(chance * weight / sum(weights) / experts)
            likelihood = -0.5 * float(away @ pull) - float(np.log(chol.diagonal()).sum()) - n * math.log(model.scale)
            logs.append(prior + likelihood)
    return Related(expert, data.x, half, tuple(parts)), logs


def alone(plain: Surrogate, source: Surrogate, data: Data) -> float:
    """The same of the model of the trials alone. Its level and its scale were fitted to them, which is paid for as
    Schwarz does (Annals of Statistics 6, 1978)."""
    n, y = len(data.y), (data.y - plain.mean) / plain.scale
    likelihood = -0.5 * float(y @ plain.weights) - float(np.log(plain.chol.diagonal()).sum())
    size = math.log(plain.scale / source.scale) / _SIZE_SPREAD
    return math.log(_UNRELATED / 2.0) + likelihood - n * math.log(plain.scale) - math.log(n) - 0.5 * size * size
