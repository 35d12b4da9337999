"""Data frame, Parquet, and what happens where an extra is missing."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.fair import export, trials_frame
from sdl.fair._parquet import write_parquet


def test_frame_holds_types_units_and_gaps(journal) -> None:
    """Numbers are numbers, times are UTC, empty cells are missing, and units go with the frame."""
    frame = trials_frame(journal.state)
    assert frame.shape == (20, 12)
    types = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert (types["number"], types["drops"], types["peak"]) == ("Int64", "Int64", "float64")
    assert types["ended"] == "datetime64[ns, UTC]"
    assert frame["peak"].isna().sum() == 4
    assert frame.attrs["units"]["temperature"] == "degC"
    assert frame.loc[0, "ended"].value == journal.state.trials[1].ended_at


def test_frame_of_a_campaign_without_trials(new_journal) -> None:
    """Before the first trial the frame has all its columns and no row."""
    frame = trials_frame(new_journal().create().state)
    assert frame.empty
    assert str(frame["started"].dtype) == "datetime64[ns, UTC]"


def test_parquet_carries_units_and_campaign(store, tmp_path) -> None:
    """The schema holds the campaign and the problem, every quantity's field its unit; the cells are the frame's."""
    assert export(store, "c-1", "parquet", tmp_path / "t.parquet") == (tmp_path / "t.parquet",)
    table = pq.read_table(tmp_path / "t.parquet")
    campaign = json.loads(table.schema.metadata[b"sdl.campaign"])
    assert (campaign["id"], campaign["status"]) == ("c-1", "ended")
    assert json.loads(table.schema.metadata[b"sdl.problem"])["objectives"][0]["target"] == 450
    assert table.schema.field("flow").metadata[b"unit"] == b"uL/min"
    assert b"unit" not in table.schema.field("status").metadata
    frame = trials_frame(store.state("c-1"))
    read = table.to_pandas()
    assert read["number"].tolist() == frame["number"].tolist()
    pd.testing.assert_series_equal(read["peak"], frame["peak"])
    assert read["ended"].tolist() == frame["ended"].tolist()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_parquet_numbers_survive_exactly(journal_class, tmp_path, value) -> None:
    """Every finite number reads back as the same 64-bit number."""
    journal = journal_class().create().propose(1, {"flow": value, "salt": "PVP"}).start(1, "mix", "flow")
    journal.observe(1, {"peak": {"value": value, "sem": 0.0, "unit": "nm"}})
    write_parquet(journal.state, {"campaign": {}, "problem": {}}, tmp_path / "t.parquet")
    row = pq.read_table(tmp_path / "t.parquet").to_pylist()[0]
    assert (row["flow"].hex(), row["peak"].hex()) == (value.hex(), value.hex())


def test_parquet_needs_a_file(store) -> None:
    """Parquet to standard output is refused with what to do instead."""
    with pytest.raises(Exception, match="needs a file"):
        export(store, "c-1", "parquet")


def test_failed_write_leaves_the_old_file(journal, tmp_path) -> None:
    """When writing fails midway the file that was there stays as it was, and no rest is left beside it."""
    out = tmp_path / "t.parquet"
    out.write_text("old")
    state = journal.state
    state.trials[3].parameters["drops"] = 2**70
    with pytest.raises(OverflowError):
        write_parquet(state, {"campaign": {}, "problem": {}}, out)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert out.read_text() == "old"


def test_a_reader_of_the_old_file_is_not_disturbed(store, tmp_path) -> None:
    """The file is replaced as a whole: whoever has the old one open reads it to its end."""
    out = tmp_path / "t.csv"
    out.write_text("old")
    with out.open() as reader:
        export(store, "c-1", "csv", out)
        assert reader.read() == "old"
    assert out.read_text(encoding="utf-8").startswith("number,")


BARE = """
import sys
for package in ("pandas", "pyarrow", "plotly", "jinja2"):
    sys.modules[package] = None
from pathlib import Path
from sdl.fair import export, trials_frame, write_report
from sdl.journal import Store
with Store.open(sys.argv[1]) as store:
    export(store, "c-1", "csv", Path(sys.argv[2]) / "t.csv")
    export(store, "c-1", "json", Path(sys.argv[2]) / "t.json")
    for use in (
        lambda: export(store, "c-1", "parquet", Path("t.parquet")),
        lambda: write_report(store, "c-1", Path("t.html")),
        lambda: trials_frame(store.state("c-1")),
    ):
        try:
            use()
        except Exception as error:
            print(type(error).__name__, error)
"""


def test_light_install_writes_csv_and_json_and_names_the_extra(store, tmp_path) -> None:
    """Without the extra CSV and JSON work; all else names the command that installs what is missing."""
    command = [sys.executable, "-c", BARE, str(store.path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert (tmp_path / "t.csv").exists()
    assert (tmp_path / "t.json").exists()
    assert len(lines) == 3
    assert all(line.startswith("MissingExtra") for line in lines)
    assert all("pip install 'self-driving-lab[fair]'" in line for line in lines)
    assert "export to parquet" in lines[0]


def test_import_is_light() -> None:
    """Importing the exporters loads neither pandas nor pyarrow, plotly, jinja2 or SQLAlchemy."""
    code = (
        "import sys, sdl.fair; "
        "print(sorted({'pandas', 'pyarrow', 'plotly', 'jinja2', 'sqlalchemy', 'torch', 'bluesky'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
