"""Parquet tables and their description in Croissant."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.released import made_record, run_of, with_runs
from support.validators import validate

from sdl.fair.exports import tables
from sdl.fair.exports._table import VALUES, value_columns
from sdl.fair.record import CampaignRecord


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / f"tables/{name}.parquet").to_pylist()
    return found


def told(row: Mapping[str, Any]) -> Any:
    """The value that a row of readings tells, of the type with which it was recorded."""
    if row["json"] is not None:
        return json.loads(row["json"])
    for name in ("integer", "number", "boolean", "text"):
        if row[name] is not None:
            return row[name]
    if row["array"] is None:
        return None
    flat = [int(x) if row["whole"] and x is not None else x for x in row["array"]]
    for length in reversed((row["shape"] or [])[1:]):
        flat = [flat[i : i + length] for i in range(0, len(flat), length)] if length else flat
    return flat


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the record made by hand."""
    folder = tmp_path_factory.mktemp("tables")
    tables.write(made_record(), folder)
    return folder


def test_croissant_loads_every_record_of_every_table(released: Path) -> None:
    """The reference reader finds no fault and no warning, checks each file's SHA-256, and reads each table."""
    ok, text = validate("croissant", released / "tables/croissant.json")
    assert ok, text
    assert "warning" not in text.casefold()
    for name in ("trials", "outcomes", "readings", "configuration", "keys", "runs", "samples", "stock", "instruments"):
        assert f"records {name} {len(rows(released, name))}" in text


@pytest.mark.parametrize("how", ["hash", "column"])
def test_croissant_refuses_a_broken_copy(released: Path, tmp_path: Path, how: str) -> None:
    """A file that is not the one described and a column that is not there are refused."""
    folder = tmp_path / "tables"
    shutil.copytree(released / "tables", folder)
    about = json.loads((folder / "croissant.json").read_text())
    if how == "hash":
        about["distribution"][0]["sha256"] = "0" * 64
    else:
        about["recordSet"][0]["field"][1]["source"]["extract"]["column"] = "nowhere"
    (folder / "croissant.json").write_text(json.dumps(about))
    assert not validate("croissant", folder / "croissant.json")[0]


def test_tables_say_their_units(released: Path) -> None:
    """Each quantity has its unit as the lab wrote it, as UCUM code and as QUDT IRI, in the schema of its column."""
    schema = pq.read_schema(released / "tables/trials.parquet")
    flow = schema.field("parameter_flow").metadata
    assert (flow[b"unit"], flow[b"ucum"]) == (b"uL/min", b"uL/min")
    assert schema.field("outcome_peak").metadata[b"qudt"] == b"http://qudt.org/vocab/unit/NanoM"
    assert json.loads(schema.metadata[b"sdl.campaign"])["licence"] == "CC-BY-4.0"
    keys = {row["key"]: row for row in rows(released, "keys")}
    assert keys["probe-resistance"]["ucum"] == "Ohm"


def test_every_trial_is_there_with_its_types(released: Path) -> None:
    """Failed trials have their row too; whole numbers stay whole and texts in any script stay."""
    first, second = rows(released, "trials")
    assert (first["parameter_drops"], first["parameter_salt"]) == (3, "クエン酸")
    assert (second["status"], second["outcome_peak"], second["message"]) == ("failed", None, "pump_a: no answer")


def test_names_that_collide_are_kept_apart(tmp_path: Path) -> None:
    """Parameters named `a` and `A`, and one whose name makes that of another column, have columns of their own."""
    record = made_record()
    parameters = {"a": 1.0, "A": 2.0, "status": 3.0}
    trial = record.trials[0].__class__(**{**vars(record.trials[0]), "parameters": parameters})
    tables.write(made_record(trials=(trial,)), tmp_path)
    (row,) = rows(tmp_path, "trials")
    assert (row["parameter_a"], row["parameter_A_2"], row["parameter_status"]) == (1.0, 2.0, 3.0)


NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
ARRAYS = st.one_of(
    st.lists(st.one_of(st.floats(), st.none()), max_size=70),
    st.lists(st.integers(-(2**60), 2**60), max_size=9),
    st.lists(st.lists(st.floats(), min_size=2, max_size=2), max_size=4),
    st.lists(st.one_of(NUMBERS, TEXTS, st.lists(st.integers(0, 9), max_size=2)), max_size=4),
)


@settings(max_examples=30)
@given(st.lists(st.dictionaries(TEXTS, st.one_of(NUMBERS, TEXTS, ARRAYS), max_size=3), min_size=1, max_size=3))
def test_any_reading_comes_back_as_it_was(events: list[dict[str, Any]]) -> None:
    """Whatever a reading is (NaN, large integers, ragged arrays, lengths and types that change), the table tells it."""
    with TemporaryDirectory() as name:
        tables.write(with_runs(run_of("run-1", events, {})), Path(name))
        path = Path(name) / "tables/readings.parquet"
        back = rows(Path(name), "readings") if path.exists() else []
    given = [(number, key, value) for number, event in enumerate(events, 1) for key, value in event.items()]
    assert [(r["event"], r["key"], repr(told(r))) for r in back] == [(n, k, repr(v)) for n, k, v in given]


def test_a_real_campaign_is_told_in_full(silver: CampaignRecord, tmp_path: Path) -> None:
    """Every reading of every event of a campaign with spectra is in the table, and Croissant's reader reads it."""
    tables.write(silver, tmp_path)
    expected = [v for r in silver.runs.values() for e in r.record.events for v in e["data"].values()]
    assert [told(row) for row in rows(tmp_path, "readings")] == expected
    assert len(rows(tmp_path, "trials")) == len(silver.trials)
    ok, text = validate("croissant", tmp_path / "tables/croissant.json")
    assert ok, text


def test_a_missing_value_is_no_number() -> None:
    """What was not measured is null, NaN stays NaN, and each has its own cells."""
    names = [column.name for column in VALUES]
    assert not any(cell is not None for cell in value_columns(None))
    assert math.isnan(dict(zip(names, value_columns(math.nan), strict=True))["number"])


def test_equal_records_give_equal_bytes(released: Path, tmp_path: Path) -> None:
    """Files do not depend on when they are written."""
    tables.write(made_record(), tmp_path)
    for path in (released / "tables").iterdir():
        assert path.read_bytes() == (tmp_path / "tables" / path.name).read_bytes()
