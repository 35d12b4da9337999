"""The compiled schemas say what event-model's own validators say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import event_model
import jsonschema
import numpy as np
import pytest

from sdl.lab._schemas import compile_schemas

compile_schemas()


def _documents() -> dict[str, dict[str, Any]]:
    run = event_model.compose_run(
        metadata={"sample": {"name": "試料", "n": 3}, "hints": {"dimensions": [[["x"], "primary"]]}}
    )
    keys = {
        "x": {"dtype": "number", "shape": [], "source": "soft://x", "units": "mm"},
        "spectrum": {"dtype": "array", "shape": [4], "source": "soft://s", "dtype_numpy": "<f8"},
        "table": {"dtype": "array", "shape": [1], "source": "s", "dtype_numpy": [["a", "<f8"], ["b", "<i4"]]},
    }
    described = run.compose_descriptor(name="primary", data_keys=keys, object_keys={"d": ["x", "spectrum", "table"]})
    data = {"x": 1.5, "spectrum": [1.0, 2.0, 3.0, 4.0], "table": [[1.0, 2]]}
    event = described.compose_event(data=data, timestamps=dict.fromkeys(data, 1.0))
    stop = run.compose_stop()
    return {"start": run.start_doc, "descriptor": described.descriptor_doc, "event": event, "stop": stop}


DOCUMENTS = _documents()


def _broken(value: Any) -> Iterator[Any]:
    """Copies of a document, each with one part taken away or replaced by what it cannot be."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for part in _broken(value[key]):
                yield {**value, key: part}
        yield {**value, "no such key": 1}
    if isinstance(value, list):
        yield [*value, {"odd": object}]
    yield from (None, -1, "?", [1], {"a": 1}, 1.5, True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_both_agree(name: str) -> None:
    """Whatever is taken from a document or put in its place: it is refused by both, or accepted by both."""
    quick = event_model.schema_validators[event_model.DocumentNames[name]]
    verdicts = []
    for doc in (DOCUMENTS[name], *_broken(DOCUMENTS[name])):
        doc = copy.deepcopy(doc)
        verdict = []
        for validator in (quick, quick._whole):
            try:
                validator.validate(doc)
                verdict.append(True)
            except jsonschema.ValidationError:
                verdict.append(False)
        assert verdict[0] == verdict[1], doc
        verdicts.append(verdict[0])
    assert True in verdicts
    assert False in verdicts


def test_a_document_is_not_changed() -> None:
    """Checking fills in no defaults, and arrays of numpy are accepted as ever."""
    event = DOCUMENTS["event"] | {"data": {"x": np.float64(1.0), "spectrum": np.arange(4.0), "table": [[1.0, 2]]}}
    keys = set(event)
    event_model.schema_validators[event_model.DocumentNames.event].validate(event)
    assert set(event) == keys
