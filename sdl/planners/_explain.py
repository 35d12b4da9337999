"""Why a point was chosen, in numbers and words for the journal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdl.model import Match, Prediction
from sdl.planners._acquisition import Acquisition
from sdl.planners._improvement import improvement_spread
from sdl.planners._known import Known
from sdl.planners._pareto import front, hypervolume
from sdl.planners._space import Array, Space
from sdl.planners._transfer import Model

__all__ = ["Explainer"]

_SAMPLES = 96  # points behind a sensitivity
_PATHS = 256  # joint samples behind the improvement left
_NEAREST = 3


@dataclass(frozen=True)
class Explainer:
    """Explains the choices of one call."""

    space: Space
    known: Known
    fitted: Mapping[str, Model]
    """By outcome, given the observed trials and what sources say."""
    seed: int

    def features(self, raw: Array) -> Array:
        """What the models take, shape (m, f)."""
        return self.space.features(raw)

    def predictions(self, row: Array) -> dict[str, Prediction]:
        """Mean and standard deviation of every outcome."""
        found = {}
        for name, model in self.fitted.items():
            mean, sd = model.predict(self.features(row[None, :]))
            found[name] = Prediction(mean=float(mean[0]), sem=float(sd[0]))
        return found

    def nearest(self, row: Array) -> list[dict[str, Any]]:
        """Trials tried nearest to a point, with distances in unit coordinates (two levels are 1 apart)."""
        gaps = self.space.difference(self.space.to_unit(row[None, :]), self.space.to_unit(self.known.observed))[0]
        order = np.argsort(gaps, kind="stable")[:_NEAREST]
        return [
            {
                "trial": self.known.numbers[i],
                "distance": round(float(gaps[i]), 4),
                "outcomes": dict(zip(self.known.names, self.known.values[i].tolist(), strict=True)),
            }
            for i in order.tolist()
        ]

    def sensitivities(self, points: Array) -> dict[str, dict[str, float]]:
        """By outcome and parameter: the share of the predicted outcome's variation that the parameter has a part in.

        Total effects by Jansen's estimator (Computer Physics Communications 117, 1999), scaled to sum to one.
        """
        rng = np.random.default_rng(self.seed)
        pick = points[rng.permutation(len(points))[:_SAMPLES]]
        z, groups = self.features(pick), np.array(self.space.feature_groups)
        mixed = []
        for j in range(self.space.d):
            other = z.copy()
            other[:, groups == j] = np.roll(z[:, groups == j], len(z) // 2 or 1, axis=0)
            mixed.append(other)
        found = {}
        for name, model in self.fitted.items():
            mean = model.predict(np.concatenate([z, *mixed]))[0].reshape(self.space.d + 1, -1)
            size = float(np.ptp(mean)) or 1.0
            effect = (((mean[1:] - mean[0]) / size) ** 2).mean(axis=1)
            total = float(effect.sum())
            shares = effect / total if total > 0 and math.isfinite(total) else np.full(self.space.d, 1.0 / self.space.d)
            found[name] = {p.name: round(float(s), 4) for p, s in zip(self.space.parameters, shares, strict=True)}
        return found

    def exploration(self, acquisition: Acquisition, row: Array) -> float:
        """Share of the expected improvement that is owed to not knowing: 0 exploits, 1 explores."""
        if acquisition.incumbents is None:
            return 1.0
        z = self.features(row[None, :])
        beliefs = {name: model.predict(z) for name, model in acquisition.models.items()}
        sure = {name: (mean, sd * 1e-6) for name, (mean, sd) in beliefs.items()}
        share = 1.0 - math.exp(min(0.0, float(acquisition.gain(sure)[0] - acquisition.gain(beliefs)[0])))
        return round(min(1.0, max(0.0, share)), 4)

    def improvement_left(self, acquisition: Acquisition, row: Array, best: Array) -> dict[str, Any] | None:
        """What the next trial is expected to bring, and the best of all that is left; None where no trial counts yet.

        Args:
            acquisition: given the observed and pending trials.
            row: the point chosen.
            best: points with the greatest acquisition values.
        """
        if acquisition.incumbents is None:
            return None
        z = self.features(row[None, :])
        beliefs = {name: model.predict(z) for name, model in acquisition.models.items()}
        if not acquisition.one:
            scores, reference = acquisition.incumbents, acquisition.reference
            value = math.exp(float(acquisition.gain(beliefs)[0]))
            whole = hypervolume(scores[front(scores)], reference)
            share = f", {100 * value / whole:.2g} % of what is reached" if whole > 0 else ""
            return {"value": value, "text": f"the next trial is expected to add {value:.3g} to the hypervolume{share}"}
        means, sds = acquisition.scores(beliefs)
        if acquisition.weights is not None:
            weights = np.array(acquisition.weights)
            incumbent = float((acquisition.incumbents @ weights).max())
            sd = float(np.linalg.norm(sds[0] * weights))
            value, sd = improvement_spread(float(means[0] @ weights), sd, incumbent)
            return {"value": value, "sd": sd, "text": f"the next trial is expected to add {value:.3g} ± {sd:.2g}"}
        incumbent = float(acquisition.incumbents.max())
        value, sd = improvement_spread(float(means[0, 0]), float(sds[0, 0]), incumbent)
        goal = acquisition.goals[0]
        unit = "" if goal.unit == "1" else f" {goal.unit}"
        if isinstance(goal, Match):
            value = math.exp(float(acquisition.gain(beliefs)[0]))
        left, spread, chance = self._best_left(acquisition, self.fitted[goal.name], best, incumbent)
        text = (
            f"the next trial is expected to improve {goal.name} by {value:.3g} ± {sd:.2g}{unit}; the best point left "
            f"by {left:.3g} ± {spread:.2g}{unit}; there is one better by 1 % of the range seen with a chance of "
            f"{100 * chance:.0f} %"
        )
        return {"value": value, "sd": sd, "best_left": left, "best_left_sd": spread, "chance": chance, "text": text}

    def _best_left(
        self, acquisition: Acquisition, model: Model, best: Array, incumbent: float
    ) -> tuple[float, float, float]:
        """Mean and standard deviation of the improvement at the best of some points, and the chance of one that counts.

        From joint samples of the model, since the improvements at neighbouring points are not independent.
        """
        goal = acquisition.goals[0]
        mean, covariance = model.joint(self.features(best))
        values, vectors = np.linalg.eigh(covariance)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = np.random.default_rng(self.seed).standard_normal((len(best), _PATHS))
        samples = mean[:, None] + model.scale * (half @ normal)
        scores = acquisition.score(goal, samples)
        gains = np.maximum(scores.max(axis=0) - incumbent, 0.0)
        size = float(gains.max()) or 1.0
        column = self.known.names.index(goal.name)
        range_seen = float(np.ptp(acquisition.score(goal, self.known.values[:, column])))
        return float(gains.mean()), float(size * (gains / size).std()), float((gains > 0.01 * range_seen).mean())
