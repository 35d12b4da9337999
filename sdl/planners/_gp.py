"""The Gaussian process behind `bayes`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, ScaleKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood, GaussianLikelihood, Likelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

__all__ = ["BROAD", "NARROW", "Belief", "Data", "Fitted", "MixedMatern", "blend", "fit"]


@dataclass(frozen=True)
class Belief:
    """Priors of a model."""

    spread: float
    """Standard deviation of the length scales' logarithms. The most likely length scale is exp(√2 - spread²)·√d."""
    noise: tuple[float, float]
    """Mean and standard deviation of the logarithm of the noise variance, outcomes standardised."""
    least_noise: float
    """Smallest noise variance, outcomes standardised."""


BROAD = Belief(math.sqrt(3.0), (-4.0, 1.0), 1e-4)
"""As published: the most likely length scale is 0.2·√d, wiggles on a fifth of the cube, and some noise is expected."""
NARROW = Belief(1.0, (-6.0, 2.0), 1e-6)
"""The most likely length scale is 1.5·√d, a trend across the whole cube, which the outcomes may follow closely."""

_SHORTEST = 2.5e-2  # length scale below which a model of a unit cube only interpolates noise; BoTorch's own limit
_OPTIMISER = {"maxiter": 200, "ftol": 1e-6}  # a change of the log likelihood that no proposal would notice
_FAILURES = (ModelFittingError, NotPSDError, NanError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Data:
    """Observations as the model takes them."""

    x: Tensor
    """Unit coordinates, shape (m, d)."""
    y: Tensor
    """Outcome values, shape (m, 1)."""
    variance: Tensor | None
    """Square of each outcome's standard error, shape (m, 1); None when one is unknown."""
    all_noise: bool
    """Whether `variance` is the whole noise. Replicates within a trial say nothing of how trials differ."""
    levels: tuple[int, ...]
    """Number of levels of each parameter; 0 for a numeric one."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model and how it came about."""

    model: Any
    """A BoTorch model of one outcome, in the outcome's own unit."""
    fallback: str
    """What had to be given up; empty when the fit went as planned."""

    def describe(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Hyper-parameters for the record: length scales in the unit cube by parameter, noise and signal scale."""
        kernel = self.model.covar_module
        scales = kernel.base_kernel.lengthscale.detach().flatten().tolist()
        noise = self.model.likelihood.noise.detach().mean().item()
        return {
            "length_scales": dict(zip(names, scales, strict=True)),
            "signal_variance": kernel.outputscale.detach().item(),
            "noise_variance": noise,
        }


class MixedMatern(Kernel):  # type: ignore[misc]  # gpytorch has no types
    """Matérn-5/2 kernel with one length scale a parameter, over numeric and categorical parameters alike.

    Two different levels of a categorical parameter are one length scale's unit apart, all pairs equally far: the
    Hamming distance takes the place of |x - x'| in the scaled distance. So a categorical parameter has one length
    scale to learn, however many levels it has.
    """

    has_lengthscale = True

    def __init__(self, levels: tuple[int, ...], **options: Any) -> None:
        super().__init__(ard_num_dims=len(levels), **options)
        self.levels = levels

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance between points in unit coordinates."""
        distance = self.covar_dist(self._features(x1), self._features(x2), diag=diag, square_dist=True, **params)
        r = (5.0 * distance.clamp_min(1e-20)).sqrt()
        covariance: Tensor = (1.0 + r + r.square() / 3.0) * torch.exp(-r)
        return covariance

    def _features(self, x: Tensor) -> Tensor:
        if not any(self.levels):
            scaled: Tensor = x / self.lengthscale
            return scaled
        columns = []
        for j, count in enumerate(self.levels):
            column = x[..., j : j + 1]
            if count:
                known = torch.arange(count, dtype=x.dtype)
                column = (column == known).to(x.dtype) / math.sqrt(2.0)
            columns.append(column / self.lengthscale[..., j : j + 1])
        return torch.cat(columns, dim=-1)


def _build(data: Data, belief: Belief) -> SingleTaskGP:
    d = len(data.levels)
    prior = LogNormalPrior(math.sqrt(2.0) + 0.5 * math.log(d), belief.spread)
    constraint = GreaterThan(_SHORTEST, transform=None, initial_value=prior.mode)
    kernel = ScaleKernel(
        MixedMatern(data.levels, lengthscale_prior=prior, lengthscale_constraint=constraint),
        outputscale_prior=LogNormalPrior(0.0, 1.0),
        outputscale_constraint=GreaterThan(1e-2, transform=None, initial_value=1.0),
    )
    return SingleTaskGP(
        data.x,
        data.y,
        likelihood=_likelihood(data, belief),
        covar_module=kernel,
        outcome_transform=Standardize(m=1),
    )


def _likelihood(data: Data, belief: Belief) -> Likelihood:
    """Noise of the standardised outcomes: inferred, or what is known of each plus what is inferred beyond."""
    prior = LogNormalPrior(*belief.noise)
    least = belief.least_noise
    start = max(prior.mode.item(), 2.0 * least)
    constraint = GreaterThan(least, transform=None, initial_value=start)
    if data.variance is None:
        return GaussianLikelihood(noise_prior=prior, noise_constraint=constraint)
    # The unbiased variance, as `Standardize` divides by; a single outcome is not scaled.
    scale = data.y.var() if len(data.y) > 1 and data.y.var() > 1e-16 else torch.ones(())
    known = (data.variance.squeeze(-1) / scale).clamp_min(least)
    if data.all_noise:
        return FixedNoiseGaussianLikelihood(noise=known)
    return FixedNoiseGaussianLikelihood(
        noise=known, learn_additional_noise=True, noise_prior=prior, noise_constraint=constraint
    )


def fit(data: Data, belief: Belief = BROAD) -> Fitted:
    """Fit by maximum a posteriori; where that fails, keep the hyper-parameters at the modes of their priors.

    The prior of the length scales widens with the root of the number of parameters, so that a model of many
    parameters does not begin by expecting more wiggles (Hvarfner, Hellsten and Nardi, "Vanilla Bayesian optimization
    performs great in high dimensions", ICML 2024).

    Args:
        data: at least one observation.
        belief: the priors.

    Raises:
        RuntimeError: the model cannot be used even so.
    """
    model = _build(data, belief)
    fallback = ""
    try:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs={"options": _OPTIMISER})
    except _FAILURES as error:
        model = _build(data, belief)
        fallback = f"prior modes for hyper-parameters: {type(error).__name__}: {error}"
    model.eval()
    if not bool(torch.isfinite(model.posterior(data.x).mean).all()):
        raise RuntimeError("the model's predictions are not finite")
    return Fitted(model, fallback)


def blend(models: Sequence[Any], x: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of the models' beliefs in equal parts, at one point of shape (1, d)."""
    with torch.no_grad():
        beliefs = [model.posterior(x) for model in models]
    means = torch.stack([belief.mean.squeeze() for belief in beliefs])
    variances = torch.stack([belief.variance.squeeze().clamp_min(0.0) for belief in beliefs])
    return means.mean().item(), (variances.mean() + means.var(unbiased=False)).sqrt().item()
