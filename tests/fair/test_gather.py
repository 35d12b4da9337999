"""The record that every export reads: gathered once, complete, and without what tells of machines or accounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdl.fair._gather import campaign_project, gather_record
from sdl.fair._private import without_folders
from sdl.journal import Store, kinds
from sdl.model import InputError
from sdl.model.project import Project

Journal = Any

LAB = """\
name: silver-flow
description: Flow synthesis
devices:
  pump_a:
    driver: ne1000_pump
    address: tcp://192.168.1.20:4001
    about: {manufacturer: New Era, model: NE-1000, serial: "4711", owner: My University, calibrated: 2026-01-31}
  uvvis: {driver: scpi_spectrometer, address: tcp://192.168.1.21:5025}
  spare: {driver: soft_detector}
stations:
  flow: {devices: [pump_a, spare]}
  optics: {devices: [uvvis]}
procedures:
  synthesis:
    steps:
      - {name: mix, station: flow, plan: "procedure.py:mix"}
      - {name: measure, station: optics, plan: "procedure.py:measure"}
    analysis: {name: spectrum_match}
"""


def stored(journal: Journal, store: Store) -> str:
    """Write a journal into a store; returns the campaign's id."""
    store.create(journal.id, "silver")
    with store.writer(journal.id) as writer:
        for entry in journal.entries:
            writer.append(entry.kind, entry.body, durable=False)
    return str(journal.id)


def with_lab(journal: Journal) -> Journal:
    """The journal's first entry with a whole lab file, and devices that were connected."""
    first = journal.create().entries[0]
    body = {**first.body, "lab": {**first.body["lab"], "text": LAB}}
    again = type(journal)().add(first.kind, **body)
    versions = {"self-driving-lab": "0.6", "numpy": "2.3"}
    session = {"holder": "lab-pc:4711", "epoch": 1, "versions": versions, "lab_speed": 1}
    again.add(kinds.SESSION_OPENED, **session, revision="git:4f9a", environment=["numpy==2.3", "scipy==1.17"])
    identity = {"uvvis": {"manufacturer": "Acme", "model": "UV-1", "serial": "77", "firmware": "1.2"}}
    certificate = {"pump_a": {"id": "sha256:ab", "ok": True}}
    addresses = {"pump_a": "tcp://192.168.1.20:4001", "uvvis": "tcp://192.168.1.21:5025"}
    return again.add(
        kinds.LAB_OPENED, addresses=addresses, simulated=[], control="", speed=1, workers={}, certificates=certificate,
        identity=identity,
    )  # fmt: skip


def test_instruments_are_told_with_what_people_and_they_themselves_say(
    new_journal: Callable[[], Journal], tmp_path: Path
) -> None:
    """The lab file wins over the instrument; a device that was never connected is no instrument of the campaign."""
    with Store.open(tmp_path / "sdl.db") as store:
        record = gather_record(store, stored(with_lab(new_journal()).search(2), store))
    pump, spectrometer = record.instruments
    assert (pump.manufacturer, pump.serial, pump.owner) == ("New Era", "4711", "My University")
    assert (pump.calibrated, pump.station, pump.simulated) == ("2026-01-31", "flow", False)
    assert pump.certificate == {"id": "sha256:ab", "ok": True}
    assert (spectrometer.manufacturer, spectrometer.model, spectrometer.firmware) == ("Acme", "UV-1", "1.2")
    assert record.revision == "git:4f9a"
    assert record.environment == ("numpy==2.3", "scipy==1.17")


def test_every_run_is_told_also_those_that_were_cut_off(new_journal: Callable[[], Journal], tmp_path: Path) -> None:
    """With their documents in order; one whose process ended is interrupted, one without an end as well."""
    journal = new_journal().create().search(1)
    journal.propose(2, {"flow": 1.0, "temperature": 20.0, "drops": 1, "salt": "PVP"}).start(2, "mix", "flow")
    journal.documents(2, "mix", 1, [("start", {"uid": "cut", "time": 0.0})])
    stop = {"uid": "interrupted-cut", "run_start": "cut", "time": 1.0, "exit_status": "abort", "reason": "power"}
    journal.add(kinds.RUN_INTERRUPTED, trial=2, step="mix", attempt=1, doc=stop)
    journal.start(2, "mix", "flow", 2).documents(2, "mix", 2, [("start", {"uid": "open", "time": 0.0})])
    page = {
        "descriptor": "page-d", "seq_num": [1, 2], "uid": ["e1", "e2"], "time": [1.0, 2.0],
        "data": {"x": [1, 2]}, "timestamps": {"x": [1.0, 2.0]}, "filled": {},
    }  # fmt: skip
    descriptor = {"uid": "page-d", "run_start": "open", "name": "primary", "data_keys": {"x": {}}}
    journal.documents(2, "mix", 2, [("descriptor", descriptor), ("event_page", page)])
    with Store.open(tmp_path / "sdl.db") as store:
        record = gather_record(store, stored(journal, store))
    assert {uid: run.status for uid, run in record.runs.items()} == {
        "run-1": "success",
        "cut": "interrupted",
        "open": "interrupted",
    }
    assert record.trials[1].runs == ("cut", "open")
    assert record.runs["open"].record.readings("x") == [1, 2]
    assert [name for name, _ in record.runs["run-1"].documents] == ["start", "descriptor", "event", "stop"]
    assert (record.runs["cut"].station, record.runs["cut"].attempt, record.runs["open"].attempt) == ("flow", 1, 2)


def test_who_decided_what_and_why_is_told(new_journal: Callable[[], Journal], tmp_path: Path) -> None:
    """Planner, policy and people; a person is named where the project does, and else by a number."""
    journal = new_journal().create().search(1)
    journal.propose(2, {"flow": 1.0, "temperature": 20.0, "drops": 1, "salt": "PVP"})
    journal.add(kinds.TRIAL_REJECTED, trial=2, by="person:jc", message="too dilute")
    journal.add(kinds.TRIAL_ANNOTATED, trial=1, by="person:hana", text="a bubble")
    journal.add(kinds.CAMPAIGN_WITHDRAWN, by="person:hana", why="the cell was dirty")
    people = [{"name": "Carberry, Josiah", "accounts": ["jc"]}]
    project = Project.model_validate({"name": "p", "people": people})
    with Store.open(tmp_path / "sdl.db") as store:
        record = gather_record(store, stored(journal, store), project)
    said = {(one.what, one.who, one.why) for one in record.decisions}
    assert ("trial.proposed", "planner:bayes 1", "sampled") in said
    assert ("trial.rejected", "Carberry, Josiah", "too dilute") in said
    assert ("trial.annotated", "operator 1", "a bubble") in said
    assert ("campaign.withdrawn", "operator 1", "the cell was dirty") in said
    assert record.withdrawn == "the cell was dirty"
    (note,) = record.trials[0].corrections
    assert (note["by"], note["text"]) == ("operator 1", "a bubble")
    assert record.trials[1].status == "rejected"
    assert record.operators == ("Carberry, Josiah", "operator 1")


def test_the_project_is_filled_from_the_campaign(new_journal: Callable[[], Journal], tmp_path: Path) -> None:
    """Title, description, licence and creators of the campaign file count where no project says otherwise."""
    with Store.open(tmp_path / "sdl.db") as store:
        campaign = stored(new_journal().create(), store)
        plain = campaign_project(store, campaign)
        own = campaign_project(store, campaign, Project(name="p", title="Mine", publisher="My University"))
    assert plain.title == "Silver nanoparticles with a plasmon at 450 nm"
    assert [person.name for person in plain.people] == ["Carberry, Josiah"]
    assert (own.title, own.licence, own.publisher) == ("Mine", "CC-BY-4.0", "My University")


def test_a_project_on_record_is_taken(new_journal: Callable[[], Journal], tmp_path: Path) -> None:
    """The one that the campaign file named when it was begun or amended last; a given one wins."""
    first = new_journal().create().entries[0]
    people = [{"name": "Carberry, Josiah", "accounts": ["jc"]}]
    journal = new_journal().add(
        first.kind, **{**first.body, "project": {"name": "p", "dmp": "DMP-1", "people": people}}
    )
    with Store.open(tmp_path / "sdl.db") as store:
        campaign = stored(journal, store)
        record = gather_record(store, campaign)
        assert (record.project.dmp, record.project.people[0].accounts) == ("DMP-1", ("jc",))
        (shown,) = [entry for entry in record.journal() if entry.entry.seq == 1]
        assert "project.people[0].accounts[0]" in shown.withheld
        assert "jc" not in str(shown.entry.body)
        assert gather_record(store, campaign, Project(name="q", dmp="DMP-2")).project.dmp == "DMP-2"


def test_a_campaign_that_was_not_begun_has_no_record(tmp_path: Path) -> None:
    """As one that was only quoted."""
    with Store.open(tmp_path / "sdl.db") as store:
        store.create("c-1", "empty")
        with pytest.raises(InputError, match="has not been begun"):
            gather_record(store, "c-1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/hana/lab/target.csv", "target.csv"),
        ("/home/hana o'brien/my lab/target.csv", "target.csv"),
        ("cannot read /home/hana/lab/target.csv: no such file", "cannot read target.csv: no such file"),
        ("File '/home/hana/p.py', line 3", "File 'p.py', line 3"),
        ("file:///srv/data/a.h5", "a.h5"),
        (r"C:\Users\hana\lab\target.csv", "target.csv"),
        (r"see C:\Users\hana\a.csv and b", "see a.csv and b"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("uL/min", "uL/min"),
        ("mol / L", "mol / L"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("tcp://127.0.0.1:42057/1", "tcp://127.0.0.1:42057/1"),
        ("1/2 of 3/4", "1/2 of 3/4"),
        ("クエン酸/水", "クエン酸/水"),
    ],
)
def test_folders_are_left_out_of_texts(text: str, shown: str) -> None:
    """Absolute paths keep their last part; units, addresses and quotients stay."""
    assert without_folders(text) == shown
