"""The Gaussian process behind `bayes`: exact, in numpy and scipy.

Outcomes, standardised, are

    f(x) = b + Σ w_j x_j + g(x),    y = f(x) + noise,

with a constant, a linear trend and a Matérn-5/2 process g that has one length scale for each parameter. All but the
length scales and variances is integrated out; those are set by maximum a posteriori with analytic gradients (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, section 5.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize

__all__ = ["IN_A_BOX", "Array", "Belief", "Data", "Surrogate", "factor", "fit"]

Array = NDArray[np.float64]

_ROOT5 = math.sqrt(5.0)
_JITTER = 1e-8
_MOST = 300  # observations that the hyper-parameters are fitted to: more say little else, and cost the cube
_STEPS = 60  # of the optimiser
_CHANGE = 1e-5  # of the log posterior, relative, at which it stops
_TINY = 1e-12  # least variance of a belief, outcomes standardised


@dataclass(frozen=True)
class Belief:
    """Priors: mean and standard deviation of the logarithm of each hyper-parameter, outcomes standardised."""

    length: tuple[float, float] = (0.5 * math.log(0.25), 1.0)
    """Of the length scales in one dimension; they grow with the root of the number of parameters (Hvarfner et al.,
    ICML 2024), so that a model of many parameters does not begin by expecting more wiggles."""
    signal: tuple[float, float] = (1.0, 0.5)
    """Of the variance of g. Above that of the outcomes: those of a dozen trials hardly span the whole space's."""
    trend: tuple[float, float] | None = (0.0, 1.0)
    """Of the variance of the slopes; None for no trend."""
    noise: tuple[float, float] = (-6.0, 2.0)
    """Of the variance of the noise beyond that known of each trial: little, unless the trials say otherwise."""
    isotropic: bool = False
    """Whether all parameters share one length scale."""


IN_A_BOX = Belief(signal=(0.0, 0.5), trend=None)
"""For spaces without a list of candidates. Nothing there bounds how far a trend or a wide belief is extrapolated, and
the search would be drawn from corner to corner."""


@dataclass(frozen=True)
class Data:
    """Observations as the model takes them."""

    x: Array
    """Features, shape (n, f)."""
    groups: NDArray[np.intp]
    """Parameter that each feature belongs to, 0 … d-1, shape (f,)."""
    y: Array
    """Outcome values, shape (n,)."""
    variance: Array
    """Known variance of each outcome, square of its standard error; 0 where unknown. Shape (n,)."""


@dataclass(frozen=True)
class Surrogate:
    """A fitted model of one outcome. Predictions are in the outcome's unit."""

    x: Array
    """Features of the observations, shape (n, f)."""
    centre: Array
    """Features at which the trend is zero, shape (f,)."""
    inverse_lengths: Array
    """One over the length scale of each feature, shape (f,)."""
    signal: float
    trend: float
    noise: float
    """Variances, outcomes standardised."""
    chol: Array
    """Lower Cholesky factor of the covariance of the observations, shape (n, n)."""
    weights: Array
    """Covariance⁻¹ · outcomes, shape (n,)."""
    mean: float
    scale: float
    """Of the outcomes: what they are standardised by."""
    log_posterior: float
    known_noise: float = 0.0
    """Mean of the known variances, outcomes standardised."""
    fallback: str = ""
    """What went wrong in fitting; empty when nothing did."""

    def covariance(self, z: Array) -> Array:
        """Between points and observations, shape (m, n); standardised."""
        return self._kernel(z, self.x)

    def _kernel(self, a: Array, b: Array) -> Array:
        found = self.signal * _matern(_squared(a * self.inverse_lengths, b * self.inverse_lengths))
        found += 1.0
        if self.trend:
            found += self.trend * ((a - self.centre) @ (b - self.centre).T)
        return found

    def prior_variance(self, z: Array) -> Array:
        """Of points, before any observation, shape (m,); standardised."""
        return np.asarray(self.signal + 1.0 + self.trend * ((z - self.centre) ** 2).sum(axis=1))

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of f at points of shape (m, f), in the outcome's unit."""
        k = self.covariance(z)
        mean = self.mean + self.scale * (k @ self.weights)
        half = solve_triangular(self.chol, k.T, lower=True, check_finite=False, overwrite_b=True)  # k is half now
        variance = self.prior_variance(z) - np.einsum("ij,ij->j", half, half)
        return mean, self.scale * np.sqrt(np.maximum(variance, _TINY))

    def joint(self, z: Array) -> tuple[Array, Array]:
        """Mean, shape (m,), in the outcome's unit, and covariance, shape (m, m), of f at points over `scale`²."""
        k = self.covariance(z)
        half = solve_triangular(self.chol, k.T, lower=True, check_finite=False)
        return self.mean + self.scale * (k @ self.weights), self._kernel(z, z) - half.T @ half

    def believing(self, z: Array) -> Surrogate:
        """The model as if points of shape (m, f) had been observed to be what it expects ("kriging believer").

        Means stay as they are; standard deviations shrink nearby.
        """
        if not len(z):
            return self
        half = solve_triangular(self.chol, self.covariance(z).T, lower=True, check_finite=False)
        corner = self._kernel(z, z) - half.T @ half
        corner[np.diag_indices(len(z))] += self.noise + _JITTER
        n, m = len(self.x), len(z)
        chol = np.zeros((n + m, n + m))
        chol[:n, :n], chol[n:, :n], chol[n:, n:] = self.chol, half.T, factor(corner)
        weights = np.concatenate([self.weights, np.zeros(m)])
        return replace(self, x=np.concatenate([self.x, z]), chol=chol, weights=weights)

    def noise_share(self) -> float:
        """Variance of the noise over that of the outcomes: what is known of trials on average, and what is inferred."""
        return self.noise + self.known_noise

    def lengths(self, groups: NDArray[np.intp]) -> Array:
        """Length scale of each parameter, shape (d,)."""
        first = np.searchsorted(groups, np.arange(groups.max() + 1))
        return np.asarray(1.0 / self.inverse_lengths[first])


