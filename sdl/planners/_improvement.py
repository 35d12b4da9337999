"""Expected improvements in closed form, in logarithms, so that they tell points apart where they are next to nothing.

Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

__all__ = ["between", "improvement_spread", "log_difference", "log_improvement", "log_nearness"]

Array = NDArray[np.float64]

_LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)


def log_unit(z: Array) -> Array:
    """log(φ(z) + z Φ(z)), shape as z's; stable for z far below 0 (Ament et al., equation 14)."""
    z = np.asarray(z, dtype=np.float64)
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near * near - _LOG_ROOT_2PI) + near * ndtr(near))
    far = np.minimum(z, -1.0)
    # φ(z) + zΦ(z) = φ(z) · (1 - |z| Φ(z)/φ(z)), and Φ(z)/φ(z) = √(π/2) erfcx(|z|/√2)
    ratio = -far * math.sqrt(0.5 * math.pi) * erfcx(-far / math.sqrt(2.0))
    left = np.where(far < -1e4, 1.0 / np.maximum(far * far, 1.0), 1.0 - ratio)
    tail = -0.5 * far * far - _LOG_ROOT_2PI + np.log(np.maximum(left, 1e-17))
    return np.where(z > -1.0, direct, tail)


def log_improvement(mean: Array, sd: Array, best: float | Array) -> Array:
    """log E[(y - best)₊] for y ~ N(mean, sd²)."""
    return np.asarray(np.log(sd) + log_unit((mean - best) / sd))


def improvement_spread(mean: float, sd: float, best: float) -> tuple[float, float]:
    """Mean and standard deviation of (y - best)₊ for y ~ N(mean, sd²)."""
    z = (mean - best) / sd
    density, below = math.exp(-0.5 * z * z - _LOG_ROOT_2PI), float(ndtr(z))
    first = density + z * below
    second = (1.0 + z * z) * below + z * density
    return sd * first, sd * math.sqrt(max(0.0, second - first * first))


def log_difference(a: Array, b: Array) -> Array:
    """log(exp(a) - exp(b)) for a ≥ b."""
    gap = np.minimum(b - a, -1e-300)
    with np.errstate(divide="ignore"):
        return np.asarray(a + np.where(gap > -0.7, np.log(-np.expm1(gap)), np.log1p(-np.exp(gap))))


def log_nearness(mean: Array, sd: Array, target: float, best: float) -> Array:
    """log E[(best - |y - target|)₊] for y ~ N(mean, sd²): improvement on a distance of `best` from the target.

    The tent (best - |u|)₊ is (u + best)₊ - 2 u₊ + (u - best)₊. Where that cancels, only its nearer side counts.
    """
    best = max(best, 1e-9 * float(np.max(sd)))
    u = -np.abs(mean - target)
    a, b, c = (log_improvement(u, sd, edge) for edge in (-best, 0.0, best))
    tent = 1.0 - 2.0 * np.exp(b - a) + np.exp(c - a)
    # a narrow tent is its area times the density at its middle
    narrow = 2.0 * math.log(best) - np.log(sd) - 0.5 * (u / sd) ** 2 - _LOG_ROOT_2PI
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((tent > 1e-7) & (best > 1e-3 * sd), a + np.log(tent), np.where(best > sd, a, narrow))


def between(mean: Array, sd: Array, low: float | None, high: float | None) -> Array:
    """log P(low ≤ y ≤ high) for y ~ N(mean, sd²); a bound that is None is none."""
    upper = np.zeros_like(mean) if high is None else log_ndtr((high - mean) / sd)
    if low is None:
        return np.asarray(upper)
    if high is None:
        return np.asarray(log_ndtr((mean - low) / sd))
    mirrored = mean < 0.5 * (low + high)  # the tail on the nearer side keeps its digits
    a = np.where(mirrored, (mean - low) / sd, (high - mean) / sd)
    b = np.where(mirrored, (mean - high) / sd, (low - mean) / sd)
    return log_difference(log_ndtr(a), np.minimum(log_ndtr(b), log_ndtr(a)))
