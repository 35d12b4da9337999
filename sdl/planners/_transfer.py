"""What `bayes` makes of prior knowledge: related campaigns, tables and simulations, as expectations that data refute.

Each source is modelled by itself. It enters as the mean that the outcome is expected to have, shifted and scaled to
what the trials say, with a Gaussian process for what the trials differ by. Beside these stands the model that knows of
no source, and all are mixed by how well they rank the trials (ranking-weighted ensembles: Feurer, Letham, Hutter and
Bakshy, arXiv:1802.02219, 2018): the share of draws from the models in which a model misorders fewest pairs of trials.
The model without sources is judged by leaving out one trial at a time, a source by what it says of trials that it has
not seen. A source that orders the trials no better than the model without it gets no weight at all, so unrelated
knowledge is forgotten after a few trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sdl.model import CategoricalParameter, Source
from sdl.planners._space import Array, Space
from sdl.planners._surrogate import Data, Surrogate, fit

__all__ = ["Knowledge", "Mixed", "Model", "Shifted", "informed"]

_MOST = 600  # points of a source that its model keeps: the cube of them is what it costs
_LEAST = 5  # points without which a source says nothing of an outcome
_DRAWS = 256  # from the models, to rank the trials by
_PATIENCE = 3  # trials from which on models are ranked; before, each has an equal say
_DILUTION = 0.95  # a source whose usual loss is above this quantile of the loss without it gets no weight
_SCALE = 2.0  # trials' worth of belief that a source is right about the size of effects


@dataclass(frozen=True)
class _Expert:
    """The model of one outcome by one source."""

    name: str
    columns: NDArray[np.intp]
    """Features that the source has."""
    model: Surrogate

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at features of the whole space, in the outcome's unit."""
        return self.model.predict(z[:, self.columns])

    def draws(self, z: Array, rng: np.random.Generator, m: int) -> Array:
        """Joint draws at points, shape (m, len(z))."""
        mean, covariance = self.model.joint(z[:, self.columns])
        chol = _root(covariance * self.model.scale**2)
        return np.asarray(mean + rng.standard_normal((m, len(z))) @ chol.T)


@dataclass(frozen=True)
class Shifted:
    """A source as the expected outcome, and a model of what trials differ by."""

    expert: _Expert
    offset: float
    slope: float
    rest: Surrogate

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at features, shape (m, f) → (m,), in the outcome's unit."""
        expected, doubt = self.expert.predict(z)
        mean, sd = self.rest.predict(z)
        # The source's own doubt is settled by trials nearby, as much as they settle what it is wrong by.
        open_share = (sd / self.rest.scale) ** 2 / self.rest.prior_variance(z)
        variance = sd**2 + (self.slope * doubt) ** 2 * np.minimum(open_share, 1.0)
        return self.offset + self.slope * expected + mean, np.sqrt(variance)

    def joint(self, z: Array) -> tuple[Array, Array]:
        """Mean, shape (m,), and covariance, shape (m, m), of the outcome at points, in its unit."""
        expected, doubt = self.expert.model.joint(z[:, self.expert.columns])
        mean, covariance = self.rest.joint(z)
        share = np.sqrt(np.minimum(covariance.diagonal() / self.rest.prior_variance(z), 1.0).clip(0.0))
        doubt = (self.slope * self.expert.model.scale) ** 2 * doubt * np.outer(share, share)
        return self.offset + self.slope * expected + mean, self.rest.scale**2 * covariance + doubt

    def believing(self, z: Array) -> Shifted:
        """The same as if the points had been observed as expected."""
        return replace(self, rest=self.rest.believing(z))


