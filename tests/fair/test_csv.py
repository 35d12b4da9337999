"""The CSV export and its metadata."""

from __future__ import annotations

import csv
import io
import json
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.fair import export
from sdl.fair._csv import csv_metadata, csv_text
from sdl.journal import kinds

numbers = st.floats(allow_nan=False, allow_infinity=False)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_columns_and_rows(journal) -> None:
    """One header, a row a trial: number, status, parameters, outcomes with errors, planner, times, message."""
    lines = csv_text(journal.state).splitlines()
    assert lines[0] == ("number,status,flow,temperature,drops,salt,peak,peak_sem,planner,started,ended,message")
    assert len(lines) == 21
    failed = read(csv_text(journal.state))[8]
    assert (failed["status"], failed["peak"], failed["message"]) == ("failed", "", "pump_a: no answer")


def test_file_has_metadata_beside_it(store, tmp_path) -> None:
    """CSVW metadata named after the file gives a type to every column and a unit to every quantity."""
    out = tmp_path / "my trials.csv"
    assert export(store, "c-1", "csv", out) == (out, tmp_path / "my trials.csv-metadata.json")
    about = json.loads((tmp_path / "my trials.csv-metadata.json").read_text(encoding="utf-8"))
    assert about["url"] == "my%20trials.csv"
    assert about["dc:license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    columns = {column["titles"]: column for column in about["tableSchema"]["columns"]}
    assert list(columns) == out.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert columns["flow"]["schema:unitText"] == "uL/min"
    assert columns["peak_sem"]["schema:unitText"] == "nm"
    assert "schema:unitText" not in columns["status"]
    assert [columns[n]["datatype"] for n in ("number", "peak", "salt", "ended")] == [
        "integer",
        "double",
        "string",
        "dateTimeStamp",
    ]


def test_pandas_reads_it(store, tmp_path) -> None:
    """pandas reads numbers as numbers, and finds every value as the journal holds it."""
    export(store, "c-1", "csv", tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", parse_dates=["started", "ended"])
    trials = store.state("c-1").trials
    assert frame["flow"].tolist() == [t.parameters["flow"] for t in trials.values()]
    observed = frame.dropna(subset="peak")
    assert observed["peak"].tolist() == [t.outcomes["peak"].value for t in trials.values() if t.outcomes]
    assert str(frame["started"].dtype).endswith("UTC]")


@settings(max_examples=60, deadline=None)
@given(value=numbers, sem=st.none() | st.floats(min_value=0, allow_infinity=False), flow=numbers)
def test_numbers_survive_exactly(journal_class, value, sem, flow) -> None:
    """Every finite number reads back as the same 64-bit number, its sign of zero included."""
    journal = journal_class().create().propose(1, {"flow": flow}).start(1, "mix", "flow")
    journal.observe(1, {"peak": {"value": value, "sem": sem, "unit": "nm"}})
    [row] = read(csv_text(journal.state))
    assert float(row["peak"]) == value
    assert math.copysign(1, float(row["peak"])) == math.copysign(1, value)
    assert float(row["flow"]) == flow
    assert (None if row["peak_sem"] == "" else float(row["peak_sem"])) == sem


@pytest.mark.parametrize("message", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_formulas_in_text_are_disarmed(new_journal, message) -> None:
    """A message that a spreadsheet would run gets an apostrophe; negative numbers stay numbers."""
    journal = new_journal().create().propose(1, {"flow": -2.5})
    journal.add(kinds.TRIAL_INFEASIBLE, trial=1, message=message, lab_seconds=1)
    [row] = read(csv_text(journal.state))
    assert row["message"] == f"'{message}"
    assert row["flow"] == "-2.5"


def test_awkward_text_stays_in_its_cell(new_journal) -> None:
    """Commas, quotes and line ends of a message neither add columns nor rows."""
    journal = new_journal().create().propose(1, {"flow": 1.0})
    journal.add(kinds.TRIAL_INFEASIBLE, trial=1, message='a, "b"\r\nc\rd', lab_seconds=1)
    [row] = read(csv_text(journal.state))
    assert row["message"] == 'a, "b"\nc\nd'


def test_names_never_collide(new_journal, spec) -> None:
    """A parameter called like another column gets its role in front, here and in the metadata."""
    real = {"kind": "real", "low": 0, "high": 1, "unit": "1"}
    problem = {
        "parameters": {"status": real, "peak_sem": real},
        "objectives": spec["problem"]["objectives"],
    }
    journal = new_journal().create(problem=problem).propose(1, {"status": 0.5, "peak_sem": 0.25})
    header = csv_text(journal.state).splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    assert header[:6] == ["number", "status", "parameter_status", "peak_sem", "peak", "sem_peak_sem"]
    about = csv_metadata(journal.state, "t.csv")
    assert [column["titles"] for column in about["tableSchema"]["columns"]] == header


def test_campaign_without_trials_has_a_header_only(new_journal) -> None:
    """Before the first trial there is the header line and nothing else."""
    assert len(csv_text(new_journal().create().state).splitlines()) == 1
