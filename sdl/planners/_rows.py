"""Rows of arrays as a set: which are equal, which are new, in time that goes with their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["HashArray", "among", "first_of_each", "hashes"]

_Array = NDArray[np.float64]
HashArray = NDArray[np.uint64]
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, as in Steele et al., OOPSLA 2014 (SplitMix)


def hashes(rows: _Array) -> HashArray:
    """A 64-bit number for each row, equal for equal rows; +0 and -0 are equal."""
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)
    found = np.zeros(len(rows), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for j in range(bits.shape[1]):
            found = (found ^ bits[:, j]) * _MIX
            found ^= found >> np.uint64(29)
    return found


def first_of_each(rows: _Array) -> NDArray[np.intp]:
    """Indices of the first of each set of equal rows, rising.

    Args:
        rows: shape (m, d).
    """
    if len(rows) == 0:
        return np.empty(0, dtype=np.intp)
    _, first, which = np.unique(hashes(rows), return_index=True, return_inverse=True)
    if (rows[first[which]] == rows).all():
        return np.sort(first)
    _, first = np.unique(rows + 0.0, axis=0, return_index=True)  # two rows with one hash: compare them in full
    return np.sort(first)


def among(rows: _Array, others: _Array, known: HashArray | None = None) -> NDArray[np.bool_]:
    """Which rows are equal to one of the others, shape (m,).

    Args:
        rows: shape (m, d).
        others: shape (k, d).
        known: the hashes of the rows, where they have been computed before.
    """
    found = np.zeros(len(rows), dtype=bool)
    if len(others) and len(rows):
        keys = hashes(rows) if known is None else known
        wanted: dict[int, list[int]] = {}
        for i, key in enumerate(hashes(others).tolist()):
            wanted.setdefault(key, []).append(i)
        for i in np.flatnonzero(np.isin(keys, np.array(list(wanted), dtype=np.uint64))).tolist():
            found[i] = any((rows[i] == others[k]).all() for k in wanted[int(keys[i])])
    return found
