"""The JSON export."""

from __future__ import annotations

import json

import pytest

from sdl.fair import export
from sdl.fair._document import file_name
from sdl.journal import kinds

TRIAL_KEYS = {"number", "status", "parameters", "outcomes", "planner", "reason", "started", "ended"}


def test_one_object_with_campaign_problem_and_trials(store, journal, tmp_path) -> None:
    """The file holds one object; each trial has its parameters, outcomes with value, sem and unit, and its times."""
    assert export(store, "c-1", "json", tmp_path / "c.json") == (tmp_path / "c.json",)
    document = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert set(document) == {"campaign", "problem", "trials", "units"}
    assert len(document["trials"]) == 20
    assert all(set(trial) >= TRIAL_KEYS for trial in document["trials"])
    first, state = document["trials"][0], journal.state.trials[1]
    assert first["outcomes"]["peak"] == {"value": state.outcomes["peak"].value, "sem": 1.25, "unit": "nm"}
    assert first["parameters"] == dict(state.parameters)
    assert (first["planner"], first["planner_options"], first["runs"]) == (
        "bayes",
        {"restarts": 4},
        ["run-1"],
    )
    assert first["proposed"] < first["started"] < first["ended"]
    assert [step["name"] for step in first["steps"]] == ["mix", "measure"]
    assert document["units"] == {
        "flow": "uL/min",
        "temperature": "degC",
        "drops": "1",
        "salt": "1",
        "peak": "nm",
    }


def test_campaign_tells_where_it_came_from(store, tmp_path) -> None:
    """Licence, creators, lab and input hashes, versions, and the head of the journal are there; no file's text is."""
    export(store, "c-1", "json", tmp_path / "c.json")
    campaign = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["campaign"]
    assert campaign["status"] == "ended"
    assert campaign["licence"] == "CC-BY-4.0"
    assert campaign["creators"][0]["orcid"] == "0000-0002-1825-0097"
    assert campaign["lab"] == {"name": "silver-flow", "file": "lab.yaml", "sha256": "cd" * 32}
    assert campaign["inputs"] == {"target": {"path": "target.csv", "sha256": "ab" * 32}}
    assert campaign["versions"] == {"sdl": "0.1.0", "numpy": "2.3"}
    last = list(store.entries("c-1"))[-1]
    assert campaign["journal"] == {"entries": last.seq, "head": last.hash}
    assert campaign["created"] < campaign["ended"]
    assert campaign["ended"].endswith("Z")


def test_order_is_the_problems_and_folders_stay_private(store, tmp_path) -> None:
    """Parameters come in the order of the problem, not of the alphabet; of a path only the file's name is told."""
    export(store, "c-1", "json", tmp_path / "c.json")
    trials = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["trials"]
    assert list(trials[0]["parameters"]) == ["flow", "temperature", "drops", "salt"]
    assert list(store.state("c-1").trials[1].parameters) != ["flow", "temperature", "drops", "salt"]
    assert file_name("/home/somebody/lab.yaml") == file_name("C:\\labs\\lab.yaml") == "lab.yaml"


def test_campaign_that_goes_on_has_not_ended(new_journal) -> None:
    """A campaign taken up again after its end has no end time until it ends again."""
    from sdl.fair import campaign_document

    journal = new_journal().create().search(2).add(kinds.CAMPAIGN_ENDED, rule="trials", message="")
    assert campaign_document(journal.state, journal.entries)["campaign"]["ended"] is not None
    journal.add(kinds.SESSION_OPENED, holder="h", epoch=2, versions={}, lab_speed=1)
    assert campaign_document(journal.state, journal.entries)["campaign"]["ended"] is None


def test_goes_to_standard_output_without_a_file(store, capsys) -> None:
    """Without a file the object is printed, Japanese letters as they are."""
    assert export(store, "c-1", "json") == ()
    text = capsys.readouterr().out
    assert json.loads(text)["trials"][0]["number"] == 1
    assert "クエン酸" in text


def test_unknown_format_names_the_nearest(store) -> None:
    """A mistyped format is refused with the one that was probably meant."""
    with pytest.raises(Exception, match="did you mean 'json'"):
        export(store, "c-1", "jsn")


def test_missing_folder_is_told_and_leaves_nothing(store, tmp_path) -> None:
    """A file in a folder that does not exist is refused by name; a folder is no file."""
    with pytest.raises(Exception, match="nowhere"):
        export(store, "c-1", "json", tmp_path / "nowhere" / "c.json")
    with pytest.raises(Exception, match="is a folder"):
        export(store, "c-1", "json", tmp_path)
