"""The JSONL of Bluesky documents."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import event_model
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.released import made_record, run_of, with_runs

from sdl.fair.exports import documents
from sdl.fair.record import CampaignRecord


def judge(path: Path) -> int:
    """Hold every document against its event-model schema, and give their number."""
    count = 0
    for name, doc in documents.read(path):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        count += 1
    return count


def written(record: CampaignRecord, folder: Path) -> list[tuple[str, Any]]:
    (file,) = documents.write(record, folder)
    return list(documents.read(folder / file.path))


def test_every_document_is_valid_and_comes_back_equal(tmp_path: Path) -> None:
    """All documents of all runs, cut-off ones too, satisfy event-model's schemas and are as recorded."""
    record = made_record()
    expected = [pair for run in record.runs.values() for pair in run.documents]
    assert written(record, tmp_path) == expected
    assert judge(tmp_path / "documents/documents.jsonl") == len(expected)


def test_a_broken_document_is_refused(tmp_path: Path) -> None:
    """The judge of these tests refuses an event without data and a start without uid."""
    for name, doc in (("event", {"uid": "a", "time": 1.0}), ("start", {"time": 1.0})):
        (tmp_path / "broken.jsonl").write_text(json.dumps([name, doc]) + "\n")
        with pytest.raises(jsonschema.ValidationError):
            judge(tmp_path / "broken.jsonl")


def test_documents_of_a_real_campaign_are_valid(soft: CampaignRecord, tmp_path: Path) -> None:
    """What a campaign's RunEngine emitted and the journal kept satisfies event-model, run for run."""
    expected = [pair for run in soft.runs.values() for pair in run.documents]
    assert written(soft, tmp_path) == expected
    assert judge(tmp_path / "documents/documents.jsonl") == len(expected) > 0


NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.one_of(NUMBERS, TEXTS, st.lists(st.floats(), max_size=70))


@given(st.lists(st.dictionaries(TEXTS.filter(bool), VALUES, min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_readings_come_back_equal(rows: list[dict[str, Any]]) -> None:
    """NaN, infinities, lengths and types that change from event to event, and keys in any script come back equal."""
    record = with_runs(run_of("run-1", rows, {}))
    with TemporaryDirectory() as folder:
        back = written(record, Path(folder))
    assert exact(back) == exact([list(pair) for pair in record.runs["run-1"].documents])


def test_lengths_types_and_keys_that_trouble_others_come_back(tmp_path: Path) -> None:
    """A 60-point spectrum after a 64-point one, an int then a float, emoji and keys with dots and slashes."""
    rows = [{"a.b/c": 1, "s": [0.5] * 64, "t": "🧪"}, {"a.b/c": 1.5, "s": [math.nan] * 60, "t": "銀"}]
    events = [doc for name, doc in written(with_runs(run_of("run-1", rows, {})), tmp_path) if name == "event"]
    assert [len(event["data"]["s"]) for event in events] == [64, 60]
    assert [type(event["data"]["a.b/c"]) for event in events] == [int, float]
    assert all(map(math.isnan, events[1]["data"]["s"]))
    assert [event["data"]["t"] for event in events] == ["🧪", "銀"]


def exact(value: Any) -> str:
    """A text that is equal for equal values only: NaN equals itself, and 1 is not 1.0."""
    return repr(json.loads(json.dumps(value), parse_constant=str, parse_float=str, parse_int=lambda n: f"int {n}"))
