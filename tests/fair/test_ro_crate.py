"""The crate: valid by RO-Crate 1.1 and Process Run Crate 0.5, and every trial is in it, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rocrate.rocrate import ROCrate
from support.validators import validate

from sdl.fair._gather import gather_record
from sdl.fair.exports import ExportedFile, write_exports
from sdl.fair.exports.ro_crate import METADATA, crate
from sdl.fair.record import CampaignRecord
from sdl.fair.release import release
from sdl.journal import Store, kinds
from sdl.model.project import Project

Journal = Any


def graph_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Entities by id."""
    return {one["@id"]: one for one in json.loads((folder / METADATA).read_text())["@graph"]}


@pytest.fixture(scope="module")
def folder(soft_store: Path, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with every export."""
    out = tmp_path_factory.mktemp("crate") / "release"
    with Store.open(soft_store, create=False) as store:
        campaign = store.campaigns()[0].id
        release(store, campaign, out, project=project, day=date(2026, 11, 22))
    return out


def test_the_public_validator_accepts_it(folder: Path) -> None:
    """Every requirement of RO-Crate 1.1 and of Process Run Crate 0.5 is met."""
    ok, text = validate("ro_crate", folder)
    assert ok, text


def test_the_public_validator_refuses_a_broken_one(folder: Path, tmp_path: Path) -> None:
    """An action without an instrument, no root, and no profile are all seen in one copy."""
    data = json.loads((folder / METADATA).read_text())
    for one in data["@graph"]:
        if one["@type"] == "CreateAction":
            one.pop("instrument")
    (tmp_path / METADATA).write_text(json.dumps(data))
    for file in graph_of(folder)["./"]["hasPart"]:
        (tmp_path / file["@id"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file["@id"]).write_bytes((folder / file["@id"]).read_bytes())
    ok, text = validate("ro_crate", tmp_path)
    assert not ok
    assert "MUST have an instrument property" in " ".join(text.replace("│", " ").split())


def test_the_library_of_ro_crate_reads_it(folder: Path) -> None:
    """Its files are found where the crate says, and its root has what a catalogue asks for."""
    read = ROCrate(folder)
    assert {entity.id for entity in read.data_entities} == {part["@id"] for part in graph_of(folder)["./"]["hasPart"]}
    assert read.root_dataset["license"].id == "https://spdx.org/licenses/CC-BY-4.0"
    assert [person.id for person in read.root_dataset["author"]] == ["https://orcid.org/0000-0002-1825-0097"]
    assert read.root_dataset["publisher"].id == "https://ror.org/05gq02987"


def test_every_reference_within_it_leads_somewhere(folder: Path) -> None:
    """What begins with # or is a file is in the crate."""
    graph = graph_of(folder)
    for entity in graph.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and not one["@id"].startswith(("http", "mailto:")):
                    assert one["@id"] in graph, one


def told(journal: Journal, store: Store, project: Project) -> dict[str, dict[str, Any]]:
    """Entities of the crate of a journal written by hand."""
    store.create(journal.id, "silver")
    with store.writer(journal.id) as writer:
        for entry in journal.entries:
            writer.append(entry.kind, entry.body, durable=False)
    record = gather_record(store, journal.id, project)
    return {one["@id"]: one for one in crate(record, Path(), ())["@graph"]}


def test_trials_that_came_to_nothing_are_told_with_the_reason(
    new_journal: Callable[[], Journal], tmp_path: Path, project: Project
) -> None:
    """Failed, infeasible, rejected and quarantined ones are actions that failed, with their error; open ones not."""
    journal = new_journal().create().search(9)
    for number in (10, 11, 12):
        journal.propose(number, {"flow": 1.0, "temperature": 20.0, "drops": 1, "salt": "PVP"})
    journal.add(kinds.TRIAL_REJECTED, trial=10, by="person:hana", message="too dilute")
    journal.start(11, "mix", "flow")
    action = {"trial": 11, "action": "c-1/11/mix/a1"}
    what = {"device": "pump_a", "path": "", "verb": "set", "arguments": {"args": [1.0], "kwargs": {}}}
    where = {"step": "mix", "attempt": 1, "station": "flow", "effect": "non_repeatable", "try": 1, "epoch": 1}
    journal.add(kinds.ACTION_DISPATCHED, **action, **what, **where)
    journal.add(kinds.ACTION_DOUBTFUL, **action, cause="fault", message="no answer")
    journal.add(kinds.ACTION_RESOLVED, **action, verdict="quarantine", by="person:hana", note="half full", evidence={})
    journal.add(kinds.TRIAL_FAILED, trial=11, message="given up", device="pump_a", lab_seconds=1)
    with Store.open(tmp_path / "sdl.db") as store:
        graph = told(journal, store, project)
    failed = "http://schema.org/FailedActionStatus"
    expected = {4: "infeasible: no peak", 9: "failed: pump_a: no answer", 10: "rejected: too dilute"}
    for number, error in {**expected, 11: "quarantined: given up"}.items():
        action = graph[f"#trial-{number}"]
        assert action["actionStatus"] == failed
        assert action["error"].startswith(error)
    assert graph["#trial-1"]["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in graph["#trial-12"]
    assert len(graph["./"]["mentions"]) == 12


def test_a_trial_names_its_values_with_units_and_its_files(
    new_journal: Callable[[], Journal], tmp_path: Path, project: Project
) -> None:
    """Parameters and outcomes in UCUM, and the files about the trial or one of its runs as results."""
    journal = new_journal().create().search(2)
    with Store.open(tmp_path / "sdl.db") as store:
        store.create(journal.id, "silver")
        with store.writer(journal.id) as writer:
            for entry in journal.entries:
                writer.append(entry.kind, entry.body, durable=False)
        record = gather_record(store, journal.id, project)
    (tmp_path / "a.nxs").touch()
    files = [ExportedFile("a.nxs", "application/x-hdf5", "https://nexusformat.org/", "spectrum", "run:run-2")]
    graph = {one["@id"]: one for one in crate(record, tmp_path, files)["@graph"]}
    assert {"@id": "a.nxs"} in graph["#trial-2"]["result"]
    assert {"@id": "a.nxs"} not in graph["#trial-1"]["result"]
    assert graph["#trial-1-parameter-flow"]["unitText"] == "uL/min"
    assert graph["#trial-1-parameter-temperature"]["unitCode"] == "http://qudt.org/vocab/unit/DEG_C"
    assert graph["#trial-1-outcome-peak"]["standardError"] == 1.25
    assert graph["a.nxs"]["conformsTo"] == {"@id": "https://nexusformat.org/"}


def test_a_crate_without_a_project_is_valid_too(soft_store: Path, tmp_path: Path) -> None:
    """As `sdl fair check` makes of a campaign that says nothing of people or licence."""
    with Store.open(soft_store, create=False) as store:
        record: CampaignRecord = gather_record(store, store.campaigns()[0].id)
        write_exports(replace(record, released="2026-11-22"), tmp_path, ("journal", "ro_crate"))
    ok, text = validate("ro_crate", tmp_path)
    assert ok, text
