"""Trials that people tell a campaign of."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from support import check_record, soft_lab

from sdl.campaign import Campaign
from sdl.campaign._taken import caught_up
from sdl.campaign.doubts import NotAnswered
from sdl.campaign.telling import REQUEST, Told, asked_trials, read_assignments, read_told, tell, told_entries
from sdl.cli._tell import tell_command
from sdl.journal import Store, kinds
from sdl.model import InputError, TrialStatus


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A campaign of two trials in `lab.db`, whose budget is used up."""
    Campaign.from_yaml(soft_lab(tmp_path, trials=2), store=tmp_path / "lab.db").run()
    return tmp_path


def test_a_trial_of_a_person_counts(begun: Path) -> None:
    """It is on record with its outcomes, signed, uses nothing of the budget, and the campaign goes on after it."""
    with Store.open(begun / "lab.db") as store:
        campaign = store.resolve("soft")
        told = Told({"x": "0.25", "y": 0.5}, {"z": "0.01 ± 0.002"})
        assert tell(store, campaign, [told], "hana", "by hand") == [3]
        state = store.state(campaign)
    trial = state.trials[3]
    assert (trial.status, trial.parameters) == (TrialStatus.OBSERVED, {"x": 0.25, "y": 0.5})
    assert (trial.outcomes["z"].value, trial.outcomes["z"].sem) == (0.01, 0.002)
    assert trial.planner["name"] == "person:hana"
    assert trial.reason["summary"] == "told by hana: by hand"
    Campaign.from_yaml(begun / "campaign.yaml", store=begun / "lab.db", trials=3).run()
    with Store.open(begun / "lab.db") as store:
        after = store.state(campaign)
        assert not store.verify()
    assert list(after.trials) == [1, 2, 3, 4]
    assert after.trials[4].planner["name"] == "random"
    check_record(begun / "lab.db")


def test_an_infeasible_trial_of_a_person(begun: Path) -> None:
    """Without a material it has a reason in place of outcomes."""
    with Store.open(begun / "lab.db") as store:
        campaign = store.resolve("soft")
        assert tell(store, campaign, [Told({"x": 1, "y": 1}, infeasible="it gelled")], "hana") == [3]
        trial = store.state(campaign).trials[3]
    assert (trial.status, trial.message) == (TrialStatus.INFEASIBLE, "it gelled")


def test_every_fault_at_once(begun: Path) -> None:
    """Nothing is on record when one of several trials cannot be used; every fault is named."""
    trials = [
        Told({"x": 7, "y": 0.5}, {"z": 1}),
        Told({"x": 0.1}, {"z": "a lot", "q": 3}),
        Told({"x": 0.1, "y": 0.2}, {"z": 1}, infeasible="no"),
        Told({"x": 0.1, "y": 0.2}),
        Told({"x": 0.1, "y": 0.2}, {"z": "1 nm"}),
        Told({"x": 0.1, "y": 0.2}, {"z": "1 ± -2"}),
    ]
    with Store.open(begun / "lab.db") as store:
        campaign = store.resolve("soft")
        before = store.state(campaign).seq
        with pytest.raises(InputError) as caught:
            tell(store, campaign, trials, "hana")
        assert store.state(campaign).seq == before
    text = str(caught.value)
    for part in (
        "x: 7 is outside the limits 0 … 1",
        "y: no value",
        "'a' is not a finite number",
        "q is no outcome of this campaign",
        "has outcomes or is infeasible, not both",
        "no outcome z; where no material came of it",
        "cannot convert 1 nm to 1",
        "a standard error is not below 0, got -2",
    ):
        assert part in text
    with Store.open(begun / "lab.db") as store:
        with pytest.raises(InputError, match="tell it of a trial"):
            tell(store, campaign, [], "hana")
        with pytest.raises(InputError, match="Give a name"):
            tell(store, campaign, [Told({"x": 0.1, "y": 0.2}, {"z": 1})], " ")


