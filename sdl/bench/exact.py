"""Random search of a pool, exactly: how many draws without replacement until the first good row."""

from __future__ import annotations

from math import comb

__all__ = ["chance", "quantile"]


def chance(rows: int, good: int, draws: int) -> float:
    """Probability that `draws` rows drawn without replacement hold a good one: 1 − C(N−k, m) / C(N, m).

    That is the hypergeometric distribution's chance of at least one success.

    Args:
        rows: N, rows of the pool.
        good: k, good rows among them, 1 ≤ k ≤ N.
        draws: m ≥ 0.
    """
    if draws > rows - good:
        return 1.0
    # Whole numbers, divided once: exact to the last bit of a float. C(N−m, k) / C(N, k) is the same with smaller terms.
    return 1.0 - comb(rows - draws, good) / comb(rows, good)


def quantile(rows: int, good: int, share: float) -> int:
    """Least number of draws that find a good row with probability ≥ `share`.

    Args:
        rows: rows of the pool.
        good: good rows among them.
        share: 0 < share < 1; 0.5 gives the median.
    """
    low, high = 1, rows - good + 1
    while low < high:
        middle = (low + high) // 2
        if chance(rows, good, middle) >= share:
            high = middle
        else:
            low = middle + 1
    return low
