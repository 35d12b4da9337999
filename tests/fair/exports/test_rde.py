"""The zip for RDE."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.released import made_record
from support.validators import validate

from sdl.fair.exports import rde
from sdl.fair.exports._png import line_plot
from sdl.fair.record import CampaignRecord


def written(record: CampaignRecord, folder: Path) -> Path:
    (file,) = rde.write(record, folder)
    return folder / file.path


def changed(path: Path, target: Path, member: str, change: Callable[[Any], Any]) -> Path:
    """A copy of the zip in which one JSON file is changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == member:
                data = json.loads(content)
                change(data)
                content = json.dumps(data).encode()
            new.writestr(name, content)
    return target


def test_rdetoolkit_takes_every_tile(tmp_path: Path) -> None:
    """RDEFormat mode unpacks the campaign's tile and one a measuring trial, and puts each file where it belongs."""
    path = written(made_record(), tmp_path)
    ok, text = validate("rde_run", path)
    assert ok, text
    assert text.count('"status": "success"') == 3
    for place in ("raw/scan-1.jsonl", "structured/scan-1-data_primary.csv", "main_image/measurement.png"):
        assert f"\ndivided/0001/{place}\n" in text
    assert "\nstructured/trials.csv\n" in text
    ok, text = validate("rde", path)
    assert ok, text
    assert rde.faults(path.read_bytes()) == []


def test_rdetoolkit_refuses_broken_copies(tmp_path: Path) -> None:
    """An owner id of a wrong form, and a definition without its Japanese name, are refused by RDE's own validators."""
    path = written(made_record(), tmp_path)
    owner = ("divided/0002/invoice/invoice.json", lambda data: data["basic"].update(dataOwnerId="me"))
    name = ("tasksupport/metadata-def.json", lambda data: data["trial"]["name"].pop("ja"))
    for number, (member, change) in enumerate((owner, name)):
        broken = changed(path, tmp_path / f"broken-{number}.zip", member, change)
        assert not validate("rde", broken)[0], member


META = "divided/0001/meta/metadata.json"
BREAKS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "unknown key": (META, lambda d: d["constant"].update(colour={"value": "red"}), "colour is not defined"),
    "unknown part": (META, lambda d: d["constant"]["trial"].update(note="x"), "unknown keys note"),
    "type": (META, lambda d: d["constant"]["trial"].update(value="one"), "is no integer"),
    "unit": (META, lambda d: d["constant"]["parameter.flow"].update(unit="L"), "defined as 'uL/min'"),
    "time": (META, lambda d: d["variable"][0]["started"].update(value="noon"), "no time of ISO 8601"),
    "invoice": ("invoice/invoice.json", lambda d: d["custom"].update(colour="red"), "unknown key custom.colour"),
    "date": ("invoice/invoice.json", lambda d: d["basic"].update(dateSubmitted="today"), "dateSubmitted is no date"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_what_rdetoolkit_passes_over_is_found(how: str, tmp_path: Path) -> None:
    """Keys, types and units that do not fit the definitions are faults that name the file and the key."""
    member, change, message = BREAKS[how]
    broken = changed(written(made_record(), tmp_path), tmp_path / "broken.zip", member, change)
    assert any(message in fault for fault in rde.faults(broken.read_bytes()))


def test_tiles_hold_numbers_exactly(tmp_path: Path) -> None:
    """The CSV of a scan and of spectra hold the readings as they were, with units in their headers."""
    record = made_record()
    with zipfile.ZipFile(written(record, tmp_path)) as archive:
        scan = list(csv.reader(io.StringIO(archive.read("divided/0001/structured/scan-1-data_primary.csv").decode())))
        name = "divided/0001/structured/measure-1-data_primary-spec_spectrum.csv"
        spectra = list(csv.reader(io.StringIO(archive.read(name).decode())))
    assert scan[0] == ["time [s]", "stage-x [mm]", "probe-resistance [ohm]", "probe-offset [mV]"]
    resistances = [event["data"]["probe-resistance"] for event in record.runs["run-2"].record.events]
    assert [None if row[2] == "nan" else float(row[2]) for row in scan[1:]] == resistances
    assert spectra[0] == ["spec-wavelength [nm]", "spec-spectrum 1", "spec-spectrum 2"]
    assert len(spectra) == 65


def test_a_text_that_looks_like_a_formula_is_harmless(tmp_path: Path) -> None:
    """A message that begins with = is no formula in a spreadsheet; negative numbers stay numbers."""
    record = made_record()
    first = replace(record.trials[0], message='=HYPERLINK("http://x")', parameters={"flow": -1.5})
    with zipfile.ZipFile(written(replace(record, trials=(first,)), tmp_path)) as archive:
        (row,) = csv.DictReader(io.StringIO(archive.read("structured/trials.csv").decode()))
    assert row["message"] == '\'=HYPERLINK("http://x")'
    assert row["parameter_flow [uL/min]"] == "-1.5"


def test_a_real_campaign_makes_valid_tiles(silver: CampaignRecord, tmp_path: Path) -> None:
    """The zip of a campaign with spectra has no fault, and one tile for each trial."""
    path = written(silver, tmp_path)
    ok, text = validate("rde", path)
    assert ok, text
    assert rde.faults(path.read_bytes()) == []
    assert f"{len(silver.trials) + 1} data tiles" in text


@pytest.mark.parametrize("heights", [[[1.0, np.nan, 3.0]], [[np.inf, 1e308, -1e308]], [[2.0, 2.0, 2.0]], [[0, 1, 4]]])
def test_a_plot_is_a_picture_whatever_is_in_it(heights: list[list[float]]) -> None:
    """Gaps, infinities, huge and constant values are drawn or left out; the file is a PNG of the same size."""
    image = line_plot([0.0, 1.0, 2.0], heights)
    assert image is not None
    assert image.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\xe0\x00\x00\x01\x2c")


def test_nothing_to_draw_gives_no_picture() -> None:
    """A line without a single number has no plot."""
    assert line_plot([0.0, 1.0], [[np.nan, np.nan]]) is None


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    """The zip does not depend on when it is written."""
    first, second = (written(made_record(), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
