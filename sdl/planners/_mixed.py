"""The model of an outcome with what sources say of it: theirs and that of the trials alone, by what the trials say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sdl.planners._expert import Expert
from sdl.planners._related import LEVEL, PATIENCE, TINY, Part, Related, alone, related
from sdl.planners._surrogate import Array, Data, Surrogate

__all__ = ["Mixed", "mixed"]

_LEAST = 0.01
"""Parts with less weight than this, over the greatest, are left out."""


@dataclass(frozen=True)
class Mixed:
    """Models of one outcome, each with its weight; what they say is taken as one normal belief.

    What is asked of it beside its belief (noise, length scales), the model of the trials alone answers.
    """

    plain: Surrogate
    """Of the trials alone."""
    weight: float
    """Its own."""
    related: tuple[Related, ...]
    """By the sources that count."""

    @property
    def scale(self) -> float:
        """Of the outcomes: what they are standardised by."""
        return self.plain.scale

    @property
    def fallback(self) -> str:
        """What went wrong in fitting; empty when nothing did."""
        return self.plain.fallback

    def noise_share(self) -> float:
        """Variance of the noise over that of the outcomes."""
        return self.plain.noise_share()

    def lengths(self, groups: NDArray[np.intp]) -> Array:
        """Length scale of each parameter, shape (d,)."""
        return self.plain.lengths(groups)

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the mixture at features, shape (m, f) → (m,)."""
        told = [part for model in self.related for part in model.predict(z)]
        if self.weight > 0:
            mean, sd = self.plain.predict(z)
            told.append((self.weight, mean, sd**2))
        mean = np.sum([w * m for w, m, _ in told], axis=0)
        return mean, np.sqrt(np.sum([w * (v + (m - mean) ** 2) for w, m, v in told], axis=0))

    def joint(self, z: Array) -> tuple[Array, Array]:
        """Mean, shape (m,), in the outcome's unit, and covariance, shape (m, m), at points over `scale`²."""
        told = [part for model in self.related for part in model.joint(z)]
        if self.weight > 0:
            mean, covariance = self.plain.joint(z)
            told.append((self.weight, mean, covariance * self.scale**2))
        mean = np.sum([w * m for w, m, _ in told], axis=0)
        spread = np.sum([w * (c + np.outer(m - mean, m - mean)) for w, m, c in told], axis=0)
        return mean, spread / self.scale**2

    def believing(self, z: Array) -> Mixed:
        """The same as if the points had been observed as expected."""
        if not len(z):
            return self
        return replace(self, plain=self.plain.believing(z), related=tuple(m.believing(z) for m in self.related))

    def rough(self, quick: Callable[[Surrogate], Any]) -> _Rough:
        """What stands in for it where there are very many points.

        Args:
            quick: makes a stand-in for a Gaussian process.
        """
        best = max(self.related, key=lambda model: model.weight)
        part = max(best.parts, key=lambda part: part.weight)
        model = best.expert.model
        # The part that the source's data explain is linear in the covariances with them, as the mean is.
        back = solve_triangular(model.chol, best.half @ part.pull, lower=True, trans=1, check_finite=False)
        own = part.like * part.size
        steered = replace(model, weights=own * model.weights - own * own * back)
        return _Rough(best, part, quick(steered), quick(self.plain) if self.weight > 0.5 else None)

    def describe(self) -> dict[str, float]:
        """Weight of the trials alone, and of each source."""
        found = {"trials alone": round(self.weight + sum(_unlike(m) for m in self.related), 3)}
        return found | {m.expert.name: round(m.weight - _unlike(m), 3) for m in self.related}


def _unlike(model: Related) -> float:
    return sum(part.weight for part in model.parts if part.like == 0.0)


@dataclass(frozen=True)
class _Rough:
    """The likeliest part of a mixture, with deviations as they are where no trial is near."""

    model: Related
    part: Part
    source: Any
    plain: Any

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, shape (m,)."""
        if self.plain is not None:
            mean, sd = self.plain.predict(z)
            return np.asarray(mean), np.asarray(sd)
        expert, part = self.model.expert, self.part
        steered, sd = self.source.predict(z[:, expert.columns])
        scale = expert.model.scale
        near = part.covariance(expert.kernel(z, self.model.z), replace(expert.whole, x=self.model.z).covariance(z))
        mean = steered + scale * (near @ part.pull)
        variance = part.covariance((sd / scale) ** 2, expert.whole.prior_variance(z)) - LEVEL * part.size**2
        return np.asarray(mean), scale * np.sqrt(np.maximum(variance, TINY))

    def believing(self, z: Array) -> _Rough:
        """Points that are expected to give what is expected change no mean."""
        return self


def mixed(plain: Surrogate, experts: Sequence[Expert], data: Data) -> Surrogate | Mixed:
    """The model of the trials with what sources say of them; `plain` itself where those are of no use.

    Args:
        plain: fitted to the trials alone.
        experts: the sources' models of this outcome, at least one.
        data: the trials.
    """
    found = [related(expert, data, len(experts)) for expert in experts]
    trusted = len(data.y) >= PATIENCE
    theirs = [log for _, logs in found for log in logs]
    own = [alone(plain, experts[0].model, data)] if trusted else []
    top = max([*theirs, *own])
    total = sum(math.exp(log - top) for log in [*theirs, *own])
    weight = sum(math.exp(log - top) for log in own) / total
    models = []
    for model, logs in found:
        parts = []
        for part, log in zip(model.parts, logs, strict=True):
            share = math.exp(log - top) / total
            if trusted and part.like == 0.0:
                weight += share
            elif math.exp(log - max(theirs)) > _LEAST:
                parts.append(replace(part, weight=share))
        if parts:
            models.append(replace(model, parts=tuple(parts)))
    kept = weight + sum(model.weight for model in models)
    if not models or weight > (1.0 - _LEAST) * kept:
        return plain
    scaled = (replace(m, parts=tuple(replace(p, weight=p.weight / kept) for p in m.parts)) for m in models)
    return Mixed(plain, weight / kept, tuple(scaled))
