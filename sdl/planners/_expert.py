"""What one source says of one outcome: a Gaussian process of its own data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sdl.planners._rows import hashes
from sdl.planners._surrogate import Array, Surrogate

__all__ = ["Expert"]

_KEPT = 4_096
"""Rows of a pool for which what a source says is computed once and kept."""


class Expert:
    """The model of one outcome by one source."""

    def __init__(self, name: str, columns: NDArray[np.intp], model: Surrogate, whole: Surrogate) -> None:
        """A source's model.

        Args:
            name: of the source.
            columns: features that it has.
            model: of the outcome over these.
            whole: a process over all features of the space, of the same kind; its observations do not count.
        """
        self.name, self.columns, self.model, self.whole = name, columns, model, whole
        self._rows: Array | None = None
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._order: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._told: tuple[Array, Array] = (np.empty(0), np.empty((0, 0)))

    def predict(self, z: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at features of the whole space, in the outcome's unit."""
        return self.model.predict(z[:, self.columns])

    def kernel(self, z: Array, others: Array) -> Array:
        """Covariance of the source's response between points before its data, shape (m, k); standardised."""
        return replace(self.model, x=others[:, self.columns]).covariance(z[:, self.columns])

    def keep(self, rows: Array) -> None:
        """Compute once what the source says of features that will be asked for again and again."""
        if len(rows) <= _KEPT:
            keys = hashes(rows)
            self._order = np.argsort(keys, kind="stable")
            self._keys, self._rows = keys[self._order], rows
            mean, half = self._asked(rows)
            self._told = mean, np.ascontiguousarray(half.T)

    def explained(self, z: Array) -> tuple[Array, Array]:
        """What its data say at points: the mean, shape (m,), standardised, and the part of the covariance that they
        explain as a product of halves, shape (k, m)."""
        if self._rows is None or not len(self._rows) or not len(z):
            return self._asked(z)
        at = self._order[np.minimum(np.searchsorted(self._keys, hashes(z)), len(self._keys) - 1)]
        if not np.array_equal(self._rows[at], z):
            return self._asked(z)
        return self._told[0][at], self._told[1][at].T

    def _asked(self, z: Array) -> tuple[Array, Array]:
        k = self.model.covariance(z[:, self.columns])
        return k @ self.model.weights, solve_triangular(self.model.chol, k.T, lower=True, check_finite=False)
