"""The quote as a record, and its statistics."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.campaign.rehearsal.quote import (
    Chance,
    Interval,
    Quote,
    StationQuote,
    StockQuote,
    TargetQuote,
    chance,
    interval,
)

_floats = st.floats(0, 1e6, allow_nan=False)
_intervals = st.builds(Interval, _floats, _floats, _floats)
_chances = st.builds(Chance, _floats, _floats, _floats)
_maybe = st.none() | _intervals
_names = st.text(min_size=1, max_size=8)
_quotes = st.builds(
    Quote,
    name=_names, at=st.integers(0, 2**62), speed=_floats, runs=st.integers(1, 99), draws=st.integers(1, 99),
    seed=st.integers(0, 99), done=st.integers(0, 99), lab_seconds=_floats, hours=_intervals, trials=_intervals,
    stations=st.dictionaries(_names, st.builds(StationQuote, _intervals, _floats, _floats), max_size=3),
    stock=st.dictionaries(
        _names, st.builds(StockQuote, _names, _intervals, _floats, _floats, _chances, _maybe, _maybe), max_size=3
    ),
    cost=_intervals, currency=_names, bottleneck=_names,
    target=st.none() | st.builds(TargetQuote, _names, _chances, _maybe, _maybe),
    faults=_intervals, person=_chances, attempts=st.integers(0, 99), campaigns=st.integers(0, 9),
    notes=st.lists(_names, max_size=2).map(tuple),
)  # fmt: skip


@given(_quotes)
def test_a_quote_survives_json(quote: Quote) -> None:
    """What is read from the journal is what was recorded, and keys of a later release do no harm."""
    data = json.loads(json.dumps(quote.as_json()))
    assert Quote.of(data) == quote
    assert Quote.of({**data, "added_later": 1}) == quote


def test_the_interval_holds_what_it_says() -> None:
    """The interval of 200 values holds about 90 % of further ones."""
    rng, held = Random(1), 0
    for _ in range(300):
        found = interval([rng.gauss(0, 1) for _ in range(200)])
        held += sum(found.holds(rng.gauss(0, 1)) for _ in range(10))
    assert held / 3000 == pytest.approx(0.9, abs=0.02)


def test_the_interval_of_few_values_is_all_of_them() -> None:
    """Five values have no 5 % beyond them that one could know of."""
    assert interval([3.0, 1.0, 2.0, 5.0, 4.0]) == Interval(1.0, 3.0, 5.0)
    assert interval([7.0]) == Interval(7.0, 7.0, 7.0)


def test_wilson() -> None:
    """The limits agree with Wilson's formula for 15 of 20, computed by hand; none of 20 is not impossible."""
    found = chance(15, 20)
    assert (found.share, found.low, found.high) == pytest.approx((0.75, 0.5685, 0.8725), abs=2e-3)
    assert (chance(0, 20).low, chance(20, 20).high) == (0.0, 1.0)
    assert 0.1 < chance(0, 20).high < 0.15
