"""Canonical JSON."""

from __future__ import annotations

import enum
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.journal import JournalError, canonical, normalise

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
_JSON = st.recursive(
    _LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_RICH = st.recursive(
    _LEAF
    | st.floats()
    | st.floats(width=32).map(np.float32)
    | st.floats().map(np.float64)
    | st.integers(-(2**31), 2**31 - 1).map(np.int32)
    | st.lists(st.floats(width=32), max_size=3).map(lambda v: np.array(v, dtype=np.float32))
    | st.uuids()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(_TEXT, inner, max_size=3)
        | st.dictionaries(_TEXT, inner, max_size=3).map(MappingProxyType)
    ),
    max_leaves=10,
)


class Colour(enum.StrEnum):
    RED = "red"


@given(_JSON)
def test_round_trip(value: Any) -> None:
    """Plain JSON reads back as the same value, to the last bit of every float, with any JSON reader."""
    text = canonical(value)
    assert repr(orjson.loads(text)) == repr(normalise(value)) or orjson.loads(text) == value
    assert json.loads(text) == value
    assert canonical(orjson.loads(text)) == text


@given(_RICH)
def test_fast_and_slow_agree(value: Any) -> None:
    """The text of a rich value is the text of its plain counterpart, which is plain JSON already."""
    plain = normalise(value)
    assert canonical(value) == canonical(plain)
    assert normalise(plain) == plain
    assert orjson.loads(canonical(value)) == plain


@given(st.dictionaries(_TEXT, st.integers(0, 9), max_size=6), st.randoms())
def test_order_of_keys_is_nothing(value: dict[str, int], random: Any) -> None:
    """Two mappings with the same items have one text."""
    items = list(value.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


def test_form() -> None:
    """Keys sorted, no blanks, shortest floats, nothing escaped in vain, an integer stays one."""
    assert canonical({"b": 0.1, "a": [1, 1.0, "µ\n", None, True]}) == '{"a":[1,1.0,"µ\\n",null,true],"b":0.1}'


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        ([math.inf, -math.inf], [None, None]),
        (np.float32(0.1), 0.10000000149011612),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), [[1.0, None], [2.0, 3.0]]),
        (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
        (np.bool_(True), True),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (Colour.RED, "red"),
        ({Colour.RED: 1}, {"red": 1}),
        ((1, (2,)), [1, [2]]),
        (datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))), "2026-01-01T00:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_plain_counterparts(value: Any, plain: Any) -> None:
    """NumPy, enumerations, tuples, UUIDs and times have plain counterparts; NaN and infinities become null."""
    assert normalise(value) == plain
    assert orjson.loads(canonical(value)) == plain


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        ({"data": {"spectrum": [1, object()]}}, "data.spectrum[1]", "object"),
        ({"data": {1: 2}}, "data", "key 1"),
        ({"n": 2**64}, "n", "64 bits"),
        ({"n": [-(2**63) - 1]}, "n[0]", "64 bits"),
        ({"t": "\ud800"}, "t", "Unicode"),
        ({"\ud800": 1}, "the value", "Unicode"),
        ({"b": b"raw"}, "b", "bytes"),
        ({"s": {1, 2}}, "s", "set"),
        ({"z": np.complex128(1j)}, "z", "complex"),
        ({"at": datetime(2026, 1, 1)}, "at", "time zone"),
    ],
)
def test_refusals_name_the_place(value: Any, where: str, what: str) -> None:
    """What has no form in JSON is refused, and the message names the path and the reason."""
    for call in (canonical, normalise):
        with pytest.raises(JournalError) as caught:
            call(value)
        assert str(caught.value).startswith(where)
        assert what in str(caught.value)


def test_a_value_that_contains_itself() -> None:
    """A cycle is refused, not followed."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(JournalError, match="contain itself"):
        canonical(value)
