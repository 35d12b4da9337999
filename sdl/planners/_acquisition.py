"""What `bayes` maximises: log noisy expected improvement, weighted by the probability of being feasible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling.normal import SobolQMCNormalSampler
from torch import Tensor

from sdl.model import Match, Maximize, Minimize
from sdl.planners._gp import Data, fit

__all__ = ["evaluate", "feasibility_model", "improvement"]

_CHUNK = 2048  # points evaluated at once: bounds the memory a large pool needs
_LABEL_NOISE = 0.05  # variance of a 0/1 label: one infeasible trial does not condemn its surroundings for certain


def improvement(
    models: Sequence[Any],
    objective: Maximize | Minimize | Match,
    baseline: Tensor,
    classifier: Any | None,
    *,
    samples: int,
    seed: int,
) -> AcquisitionFunction:
    """The acquisition function, in log space (Ament et al., NeurIPS 2023, qLogNEI).

    The best value so far is not taken from noisy measurements but integrated over the model's belief of what they
    were, and `set_X_pending` makes it the improvement on top of what pending trials may bring.

    Args:
        models: of the outcome in its own unit; the improvements they expect are averaged.
        objective: turns the outcome into a score; for `match` the model stays that of the outcome, and the improvement
            is that of -|outcome - target|, which no Gaussian describes but samples do.
        baseline: unit coordinates of the observed trials, shape (m, d).
        classifier: from `feasibility_model`, or None.
        samples: posterior samples.
        seed: of the samples.
    """

    def score(values: Tensor, X: Tensor | None = None) -> Tensor:  # noqa: N803 - botorch's name
        return _score(objective, values[..., 0])

    parts = [
        qLogNoisyExpectedImprovement(
            model,
            baseline,
            sampler=SobolQMCNormalSampler(torch.Size([samples]), seed=seed),
            objective=GenericMCObjective(score),
        )
        for model in models
    ]
    return _Weighted(parts, classifier)


def _score(objective: Maximize | Minimize | Match, values: Tensor) -> Tensor:
    if isinstance(objective, Match):
        return -(values - objective.target).abs()
    return values if isinstance(objective, Maximize) else -values


def feasibility_model(observed: Tensor, infeasible: Tensor, levels: tuple[int, ...]) -> Any:
    """A Gaussian process of the labels 1 (observed) and 0 (infeasible).

    Least-squares classification (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 6.5):
    P(feasible) = Φ((mean - 1/2) / sd). Enough to turn away from where the chemistry fails, and as robust to fit as the
    model of the outcome.

    Args:
        observed: unit coordinates of trials that gave a material, shape (m, d).
        infeasible: of those that did not, shape (k, d).
        levels: number of levels of each parameter; 0 for a numeric one.
    """
    x = torch.cat([observed, infeasible])
    y = torch.cat([torch.ones(len(observed), 1), torch.zeros(len(infeasible), 1)]).to(x.dtype)
    return fit(Data(x, y, torch.full_like(y, _LABEL_NOISE), True, levels)).model


class _Weighted(AcquisitionFunction):
    """Log of (mean EI · P(feasible)), for one point at a time."""

    def __init__(self, parts: Sequence[AcquisitionFunction], classifier: Any | None) -> None:
        super().__init__(model=parts[0].model)
        self.parts = list(parts)
        self.classifier = classifier

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:  # noqa: N802, N803 - botorch's name
        for part in self.parts:
            part.set_X_pending(X_pending)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - botorch's name
        """Value at points of shape (b, 1, d), shape (b,)."""
        mean = torch.stack([part(X) for part in self.parts]).logsumexp(dim=0) - math.log(len(self.parts))
        if self.classifier is None:
            return mean
        belief = self.classifier.posterior(X)
        z = (belief.mean - 0.5) / belief.variance.clamp_min(1e-12).sqrt()
        value: Tensor = mean + torch.special.log_ndtr(z)[..., 0, 0]
        return value


def evaluate(acquisition: AcquisitionFunction, unit: Tensor) -> Tensor:
    """Value at each of the points, shape (m, d) → (m,)."""
    with torch.no_grad():
        parts = [acquisition(unit[i : i + _CHUNK, None, :]) for i in range(0, len(unit), _CHUNK)]
        return torch.cat(parts)
