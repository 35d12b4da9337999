"""Exports where something is in the way, or nothing is there."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.released import made_record

from sdl.fair.exports import jpcoar, load_export
from sdl.model import InputError

NAMES = ("tables", "documents", "nexus", "maiml", "rde", "cao", "jpcoar")


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 200 bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_an_error_that_names_the_file(name: str, tmp_path: Path, full_disk: None) -> None:
    """What cannot be written in full is named, and nothing of it is left behind."""
    with pytest.raises(InputError, match=r"cannot write \S+ of the release: File too large; free some space"):
        load_export(name)(made_record(), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_campaign_that_has_done_nothing_yet_is_exported(name: str, tmp_path: Path) -> None:
    """Without trials, runs, samples, people and instruments an export is empty or small, and no error."""
    bare = replace(made_record(), trials=(), runs={}, samples=(), instruments=(), decisions=())
    for file in load_export(name)(bare, tmp_path):
        assert (tmp_path / file.path).stat().st_size > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_is_there_and_no_other(name: str, tmp_path: Path) -> None:
    """An export names all that it writes, each file once, with its media type and a title."""
    files = load_export(name)(made_record(), tmp_path)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(file.path for file in files) == written
    assert all(file.media_type and file.title and file.conforms_to.startswith("http") for file in files)


def test_a_withdrawal_is_told_where_catalogues_look(tmp_path: Path) -> None:
    """Data that were withdrawn say so, and why, in the metadata for catalogues and for machine learning."""
    record = replace(made_record(), withdrawn="the lamp was off")
    for name in ("cao", "jpcoar", "tables"):
        load_export(name)(record, tmp_path)
    for path in ("metadata/cao-common-metadata.json", "metadata/jpcoar.xml", "tables/croissant.json"):
        assert "ithdrawn: the lamp was off" in (tmp_path / path).read_text().replace("WITHDRAWN", "Withdrawn")
    assert jpcoar.faults((tmp_path / "metadata/jpcoar.xml").read_bytes()) == []


def test_corrections_stand_beside_what_they_correct(tmp_path: Path) -> None:
    """A correction is in its trial's row; the values that it corrects stay as they were."""
    record = made_record()
    first = replace(record.trials[0], corrections=({"note": "lamp off", "by": "Suzuki, Hana"},))
    load_export("tables")(replace(record, trials=(first,)), tmp_path)
    (row,) = pq.read_table(tmp_path / "tables/trials.parquet").to_pylist()
    assert json.loads(row["corrections"]) == [{"note": "lamp off", "by": "Suzuki, Hana"}]
    assert row["outcome_peak"] == 431.25
