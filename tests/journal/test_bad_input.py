"""What a store is given is kept faithfully or refused in words; on SQLite and PostgreSQL."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.journal import JournalError, Store, Writer, normalise

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_KEYS = _TEXT | st.sampled_from(["a.b", "a/b", "", "銀", "🧪", "\0", '"', "\\", "name", "$ref", "__proto__"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


def test_round_trips(store: Store) -> None:
    """Any JSON value comes out as it went in, NaN and infinities as null, and every hash fits."""

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(_KEYS, _VALUES, max_size=5))
    def goes_round(body: dict[str, Any]) -> None:
        entry = writer.append("document", body, durable=False)
        assert store.entry("c1", entry.seq).body == normalise(body) == entry.body

    with store.writer("c1") as writer:
        goes_round()
        assert writer.append("x", {"nan": math.nan, "inf": -math.inf}).body == {"nan": None, "inf": None}
    assert store.verify() == []


@pytest.mark.parametrize("value", ["\ud800", 2**64, {1: 2}, {"a": object()}, np.array([1j]), b"raw"])
def test_refusals(store: Store, value: Any) -> None:
    """What JSON has no form for is refused with its path; the chain goes on as if nothing had been."""
    with store.writer("c1") as writer:
        with pytest.raises(JournalError, match=r"data\.spectrum"):
            writer.append("x", {"data": {"spectrum": value}})
        assert writer.append("x", {}).seq == 1
    assert store.verify() == []


def _spectra(writer: Writer) -> list[Any]:
    """Values of one key whose form changes from event to event."""
    rng = np.random.default_rng(3)
    values = [rng.random(64), rng.random(60), 7, 7.5, np.float32(0.1), np.int8(-3), [], [[1], [2, 3]], None]
    return [writer.append("document", {"doc": {"data": {"s": value}}}).body["doc"]["data"]["s"] for value in values]


def test_forms_that_change(store: Store) -> None:
    """A spectrum of 60 points after one of 64, a float after an integer, ragged lists: nothing is padded or cast."""
    with store.writer("c1") as writer:
        told = _spectra(writer)
    read = [entry.body["doc"]["data"]["s"] for entry in store.entries("c1")]
    assert read == told
    assert [len(read[0]), len(read[1])] == [64, 60]
    assert [type(read[2]), read[3], read[4], read[5]] == [int, 7.5, float(np.float32(0.1)), -3]
    assert read[6:] == [[], [[1], [2, 3]], None]


def test_a_large_array(store: Store) -> None:
    """An array of a million numbers is one entry like any other."""
    values = np.arange(1_000_000) / 8
    with store.writer("c1") as writer:
        writer.append("document", {"doc": {"data": {"image": values}}})
    assert store.entry("c1", 1).body["doc"]["data"]["image"] == values.tolist()
    assert store.verify() == []


def test_names_and_ids(store: Store) -> None:
    """Names and ids in any script are found again; a character that a database cannot keep is refused in words."""
    for name in ("銀ナノ粒子 🧪", "a/b.c d", "'; DROP TABLE entries; --", "%s %(name)s :x"):
        store.create(f"id of {name}", name)
        with store.writer(f"id of {name}") as writer:
            writer.append(name, {"name": name})
        assert store.resolve(name) == f"id of {name}"
    assert store.verify() == []
    with pytest.raises(JournalError):
        store.create("c2", "lone \ud800 surrogate")
    if store.path is None:
        with pytest.raises(JournalError, match="NUL"):
            store.create("c2", "a\0b")
    assert store.verify() == []
