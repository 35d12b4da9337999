"""Predictions on a graphics card, for pools of millions of rows: in double precision, so proposals are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sdl.model import InputError, MissingExtra
from sdl.planners._acquisition import Acquisition
from sdl.planners._surrogate import Array, Surrogate

__all__ = ["DeviceModel", "on_device"]

_BLOCK = 32_768  # points at once: with 2,000 observations half a gigabyte


@dataclass(frozen=True)
class DeviceModel:
    """A surrogate that predicts with torch on a device."""

    exact: Surrogate
    torch: Any
    """The module."""
    device: str
    tensors: Sequence[Any]
    """Features over length scales, centred features, Cholesky factor and weights, on the device."""

    @classmethod
    def of(cls, exact: Surrogate, device: str) -> DeviceModel:
        """Put a surrogate on a device.

        Raises:
            MissingExtra: torch is not installed.
            InputError: there is no such device here.
        """
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingExtra("planner 'bayes' with device: cuda", "gpu") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("planner 'bayes': no graphics card can be used here; leave out `device: cuda`")
        parts = (exact.x * exact.inverse_lengths, exact.x - exact.centre, exact.chol, exact.weights)
        return cls(exact, torch, device, [torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in parts])

    def predict(self, z: Array) -> tuple[Array, Array]:
        """As `Surrogate.predict`."""
        parts = [self._block(z[i : i + _BLOCK]) for i in range(0, len(z), _BLOCK)]
        mean, variance = (np.concatenate([np.empty(0), *column]) for column in zip(*parts, strict=True))
        exact = self.exact
        return exact.mean + exact.scale * mean, exact.scale * np.sqrt(np.maximum(variance, 1e-12))

    def _block(self, z: Array) -> tuple[Array, Array]:
        torch, exact = self.torch, self.exact
        scaled, centred, chol, weights = self.tensors
        a = torch.from_numpy(z * exact.inverse_lengths).to(self.device)
        squared = ((a * a).sum(1)[:, None] + (scaled * scaled).sum(1) - 2.0 * a @ scaled.T).clamp_min(0.0)
        root = (5.0 * squared).sqrt()
        k = exact.signal * (1.0 + root + squared * (5.0 / 3.0)) * torch.exp(-root) + 1.0
        if exact.trend:
            k += exact.trend * torch.from_numpy(z - exact.centre).to(self.device) @ centred.T
        half = torch.linalg.solve_triangular(chol, k.T, upper=False)
        explained = (half * half).sum(0).cpu().numpy()
        return (k @ weights).cpu().numpy(), exact.prior_variance(z) - explained

    def believing(self, z: Array) -> DeviceModel:
        """As `Surrogate.believing`."""
        return DeviceModel.of(self.exact.believing(z), self.device)


def on_device(acquisition: Acquisition, device: str) -> Acquisition:
    """The same acquisition function with its models on a device."""
    models = {n: DeviceModel.of(m, device) if isinstance(m, Surrogate) else m for n, m in acquisition.models.items()}
    classifier = acquisition.classifier
    if isinstance(classifier, Surrogate):
        return replace(acquisition, models=models, classifier=DeviceModel.of(classifier, device))
    return replace(acquisition, models=models)
