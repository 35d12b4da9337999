"""Problems with every kind of parameter: what they accept, and what they refuse before anything is done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from sdl.model import (
    Budget,
    CampaignSpec,
    CategoricalParameter,
    DerivedParameter,
    FixedParameter,
    Match,
    MatchCurve,
    Maximize,
    Minimize,
    Mixture,
    NonlinearConstraint,
    OrdinalParameter,
    OutcomeConstraint,
    Pool,
    PriorSource,
    Problem,
    ProblemFaults,
    Source,
    StoppingRule,
)

REAL = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
SIEVE = OrdinalParameter(name="sieve", levels=(1, 2.5, 10), unit="mm")


def problem(parameters: dict[str, Any] | None = None, **more: Any) -> Problem:
    fields = {
        "parameters": parameters or {"a": REAL, "b": REAL},
        "objectives": {"y": {"kind": "maximize", "unit": "1"}},
    }
    return Problem.model_validate({**fields, **more})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OrdinalParameter(name="s", levels=(1, 1)), "levels have to rise: 1 follows 1"),
        (lambda: OrdinalParameter(name="s", levels=(1,)), "at least 2 items"),
        (lambda: DerivedParameter(name="d", expression="a <= 3"), "is a comparison; a number is wanted"),
        (lambda: DerivedParameter(name="d", expression="a +"), "expected a number"),
        (lambda: NonlinearConstraint(expression="a * b"), "compares nothing; write it as in 'a * b <= 3'"),
        (lambda: OutcomeConstraint(name="y", unit="1"), "needs at_most, at_least or both"),
        (lambda: OutcomeConstraint(name="y", unit="nm", at_most=1, at_least=2), "at_least 2 is above at_most 1 nm"),
        (lambda: Match(name="y", unit="nm", target=450, threshold=-2), "how far off still counts, above 0 nm; got -2"),
        (lambda: Maximize(name="y", unit="1", weight=0), "greater than 0"),
        (lambda: Mixture(name="m", components=("a", "a")), "component given twice: a"),
        (lambda: Mixture(name="m", components=("a",)), "at least 2 items"),
        (lambda: MatchCurve(name="y", unit="1", target=()), "at least 1 item"),
        (lambda: Source(name="s", parameters={"a": (1, 2)}, outcomes={"y": (1,)}), "columns must be equally long"),
        (lambda: Source(name="s", parameters={"a": (1,)}, outcomes={"y": (1,)}, sems={"z": (1,)}), "no outcome of it"),
        (lambda: Source(name="s", parameters={"a": ()}, outcomes={"y": ()}), "has no rows"),
        (lambda: PriorSource(), "give one of the two"),
        (lambda: PriorSource(campaign="c", input="t"), "give one of the two"),
        (lambda: PriorSource(campaign="c", units={"a": "nm"}), "a campaign knows its units"),
        (lambda: StoppingRule(improvement={"below": 0}), "greater than 0"),
        (lambda: Budget(cost=0), "greater than 0"),
        (lambda: Pool(), "a pool needs columns"),
        (
            lambda: CategoricalParameter(name="c", levels=("a", "b"), descriptors={"a": {"x": 1}, "d": {"y": 2}}),
            "no descriptors of level 'b'; descriptors of 'd', which is no level; level 'a' has no descriptor y",
        ),
    ],
)
def test_parts_that_make_no_sense(make: Any, message: str) -> None:
    """A part that makes no sense by itself is refused with the reason."""
    with pytest.raises(ValidationError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ({"constraints": [{"expression": "a * c <= 1"}]}, ["a * c <= 1 names c, which is no numeric parameter"]),
        ({"trial_cost": "1 + z"}, ["trial_cost names z, which is no numeric parameter"]),
        (
            {"parameters": {"a": REAL, "d": {"kind": "derived", "expression": "a + x"}}},
            ["d: names x, which is no numeric parameter"],
        ),
        (
            {
                "parameters": {
                    "a": REAL,
                    "d": {"kind": "derived", "expression": "e + a"},
                    "e": {"kind": "derived", "expression": "d * 2"},
                }
            },
            ["derived parameters follow from each other in a circle: d, e"],
        ),
        (
            {
                "parameters": {"a": REAL, "d": {"kind": "derived", "expression": "a"}},
                "constraints": [{"sum": {"d": 1}, "at_most": 1}],
            },
            ["names d, which is no real or integer parameter"],
        ),
        ({"parameters": {"a": {"kind": "fixed", "value": 3}}}, ["no parameter is left to vary"]),
        ({"mixtures": {"m": {"components": ["a", "c"]}}}, ["mixture m: component c is no real parameter"]),
        (
            {
                "parameters": {"a": {**REAL, "low": 0.7}, "b": {**REAL, "low": 0.6}},
                "mixtures": {"m": {"components": ["a", "b"]}},
            },
            ["mixture m: the lower limits sum to 1.3, above the total of 1"],
        ),
        (
            {
                "parameters": {"a": {**REAL, "high": 0.2}, "b": {**REAL, "high": 0.3}},
                "mixtures": {"m": {"components": ["a", "b"]}},
            },
            ["mixture m: the upper limits sum to 0.5, below the total of 1"],
        ),
        (
            {
                "parameters": {n: {**REAL, "high": 0.4} for n in "abc"},
                "mixtures": {"m": {"components": ["a", "b", "c"], "max_components": 2}},
            },
            ["the upper limits of any 2 sum to 0.8, below the total of 1"],
        ),
        (
            {"mixtures": {"m": {"components": ["a", "b"], "total": 100, "unit": "percent"}}},
            ["component a is in 1, the total in percent", "component b is in 1, the total in percent"],
        ),
        (
            {
                "parameters": dict.fromkeys("abc", REAL),
                "mixtures": {"m": {"components": ["a", "b"]}, "n": {"components": ["b", "c"]}},
            },
            ["component b is in mixtures m and n"],
        ),
        (
            {"outcome_constraints": {"a": {"unit": "1", "at_most": 1}}},
            ["a is a parameter; write it under `constraints`"],
        ),
        ({"outcome_constraints": {"y": {"unit": "nm", "at_most": 1}}}, ["the objective y is in 1"]),
        (
            {
                "objectives": {
                    "y": {"kind": "maximize", "unit": "1", "weight": 2},
                    "z": {"kind": "minimize", "unit": "1"},
                }
            },
            ["give every objective a weight or none: z has none"],
        ),
        (
            {
                "constraints": [{"expression": "q <= 1"}],
                "trial_cost": "z",
                "mixtures": {"m": {"components": ["a", "w"]}},
            },
            ["names q", "names z", "component w is no real"],
        ),
    ],
)
def test_problems_that_contradict_themselves(fields: dict[str, Any], messages: list[str]) -> None:
    """Parts that do not go together are refused, all of them at once."""
    with pytest.raises(ValidationError) as caught:
        problem(**fields)
    for message in messages:
        assert message in str(caught.value)


def test_faults_of_a_problem_know_their_keys() -> None:
    """Each fault carries the path of the key it is about."""
    with pytest.raises(ValidationError) as caught:
        problem(constraints=[{"expression": "q <= 1"}], trial_cost="z")
    inner = caught.value.errors()[0]["ctx"]["error"]
    assert isinstance(inner, ProblemFaults)
    assert [path for path, _ in inner.faults] == [("constraints", 0), ("trial_cost",)]


def test_an_ordinal_value_is_a_level() -> None:
    """A value within rounding of a level is that level; between two it is refused with the list."""
    assert SIEVE.check(2.5 + 1e-12) == 2.5
    assert SIEVE.check(10) == 10.0
    with pytest.raises(ValueError, match=r"sieve: 3 mm is not a level; known: 1, 2\.5, 10"):
        SIEVE.check(3)
    with pytest.raises(ValueError, match="sieve: True is not a level"):
        SIEVE.check(True)


def test_a_fixed_value_is_that_value() -> None:
    """A fixed number is met within rounding, text exactly."""
    assert FixedParameter(name="n", value=3, unit="mm").check(3.0) == 3
    with pytest.raises(ValueError, match="n: is fixed at 3 mm, got 4"):
        FixedParameter(name="n", value=3, unit="mm").check(4)
    with pytest.raises(ValueError, match="gas: is fixed at argon, got 'neon'"):
        FixedParameter(name="gas", value="argon").check("neon")


def test_fixed_and_derived_values_are_filled_in() -> None:
    """They may be left out; given, they have to be right; where they are no number, that is said."""
    found = problem(
        {
            "d": {"kind": "derived", "expression": "log(a) + n", "unit": "1"},
            "a": REAL,
            "n": {"kind": "fixed", "value": 2},
        }
    )
    assert found.check({"a": 1}) == {"d": 2.0, "a": 1.0, "n": 2}
    assert found.check({"a": 1, "d": 2.0, "n": 2})["d"] == 2.0
    with pytest.raises(ValueError, match=r"d: 3 given, log\(a\) \+ n is 2"):
        found.check({"a": 1, "d": 3})
    with pytest.raises(ValueError, match=r"d: log\(a\) \+ n is not a finite number here"):
        found.check({"a": 0})
    with pytest.raises(ValueError, match="a: no value"):
        found.check({"n": 2})


def test_derived_values_in_any_order() -> None:
    """One derived value may need another that is listed after it."""
    found = problem(
        {"e": {"kind": "derived", "expression": "d * 2"}, "d": {"kind": "derived", "expression": "a + 1"}, "a": REAL}
    )
    assert found.check({"a": 0.5}) == {"e": 3.0, "d": 1.5, "a": 0.5}


def test_a_mixture_is_checked() -> None:
    """The sum is kept within rounding; the message shows the mixture."""
    found = problem(mixtures={"m": {"components": ["a", "b"]}})
    assert found.check({"a": 0.1 + 0.2, "b": 0.7})["b"] == 0.7
    with pytest.raises(ValueError, match=r"mixture broken: a \+ b = 1"):
        found.check({"a": 0.5, "b": 0.6})


def test_scores_and_thresholds() -> None:
    """A threshold becomes a score by the objective's own sense; a curve's outcome is a distance."""
    curve = MatchCurve(name="y", unit="1", target=(1, 2, 3), threshold=0.5)
    assert curve.score(0.1) > curve.score(0.2)
    assert curve.threshold_score == -0.5
    assert Minimize(name="y", unit="1", threshold=3).threshold_score == -3
    assert Maximize(name="y", unit="1", threshold=3).threshold_score == 3
    assert Match(name="y", unit="1", target=7, threshold=2).threshold_score == Match(
        name="y", unit="1", target=7
    ).score(5)
    assert Maximize(name="y", unit="1").threshold_score is None


def test_constraints_that_nothing_can_keep() -> None:
    """A linear constraint that the limits rule out is shown with what it can be; one that can be kept is not."""
    found = problem(
        {
            "a": REAL,
            "n": {"kind": "fixed", "value": 3},
            "s": {"kind": "ordinal", "levels": [2, 4]},
        },
        constraints=[
            {"sum": {"a": 1, "n": -1}, "at_least": -1},
            {"sum": {"a": 1, "s": 1}, "at_most": 2},
            {"sum": {"a": 1}, "at_least": 0.6, "at_most": 0.5},
            {"sum": {"a": 2, "s": 1}, "at_most": 1.9},
        ],
    )
    assert [(path, text) for path, text in found.contradictions()] == [
        (("constraints", 0), "constraint -1 ≤ 1·a + -1·n: within the limits of its parameters it is -3 … -2"),
        (("constraints", 2), "constraint 0.6 ≤ 1·a ≤ 0.5: at_least 0.6 is above at_most 0.5"),
        (("constraints", 3), "constraint 2·a + 1·s ≤ 1.9: within the limits of its parameters it is 2 … 6"),
    ]


def test_cost_of_a_trial() -> None:
    """The cost follows from the parameters; without an expression all trials cost 1."""
    assert problem(trial_cost="100 + 5 * a").cost_of({"a": 2.0, "b": 0.0}) == 110
    assert problem().cost_of({"a": 2.0, "b": 0.0}) == 1


def test_short_forms_in_a_campaign_file() -> None:
    """`improvement: 0.5` is short for `improvement: {below: 0.5}`."""
    spec = CampaignSpec.model_validate(
        {
            "name": "c", "lab": "lab.yaml", "procedure": "p", "budget": {"cost": 50_000},
            "problem": problem().model_dump(), "stop": {"improvement": 0.5},
        }
    )  # fmt: skip
    assert spec.stop.improvement is not None
    assert (spec.stop.improvement.below, spec.stop.improvement.trials) == (0.5, 3)


def test_a_large_pool_by_reference() -> None:
    """A pool can stand for its rows by their hash; the hash does not depend on the order of the columns."""
    pool = Pool(columns={"a": (0.0, 0.5), "b": (1.0, 1.0)})
    other = Pool(columns={"b": (1.0, 1.0), "a": (0.0, 0.5)})
    assert pool.digest() == other.digest()
    assert pool.digest() != Pool(columns={"a": (0.5, 0.0), "b": (1.0, 1.0)}).digest()
    short = pool.referenced("table")
    assert (len(short), short.loaded, pool.loaded) == (2, False, True)
    assert problem(pool=short).pool == short