@dataclass(frozen=True)
class Mixed:
    """Models of one outcome, each with its weight; what they say is taken as one normal belief.

    What is asked of it beside its belief (noise, length scales), the model of the trials alone answers.
    """

    plain: Surrogate
    """Of the trials alone."""
    shifted: tuple[Shifted, ...]
    """Of the sources that count."""
    weights: tuple[float, ...]
    """Of the plain model, then of the sources'."""

    @property
    def models(self) -> tuple[Surrogate | Shifted, ...]:
        """All of them, in the order of the weights."""
        return (self.plain, *self.shifted)

    @property
    def scale(self) -> float:
        """Of the outcomes: what they are standardised by."""
        return self.plain.scale

    @property
    def fallback(self) -> str:
        """What went wrong in fitting; empty when nothing did."""
        return "; ".join(dict.fromkeys(m.fallback for m in (self.plain, *(s.rest for s in self.shifted)) if m.fallback))

    def noise_share(self) -> float:
        """Variance of the noise over that of the outcomes."""
        return self.plain.noise_share()

    def lengths(self, groups: NDArray[np.intp]) -> Array:
        """Length scale of each parameter, shape (d,)."""
        return self.plain.lengths(groups)

    def joint(self, z: Array) -> tuple[Array, Array]:
        """Mean, shape (m,), in the outcome's unit, and covariance, shape (m, m), at points over `scale`²."""
        told = []
        for model in self.models:
            mean, covariance = model.joint(z)
            told.append((mean, covariance * self.scale**2 if isinstance(model, Surrogate) else covariance))
        mean = np.sum([w * m for w, (m, _) in zip(self.weights, told, strict=True)], axis=0)
        spread = [w * (c + np.outer(m - mean, m - mean)) for w, (m, c) in zip(self.weights, told, strict=True)]
        return mean, np.sum(spread, axis=0) / self.scale**2

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the mixture at features, shape (m, f) → (m,)."""
        weights = np.array(self.weights)[:, None]
        told = [model.predict(z) for model in self.models]
        means, sds = np.stack([mean for mean, _ in told]), np.stack([sd for _, sd in told])
        mean = (weights * means).sum(axis=0)
        return mean, np.sqrt((weights * (sds**2 + (means - mean) ** 2)).sum(axis=0))

    def believing(self, z: Array) -> Mixed:
        """The same as if the points had been observed as expected."""
        return replace(self, plain=self.plain.believing(z), shifted=tuple(m.believing(z) for m in self.shifted))


Model = Surrogate | Mixed
"""Of one outcome."""


class Knowledge:
    """The sources of a problem, modelled. Made once for each space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._groups = np.array(space.feature_groups, dtype=np.intp)
        self.experts: dict[str, tuple[_Expert, ...]] = {}
        """By outcome."""
        self.troubles: list[str] = []
        """Sources that could not be used, and why."""
        for source in space.problem.sources:
            for outcome in source.outcomes:
                expert = self._expert(source, outcome)
                if expert is not None:
                    self.experts[outcome] = (*self.experts.get(outcome, ()), expert)

    @classmethod
    def of(cls, space: Space) -> Knowledge | None:
        """What the sources of a space's problem say; None where it has none that say anything."""
        if not space.problem.sources:
            return None
        if "knowledge" not in space.memo:
            space.memo["knowledge"] = cls(space)
        known: Knowledge = space.memo["knowledge"]
        return known if known.experts else None

    def _expert(self, source: Source, outcome: str) -> _Expert | None:
        names = [p.name for p in self._space.parameters]
        has = np.array([name in source.parameters for name in names])
        columns = np.flatnonzero(has[self._groups])
        x, kept = _features(self._space, source, has)
        y = np.array([math.nan if v is None else v for v in source.outcomes[outcome]], dtype=np.float64)
        sem = np.array([v or 0.0 for v in source.sems.get(outcome, (0.0,) * len(y))], dtype=np.float64)
        good = kept & np.isfinite(y)
        if good.sum() < _LEAST or float(np.ptp(y[good])) == 0.0:
            self.troubles.append(f"{source.name} says too little of {outcome}")
            return None
        chosen = np.flatnonzero(good)
        if len(chosen) > _MOST:  # the best and the worst, and an even selection of the others
            order = chosen[np.argsort(y[chosen], kind="stable")]
            chosen = np.sort(order[np.linspace(0, len(order) - 1, _MOST).round().astype(int)])
        _, groups = np.unique(self._groups[columns], return_inverse=True)
        try:
            model = fit(Data(x[chosen][:, columns], groups.astype(np.intp), y[chosen], sem[chosen] ** 2))
        except ArithmeticError as error:
            self.troubles.append(f"{source.name} of {outcome}: {error}")
            return None
        return _Expert(source.name, columns, model)

    # -- before there is a model of the trials ------------------------------------------------------------------------

    def promise(self, z: Array, scores: Mapping[str, Callable[[Array], Array]]) -> Array:
        """How good the sources expect points to be, shape (m,): the higher the better, in no unit.

        Args:
            z: features, shape (m, f).
            scores: outcome → what turns its values into scores; outcomes that no source speaks of count for nothing.
        """
        total = np.zeros(len(z))
        for outcome, score in scores.items():
            for expert in self.experts.get(outcome, ()):
                found = score(expert.predict(z)[0])
                spread = float(np.std(score(expert.model.predict(expert.model.x)[0])))
                total += found / (spread or 1.0)
        return total

    # -- with a model of the trials -----------------------------------------------------------------------------------

    def informed(self, outcome: str, plain: Surrogate, data: Data, seed: int) -> Model:
        """The model of an outcome with what the sources say of it; `plain` itself where they are of no use.

        Args:
            outcome: its name.
            plain: fitted to the trials alone.
            data: the trials.
            seed: of the draws that rank the models.
        """
        experts = self.experts.get(outcome, ())
        if not experts:
            return plain
        weights = _weights(plain, experts, data, np.random.default_rng(seed))
        count = weights[1:] > 0
        if not count.any():
            return plain
        shifted = tuple(_shifted(expert, data) for expert, counts in zip(experts, count, strict=True) if counts)
        return Mixed(plain, shifted, (float(weights[0]), *(float(w) for w in weights[1:][count])))

    @staticmethod
    def describe(model: Any) -> dict[str, float]:
        """What weight each source has in a model of `informed`, and the trials alone."""
        if not isinstance(model, Mixed):
            return {"trials alone": 1.0}
        names = ["trials alone", *(m.expert.name for m in model.shifted)]
        return {name: round(weight, 3) for name, weight in zip(names, model.weights, strict=True)}