def fit(data: Data, belief: Belief | None = None, *, optimise: bool = True) -> Surrogate:
    """Fit by maximum a posteriori, in steps: as asked; with one length scale; with all at the modes of their priors.

    Args:
        data: at least one observation.
        belief: the priors.
        optimise: False leaves the hyper-parameters at the modes of their priors from the start.

    Raises:
        ArithmeticError: no model can hold these outcomes.
    """
    belief = belief or Belief()
    y, mean, scale = _standardised(data.y)
    known = np.minimum(data.variance / scale / scale, 1e6)
    troubles: list[str] = []
    attempts: list[tuple[str, Belief, bool]] = [
        ("", belief, optimise),
        ("one length scale for all parameters", replace(belief, isotropic=True), optimise),
        ("prior modes for hyper-parameters", belief, False),
        ("prior modes for hyper-parameters and much noise", replace(belief, noise=(-1.0, 1.0)), False),
    ]
    for name, tried, optimised in attempts:
        try:
            found = _attempt(data, y, known, tried, optimised)
        except (ArithmeticError, ValueError) as error:
            troubles.append(f"{type(error).__name__}: {error}")
            continue
        fallback = f"{name} ({'; '.join(troubles)})" if name else ""
        return replace(found, mean=mean, scale=scale, fallback=fallback)
    raise ArithmeticError("no Gaussian process fits: " + "; ".join(troubles))


def _standardised(y: Array) -> tuple[Array, float, float]:
    """Outcomes with mean 0 and variance 1, their mean and scale; also where their squares overflow."""
    if not np.isfinite(y).all():
        raise ArithmeticError("outcomes are not finite")
    size = float(np.abs(y).max())
    if size == 0.0:
        return y, 0.0, 1.0
    part = y / size
    mean, sd = float(part.mean()), float(part.std(ddof=1)) if len(y) > 1 else 0.0
    if sd < 1e-12:  # all equal: nothing tells their scale but their size
        sd = 1.0
    return (part - mean) / sd, mean * size, sd * size


def _attempt(data: Data, y: Array, known: Array, belief: Belief, optimised: bool) -> Surrogate:
    some = _telling(y)
    objective = _Posterior(data.x[some], data.groups, y[some], known[some], belief)
    theta = objective.optimum() if optimised else objective.mode
    value, _ = objective(theta)
    inverse, signal, noise, trend = objective.unpacked(theta)
    made = Surrogate(
        x=data.x,
        centre=_centre(data.groups),
        inverse_lengths=np.sqrt(inverse[data.groups] if len(inverse) > 1 else np.repeat(inverse, data.x.shape[1])),
        signal=signal, trend=trend, noise=noise,
        chol=np.empty((0, 0)), weights=np.empty(0), mean=0.0, scale=1.0, log_posterior=-value,
        known_noise=float(known.mean()),
    )  # fmt: skip
    covariance = made.covariance(data.x)
    covariance[np.diag_indices(len(y))] += noise + known + _JITTER
    chol = factor(covariance)
    weights, info = lapack.dpotrs(chol, y, lower=1)
    if info or not np.isfinite(weights).all():
        raise ArithmeticError("the model's weights are not finite")
    return replace(made, chol=chol, weights=weights)


