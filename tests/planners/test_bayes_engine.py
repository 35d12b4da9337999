"""The parts of `bayes`: Gaussian process, expected improvements, hypervolumes, the first pass over large pools."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from sdl.planners._improvement import between, improvement_spread, log_improvement, log_nearness
from sdl.planners._pareto import boxes, front, hypervolume, log_hypervolume_improvement, reference_point
from sdl.planners._screen import Quick
from sdl.planners._surrogate import Belief, Data, Surrogate, _Posterior, fit


def _data(n: int, d: int = 3, noise: float = 0.05, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.random((n, d))
    y = 100.0 + 7.0 * (np.sin(4 * x[:, 0]) + x[:, 1] + noise * rng.standard_normal(n))
    return Data(x, np.arange(d), y, np.zeros(n))


def test_gradient_of_the_log_posterior_is_right() -> None:
    """Analytic derivatives by every hyper-parameter are those of finite differences, with one length scale or many."""
    data = _data(25)
    y = (data.y - data.y.mean()) / data.y.std()
    for isotropic in (False, True):
        objective = _Posterior(data.x, data.groups, y, np.full(25, 0.01), Belief(isotropic=isotropic))
        theta = objective.mode + 0.3
        for i, slope in enumerate(objective(theta)[1]):
            step = np.eye(len(theta))[i] * 1e-5
            assert slope == pytest.approx((objective(theta + step)[0] - objective(theta - step)[0]) / 2e-5, abs=1e-4)


def test_predictions_are_calibrated() -> None:
    """On new points two thirds of the outcomes lie within one standard deviation, and the mean explains nearly all."""
    model, new = fit(_data(60)), _data(400, noise=0.0, seed=1)
    mean, sd = model.predict(new.x)
    assert np.mean((mean - new.y) ** 2) < 0.02 * np.var(new.y)
    assert 0.5 < np.mean(np.abs(mean - new.y) < sd) < 0.95


def test_more_standard_error_makes_the_model_follow_less() -> None:
    """An outcome known badly moves the prediction at its point less than one known well."""
    data = _data(20)
    gaps = []
    for sem in (0.0, 10.0):
        variance = np.zeros(20)
        variance[3] = sem**2
        y = data.y.copy()
        y[3] += 15.0
        gaps.append(abs(float(fit(Data(data.x, data.groups, y, variance)).predict(data.x[3:4])[0][0]) - y[3]))
    assert gaps[0] < 0.5 * gaps[1]


def test_believing_keeps_means_and_shrinks_doubts() -> None:
    """Points believed to give what is expected leave every mean alone and are nearly certain themselves."""
    model = fit(_data(20))
    new = np.random.default_rng(3).random((4, 3))
    z = np.random.default_rng(4).random((50, 3))
    after = model.believing(new)
    assert after.predict(z)[0] == pytest.approx(model.predict(z)[0], rel=1e-9)
    assert (after.predict(z)[1] <= model.predict(z)[1] + 1e-12).all()
    assert (after.predict(new)[1] < 0.6 * model.predict(new)[1]).all()


@pytest.mark.parametrize(
    ("name", "y"),
    [
        ("one", [3.0]),
        ("constant", [2.0] * 6),
        ("all zero", [0.0] * 4),
        ("one far off", [1.0, 1.1, 0.9, 1e12]),
        ("huge", [1e308, -1e308, 0.0, 1e307]),
        ("tiny", [1e-308, 2e-308, 0.0, 1e-310]),
    ],
)
def test_awkward_outcomes_still_make_a_model(name: str, y: list[float]) -> None:
    """One observation, equal, huge, tiny or wildly different outcomes give finite predictions; so do equal points."""
    x = np.random.default_rng(0).random((len(y), 2))
    x[-1] = x[0]
    mean, sd = fit(Data(x, np.arange(2), np.array(y), np.zeros(len(y)))).predict(
        np.random.default_rng(1).random((9, 2))
    )
    assert np.isfinite(mean).all(), name
    assert np.isfinite(sd).all(), name
    assert (sd > 0).all() or max(y) < 1e-300, name


def test_outcomes_that_are_no_numbers_are_refused() -> None:
    """The model says so, rather than learning NaN."""
    with pytest.raises(ArithmeticError, match="not finite"):
        fit(Data(np.zeros((2, 1)), np.arange(1), np.array([1.0, math.nan]), np.zeros(2)))


@pytest.mark.parametrize("z", [-200.0, -30.0, -3.0, -1.0, 0.0, 4.0])
def test_log_improvement_is_the_integral(z: float) -> None:
    """The closed form agrees with quadrature of (z + u)₊ φ(u), far into the tail too."""
    # substituting u = -z + t, and taking φ(z) out, keeps the integrand within what floats hold
    integral = quad(lambda t: t * math.exp(-0.5 * t * t + z * t), 0, math.inf, epsabs=0, points=None)[0]
    expected = math.log(integral) - 0.5 * z * z - 0.5 * math.log(2 * math.pi)
    assert float(log_improvement(np.array([z]), np.ones(1), 0.0)[0]) == pytest.approx(expected, rel=1e-9)


def test_improvement_spread_is_that_of_samples() -> None:
    """Mean and standard deviation of the improvement agree with a million samples."""
    gain = np.maximum(0.3 + 0.5 * np.random.default_rng(0).standard_normal(1_000_000) - 0.5, 0)
    assert improvement_spread(0.3, 0.5, 0.5) == pytest.approx((gain.mean(), gain.std()), rel=5e-3)


@pytest.mark.parametrize("best", [2.0, 0.3, 0.004, 0.0])
@pytest.mark.parametrize("mean", [0.0, 0.4, 3.0])
def test_nearness_is_the_integral(mean: float, best: float) -> None:
    """Improvement on the distance to a target agrees with quadrature; with no room left it is still a finite number."""
    sd, target = 0.5, 0.1
    found = float(log_nearness(np.array([mean]), np.array([sd]), target, best)[0])
    assert math.isfinite(found)
    if best > 0:
        density = norm(mean, sd).pdf
        integral = quad(lambda y: (best - abs(y - target)) * density(y), target - best, target + best, points=[target])
        assert found == pytest.approx(math.log(integral[0]), abs=0.02)


def test_chance_between_bounds() -> None:
    """The logarithm is right in the middle and does not vanish in the tails."""
    mean, sd = np.array([0.0, 5.0, -80.0]), np.ones(3)
    found = between(mean, sd, -1.0, 1.0)
    assert found[0] == pytest.approx(math.log(0.6826894921), rel=1e-9)
    assert found[1] == pytest.approx(norm.logsf(4.0), rel=1e-4)
    assert -4000 < found[2] < -3000
    assert between(mean, sd, None, None) == pytest.approx(np.zeros(3))


@pytest.mark.parametrize("k", [2, 3, 4])
def test_boxes_fill_what_is_not_dominated(k: int) -> None:
    """Every point above the reference lies in one box or is dominated, never both."""
    rng = np.random.default_rng(k)
    scores, reference = rng.random((14, k)), np.full(k, -0.1)
    best = scores[front(scores)]
    lows, highs = boxes(best, reference)
    points = rng.random((4000, k)) * 1.3 - 0.1
    dominated = (best[None] >= points[:, None]).all(axis=-1).any(axis=1)
    inside = ((points[:, None] >= lows) & (points[:, None] < highs)).all(axis=-1).sum(axis=1)
    assert (inside == np.where(dominated, 0, 1)).all()


@pytest.mark.parametrize("k", [2, 3])
def test_expected_hypervolume_improvement_is_that_of_samples(k: int) -> None:
    """The closed form agrees with the mean over samples."""
    rng = np.random.default_rng(k)
    scores, reference = rng.random((9, k)), np.full(k, -0.1)
    best = scores[front(scores)]
    mean, sd = rng.random((1, k)), 0.2 + 0.2 * rng.random((1, k))
    samples = mean + sd * rng.standard_normal((400, k))
    gains = [hypervolume(np.vstack([best, s]), reference) - hypervolume(best, reference) for s in samples]
    found = math.exp(float(log_hypervolume_improvement(mean, sd, *boxes(best, reference))[0]))
    assert found == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / math.sqrt(len(gains)))


def test_reference_point_is_the_threshold_or_below_the_front() -> None:
    """A threshold is taken as it is; where there is none, a tenth of the front's range below its worst."""
    scores = np.array([[0.0, 1.0], [1.0, 0.0], [-5.0, -5.0]])
    assert reference_point(scores, (None, 0.3)) == pytest.approx([-0.1, 0.3])
    assert reference_point(scores[:1], (None, None)) == pytest.approx([-0.1, 0.9], abs=0.11)


def test_first_pass_never_underestimates_doubt() -> None:
    """In single precision means agree to rounding, and standard deviations are never below the exact ones."""
    data = _data(300, d=6)
    exact = fit(data)
    z = np.random.default_rng(9).random((2000, 6))
    mean, sd = exact.predict(z)
    quick_mean, quick_sd = Quick.of(exact).predict(z)
    assert np.abs(quick_mean - mean).max() < 2e-3 * exact.scale
    assert (quick_sd - sd).min() > -1e-3 * exact.scale


def test_categorical_columns_share_a_length_scale() -> None:
    """Columns of one parameter have one length scale, and lengths are given by parameter."""
    x = np.column_stack([np.linspace(0, 1, 9), np.eye(3)[np.arange(9) % 3] / math.sqrt(2)])
    model = fit(Data(x, np.array([0, 1, 1, 1]), x[:, 0] + x[:, 2], np.zeros(9)))
    assert isinstance(model, Surrogate)
    assert len(set(model.inverse_lengths[1:])) == 1
    assert len(model.lengths(np.array([0, 1, 1, 1]))) == 2
