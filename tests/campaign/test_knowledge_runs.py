"""Campaigns that begin with trials of their file, learn from others, and are told of trials while they run."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support import soft_lab

from sdl.campaign import Campaign
from sdl.campaign.telling import Told, tell
from sdl.journal import Store
from sdl.model import TrialStatus


def changed(path: Path, **fields: Any) -> Path:
    """The campaign file with other values of some keys."""
    yaml = YAML(typ="safe")
    data = {**yaml.load(path.read_text()), **fields}
    yaml.dump(data, path)
    return path


def problem(path: Path, **fields: Any) -> dict[str, Any]:
    return {**YAML(typ="safe").load(path.read_text())["problem"], **fields}


def test_trials_of_the_file_come_first(tmp_path: Path) -> None:
    """They are proposed in their order, marked as the file's, and the planner goes on after them."""
    path = changed(soft_lab(tmp_path, trials=3), initial=[{"x": 0.1, "y": 0.2}, {"x": 0.3, "y": 0.4}])
    trials = Campaign.from_yaml(path, store=tmp_path / "lab.db").run().state.trials
    assert [trials[n].parameters for n in (1, 2)] == [{"x": 0.1, "y": 0.2}, {"x": 0.3, "y": 0.4}]
    assert trials[2].reason["details"] == {"by": "campaign file", "position": 2, "of": 2}
    assert trials[3].reason["details"]["planner"] == "random"


def test_a_campaign_keeps_what_it_learnt_when_it_began(tmp_path: Path) -> None:
    """Trials of an earlier campaign are in its problem, and stay as they were when it goes on."""
    store = tmp_path / "lab.db"
    Campaign.from_yaml(soft_lab(tmp_path, trials=3, name="first"), store=store).run()
    path = changed(soft_lab(tmp_path, trials=2, name="second"), learn_from=[{"campaign": "first"}])
    begun = Campaign.from_yaml(path, store=store).run().state
    assert begun.spec is not None
    (source,) = begun.spec.problem.sources
    assert (source.name, len(source)) == ("first", 3)
    Campaign.from_yaml(soft_lab(tmp_path, trials=5, name="first"), store=store).run()
    path = changed(soft_lab(tmp_path, trials=2, name="second"), learn_from=[{"campaign": "first"}])
    after = Campaign.from_yaml(path, store=store, trials=4).run().state
    assert len(after.trials) == 4
    assert after.spec is not None
    assert after.spec.problem.sources == (source,)


def test_an_outcome_constraint_needs_its_outcome(tmp_path: Path) -> None:
    """An analysis that does not give the outcome fails its trial, with the name."""
    path = soft_lab(tmp_path, trials=1)
    path = changed(path, problem=problem(path, outcome_constraints={"w": {"unit": "1", "at_most": 3}}))
    trial = Campaign.from_yaml(path, store=tmp_path / "lab.db").run().state.trials[1]
    assert trial.status is TrialStatus.FAILED
    assert "gives no outcome 'w'; it gives: z" in trial.message


def test_fixed_and_derived_values_need_no_plan(tmp_path: Path) -> None:
    """They are in the record of each trial, though no plan takes them."""
    path = soft_lab(tmp_path, trials=2)
    parameters = {
        **problem(path)["parameters"],
        "gas": {"kind": "fixed", "value": "argon"},
        "total": {"kind": "derived", "expression": "x + y"},
    }
    path = changed(path, problem=problem(path, parameters=parameters))
    trials = Campaign.from_yaml(path, store=tmp_path / "lab.db").run().state.trials
    for trial in trials.values():
        assert trial.status is TrialStatus.OBSERVED
        assert trial.parameters["gas"] == "argon"
        assert trial.parameters["total"] == trial.parameters["x"] + trial.parameters["y"]


def test_told_while_it_runs(tmp_path: Path) -> None:
    """A session that runs puts a person's trials on record between its own, each number once, and counts its budget
    without them."""
    Store.open(tmp_path / "lab.db").close()
    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=3, seconds=0.5), store=tmp_path / "lab.db")
    running = threading.Thread(target=campaign.run)
    running.start()
    try:
        with Store.open(tmp_path / "lab.db") as store:
            while not store.campaigns():
                time.sleep(0.02)
            name = store.resolve("soft")
            while not store.state(name).trials:
                time.sleep(0.02)
            told = [Told({"x": 0.1, "y": 0.2}, {"z": "3 ± 0.1"}), Told({"x": 0.3, "y": 0.2}, infeasible="it gelled")]
            numbers = tell(store, name, told, "hana")
    finally:
        running.join()
    trials = campaign.state.trials
    assert list(trials) == [1, 2, 3, 4, 5]
    assert [trials[n].planner["name"] for n in numbers] == ["person:hana"] * 2
    assert [trials[n].as_trial().origin for n in trials] == ["person" if n in numbers else "planner" for n in trials]