def _telling(y: Array) -> NDArray[np.intp]:
    """Observations that the hyper-parameters are fitted to: all, or the extreme ones and an even selection."""
    if len(y) <= _MOST:
        return np.arange(len(y))
    order = np.argsort(y, kind="stable")
    ends = np.concatenate([order[: _MOST // 8], order[-_MOST // 8 :]])
    rest = np.setdiff1d(np.arange(len(y)), ends)
    even = rest[np.linspace(0, len(rest) - 1, _MOST - len(ends)).round().astype(int)]
    return np.sort(np.concatenate([ends, even]))


class _Posterior:
    """Minus the log posterior of the hyper-parameters' logarithms, with its gradient.

    They are: length scales, signal, noise, and the trend where there is one.
    """

    def __init__(self, x: Array, groups: NDArray[np.intp], y: Array, known: Array, belief: Belief) -> None:
        self.y, self.n = y, len(y)
        d = int(groups.max()) + 1
        parts = [_squared(x[:, groups == j], x[:, groups == j]) for j in range(d)]
        if belief.isotropic:
            parts = [np.sum(parts, axis=0)]
        self.k = len(parts)
        self.squares = np.stack(parts).reshape(self.k, -1)
        middle = x - _centre(groups)
        self.linear = middle @ middle.T if belief.trend is not None else None
        self.base = np.full((self.n, self.n), 1.0)
        self.base[np.diag_indices(self.n)] += known + _JITTER
        length = belief.length[0] + 0.5 * math.log(d)
        rows = [(length, belief.length[1], math.log(0.02), math.log(50.0))] * self.k
        rows += [(*belief.signal, math.log(1e-3), math.log(1e3)), (*belief.noise, math.log(1e-6), math.log(3.0))]
        rows += [(*belief.trend, -12.0, 5.0)] if belief.trend is not None else []
        self.mode, self.spread, self.low, self.high = np.array(rows).T

    def unpacked(self, theta: Array) -> tuple[Array, float, float, float]:
        """Inverse squared length scales, signal, noise, trend."""
        k = self.k
        trend = math.exp(theta[k + 2]) if self.linear is not None else 0.0
        return np.exp(-2.0 * theta[:k]), math.exp(theta[k]), math.exp(theta[k + 1]), trend

    def optimum(self) -> Array:
        bounds = list(zip(self.low, self.high, strict=True))
        options: dict[str, Any] = {"method": "L-BFGS-B", "options": {"maxiter": _STEPS, "ftol": _CHANGE}}
        start = np.clip(self.mode, self.low, self.high)
        found = minimize(self, start, jac=True, bounds=bounds, **options)
        if not np.isfinite(found.x).all() or not np.isfinite(found.fun):
            raise ArithmeticError("the optimiser of the hyper-parameters left the numbers")
        return np.asarray(found.x)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        inverse, signal, noise, trend = self.unpacked(theta)
        n, k = self.n, self.k
        squared = (inverse @ self.squares).reshape(n, n)
        root = np.sqrt(squared)
        root *= _ROOT5
        decay = np.exp(-root)
        slope = (1.0 + root) * decay * (5.0 / 3.0)
        correlation = slope * 0.6 + squared * decay * (5.0 / 3.0)
        covariance = signal * correlation + self.base
        if self.linear is not None:
            covariance += trend * self.linear
        covariance[np.diag_indices(n)] += noise
        chol = factor(covariance)
        weights, _ = lapack.dpotrs(chol, self.y, lower=1)
        away = (theta - self.mode) / self.spread
        value = 0.5 * float(self.y @ weights) + float(np.log(chol.diagonal()).sum()) + 0.5 * float(away @ away)
        inverse_covariance, _ = lapack.dpotri(chol, lower=1)
        lever = np.tril(inverse_covariance) + np.tril(inverse_covariance, -1).T
        lever -= np.outer(weights, weights)
        gradient = away / self.spread
        gradient[:k] += 0.5 * signal * inverse * (self.squares @ (lever * slope).ravel())
        gradient[k] += 0.5 * signal * float(np.vdot(lever, correlation))
        gradient[k + 1] += 0.5 * noise * float(np.trace(lever))
        if self.linear is not None:
            gradient[k + 2] += 0.5 * trend * float(np.vdot(lever, self.linear))
        return value, gradient


def _centre(groups: NDArray[np.intp]) -> Array:
    """The middle of a numeric feature; 0 of the columns of a categorical parameter, whose trend is an effect each."""
    return np.where(np.bincount(groups)[groups] == 1, 0.5, 0.0)


def _squared(a: Array, b: Array) -> Array:
    """Squared distances, shape (len(a), len(b))."""
    found = -2.0 * (a @ b.T)
    found += (a * a).sum(axis=1)[:, None]
    found += (b * b).sum(axis=1)
    return np.maximum(found, 0.0, out=found)


def _matern(squared: Array) -> Array:
    """Matérn-5/2 correlation at squared scaled distances (Rasmussen and Williams, equation 4.17)."""
    root = np.sqrt(squared)
    root *= _ROOT5
    found = squared
    found *= 5.0 / 3.0
    found += root
    found += 1.0
    np.negative(root, out=root)
    found *= np.exp(root, out=root)
    return found


def factor(covariance: Array) -> Array:
    """Lower Cholesky factor; with more on the diagonal where it needs it.

    Raises:
        ArithmeticError: the matrix is not positive definite even so, or not finite.
    """
    for extra in (0.0, 1e-6, 1e-4):
        tried = covariance
        if extra:
            tried = covariance.copy()
            tried[np.diag_indices(len(tried))] += extra * float(np.mean(tried.diagonal()))
        chol, info = lapack.dpotrf(tried, lower=1, clean=1)
        if info == 0 and np.isfinite(chol).all():
            return np.asarray(chol)
    raise ArithmeticError("the covariance of the observations is not positive definite")
