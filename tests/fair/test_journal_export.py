"""The journal in a release: what was stored comes back exactly, or is said to be withheld."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sdl.fair._private import Discretion
from sdl.fair.exports.journal import line_of
from sdl.fair.record import ReleasedEntry
from sdl.journal import GENESIS, Entry, canonical, digest

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def entry(body: dict[str, Any]) -> Entry:
    """An entry as a store keeps it."""
    text = canonical(body)
    return Entry("c-1", 1, 2, "document", json.loads(text), GENESIS, digest(GENESIS, "c-1", 1, 2, "document", text))


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
@example({"データ.a/b": ["🧪", 1e308, 5e-324, -0.0, 2**64 - 1]})
@example({"spectrum": [[0.1, None], [1, 2.5]]})
@example({"path": "/home/hana/target.csv"})
def test_an_entry_comes_back_as_it_was_stored(body: dict[str, Any]) -> None:
    """Its line is the text of its hash; where something was withheld, the places are named and the rest is there."""
    stored = entry(body)
    shown, withheld = Discretion().clean(stored)
    line = line_of(ReleasedEntry(shown, withheld))
    assert "\n" not in line
    read = json.loads(line)
    if not withheld:
        assert sha256(line.encode()).hexdigest() == stored.hash
        assert read == [stored.prev_hash, stored.campaign, stored.seq, stored.at, stored.kind, stored.body]
    else:
        assert (read["hash"], read["seq"], read["body"]) == (stored.hash, stored.seq, shown.body)
        assert read["withheld"]
        assert shown.body != stored.body


@given(st.lists(st.sampled_from(["hana", "ken", "jc"]), min_size=1, max_size=6))
def test_the_same_account_has_the_same_name_throughout(accounts: list[str]) -> None:
    """However often it decides; two accounts never share one."""
    discretion = Discretion()
    told = [discretion.clean(entry({"by": f"person:{account}"}))[0].body["by"] for account in accounts]
    assert len(set(zip(accounts, told, strict=True))) == len(set(accounts)) == len(set(told))
    assert not any(account in name for account, name in zip(accounts, told, strict=True))


KEYS = st.sampled_from(["by", "x.by", "standby", "holder", "accounts", "people", "value"])
TELLING = st.sampled_from(
    ["person:hana", "hana", "uL/min", "/home/hana/x.csv", "C:\\lab\\x", "file:///a/b", "", "測定"]
)
BODIES = st.recursive(
    TELLING | st.integers(0, 3) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, BODIES, max_size=3))
@example({"people": [{"accounts": ["hana"]}]})
def test_an_entry_that_is_passed_over_quickly_has_nothing_to_hide(body: dict[str, Any]) -> None:
    """What is shown is the same as where every text is looked at in its place, and so are the places named."""
    changed: list[str] = []
    looked_at = Discretion()._value(body, "", changed)
    shown, withheld = Discretion().clean(entry(body))
    assert (shown.body, sorted(withheld)) == (looked_at, sorted(changed))
