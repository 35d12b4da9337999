"""What `bayes` maximises: the logarithm of an expected improvement, times chances, over a cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import log_ndtr

from sdl.model import Match, MatchCurve, Maximize, Minimize, OutcomeConstraint
from sdl.planners._improvement import between, log_improvement, log_nearness
from sdl.planners._pareto import boxes, front, log_hypervolume_improvement, reference_point, thinned
from sdl.planners._space import Array
from sdl.planners._surrogate import Belief, Data, Surrogate, fit

__all__ = ["Acquisition", "Goal", "Model", "feasibility_model"]

Goal = Maximize | Minimize | Match | MatchCurve
_LABEL_NOISE = 0.05  # variance of a 0/1 label: one infeasible trial does not condemn its surroundings for certain
_CAUTION = 2.0
"""Power of the chance of being feasible. An infeasible trial does not only fail to improve: it costs a trial and says
nothing of the outcome. With 1, a small chance of much in the midst of failures is taken over a sure gain."""


class Model(Protocol):
    """A belief of one outcome: `Surrogate`, or what stands in for it where there are very many points."""

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at points."""
        ...

    def believing(self, z: Array) -> Model:
        """The same as if the points had been observed as expected."""
        ...


def feasibility_model(x: Array, groups: np.ndarray[tuple[int], np.dtype[np.intp]], labels: Array) -> Surrogate:
    """A Gaussian process of the labels 1 (observed) and 0 (infeasible).

    Least-squares classification (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 6.5):
    P(feasible) = Φ((mean - 1/2) / sd). Enough to turn away from where the chemistry fails, and as robust to fit as the
    model of the outcome.
    """
    belief = Belief(length=(0.5 * math.log(0.25), 0.7), signal=(0.0, 0.5), trend=None, noise=(-6.0, 0.5))
    return fit(Data(x, groups, labels, np.full(len(labels), _LABEL_NOISE)), belief)


@dataclass(frozen=True)
class Acquisition:
    """The logarithm of the expected improvement at points, given what their features are."""

    models: Mapping[str, Model]
    """By outcome."""
    goals: tuple[Goal, ...]
    constraints: tuple[OutcomeConstraint, ...]
    classifier: Model | None
    """Of being feasible at all."""
    base: Array
    """Features of the trials that an improvement is counted from, pending ones included, shape (n, f)."""
    weights: tuple[float, ...] | None = None
    """Of the objectives, per unit of each, where they are weighed into one number."""
    cost: Callable[[Array], Array] | None = None
    """Cost of raw points."""

    def __call__(self, raw: Array, z: Array) -> Array:
        """Values at points: raw, shape (m, d), and their features, shape (m, f)."""
        beliefs = {name: model.predict(z) for name, model in self.models.items()}
        value = self.log_chance(beliefs, z)
        if self.incumbents is not None:
            value = value + self.gain(beliefs)
        if self.cost is not None:
            value = value - np.log(np.maximum(self.cost(raw), 1e-12))
        return np.asarray(value)

    def believing(self, z: Array) -> Acquisition:
        """As if points had been tried and had given what is expected."""
        if not len(z):
            return self
        models = {name: model.believing(z) for name, model in self.models.items()}
        classifier = self.classifier.believing(z) if self.classifier is not None else None
        return replace(self, models=models, classifier=classifier, base=np.concatenate([self.base, z]))

    def at_cost(self, cost: Callable[[Array], Array] | None) -> Acquisition:
        """With the cost of raw points."""
        return replace(self, cost=cost)

    # -- chances ----------------------------------------------------------------------------------------------------

    def log_chance(self, beliefs: Mapping[str, tuple[Array, Array]], z: Array) -> Array:
        """log P(feasible and within the outcome constraints), shape (m,)."""
        found = np.zeros(len(z))
        for rule in self.constraints:
            found = found + between(*beliefs[rule.name], rule.at_least, rule.at_most)
        if self.classifier is not None:
            mean, sd = self.classifier.predict(z)
            found = found + _CAUTION * log_ndtr((mean - 0.5) / sd)
        return found

    # -- gains ------------------------------------------------------------------------------------------------------

    @property
    def one(self) -> bool:
        """Whether one number is to be improved, rather than a hypervolume."""
        return len(self.goals) == 1 or self.weights is not None

    @cached_property
    def incumbents(self) -> Array | None:
        """Scores that the model believes of the trials that are within the constraints, shape (n, k); None where none
        is: then only the chance to get there counts.

        Believed, not measured: the best of noisy values flatters.
        """
        beliefs = {name: model.predict(self.base)[0] for name, model in self.models.items()}
        within = np.ones(len(self.base), dtype=bool)
        for rule in self.constraints:
            low = -np.inf if rule.at_least is None else rule.at_least
            high = np.inf if rule.at_most is None else rule.at_most
            within &= (beliefs[rule.name] >= low) & (beliefs[rule.name] <= high)
        if not within.any():
            return None
        return np.column_stack([self.score(goal, beliefs[goal.name][within]) for goal in self.goals])

    @staticmethod
    def score(goal: Goal, values: Array) -> Array:
        """Score of outcome values: the more the better."""
        if isinstance(goal, Match):
            return -np.abs(values - goal.target)
        return values if isinstance(goal, Maximize) else -values

    def gain(self, beliefs: Mapping[str, tuple[Array, Array]]) -> Array:
        """log of the expected improvement, chances aside, shape (m,); only where there are incumbents."""
        assert self.incumbents is not None
        if self.one and self.weights is None and isinstance(self.goals[0], Match):
            goal = self.goals[0]
            return log_nearness(*beliefs[goal.name], goal.target, -float(self.incumbents.max()))
        means, sds = self.scores(beliefs)
        if self.weights is not None:
            weights = np.array(self.weights)
            mean, sd = means @ weights, np.sqrt((sds**2) @ weights**2)
            return log_improvement(mean, sd, float((self.incumbents @ weights).max()))
        if self.one:
            return log_improvement(means[:, 0], sds[:, 0], float(self.incumbents.max()))
        return log_hypervolume_improvement(means, sds, *self.parts)

    def scores(self, beliefs: Mapping[str, tuple[Array, Array]]) -> tuple[Array, Array]:
        """Means and standard deviations of the objectives' scores, each of shape (m, k).

        The distance from a target is taken to be normal with its own mean and variance (a folded normal's).
        """
        means, sds = [], []
        for goal in self.goals:
            mean, sd = beliefs[goal.name]
            if isinstance(goal, Match):
                u = (mean - goal.target) / sd
                folded = sd * (np.sqrt(2 / math.pi) * np.exp(-0.5 * u * u) + u * (1 - 2 * np.exp(log_ndtr(-u))))
                sd = np.sqrt(np.maximum((mean - goal.target) ** 2 + sd**2 - folded**2, 1e-6 * sd**2))
                mean = -folded
            else:
                mean = self.score(goal, mean)
            means.append(mean)
            sds.append(sd)
        return np.column_stack(means), np.column_stack(sds)

    @cached_property
    def reference(self) -> Array:
        """Reference point of the hypervolume, as scores."""
        assert self.incumbents is not None
        return reference_point(self.incumbents, tuple(goal.threshold_score for goal in self.goals))

    @cached_property
    def parts(self) -> tuple[Array, Array]:
        """Boxes of what is not dominated, in scores."""
        assert self.incumbents is not None
        return boxes(thinned(self.incumbents[front(self.incumbents)]), self.reference)
