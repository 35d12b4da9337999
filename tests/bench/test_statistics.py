"""Figures and their intervals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sdl.bench.datasets import find_tasks
from sdl.bench.entrants import Entrant
from sdl.bench.page import render_page
from sdl.bench.results import Results
from sdl.bench.search import Found
from sdl.bench.statistics import cpu_by_observations, overall, pool_summary, reached_curve, spread_curve
from sdl.bench.tasks import PoolTask
from sdl.bench.timing import Timing, time_proposals

CAP = 30


@pytest.fixture
def task(table: Path) -> PoolTask:
    """The small table."""
    return find_tasks(table)[0]


def _found(planner: str, reached: list[int | None], task: str = "small") -> list[Found]:
    return [
        Found(
            planner=planner,
            task=task,
            kind="pool",
            seed=seed,
            cap=CAP,
            reached=r,
            rows=tuple(range(r or CAP)),
            best=tuple(float(i) for i in range(r or CAP)),
            cpu=(0.5,) * ((r or CAP) - 2),
            fallbacks=0,
            mapped=0,
            error="",
        )
        for seed, r in enumerate(reached)
    ]


def test_a_pool_is_summed_up(task: PoolTask) -> None:
    """Median, exact random median over it, share that reached, and enhancement against random's exact chance."""
    found = _found("a", [4, 6, 8, 10, None])
    s = pool_summary(task, found, {"b": _found("b", [16] * 5)}, at=10)
    assert task.random_median == 30
    assert (s.evaluations.value, s.reached, s.cpu) == (8.0, 0.8, 0.5)
    assert s.acceleration.value == pytest.approx(30 / 8)
    assert s.evaluations.low <= 8.0 <= s.evaluations.high
    assert s.versus["b"].value == pytest.approx(2.0)
    assert s.enhancement == pytest.approx(0.8 / (10 / 59))
    assert not s.beyond


def test_intervals_narrow_with_seeds(task: PoolTask) -> None:
    """Ten times the seeds of one distribution give an interval less than half as wide; equal seeds none."""
    rng = np.random.default_rng(0)
    few = pool_summary(task, _found("a", rng.integers(3, 30, 10).tolist()), {}, 10).evaluations
    many = pool_summary(task, _found("a", rng.integers(3, 30, 400).tolist()), {}, 10).evaluations
    assert many.high - many.low < 0.5 * (few.high - few.low)
    same = pool_summary(task, _found("a", [7] * 10), {}, 10).evaluations
    assert (same.low, same.high) == (7.0, 7.0)


def test_a_median_beyond_the_cap_is_a_bound(task: PoolTask) -> None:
    """Where most searches found nothing, tables and page say `>` and `<`."""
    found = _found("a", [5, None, None])
    assert pool_summary(task, found, {}, 10).beyond
    assert overall([task], {"small": found}).bound
    page = render_page(Results(("a",), (task,), (), tuple(found)), ["machine"])
    assert "&gt; 30" in page
    assert "&lt; 0.968" in page


def test_the_mean_over_pools_is_geometric(task: PoolTask) -> None:
    """Accelerations 2 and 8 make 4, and the least of them is 2."""
    other = PoolTask("other", task.problem, task.values)
    o = overall([task, other], {"small": _found("a", [15] * 4), "other": _found("a", [15, 15, 15, 15], "other")})
    assert o.acceleration.value == pytest.approx(2.0)
    fast = _found("a", [15] * 4), _found("a", [4] * 4, "other")
    o = overall([task, other], {"small": fast[0], "other": fast[1]})
    assert o.acceleration.value == pytest.approx((2.0 * 7.5) ** 0.5)
    assert o.least == pytest.approx(2.0)
    assert o.reached == 1.0


def test_curves() -> None:
    """The share rises to that of all searches; a search that ended keeps its last value; CPU is by observations."""
    found = _found("a", [3, 10, None])
    share, low, high = reached_curve(found, CAP)
    assert share[[1, 2, 9, 29]].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])
    assert ((low <= share) & (share <= high)).all()
    middle, _, _ = spread_curve(found, CAP)
    assert middle[[0, 2, 20]].tolist() == [0.0, 2.0, 9.0]
    assert cpu_by_observations(found, [2, 5, 100]) == {2: 0.5, 5: 0.5}


def test_the_page_stands_alone_and_escapes(task: PoolTask) -> None:
    """No scripts, nothing from elsewhere, and a planner's label cannot become markup."""
    found = _found("<b>a", [4, 6, 8]) + _found("b", [9, 9, 9])
    results = Results(("<b>a", "b"), (task,), (), tuple(found), (Timing("b", "box", 10, (0.25,)),), 10, ("b",))
    page = render_page(results, ["a <machine>"])
    assert "<b>a" not in page
    assert "&lt;b&gt;a" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)\s*=|url\(|https?:", page)
    assert page.count("<svg") == 2 + 3
    assert "0.25" in page


def test_proposals_are_timed() -> None:
    """Each repetition has CPU seconds, in a box and in a pool."""
    for space in ("box", "pool"):
        timing = time_proposals(Entrant("random", "random"), space, 5, 2)
        assert len(timing.seconds) == 2
        assert 0 < timing.median < 5
