"""Provenance: read back equal by the library of PROV, and it tells who did what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prov.model import ProvDocument
from support.film import Lab, Session, into_store
from support.validators import validate

from sdl.fair._gather import gather_record
from sdl.fair.exports.prov import prov_document, write
from sdl.fair.record import CampaignRecord
from sdl.journal import Store
from sdl.model.project import Project


@pytest.fixture(scope="module")
def record(soft_store: Path, project: Project) -> CampaignRecord:
    """Five trials, some infeasible."""
    with Store.open(soft_store, create=False) as store:
        return gather_record(store, store.campaigns()[0].id, project)


@pytest.fixture(scope="module")
def told(record: CampaignRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    folder = tmp_path_factory.mktemp("prov")
    (file,) = write(record, folder)
    return folder / file.path


def test_what_was_written_is_read_back_equal(record: CampaignRecord, told: Path) -> None:
    """By the library that wrote it, and by another environment's; what is no PROV is refused."""
    read = ProvDocument.deserialize(content=told.read_text(), format="json")
    assert read == prov_document(record)
    ok, text = validate("prov", told)
    assert ok, text
    broken = told.with_name("broken.json")
    data = json.loads(told.read_text())
    data["wasMadeBy"] = data.pop("wasGeneratedBy")
    broken.write_text(json.dumps(data))
    assert not validate("prov", broken)[0]


def test_every_relation_leads_to_something_that_is_told(told: Path) -> None:
    """No entity, activity or agent is only named."""
    data = json.loads(told.read_text())
    known = {name for kind in ("entity", "activity", "agent") for name in data[kind]}
    relations = {kind: data[kind] for kind in data if kind not in ("prefix", "entity", "activity", "agent")}
    for kind, members in relations.items():
        for relation in members.values():
            named = {value for key, value in relation.items() if key.startswith("prov:") and key != "prov:time"}
            assert named <= known, (kind, named - known)


def test_each_outcome_leads_back_to_whoever_proposed_it(record: CampaignRecord, told: Path) -> None:
    """Outcomes derive from runs, which an execution made, which used a proposal, which a planner made."""
    data = json.loads(told.read_text())

    def pairs(kind: str, of: str, to: str) -> set[tuple[str, str]]:
        return {(one[f"prov:{of}"], one[f"prov:{to}"]) for one in data[kind].values()}

    derived = pairs("wasDerivedFrom", "generatedEntity", "usedEntity")
    made = pairs("wasGeneratedBy", "entity", "activity")
    used = pairs("used", "activity", "entity")
    agents = pairs("wasAssociatedWith", "activity", "agent")
    observed = [trial for trial in record.trials if trial.status == "observed"]
    assert observed
    for trial in observed:
        for uid in trial.runs:
            assert (f"c:outcomes-{trial.number}", f"c:run-{uid}") in derived
            assert (f"c:run-{uid}", f"c:execute-{trial.number}") in made
        assert (f"c:execute-{trial.number}", f"c:proposal-{trial.number}") in used
        assert (f"c:proposal-{trial.number}", f"c:propose-{trial.number}") in made
        assert (f"c:propose-{trial.number}", f"c:agent-planner-random-{trial.planner['version']}") in agents


def test_what_the_planner_had_learnt_is_told(record: CampaignRecord, told: Path) -> None:
    """Each proposal used the outcomes that had come since the one before."""
    used = {(one["prov:activity"], one["prov:entity"]) for one in json.loads(told.read_text())["used"].values()}
    learnt = {entity for activity, entity in used if activity.startswith("c:propose-")}
    last = max(trial.number for trial in record.trials)
    observed = {f"c:outcomes-{trial.number}" for trial in record.trials if trial.status == "observed"}
    assert learnt == observed - {f"c:outcomes-{last}"}


def test_samples_and_stock_are_told(tmp_path: Path, project: Project) -> None:
    """A film's sample, and the lots that went into it."""
    lab = Lab()
    session = Session(lab)
    for item, amount in (("substrate", 5.0), ("ink", 2.0), ("tip", 5.0)):
        lab.receive(item, amount)
    session.propose()
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    with Store.open(tmp_path / "films.db") as store:
        into_store(store, session)
        record = gather_record(store, store.campaigns()[0].id, project)
    (file,) = write(record, tmp_path)
    data: dict[str, Any] = json.loads((tmp_path / file.path).read_text())
    (sample,) = record.samples
    assert [one["prov:label"] for name, one in data["entity"].items() if name.startswith("c:sample-")] == [sample.label]
    lots = {one["sdl:lot"] for name, one in data["entity"].items() if name.startswith("c:stock-")}
    assert lots == {"A"}
    assert {use.item for use in record.trials[0].stock} == {"substrate", "ink", "tip"}
    assert ProvDocument.deserialize(content=(tmp_path / file.path).read_text(), format="json") == prov_document(record)
