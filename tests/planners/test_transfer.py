"""What prior knowledge does to a model: related knowledge helps, unrelated knowledge is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sdl.model import Problem, Source
from sdl.planners._space import Array, Space
from sdl.planners._surrogate import Data, Surrogate, fit
from sdl.planners._transfer import Knowledge, Mixed, informed

REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
RNG = np.random.default_rng(7)


def truth(x: Array) -> Array:
    return np.sin(5 * x[:, 0]) + (x[:, 1] - 0.3) ** 2


def source(values: Array, points: Array, names: tuple[str, ...] = ("a", "b"), name: str = "before") -> Source:
    columns = {key: tuple(points[:, j].tolist()) for j, key in enumerate(names)}
    return Source(name=name, parameters=columns, outcomes={"y": tuple(values.tolist())})


def space(*sources: Source, **more: Any) -> Space:
    fields = {"parameters": {"a": REAL, "b": REAL}, "objectives": {"y": {"kind": "maximize", "unit": "1"}}, **more}
    return Space(Problem.model_validate({**fields, "sources": sources}))


def trials(n: int) -> tuple[Data, Array]:
    x = np.random.default_rng(n).random((n, 2))
    return Data(x, np.array([0, 1]), truth(x), np.zeros(n)), x


POINTS = RNG.random((60, 2))
GRID = RNG.random((300, 2))


def error(model: Any) -> float:
    """Root mean square error on points that nobody has tried."""
    return float(np.sqrt(np.mean((model.predict(GRID)[0] - truth(GRID)) ** 2)))


@pytest.mark.parametrize("change", [lambda y: y, lambda y: 2 * y + 5, lambda y: y + 0.05 * RNG.standard_normal(len(y))])
def test_a_related_source_helps(change: Any) -> None:
    """Six trials with a source that differs by an offset, a factor or noise say far more than six alone."""
    known = Knowledge.of(space(source(change(truth(POINTS)), POINTS)))
    assert known is not None
    data, _ = trials(6)
    plain = fit(data)
    mixed = known.informed("y", plain, data, 0)
    assert isinstance(mixed, Mixed)
    assert Knowledge.describe(mixed)["before"] > 0.5
    assert error(mixed) < 0.5 * error(plain)


@pytest.mark.parametrize("seed", range(3))
def test_an_unrelated_source_is_forgotten(seed: int) -> None:
    """A source of shuffled outcomes has no weight after a dozen trials, and the model is that without it."""
    values = np.random.default_rng(seed).permutation(truth(POINTS))
    known = Knowledge.of(space(source(values, POINTS)))
    assert known is not None
    data, _ = trials(12)
    plain = fit(data)
    assert known.informed("y", plain, data, seed) is plain
    assert Knowledge.describe(plain) == {"trials alone": 1.0}


def test_a_source_that_says_the_opposite_is_forgotten() -> None:
    """Turned upside down it orders trials worse than chance."""
    known = Knowledge.of(space(source(-truth(POINTS), POINTS)))
    assert known is not None
    data, _ = trials(8)
    plain = fit(data)
    assert known.informed("y", plain, data, 0) is plain


def test_of_two_sources_the_better_one_counts() -> None:
    """The related source gets the weight, the shuffled one nothing, whatever their order."""
    good = source(truth(POINTS), POINTS, name="good")
    bad = source(RNG.permutation(truth(POINTS)), POINTS, name="bad")
    for order in ((good, bad), (bad, good)):
        known = Knowledge.of(space(*order))
        assert known is not None
        data, _ = trials(10)
        weights = Knowledge.describe(known.informed("y", fit(data), data, 0))
        assert weights["good"] > 0.5
        assert "bad" not in weights


def test_trials_win_over_the_source_where_they_are() -> None:
    """At the trials the model says what they gave, and its doubt there is smaller than elsewhere."""
    known = Knowledge.of(space(source(truth(POINTS) + np.where(POINTS[:, 0] > 0.5, 1.0, 0.0), POINTS)))
    assert known is not None
    data, x = trials(20)
    mixed = known.informed("y", fit(data), data, 0)
    mean, sd = mixed.predict(x)
    assert np.abs(mean - data.y).max() < 0.2
    assert sd.mean() < mixed.predict(GRID)[1].mean()


def test_believing_keeps_means_and_shrinks_doubt() -> None:
    """Points that are pending leave what is expected as it is, and are less uncertain."""
    known = Knowledge.of(space(source(truth(POINTS), POINTS)))
    assert known is not None
    data, _ = trials(6)
    mixed = known.informed("y", fit(data), data, 0)
    after = mixed.believing(GRID[:2])
    assert np.allclose(after.predict(GRID)[0], mixed.predict(GRID)[0])
    assert (after.predict(GRID[:2])[1] < mixed.predict(GRID[:2])[1]).all()


def test_the_joint_belief_is_that_of_each_point() -> None:
    """Mean and variances of the joint belief are those of `predict`; it can be drawn from."""
    known = Knowledge.of(space(source(truth(POINTS), POINTS)))
    assert known is not None
    data, _ = trials(6)
    mixed = known.informed("y", fit(data), data, 0)
    mean, covariance = mixed.joint(GRID[:40])
    expected, sd = mixed.predict(GRID[:40])
    assert np.allclose(mean, expected)
    assert np.allclose(np.sqrt(covariance.diagonal()) * mixed.scale, sd, rtol=1e-6)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


def test_without_sources_the_models_are_those_of_the_trials() -> None:
    """A problem without sources changes nothing; with one, each outcome that it speaks of gets its mixture."""
    data, _ = trials(6)
    fitted = {"y": fit(data), "z": fit(data)}
    assert informed(space(), fitted, {"y": data, "z": data}, 0) == fitted
    found = informed(space(source(truth(POINTS), POINTS)), fitted, {"y": data, "z": data}, 0)
    assert isinstance(found["y"], Mixed)
    assert found["z"] is fitted["z"]
    groups = np.array([0, 1])
    assert found["y"].lengths(groups).tolist() == fitted["y"].lengths(groups).tolist()
    assert found["y"].noise_share() == fitted["y"].noise_share()
    assert found["y"].fallback == ""


def test_a_source_without_a_parameter() -> None:
    """A source that lacks a parameter speaks of the others; its points may lie outside the limits."""
    wide = RNG.random((60, 1)) * 3 - 1
    known = Knowledge.of(space(source(np.sin(5 * wide[:, 0]), wide, ("a",))))
    assert known is not None
    data, _ = trials(6)
    plain = fit(data)
    assert error(known.informed("y", plain, data, 0)) < error(plain)


def test_levels_and_logarithms_of_a_source() -> None:
    """Rows with a level that is unknown here, or with what has no logarithm, are left out; the others count."""
    parameters = {
        "s": {"kind": "categorical", "levels": ["u", "v"]},
        "rate": {"kind": "real", "low": 0.1, "high": 10.0, "unit": "1", "log": True},
    }
    rows: list[tuple[str, float, float]] = [("u", 0.2, 1.0), ("v", 0.5, 2.0), ("u", 3.0, 3.0), ("v", 9.0, 4.0)]
    rows += [("u", 0.9, 2.5), ("v", 2.0, 3.5), ("w", 1.0, 100.0), ("u", -1.0, 100.0)]
    given = Source(
        name="before",
        parameters={"s": tuple(r[0] for r in rows), "rate": tuple(r[1] for r in rows)},
        outcomes={"y": tuple(r[2] for r in rows)},
    )
    known = Knowledge.of(space(given, parameters=parameters))
    assert known is not None
    (expert,) = known.experts["y"]
    assert len(expert.model.x) == 6
    assert expert.model.predict(expert.model.x)[0].max() < 10


def test_sources_of_no_use() -> None:
    """A source with too few points, or with equal outcomes, is left out, and that is said."""
    few = source(truth(POINTS[:3]), POINTS[:3], name="few")
    flat = source(np.ones(60), POINTS, name="flat")
    place = space(few, flat)
    assert Knowledge.of(place) is None
    assert Knowledge(place).troubles == ["few says too little of y", "flat says too little of y"]
    assert Knowledge.of(space()) is None


def test_first_points_that_a_source_promises() -> None:
    """Before any trial, the points that a source expects to be best are near the best there are."""
    known = Knowledge.of(space(source(truth(POINTS), POINTS)))
    assert known is not None
    promise = known.promise(GRID, {"y": lambda values: values})
    top = np.argsort(-promise)[:5]
    assert truth(GRID)[top].min() > np.quantile(truth(GRID), 0.9)


def test_equal_seeds_give_equal_weights() -> None:
    """The draws that rank the models follow the seed."""
    known = Knowledge.of(space(source(truth(POINTS) + 0.5 * RNG.standard_normal(60), POINTS)))
    assert known is not None
    data, _ = trials(8)
    plain = fit(data)
    one, two = (known.informed("y", plain, data, 3) for _ in range(2))
    assert Knowledge.describe(one) == Knowledge.describe(two)
    assert isinstance(plain, Surrogate)
