"""Releases of journals of every kind: of earlier releases, with faults and crashes, with odd texts and numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.corpus import load
from support.film import Lab, Session, into_store

from sdl.fair.release import release, verify_release
from sdl.journal import Store, kinds
from sdl.model.project import Project

Journal = Any
_CORPUS = sorted((Path(__file__).parents[1] / "journal" / "corpus").glob("*/*.jsonl"))
DAY = date(2026, 11, 22)


@pytest.mark.parametrize("journal", _CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_journal_of_an_earlier_release_can_be_released(journal: Path, project: Project, tmp_path: Path) -> None:
    """With every trial in its crate, and the journal in it entry by entry."""
    campaign = load(journal.read_text(), tmp_path / "sdl.db")
    out = tmp_path / "release"
    with Store.open(tmp_path / "sdl.db", create=False) as store:
        release(store, campaign, out, project=project, only=("datacite", "prov", "cao"), day=DAY)
        trials = store.state(campaign).trials
    assert verify_release(out) == []
    graph = json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]
    assert sum(one["@type"] == "CreateAction" for one in graph) == len(trials)
    assert len((out / "journal.jsonl").read_text().splitlines()) == len(journal.read_text().splitlines())


def test_odd_texts_and_numbers_come_through(
    new_journal: Callable[[], Journal], project: Project, tmp_path: Path
) -> None:
    """Emoji, Japanese, keys with dots and slashes, similar names, a NaN on record as null, very large numbers."""
    journal = new_journal().create().search(1)
    journal.propose(2, {"flow": 1e-300, "temperature": 20.0, "drops": 1, "salt": "クエン酸"}).start(2, "mix", "flow")
    start = {"uid": "🧪/1", "time": 0.0, "a.b/c": {"d.e": "f"}, "値": [1, 2.5, None]}
    keys = {"x.y/z": {"dtype": "number", "shape": [], "source": "s", "units": "nm"}}
    documents = [
        ("start", start),
        ("descriptor", {"uid": "d", "run_start": "🧪/1", "name": "primary", "data_keys": keys}),
        ("event", {"uid": "e", "descriptor": "d", "seq_num": 1, "time": 1.0, "data": {"x.y/z": float("nan")}}),
        ("stop", {"uid": "s", "run_start": "🧪/1", "time": 2.0, "exit_status": "success"}),
    ]
    journal.documents(2, "mix", 1, documents).done(2, "mix", 1, ("🧪/1",))
    values = {"peak": 450.0, "a/b": 1e308, "a-b": -0.0, "吸光度": 2.0}
    journal.observe(2, {name: {"value": value, "sem": None, "unit": "1"} for name, value in values.items()})
    out = tmp_path / "release"
    with Store.open(tmp_path / "sdl.db") as store:
        store.create(journal.id, "silver")
        with store.writer(journal.id) as writer:
            for entry in journal.entries:
                writer.append(entry.kind, entry.body, durable=False)
        release(store, journal.id, out, project=project, only=("datacite", "prov"), day=DAY)
        stored = {entry.seq: entry.body for entry in store.entries(journal.id)}
    assert verify_release(out) == []
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    assert {line[2]: line[5] for line in lines if isinstance(line, list)}.items() <= stored.items()
    graph = {one["@id"]: one for one in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    outcomes = [graph[one["@id"]] for one in graph["#trial-2"]["result"] if "outcome" in one["@id"]]
    assert {one["name"]: one["value"] for one in outcomes} == values
    told = json.loads((out / "prov.json").read_text())["entity"]["c:outcomes-2"]
    assert sum(key.startswith("sdl:outcome.") for key in told) == len(values)


def test_films_are_released_with_samples_and_lots(project: Project, tmp_path: Path) -> None:
    """A sample with its label and what it was made of; a film that was given up as well."""
    lab = Lab()
    session = Session(lab)
    for item, amount in (("substrate", 5.0), ("ink", 2.0), ("tip", 5.0)):
        lab.receive(item, amount, lot="L/7")
    session.propose(1)
    session.through(1, "coat", "carry", "anneal", "measure")
    session.finish(1)
    session.propose(2)
    session.through(2, "coat")
    session.finish(2, kinds.TRIAL_FAILED)
    out = tmp_path / "release"
    with Store.open(tmp_path / "films.db") as store:
        into_store(store, session)
        release(store, store.campaigns()[0].id, out, project=project, day=DAY)
    assert verify_release(out) == []
    graph = json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]
    samples = [one for one in graph if one["@id"].startswith("#sample-")]
    assert len(samples) == 2
    assert all("made of substrate, lot L/7" in one["description"] for one in samples)
    failed = next(one for one in graph if one["@id"] == "#trial-2")
    assert failed["error"] == "failed: it broke"
    assert any(one["@id"].startswith("#sample-") for one in failed["result"])
