"""NeXus files."""

from __future__ import annotations

import io
import math
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.released import made_record, run_of, with_runs
from support.validators import validate

from sdl.fair.exports import nexus
from sdl.fair.exports._hdf import HdfWriter
from sdl.fair.record import CampaignRecord


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the record made by hand; the first has a spectrum run and a scan."""
    folder = tmp_path_factory.mktemp("nexus")
    files = nexus.write(made_record(), folder)
    assert [file.about for file in files] == ["trial:1", "trial:2"]
    return folder


def test_pynxtools_accepts_every_entry(released: Path) -> None:
    """Both entries of a trial satisfy NXsensor_scan."""
    ok, text = validate("nexus", released / "nexus/trial-0001.nxs")
    assert ok, text
    assert text.count("is valid according to the `NXsensor_scan`") == 2


def test_pynxtools_refuses_a_broken_copy(released: Path, tmp_path: Path) -> None:
    """What the definition requires left out, and a number for a time, are refused, though the command exits with 0."""
    broken = tmp_path / "broken.nxs"
    shutil.copy(released / "nexus/trial-0001.nxs", broken)
    with h5py.File(broken, "a") as file:
        del file["entry_1/process/program"]
        del file["entry_2/start_time"]
        file["entry_2/start_time"] = 5
    ok, text = validate("nexus", broken)
    assert not ok
    for entry in ("entry_1", "entry_2"):
        assert f"The entry `{entry}` in file `{broken}` is NOT valid" in text


def test_spectra_are_plotted_over_their_wavelengths(released: Path) -> None:
    """The default plot is the spectrum over wavelength; a shorter spectrum ends in NaN and its length is told."""
    with h5py.File(released / "nexus/trial-0001.nxs") as file:
        data = file["entry_1"][file["entry_1"].attrs["default"]]
        assert (data.attrs["signal"], list(data.attrs["axes"])) == ("spec_spectrum", ["time", "spec_wavelength"])
        spectrum = data["spec_spectrum"][()]
        assert spectrum.shape == (2, 64)
        assert list(data["spec_spectrum_points"]) == [64, 60]
        assert np.isnan(spectrum[1, 60:]).all()
        assert math.isnan(spectrum[0, 3])
        assert (data["spec_wavelength"].attrs["units"], data["spec_wavelength"][0]) == ("nm", 400.0)
        assert data["spec_note"].asstr()[0] == "測定 🧪"


def test_a_scan_is_plotted_over_what_moved(released: Path) -> None:
    """The axis of a scan is the first dimension that its plan hints at; a missing reading is NaN."""
    with h5py.File(released / "nexus/trial-0001.nxs") as file:
        data = file["entry_2/data_primary"]
        assert (data.attrs["signal"], list(data.attrs["axes"])) == ("probe_resistance", ["stage_x"])
        assert (data["probe_resistance"].attrs["units"], data["stage_x"].attrs["units"]) == ("ohm", "mm")
        assert np.isnan(data["probe_resistance"][4])
        # A name that ends in _offset has a meaning of its own in NeXus.
        assert data["probe_offset_value"].attrs["long_name"] == "probe-offset"


def test_conditions_are_beside_the_data(released: Path) -> None:
    """Parameters, outcomes with their standard errors, sample, people and instruments are in each entry."""
    with h5py.File(released / "nexus/trial-0001.nxs") as file:
        entry = file["entry_1"]
        assert (entry["parameters/flow"][()], entry["parameters/flow"].attrs["units"]) == (20.5, "uL/min")
        assert (entry["outcomes/peak"][()], entry["outcomes/peak_errors"][()]) == (431.25, 1.5)
        assert entry["sample/name"].asstr()[()] == "S-1"
        assert entry["user_1/orcid"].asstr()[()] == "0000-0002-1825-0097"
        assert "email" not in entry["user_1"]
        assert entry["instrument/spec/fabrication/serial_number"].asstr()[()] == "SN 1"


def test_a_real_campaign_satisfies_the_definition(silver: CampaignRecord, tmp_path: Path) -> None:
    """A file of a campaign with spectra is valid, and its numbers are those of the documents, bit by bit."""
    files = nexus.write(silver, tmp_path)
    assert len(files) == len(silver.trials)
    ok, text = validate("nexus", tmp_path / files[0].path)
    assert ok, text
    runs = [silver.runs[uid] for uid in silver.trials[0].runs if silver.runs[uid].record.events]
    with h5py.File(tmp_path / files[0].path) as file:
        for number, run in enumerate(runs, 1):
            primary = file[f"entry_{number}/data_primary"]
            expected = run.record.readings("spectrometer-spectrum") if "spectr" in primary.attrs["signal"] else []
            assert not expected or np.array_equal(primary["spectrometer_spectrum"][()], expected)


VALUES = st.one_of(
    st.floats(), st.integers(-(2**53), 2**53), st.none(), st.booleans(), st.lists(st.floats(), max_size=40)
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from(["a.b", "a-b", "銀", "1"]), VALUES), min_size=1, max_size=4))
def test_numbers_come_back_bit_by_bit(rows: list[dict[str, Any]]) -> None:
    """Whatever is read, and however keys collide, numbers of one kind come back equal and NaN stays NaN."""
    with TemporaryDirectory() as folder:
        (file,) = nexus.write(with_runs(run_of("run-1", rows, {})), Path(folder))
        with h5py.File(Path(folder) / file.path) as content:
            back = {field.attrs["long_name"]: field[()] for field in content["entry_1/data_primary"].values()}
    for key in {key for row in rows for key in row}:
        column = [row.get(key) for row in rows]
        if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in column):
            expected = [math.nan if value is None else value for value in column]
            assert np.array_equal(back[key], expected, equal_nan=True)
        elif all(isinstance(value, list) for value in column):
            # An axis that is the same in all events is there once.
            each = back[key] if back[key].ndim > 1 else [back[key]] * len(column)
            for value, filled in zip(column, each, strict=True):
                assert np.array_equal(filled[: len(value)], value, equal_nan=True)


def test_equal_records_give_equal_bytes(released: Path, tmp_path: Path) -> None:
    """Files do not depend on when they are written."""
    nexus.write(made_record(), tmp_path)
    for path in (released / "nexus").iterdir():
        assert path.read_bytes() == (tmp_path / "nexus" / path.name).read_bytes()


def test_the_version_of_sdl_is_told(soft: CampaignRecord, tmp_path: Path) -> None:
    """A campaign that was really run names the program and its version, as the session has it on record."""
    (file, *_) = nexus.write(soft, tmp_path)
    with h5py.File(tmp_path / file.path) as read:
        program = read["entry_1/process/program"]
        assert (program.asstr()[()], program.attrs["version"]) == ("sdl", version("self-driving-lab"))


def test_a_file_is_what_h5py_itself_would_write(tmp_path: Path) -> None:
    """Objects made by the calls of the HDF5 library are, byte by byte, those of h5py's own classes."""
    numbers, texts = np.arange(3000.0).reshape(3, 1000), np.array(["測定 🧪", ""], dtype=object)
    hdf, whole = HdfWriter(), io.BytesIO()
    for _ in range(2):  # a writer is used again and again
        root = hdf.open()
        group = hdf.group(root, "g")
        hdf.attribute(group, "NX_class", "NXdata")
        hdf.list_attribute(group, "axes", ["time", "."])
        hdf.list_attribute(group, "time_indices", [0])
        hdf.text(group, "title", "a\0b")
        for name, values in (("n", numbers), ("t", texts), ("whole", 7), ("yes", True)):
            hdf.attribute(hdf.array(group, name, values), "units", "nm")
        content = hdf.close()
    with h5py.File(whole, "w", libver=("v108", "v110")) as file:
        group = file.create_group("g")
        group.attrs["NX_class"] = "NXdata"
        group.attrs["axes"] = ["time", "."]
        group.attrs["time_indices"] = [0]
        group.create_dataset("title", data="ab")
        group.create_dataset("n", data=numbers, compression="gzip", shuffle=True).attrs["units"] = "nm"
        group.create_dataset("t", data=texts.astype(h5py.string_dtype("utf-8"))).attrs["units"] = "nm"
        group.create_dataset("whole", data=7).attrs["units"] = "nm"
        group.create_dataset("yes", data=True).attrs["units"] = "nm"
    assert content == whole.getvalue()
