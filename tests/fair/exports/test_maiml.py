"""MaiML files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.released import made_record, run_of, with_runs
from support.validators import validate

from sdl.fair.exports import maiml
from sdl.fair.record import CampaignRecord

M = "{http://www.maiml.org/schemas}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def written(record: CampaignRecord, folder: Path) -> list[Path]:
    return [folder / file.path for file in maiml.write(record, folder)]


def test_pymaiml_accepts_every_run(tmp_path: Path) -> None:
    """Files of spectra, of a scan and of a run that was cut off satisfy the schema and the standard's rules."""
    paths = written(made_record(), tmp_path)
    assert len(paths) == 3
    ok, text = validate("maiml", paths[0], *paths[1:])
    assert ok, text


def test_pymaiml_refuses_broken_copies(tmp_path: Path) -> None:
    """Each way of breaking a file is refused: order, references, time, version, an event log that ends too early."""
    text = written(made_record(), tmp_path)[0].read_text()
    for name, (old, new) in {
        "reference": ('ref="resultTemplate"', 'ref="method"'),
        "uuid": ("<uuid>", "<uuid>x"),
        "version": ('version="1.0" xsi', 'version="2.0" xsi'),
        "complete": ("<value>complete</value>", "<value>schedule</value>"),
        "date": ("<date>20", "<date>yesterday 20"),
        "number": ("NaN", "nothing"),
    }.items():
        assert old in text
        broken = tmp_path / f"{name}.maiml"
        broken.write_text(text.replace(old, new))
    paths = [tmp_path / f"{name}.maiml" for name in ("reference", "uuid", "version", "complete", "date", "number")]
    ok, found = validate("maiml", paths[0], *paths[1:])
    assert not ok
    for path in paths:
        assert str(path) in found, path.name


def contents(path: Path) -> dict[str, Any]:
    """Key → numbers, over events or one list an event."""
    found = {}
    for content in ElementTree.parse(path).getroot().iter(f"{M}content"):
        key = (content.findtext(f"{M}description") or "").partition(": ")[2]
        read = int if "Long" in content.attrib[TYPE] else lambda text: float(text.replace("INF", "inf"))
        found[key] = [[read(item) for item in (value.text or "").split()] for value in content.findall(f"{M}value")]
    return found


def test_readings_and_conditions_are_told_with_units(tmp_path: Path) -> None:
    """A spectrum is a list an event, of its own length; parameters, units, sample, people and instruments are there."""
    path = written(made_record(), tmp_path)[0]
    text = path.read_text()
    found = contents(path)
    assert [len(spectrum) for spectrum in found["spec-spectrum"]] == [64, 60]
    assert math.isnan(found["spec-spectrum"][0][3])
    assert found["spec-temperature"] == [[25.0, 26.125]]
    assert found["spec-count"] == [[10, 11]]
    assert found["spec-wavelength"][0][:2] == [400.0, 405.0]
    for wanted in ('units="uL/min"', 'units="Cel"', "鈴木, 花", "SN 1", "測定 🧪", "lot lot-7", "S-1"):
        assert wanted in text


def test_a_real_campaign_is_valid(silver: CampaignRecord, tmp_path: Path) -> None:
    """Every run of a campaign with spectra gives a valid file, with the numbers of its documents."""
    paths = written(silver, tmp_path)
    ok, text = validate("maiml", paths[0], *paths[1:])
    assert ok, text
    runs = [run for run in silver.runs.values() if run.record.events]
    assert len(paths) == len(runs)
    spectra = contents(next(path for path in paths if "react" in path.name))["spectrometer-spectrum"]
    assert spectra in [r.record.readings("spectrometer-spectrum") for r in runs if r.step == "react"]


VALUES = st.one_of(st.floats(), st.integers(-(2**60), 2**60), st.none(), st.lists(st.floats(), max_size=9))


@settings(max_examples=50)
@given(st.lists(st.fixed_dictionaries({"a.b": VALUES, "銀 1": VALUES}), min_size=1, max_size=3))
def test_numbers_come_back_bit_by_bit(rows: list[dict[str, Any]]) -> None:
    """Columns of numbers and of arrays read back as they were; NaN stands for what was not measured."""
    record = with_runs(run_of("run-1", rows, {}))
    whole = ElementTree.fromstring(maiml.document(record, record.trials[0], record.runs["run-1"]))
    for key in rows[0]:
        column = [row[key] for row in rows]
        if all(isinstance(value, list) for value in column) or all(isinstance(v, float | None) for v in column):
            content = next(c for c in whole.iter(f"{M}content") if (c.findtext(f"{M}description") or "").endswith(key))
            lists = [(value.text or "").split() for value in content.findall(f"{M}value")]
            back = [[float(item.replace("INF", "inf")) for item in items] for items in lists]
            wanted = column if isinstance(column[0], list) else [[math.nan if v is None else v for v in column]]
            assert repr(back) == repr(wanted)


@pytest.mark.parametrize("text", ["a\0b\x07", "<&>\"'", "測定 🧪", "two\nlines"])
def test_texts_of_every_kind_are_held(text: str, tmp_path: Path) -> None:
    """Control characters are written as in JSON; anything else is as it was."""
    (path,) = written(with_runs(run_of("run-1", [{"note": text}], {})), tmp_path)
    values = [element.text for element in ElementTree.parse(path).getroot().iter(f"{M}value")]
    assert text.replace("\0", "\\u0000").replace("\x07", "\\u0007") in values


def test_equal_records_give_equal_bytes() -> None:
    """A file does not depend on when it is written."""
    record = made_record()
    run = record.runs["run-1"]
    assert maiml.document(record, record.trials[0], run) == maiml.document(made_record(), record.trials[0], run)