def _features(space: Space, source: Source, has: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Features of a source's points, and which of them are points of the space's kind; columns it lacks mean nothing.

    Values outside the limits stay as they are.
    """
    rows = len(source)
    raw = np.tile(space.low, (rows, 1))
    raw[:, space.log] = np.exp(np.zeros(int(space.log.sum())))
    kept = np.ones(rows, dtype=bool)
    for j, parameter in enumerate(space.parameters):
        if not has[j]:
            continue
        values = source.parameters[parameter.name]
        if isinstance(parameter, CategoricalParameter):
            index = {level: float(i) for i, level in enumerate(parameter.levels)}
            column = np.array([index.get(str(value), -1.0) for value in values])
            kept &= column >= 0
            raw[:, j] = np.maximum(column, 0.0)
            continue
        column = np.array([_number(value) for value in values])
        good = np.isfinite(column) & ((column > 0) | (not space.log[j]))
        kept &= good
        raw[:, j] = np.where(good, column, space.high[j])
    return space.features(raw), kept


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _shifted(expert: _Expert, data: Data) -> Shifted:
    """A source brought to the level and the size of the trials.

    Its slope is that of a regression that believes in 1 as strongly as in two trials, and is never negative.
    """
    expected, _ = expert.predict(data.x)
    x, y = expected - expected.mean(), data.y - data.y.mean()
    belief = _SCALE * expert.model.scale**2
    slope = float(np.clip((x @ y + belief) / (x @ x + belief), 0.0, 10.0))
    offset = float(data.y.mean() - slope * expected.mean())
    rest = fit(replace(data, y=data.y - offset - slope * expected))
    # A few trials may agree with the source by chance; what they differ by is not known better than that.
    least = slope * expert.model.scale / (1.0 + len(data.y))
    if rest.scale < least:
        rest = replace(rest, scale=least, weights=rest.weights * (rest.scale / least))
    return Shifted(expert, offset, slope, rest)


def _weights(plain: Surrogate, experts: Sequence[_Expert], data: Data, rng: np.random.Generator) -> Array:
    """Weight of the model of the trials alone, then of each source's, shape (1 + sources,)."""
    n = len(data.y)
    if n < _PATIENCE:
        return np.full(len(experts) + 1, 1.0 / (len(experts) + 1))
    mean, sd = _left_out(plain, data)
    losses = [_misordered(mean + sd * rng.standard_normal((_DRAWS, n)), data.y)]
    losses += [_misordered(expert.draws(data.x, rng, _DRAWS), data.y) for expert in experts]
    table = np.stack(losses)
    limit = float(np.quantile(table[0], _DILUTION))
    for i in range(1, len(table)):
        if float(np.median(table[i])) > limit:
            table[i] = np.inf
    best = table == table.min(axis=0)
    return np.asarray((best / best.sum(axis=0)).mean(axis=1))


def _misordered(draws: Array, y: Array) -> Array:
    """Pairs of trials that draws put in the wrong order, shape (m,)."""
    i, j = np.triu_indices(len(y), 1)
    return np.asarray(((draws[:, i] < draws[:, j]) != (y[i] < y[j])).sum(axis=1), dtype=np.float64)


def _left_out(model: Surrogate, data: Data) -> tuple[Array, Array]:
    """What a model says of each trial given all others, with fixed hyper-parameters (Rasmussen and Williams, 2006,
    equation 5.12): mean and standard deviation, shape (n,)."""
    inverse_root = solve_triangular(model.chol, np.eye(len(model.chol)), lower=True)
    precision = (inverse_root**2).sum(axis=0)
    mean = data.y - model.scale * model.weights / precision
    return mean, model.scale / np.sqrt(precision)


def _root(covariance: Array) -> Array:
    """A matrix whose product with its transpose is the covariance; rounding is forgiven."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def informed(space: Space, fitted: Mapping[str, Surrogate], data: Mapping[str, Data], seed: int) -> dict[str, Model]:
    """Models of the trials with what the problem's sources say; the same ones where there are no sources.

    Args:
        space: of the problem.
        fitted: by outcome, to the trials alone.
        data: the trials, by outcome.
        seed: of the draws that rank the models.
    """
    knowledge = Knowledge.of(space)
    if knowledge is None:
        return dict(fitted)
    return {name: knowledge.informed(name, model, data[name], seed) for name, model in fitted.items()}
