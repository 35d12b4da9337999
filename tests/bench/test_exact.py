"""Random search, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.bench.exact import chance, quantile


def test_the_published_medians() -> None:
    """600 rows with 6 good ones take 66 draws, 164 with 2 take 48: the medians that the field reports."""
    assert quantile(600, 6, 0.5) == 66
    assert quantile(164, 2, 0.5) == 48


def test_chance_agrees_with_draws() -> None:
    """Among 20,000 simulated searches the share that has found a good row is the chance, within 0.015."""
    rng = np.random.default_rng(1)
    first = np.array([np.flatnonzero(rng.permutation(40) < 3)[0] + 1 for _ in range(20_000)])
    for draws in (1, 5, 12, 25):
        assert chance(40, 3, draws) == pytest.approx(float((first <= draws).mean()), abs=0.015)


@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.99))
def test_quantile_is_the_least_that_is_enough(rows: int, data: st.DataObject, share: float) -> None:
    """One draw fewer than the quantile has a chance below the share."""
    good = data.draw(st.integers(1, rows))
    least = quantile(rows, good, share)
    assert chance(rows, good, least) >= share
    assert chance(rows, good, least - 1) < share


def test_all_rows_hold_a_good_one() -> None:
    """Drawing more rows than there are bad ones cannot miss."""
    assert chance(10, 4, 7) == 1.0
    assert chance(10, 4, 0) == 0.0
