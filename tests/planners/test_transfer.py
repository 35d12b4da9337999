"""What prior knowledge does to a model: related knowledge helps, unrelated knowledge is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sdl.model import Problem, Source
from sdl.planners._candidates import Candidates
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
def test_a_source_without_a_pattern_is_left_out(seed: int) -> None:
    """Shuffled outcomes do not foretell each other, so the source has no say from the first trial on, and that is
    said."""
    values = np.random.default_rng(seed).permutation(truth(POINTS))
    place = space(source(values, POINTS))
    assert Knowledge.of(place) is None
    (trouble,) = Knowledge(place).troubles
    assert trouble.startswith("before foretells ")
    assert trouble.endswith(" % of the variance of its own y: no pattern")


def unrelated(x: Array) -> Array:
    return np.asarray(np.cos(9 * x[:, 1]) * x[:, 0])


@pytest.mark.parametrize("other", [unrelated, lambda x: -truth(x)], ids=["another", "the opposite"])
def test_a_source_of_something_else_is_forgotten(other: Any) -> None:
    """A source of another response has a say in the first trials; after twenty the model is that of the trials."""
    known = Knowledge.of(space(source(other(POINTS), POINTS)))
    assert known is not None
    data, _ = trials(20)
    plain = fit(data)
    assert Knowledge.describe(known.informed("y", plain, data, 0))["trials alone"] > 0.9


def test_trials_take_turns_with_their_sources() -> None:
    """A source has the full say in the first four trials; from then on every other call is left to the trials."""
    known = Knowledge.of(space(source(truth(POINTS), POINTS)))
    assert known is not None
    for n, turns in ((3, (True, True)), (6, (True, False))):
        data, _ = trials(n)
        plain = fit(data)
        assert tuple(known.informed("y", plain, data, seed) is not plain for seed in (0, 1)) == turns


def test_of_two_sources_the_better_one_counts() -> None:
    """The related source gets the weight, that of another response next to nothing, whatever their order."""
    good = source(truth(POINTS), POINTS, name="good")
    bad = source(unrelated(POINTS), POINTS, name="bad")
    for order in ((good, bad), (bad, good)):
        known = Knowledge.of(space(*order))
        assert known is not None
        data, _ = trials(10)
        weights = Knowledge.describe(known.informed("y", fit(data), data, 0))
        assert weights["good"] > 0.5
        assert weights.get("bad", 0.0) < 0.05


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
    """What sources say of equal trials is equal."""
    known = Knowledge.of(space(source(truth(POINTS) + 0.5 * RNG.standard_normal(60), POINTS)))
    assert known is not None
    data, _ = trials(8)
    plain = fit(data)
    one, two = (known.informed("y", plain, data, 3) for _ in range(2))
    assert Knowledge.describe(one) == Knowledge.describe(two)
    assert isinstance(plain, Surrogate)


def test_a_first_pass_over_many_points_expects_the_same() -> None:
    """What stands in for a mixture in large pools has the mean of its likeliest part, and is nowhere surer."""
    known = Knowledge.of(space(source(truth(POINTS) + 0.3 * POINTS[:, 0], POINTS)))
    assert known is not None
    data, _ = trials(12)
    found = known.informed("y", fit(data), data, 0)
    assert isinstance(found, Mixed)
    assert found.weight < 0.5
    _, mean, variance = max((told for model in found.related for told in model.predict(GRID)), key=lambda t: t[0])
    rough, sd = found.rough(lambda model: model).predict(GRID)
    assert np.allclose(rough, mean)
    assert (sd**2 > 0.9 * variance).all()


def test_rows_of_a_pool_are_asked_once() -> None:
    """What is kept of a pool's rows is what a source says of them, in any selection and beside other points."""
    pool = {"columns": {"a": POINTS[:30, 0].tolist(), "b": POINTS[:30, 1].tolist()}}
    place = space(source(truth(POINTS), POINTS), pool=pool)
    rows = Candidates.of(place.problem, ()).space
    (expert,) = Knowledge(rows).experts["y"]
    for asked in (rows.features(rows.rows)[[7, 3, 20]], GRID[:5]):
        mean, half = expert.explained(asked)
        assert np.allclose(expert.model.mean + expert.model.scale * mean, expert.predict(asked)[0])
        assert np.allclose(expert.model.prior_variance(asked) - (half**2).sum(axis=0), _variance(expert, asked))


def _variance(expert: Any, asked: Array) -> Array:
    return np.asarray((expert.predict(asked)[1] / expert.model.scale) ** 2)
