"""The common metadata of the Cabinet Office."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.released import PROJECT, made_record

from sdl.fair.exports import cao
from sdl.fair.exports._cao_rules import ELEMENTS
from sdl.fair.record import CampaignRecord
from sdl.model.project import Access, AccessPolicy, Project


def written(record: CampaignRecord, folder: Path) -> dict[str, Any]:
    (file,) = cao.write(record, folder)
    found: dict[str, Any] = json.loads((folder / file.path).read_text())
    return found


def test_a_full_project_gives_metadata_without_a_fault(tmp_path: Path) -> None:
    """All fifteen elements are there, in Japanese and English, and satisfy every rule."""
    document = written(made_record(), tmp_path)
    assert cao.faults(document) == []
    assert list(document["elements"]) == list(ELEMENTS)
    assert {element["no"] for element in document["elements"].values()} == set(range(1, 16))
    values = {key: element["value"] for key, element in document["elements"].items()}
    assert values["dataName"] == {"ja": PROJECT.title_ja, "en": PROJECT.title}
    assert values["field"] == {"ja": "ナノテク・材料", "en": "Nanotechnology/Materials"}
    assert values["accessRights"] == {"ja": "公開期間猶予", "en": "embargoed access"}
    assert values["availableFrom"] == "2027-04-01"
    assert values["creators"][0]["eRadResearcherNumber"] == "20123456"
    assert values["repositoryLink"] == "https://doi.org/10.5555/silver.1"


BREAKS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "element removed": (lambda e: e.pop("dataName"), "5 データの名称"),
    "required empty": (lambda e: e["creators"].update(value=[]), "13 データ作成者"),
    "not in Japanese": (lambda e: e["description"]["value"].update(ja=""), "the Japanese text is missing"),
    "e-Rad number": (lambda e: e["creators"]["value"][0].update(eRadResearcherNumber="123"), "eight digits"),
    "orcid": (lambda e: e["dataManager"]["value"].update(orcid="0000"), "ORCID"),
    "date": (lambda e: e["published"].update(value="1 April"), "an ISO date"),
    "access word": (lambda e: e["accessRights"].update(value={"ja": "公開", "en": "closed"}), "is none of"),
    "embargo without day": (lambda e: e["availableFrom"].update(value=None), "need the day"),
    "number": (lambda e: e["contact"].update(no=3), "number or name"),
    "unknown": (lambda e: e.update(colour={"value": "red"}), "no element of the list"),
    "grant number of a funded project": (lambda e: e["grantNumber"].update(value=[]), "2 体系的番号"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_copy_is_refused(how: str, tmp_path: Path) -> None:
    """Each way of breaking the file is a fault that names the element."""
    document = written(made_record(), tmp_path)
    spoil, message = BREAKS[how]
    spoil(document["elements"])
    assert any(message in fault for fault in cao.faults(document))


def test_open_data_need_licence_and_link() -> None:
    """Data said to be open without a licence or a place are a fault."""
    policy = AccessPolicy(metadata=Access(level="open"), data=Access(level="open"))
    bare = PROJECT.model_copy(update={"access": policy, "licence": "", "identifier": ""})
    record = made_record(project=bare)
    record = replace(record, spec=record.spec.model_copy(update={"licence": ""}))
    text = "\n".join(cao.faults(cao.common_metadata(record)))
    assert "open data need a licence" in text
    assert "open data need the URL" in text


def test_a_bare_project_is_written_and_its_gaps_are_listed() -> None:
    """A campaign without project is exported; what is required and empty is named, grants are not asked for."""
    record = made_record(project=Project(name="bare"))
    text = "\n".join(cao.faults(cao.common_metadata(record)))
    assert "13 データ作成者" in text
    assert "1 資金配分機関情報" not in text


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    """The file does not depend on when it is written."""
    record = made_record(released=date(2026, 11, 22).isoformat())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cao.write(record, tmp_path / name)
    path = "metadata/cao-common-metadata.json"
    assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
