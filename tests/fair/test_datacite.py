"""DataCite metadata: valid by the agency's own schema, and complete."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.validators import validate

from sdl.fair._gather import gather_record
from sdl.fair.exports.datacite import datacite, write
from sdl.fair.record import CampaignRecord, Instrument
from sdl.journal import Store
from sdl.model.project import Project


@pytest.fixture(scope="module")
def record(soft_store: Path, project: Project) -> CampaignRecord:
    """A campaign with everything that a project can say."""
    with Store.open(soft_store, create=False) as store:
        return gather_record(store, store.campaigns()[0].id, project)


def test_the_agency_s_schema_accepts_it(record: CampaignRecord, tmp_path: Path) -> None:
    """And refuses a copy that lacks a title, has an unknown type of date and a key that is none of the schema's."""
    (file,) = write(record, tmp_path)
    path = tmp_path / file.path
    ok, text = validate("datacite", path)
    assert ok, text
    data = json.loads(path.read_text())
    data.pop("titles")
    data["dates"][0].update(dateType="Made")
    path.write_text(json.dumps({**data, "colour": "blue"}))
    ok, text = validate("datacite", path)
    assert not ok
    assert "'titles' is a required property" in text
    assert "'Made' is not one of" in text
    assert "'colour' was unexpected" in text


def test_it_tells_what_the_project_says(record: CampaignRecord) -> None:
    """People with their identifiers, grant, licence, access, and the DOI as the agency writes it."""
    data = datacite(record)
    (creator,) = data["creators"]
    assert (creator["familyName"], creator["givenName"]) == ("Carberry", "Josiah")
    assert {one["nameIdentifierScheme"] for one in creator["nameIdentifiers"]} == {"ORCID", "e-Rad_Researcher"}
    assert creator["affiliation"][0]["affiliationIdentifier"] == "https://ror.org/05gq02987"
    assert data["doi"] == "10.5072/sdl-silver-flow-demo"
    assert data["publisher"]["publisherIdentifierScheme"] == "ROR"
    assert data["fundingReferences"][0]["awardNumber"] == "JPMJXX0000"
    licence, access = data["rightsList"]
    assert licence["rightsUri"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert access["rightsUri"] == "http://purl.org/coar/access_right/c_abf2"
    assert {one["lang"] for one in data["titles"]} == {"en", "ja"}
    assert {one["contributorType"] for one in data["contributors"]} == {
        "ContactPerson",
        "DataManager",
        "DataCollector",
    }


def test_the_methods_say_what_became_of_the_trials(record: CampaignRecord) -> None:
    """How many of each kind, by which planner, with which instruments."""
    methods = next(one for one in datacite(record)["descriptions"] if one["descriptionType"] == "Methods")
    assert "5 trials (" in methods["description"]
    assert "infeasible" in methods["description"]
    assert f"random {record.trials[0].planner['version']}" in methods["description"]
    assert "detector (soft_detector, simulated)" in methods["description"]


def test_embargo_withdrawal_and_instruments_are_told(record: CampaignRecord, tmp_path: Path) -> None:
    """The day an embargo ends, why data were withdrawn, and instruments by their identifiers; still valid."""
    told = {**record.project.model_dump(), "access": {"metadata": "open", "data": "embargoed until 2027-04-01"}}
    changed = replace(
        record,
        project=Project.model_validate(told),
        withdrawn="the cell was dirty",
        instruments=(Instrument("cell", "flow", "soft_detector", False, identifier="https://doi.org/10.5072/cell"),),
    )
    data = datacite(changed)
    assert {"date": "2027-04-01", "dateType": "Available"} in data["dates"]
    assert any(one["dateType"] == "Withdrawn" for one in data["dates"])
    assert any(one["relationType"] == "IsCollectedBy" for one in data["relatedIdentifiers"])
    (file,) = write(changed, tmp_path)
    ok, text = validate("datacite", tmp_path / file.path)
    assert ok, text


def test_a_project_that_says_little_is_valid_too(record: CampaignRecord, tmp_path: Path) -> None:
    """What is not known is left out, or has the agency's own code for that."""
    bare = Project.model_validate({"name": "bare", "people": [{"name": "王小明"}]})
    (file,) = write(replace(record, project=bare), tmp_path)
    ok, text = validate("datacite", tmp_path / file.path)
    assert ok, text
    assert json.loads((tmp_path / file.path).read_text())["publisher"] == {"name": ":unav"}
