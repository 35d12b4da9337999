"""Expressions: what they give, what they refuse, and that numbers and arrays agree."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.model import Expression


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("2 ** 3 ** 2", 512.0),
        ("-2 ** 2", -4.0),
        ("2 ** -1", 0.5),
        ("7 - 2 - 1", 4.0),
        ("8 / 2 / 2", 2.0),
        ("1.5e1 + .5", 15.5),
        ("min(3, a, 5) + max(1, a)", 4.0),
        ("sqrt(abs(-16)) + log10(1000) + exp(0) + log(1)", 8.0),
        ("`flow-rate` / a", 5.0),
        ("+a - -a", 4.0),
    ],
)
def test_values(text: str, value: float) -> None:
    """Precedence, functions, signs and quoted names, for one point and for arrays of points."""
    expression = Expression.parse(text)
    point = {"a": 2, "flow-rate": 10}
    assert expression.value(point) == value
    columns = {name: np.full(3, number, dtype=float) for name, number in point.items()}
    assert np.broadcast_to(expression.values(columns), (3,)).tolist() == [value] * 3
    assert not expression.comparison


@pytest.mark.parametrize(
    "text", ["log(0 - 1)", "1 / 0", "(0 - 8) ** 0.5", "sqrt(0 - a)", "exp(1000 * a) - exp(1000 * a)"]
)
def test_what_has_no_value_is_nan(text: str) -> None:
    """Where an expression is not defined it is no number, and nothing raises."""
    assert not math.isfinite(Expression.parse(text).value({"a": 1}))
    assert not np.isfinite(Expression.parse(text).values({"a": np.ones(2)})).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a number, a name or '(', found the end"),
        ("a +", "expected a number, a name or '(', found the end at character 4"),
        ("a b", "expected an operator, found 'b' at character 3"),
        ("(a", "expected ')', found 'the end'"),
        ("a $ b", "cannot read '$ b' at character 2"),
        ("sin(a)", "unknown function 'sin'; known: exp, log"),
        ("min(a)", "min takes two arguments or more"),
        ("log(a, b)", "log takes one argument"),
        ("a == 3", "an equality leaves no room to search"),
        ("1 < a < 2 < 3", "at most two comparisons in a chain"),
        ("__import__(a)", "unknown function '__import__'"),
        ("a.b", "cannot read '.b'"),
        ("(" * 60 + "a" + ")" * 60, "nested at most 40 levels"),
        ("-" * 60 + "a", "nested at most 40 levels"),
        ("a" * 501, "has at most 500 characters, this one has 501"),
    ],
)
def test_what_is_no_expression(text: str, message: str) -> None:
    """Whatever else is written is refused with what was expected and where."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Expression.parse(text)


def test_a_huge_power_ends_at_once() -> None:
    """Numbers are floats: a tower of powers overflows into no number instead of growing for hours."""
    assert not math.isfinite(Expression.parse("9**9**9**9").value({}))


def test_comparisons() -> None:
    """One comparison or a chain of two; rounding is forgiven with `<=` and not with `<`."""
    chain = Expression.parse("0.1 <= a * b < 3")
    assert chain.comparison
    assert chain.names == {"a", "b"}
    assert chain.holds({"a": 1, "b": 0.1 - 1e-12})
    assert not chain.holds({"a": 1, "b": 3})
    assert not chain.holds({"a": 1, "b": 0.09})
    margin = chain.margin({"a": np.array([1.0, 1.0, 1.0]), "b": np.array([1.0, 3.0, 0.09])})
    assert (margin >= 0).tolist() == [True, False, False]
    assert Expression.parse("log(a) < 1").margin({"a": np.array([-1.0])}).tolist() == [-np.inf]


@settings(max_examples=60, deadline=None)
@given(a=st.floats(-1e3, 1e3), b=st.floats(-1e3, 1e3), bound=st.floats(-1e6, 1e6))
def test_arrays_are_never_the_looser_judge(a: float, b: float, bound: float) -> None:
    """What the margin of arrays accepts, `holds` accepts too."""
    expression = Expression.parse("a * b + a**2 <= c")
    columns = {"a": np.array([a]), "b": np.array([b]), "c": np.array([bound])}
    if expression.margin(columns)[0] >= 0:
        assert expression.holds({"a": a, "b": b, "c": bound})
