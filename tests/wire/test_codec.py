"""Entries as msgpack."""

from __future__ import annotations

import subprocess
import sys

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.journal import Entry
from sdl.wire import WireError, decode_entry, encode_entry, load_document
from sdl.wire._frames import read_live, read_reply, read_request

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)
_entries = st.builds(
    Entry,
    campaign=_texts,
    seq=st.integers(1, 2**62),
    at=st.integers(0, 2**63),
    kind=_texts,
    body=st.dictionaries(_texts, _json, max_size=5),
    prev_hash=_texts,
    hash=_texts,
)
_ENTRY = Entry("c", 1, 2, "document", {"name": "event"}, "0" * 64, "1" * 64)


@settings(deadline=None)
@given(_entries)
def test_round_trip(entry: Entry) -> None:
    """An entry of any JSON body comes back equal."""
    assert decode_entry(encode_entry(entry)) == entry


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | _json.map(msgpack.packb) | st.lists(_json, min_size=8, max_size=8).map(msgpack.packb))
def test_garbage_is_refused_clearly(data: bytes) -> None:
    """Whatever the bytes, reading them gives a value or a WireError and nothing else."""
    for read in (decode_entry, load_document, read_live, read_request, read_reply):
        for frame in (data, b"entry 1 " + data, b"beat 1 " + data):
            try:
                read(frame)
            except WireError:
                continue


@pytest.mark.parametrize(
    ("index", "value", "text"),
    [
        (0, 2, "wire version 2"),
        (1, 7, "campaign is int"),
        (2, True, "seq is bool"),
        (3, -1, "at is -1"),
        (5, [], "body is list"),
        (5, {"a": b"raw"}, "bytes is no JSON"),
        (5, {"a": msgpack.ExtType(5, b"x")}, "ExtType is no JSON"),
        (7, None, "hash is NoneType"),
    ],
)
def test_schema(index: int, value: object, text: str) -> None:
    """A field of the wrong type is refused by name."""
    fields: list[object] = [1, *_ENTRY]
    fields[index] = value
    with pytest.raises(WireError, match=text):
        decode_entry(msgpack.packb(fields))


def test_size_cap_holds_both_ways() -> None:
    """An entry above the cap is neither sent nor read, and the error says the size and the limit."""
    entry = _ENTRY._replace(body={"spectrum": "x" * 2000})
    with pytest.raises(WireError, match=r"entry 1 \(document\) has 21\d\d bytes; the limit is 1000"):
        encode_entry(entry, max_bytes=1000)
    with pytest.raises(WireError, match="the limit is 1000"):
        decode_entry(encode_entry(entry), max_bytes=1000)


def test_nesting_is_bounded() -> None:
    """A message nested beyond reason is refused, not recursed into."""
    data = msgpack.packb([1, *_ENTRY._replace(body={})]).replace(b"\x80", b"\x81\xa1a" + b"\x91" * 400 + b"\xc0")
    with pytest.raises(WireError, match="deeper than"):
        decode_entry(data)


def test_import_is_light() -> None:
    """`import sdl.wire` loads no bluesky, SQLAlchemy or torch."""
    code = "import sdl.wire, sys; print([m for m in ('bluesky', 'sqlalchemy', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
