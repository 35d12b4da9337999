"""The form in which runs go to Tiled."""

from __future__ import annotations

import math
from typing import Any

import event_model
from hypothesis import given
from hypothesis import strategies as st
from support.released import run_of, scan_run, spectrum_run

from sdl.fair._tiled_form import decoded, settled
from sdl.protocols import RunRecord

NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ARRAYS = st.one_of(
    st.lists(st.floats(), max_size=40),
    st.lists(st.one_of(st.integers(-9, 9), st.none()), max_size=5),
    st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=3),
)
KEYS = st.one_of(st.sampled_from(["a", "A", "ts_a", "time", "Seq_Num", "a_points", "a.b", "a/b", "銀"]), TEXTS)


@given(st.lists(st.dictionaries(KEYS, st.one_of(NUMBERS, TEXTS, ARRAYS), max_size=3), min_size=1, max_size=4))
def test_any_readings_come_back(rows: list[dict[str, Any]]) -> None:
    """Whatever is read, the settled form holds it and gives it back; NaN stands for what was not measured."""
    record = run_of("run-1", rows, {}).record
    keys, events = settled_events(record)
    for was, event in zip(rows, events, strict=True):
        back = decoded(event, keys)
        assert {key: plain(back[key]) for key in was} == {key: plain(value) for key, value in was.items()}
        assert all(back[key] is None or back[key] != back[key] for key in back if key not in was)


@given(st.lists(st.dictionaries(KEYS, st.one_of(NUMBERS, TEXTS, ARRAYS), max_size=3), min_size=2, max_size=4))
def test_every_column_is_of_one_type_and_shape(rows: list[dict[str, Any]]) -> None:
    """All events have the same columns, each of one type and one length, under names that differ without case."""
    keys, events = settled_events(run_of("run-1", rows, {}).record)
    assert len({name.casefold() for name in keys}) == len(keys)
    assert {"time", "seq_num"}.isdisjoint(name.casefold() for name in keys)
    for name in keys:
        assert len({type(event[name]) for event in events}) == 1
        if isinstance(events[0][name], list):
            assert len({len(event[name]) for event in events}) == 1
            assert len({type(item) for event in events for item in event[name]}) == 1


def test_settled_documents_are_valid() -> None:
    """They satisfy event-model's schemas."""
    for run in (spectrum_run("run-1"), scan_run("run-2")):
        names = []
        for name, doc in settled(run.record):
            event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
            names.append(name)
        assert names == ["start", "descriptor", *["event"] * len(run.record.events), "stop"]


def settled_events(record: RunRecord) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    documents = list(settled(record))
    keys = next(doc["data_keys"] for name, doc in documents if name == "descriptor")
    return keys, [doc["data"] for name, doc in documents if name == "event"]


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return (isinstance(value, bool), value)