def test_a_table_of_trials(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sdl tell --table` puts a line each on record: standard errors, and trials without a material."""
    table = begun / "trials.csv"
    table.write_text("x,y,z,z_sem,infeasible\n0.1,0.2,3,0.5,\n0.3,0.4,,,it gelled\n")
    assert tell_command("soft", [], [], "", table, "Tuesday", "hana", begun / "lab.db") == 0
    assert "trials 3 to 4 of campaign soft: on record" in capsys.readouterr().out
    with Store.open(begun / "lab.db") as store:
        state = store.state(store.resolve("soft"))
    assert [state.trials[n].status.value for n in (3, 4)] == ["observed", "infeasible"]
    assert state.trials[3].outcomes["z"].sem == 0.5
    table.write_text("x,y,zz\n0.1,0.2,3\n")
    with pytest.raises(InputError, match=r"trials\.csv:1: column 'zz' is neither .*; leave it out"):
        tell_command("soft", [], [], "", table, "", "hana", begun / "lab.db")
    table.write_text("x,y,z\n0.1,0.2,3\n0.1,5,3\n")
    with pytest.raises(InputError, match=r"trials\.csv:3: y: 5 is outside"):
        tell_command("soft", [], [], "", table, "", "hana", begun / "lab.db")
    with pytest.raises(InputError, match="not both"):
        tell_command("soft", ["x=1"], [], "", table, "", "hana", begun / "lab.db")


def test_flags(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One trial from flags; a slip in a flag is shown with the right form."""
    assert tell_command("soft", ["x=0.1", "y=0.2"], ["z=3 ± 0.1"], "", None, "", "hana", begun / "lab.db") == 0
    assert "trial 3 of campaign soft: on record" in capsys.readouterr().out
    with pytest.raises(InputError, match="write it as NAME=VALUE") as caught:
        read_assignments(["x", "y=1", "y=2"])
    assert "y is given twice" in str(caught.value)


def test_a_session_that_runs_is_asked(begun: Path) -> None:
    """While a session has the campaign, it is asked to write, and its answer is waited for."""
    with Store.open(begun / "lab.db") as store:
        campaign = store.resolve("soft")
        told = [Told({"x": 0.1, "y": 0.2}, {"z": 3})]
        with store.writer(campaign) as writer:
            with pytest.raises(NotAnswered, match=r"did not answer within 0\.2 s; nothing is on record"):
                tell(store, campaign, told, "hana", wait=0.2)
            assert not store.requests(campaign)
            found: list[list[int]] = []
            asking = threading.Thread(target=lambda: found.append(tell(store, campaign, told, "hana")))
            asking.start()
            while not (asked := store.requests(campaign)):
                time.sleep(0.01)
            assert [request.kind for request in asked] == [REQUEST]
            writer.submit_all(asked_trials(store.state(campaign), asked[0].body))[-1].result()
            store.answer(asked[0].id, "recorded")
            asking.join(10)
            assert found == [[3]]
            refused: list[InputError] = []

            def ask() -> None:
                try:
                    tell(store, campaign, told, "hana")
                except InputError as error:
                    refused.append(error)

            asking = threading.Thread(target=ask)
            asking.start()
            while not (asked := store.requests(campaign)):
                time.sleep(0.01)
            store.answer(asked[0].id, "the lab is closed")
            asking.join(10)
            assert "refused: the lab is closed" in str(refused[0])


def test_a_state_is_caught_up_with_its_campaign(begun: Path) -> None:
    """What others wrote since a state was read is folded in when a session takes the campaign up."""
    with Store.open(begun / "lab.db") as store:
        campaign = store.resolve("soft")
        before = store.state(campaign)
        assert caught_up(store, before) == before
        (number,) = tell(store, campaign, [Told({"x": 0.1, "y": 0.2}, {"z": 3})], "hana")
        after = caught_up(store, before)
        assert after == store.state(campaign)
        assert after.trials[number].outcomes["z"].value == 3


def test_a_campaign_that_has_not_begun(tmp_path: Path) -> None:
    """It has no problem yet to check a trial against."""
    with Store.open(tmp_path / "lab.db") as store:
        store.create("c1", "new")
        with pytest.raises(InputError, match="has not begun; begin it with `sdl run`"):
            told_entries(store.state("c1"), [Told({"x": 1})], "hana")


def test_cells_that_are_empty(begun: Path) -> None:
    """An empty cell is a value that is not there: a parameter is missed, a second outcome is not."""
    table = begun / "trials.csv"
    table.write_text("x,y,z\n0.1,,3\n")
    with Store.open(begun / "lab.db") as store:
        state = store.state(store.resolve("soft"))
        assert state.spec is not None
        told = read_told(table, state.spec.problem)
        with pytest.raises(InputError, match=r"trials\.csv:2: y: no value"):
            told_entries(state, told, "hana")
    assert kinds.TRIAL_PROPOSED == "trial.proposed"
