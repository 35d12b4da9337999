"""Limits, and what the errors say."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from pydantic import ValidationError

from sdl.model import (
    Budget,
    CategoricalParameter,
    Creator,
    IntegerParameter,
    LinearConstraint,
    Match,
    Maximize,
    Minimize,
    Outcome,
    Pool,
    Problem,
    RealParameter,
    TrialStatus,
)

FLOW = RealParameter(name="flow", low=0.5, high=20, unit="uL/min")
COUNT = IntegerParameter(name="count", low=1, high=5)
SOLVENT = CategoricalParameter(name="solvent", levels=("water", "ethanol"))
YIELD = Maximize(name="yield", unit="percent")


def test_a_real_value_outside_names_value_unit_and_limits() -> None:
    """The error of a value outside carries name, value, unit and both limits."""
    with pytest.raises(ValueError, match=r"flow: 25 uL/min is outside the limits 0.5 uL/min … 20 uL/min"):
        FLOW.check(25)


@pytest.mark.parametrize("value", [math.nan, math.inf, "3", None, True, [1], 10**400], ids=range(7))
def test_a_real_value_is_a_finite_number(value: Any) -> None:
    """Anything but a finite number is refused by name."""
    with pytest.raises(ValueError, match=r"flow: .*is not a finite number"):
        FLOW.check(value)


def test_rounding_at_the_ends_is_forgiven() -> None:
    """A value past an end by a rounding error becomes the end; one further out is refused."""
    assert FLOW.check(20 + 1e-9) == 20.0
    assert FLOW.check(0.5 - 1e-9) == 0.5
    with pytest.raises(ValueError, match="outside"):
        FLOW.check(20 + 1e-6)


@pytest.mark.parametrize("value", [2.5, True, "2", None, math.nan, math.inf])
def test_an_integer_is_whole(value: Any) -> None:
    """Only whole numbers pass."""
    with pytest.raises(ValueError, match=r"count: .* is not a whole number"):
        COUNT.check(value)


def test_an_integer_in_the_range() -> None:
    """3.0 is 3; what is outside names its limits, however large it is."""
    assert (COUNT.check(3.0), type(COUNT.check(3.0))) == (3, int)
    with pytest.raises(ValueError, match=r"count: 6 is outside the limits 1 … 5"):
        COUNT.check(6)
    with pytest.raises(ValueError, match="count: 1e\\+30 is outside"):
        COUNT.check(10**30)
    with pytest.raises(ValueError, match="is not a whole number"):
        COUNT.check(10**400)


@pytest.mark.parametrize("value", ["Water", 1, None, ["water"], {"a": 1}])
def test_a_level_is_one_of_the_list(value: Any) -> None:
    """A level outside the list is refused, and the list is shown."""
    with pytest.raises(ValueError, match=r"is not a level; known: water, ethanol"):
        SOLVENT.check(value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RealParameter(name="t", low=5, high=5, unit="degC"), "low 5 degC must be below high 5 degC"),
        (lambda: RealParameter(name="t", low=0, high=5, unit="s", log=True), "needs low > 0, got 0 s"),
        (lambda: IntegerParameter(name="n", low=2, high=1), "low 2 must be below high 1"),
        (lambda: CategoricalParameter(name="c", levels=("a", "a")), "level given twice: a"),
        (lambda: Budget(), "needs trials, hours or cost"),
        (lambda: LinearConstraint(sum={"a": 1}), "needs at_most, at_least or both"),
        (lambda: Pool(columns={"a": (1, 2), "b": (1,)}), "equally long"),
        (lambda: Outcome(value=1, sem=-1), "greater than or equal to 0"),
        (lambda: Outcome(value=math.nan), "finite number"),
        (lambda: Maximize(name="9lives", unit="1"), "match pattern"),
        (lambda: Maximize(name="a b", unit="1"), "match pattern"),
        (lambda: Maximize(name="a\n", unit="1"), "match pattern"),
        (lambda: Maximize(name="a", unit="frobs"), "unknown unit 'frobs'"),
    ],
)
def test_records_that_make_no_sense(make: Any, message: str) -> None:
    """A record that makes no sense is refused with the reason."""
    with pytest.raises(ValidationError, match=re.escape(message)):
        make()


def problem(**changes: Any) -> Problem:
    return Problem(**{"parameters": (FLOW, COUNT, SOLVENT), "objectives": (YIELD,), **changes})


def test_all_faults_of_the_values_at_once() -> None:
    """A missing, an unknown and two wrong values give one text with four parts."""
    with pytest.raises(ValueError, match="flow") as caught:
        problem().check({"flow": 99, "solvent": "oil", "temprature": 3})
    text = str(caught.value)
    for part in (
        "count: no value",
        "temprature: no such parameter",
        "flow: 99",
        "solvent: 'oil' is not a level",
    ):
        assert part in text
    assert text.count(";") >= 3


def test_constraints_are_checked_on_good_values() -> None:
    """A broken constraint is shown as a formula; on the bound it holds, rounding included."""
    bounded = problem(constraints=(LinearConstraint(sum={"flow": 1, "count": 2}, at_most=10, at_least=3),))
    assert bounded.check({"flow": 0.1 * 3 * 10 + 1, "count": 3, "solvent": "water"})["count"] == 3
    with pytest.raises(ValueError, match=r"constraint broken: 3 ≤ 1·flow \+ 2·count ≤ 10"):
        bounded.check({"flow": 9, "count": 1, "solvent": "water"})
    with pytest.raises(ValueError, match="constraint broken"):
        bounded.check({"flow": 0.5, "count": 1, "solvent": "water"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objectives": (Maximize(name="flow", unit="1"),)},
            "name used twice among parameters and objectives: flow",
        ),
        (
            {"constraints": (LinearConstraint(sum={"solvent": 1}, at_most=1),)},
            "names solvent, which is no real",
        ),
        ({"pool": Pool(columns={"flow": (1,)})}, "the pool has columns ['flow'], the parameters are"),
        ({"pool": Pool(columns={"flow": (), "count": (), "solvent": ()})}, "the pool has no rows"),
        (
            {"pool": Pool(columns={"flow": (1, 99), "count": (1, 1), "solvent": ("water", "water")})},
            "pool row 2: flow: 99 uL/min is outside the limits",
        ),
        ({"parameters": ()}, "at least 1 item"),
    ],
)
def test_problems_that_contradict_themselves(changes: dict[str, Any], message: str) -> None:
    """A problem that contradicts itself is refused with the reason."""
    with pytest.raises(ValidationError, match=re.escape(message)):
        problem(**changes)


def test_parameters_by_name() -> None:
    """A parameter is found by name, and an unknown name is a KeyError."""
    assert problem().parameter("count") is COUNT
    with pytest.raises(KeyError):
        problem().parameter("cuont")


def test_scores_are_maximised() -> None:
    """Whatever the objective, the better value has the higher score."""
    assert Maximize(name="a", unit="1").score(2) > Maximize(name="a", unit="1").score(1)
    assert Minimize(name="a", unit="1").score(1) > Minimize(name="a", unit="1").score(2)
    target = Match(name="a", unit="nm", target=450)
    assert target.score(450) == 0 > target.score(449) == target.score(451) > target.score(400)


def test_records_are_frozen() -> None:
    """A record cannot be changed."""
    with pytest.raises(ValidationError, match="frozen"):
        FLOW.high = 5  # type: ignore[misc]


def test_pending_statuses() -> None:
    """A trial is pending until it has ended."""
    assert [s.value for s in TrialStatus if s.pending] == ["proposed", "approved", "running"]


@pytest.mark.parametrize(
    "orcid",
    [
        "0000-0002-1825-0097",
        "0000-0002-1694-233X",
        "0000-0002-1694-233x",
        "https://orcid.org/0000-0002-1825-0097",
    ],
)
def test_orcid_with_a_right_check_digit(orcid: str) -> None:
    """Valid iDs pass, with X as check digit, in lower case, and as an address; they are kept bare."""
    kept = Creator(name="Carberry, Josiah", orcid=orcid).orcid
    assert kept == orcid.removeprefix("https://orcid.org/").upper()


@pytest.mark.parametrize(
    ("orcid", "message"),
    [
        ("0000-0002-1825-0098", "check digit does not fit"),
        ("0000-0002-1852-0097", "check digit does not fit"),
        ("0000-0002-1694-2330", "check digit does not fit"),
        ("0000000218250097", "is not an ORCID iD; write it as"),
        ("0000-0002-1825", "is not an ORCID iD"),
        ("000-00002-1825-0097", "is not an ORCID iD"),
        ("0000-0002-1825-00²7", "is not an ORCID iD"),
        ("²000-0002-1825-0097", "is not an ORCID iD"),
        ("", "is not an ORCID iD"),
    ],
)
def test_orcid_that_cannot_be(orcid: str, message: str) -> None:
    """A slip in a digit, two digits changed over, or another shape is refused."""
    with pytest.raises(ValidationError, match=message):
        Creator(name="Carberry, Josiah", orcid=orcid)
