"""Campaigns on virtual time: the same loop, drivers, servers and journal, as fast as they can be computed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support import Nursery, check_record, edit, entries_of, journal_length, silver_lab, soft_lab, wait_until

from sdl.campaign import Campaign
from sdl.journal import Store, kinds
from sdl.model import InputError, TrialStatus


def _run(path: Path, store: str, *, virtual: bool = True) -> Campaign:
    return Campaign.from_yaml(path, store=path.parent / store).run(virtual=virtual)


def test_hours_of_waiting_pass_in_seconds(tmp_path: Path) -> None:
    """Twenty trials of an hour's wait each take twenty lab hours and a moment; the record is whole, in virtual time."""
    path = soft_lab(tmp_path, seconds=3600, trials=20)
    begun = time.perf_counter()
    campaign = _run(path, "sdl.db")
    assert time.perf_counter() - begun < 30
    state = campaign.state
    assert (state.status, state.virtual, state.count(TrialStatus.OBSERVED)) == ("ended", True, 20)
    assert state.lab_seconds == pytest.approx(20 * 3600, rel=0.01)
    check_record(tmp_path / "sdl.db")
    entries = entries_of(tmp_path / "sdl.db")
    times = [entry.at for entry in entries]
    assert times == sorted(times)
    assert (times[-1] - times[0]) / 1e9 == pytest.approx(20 * 3600, rel=0.01)
    events = [e for e in entries if e.kind == kinds.DOCUMENT and e.body["name"] == "event"]
    for entry in events:
        doc = entry.body["doc"]
        assert doc["time"] == pytest.approx(entry.at / 1e9, abs=1)
        assert all(at == doc["time"] for at in doc["timestamps"].values())


@pytest.mark.slow
def test_virtual_and_real_agree_trial_by_trial(tmp_path: Path) -> None:
    """The silver-flow lab at speed and on virtual time proposes the same trials and measures the same, within noise."""
    path = silver_lab(tmp_path / "lab", speed=600, trials=4)
    virtual = _run(path, "virtual.db")
    begun = time.perf_counter()
    real = _run(path, "real.db", virtual=False)
    wall = time.perf_counter() - begun
    assert [t.status for t in virtual.state.trials.values()] == [TrialStatus.OBSERVED] * 4
    for number, trial in real.state.trials.items():
        other = virtual.state.trials[number]
        assert (other.parameters, other.status, other.seed) == (trial.parameters, trial.status, trial.seed)
        assert other.outcomes["mismatch"].value == pytest.approx(trial.outcomes["mismatch"].value, abs=0.05)
    # At speed, what the computer needs for itself counts as lab time too, and nothing else does.
    assert virtual.state.lab_seconds < real.state.lab_seconds < 600 * wall


def test_virtual_runs_are_equal(tmp_path: Path) -> None:
    """Two virtual runs of one seed give the same outcomes to the last bit, at the same lab times."""
    path = silver_lab(tmp_path / "lab", trials=3)
    first, second = _run(path, "one.db").state, _run(path, "two.db").state
    assert first.lab_seconds == pytest.approx(second.lab_seconds, abs=1e-3)
    for number, trial in first.trials.items():
        assert trial.outcomes == second.trials[number].outcomes


def test_a_planner_in_another_process_takes_no_lab_time(tmp_path: Path) -> None:
    """Lab time stands still while the planner's process computes."""
    path = soft_lab(tmp_path, seconds=10, trials=3)
    edit(path, lambda data: data.update(planner="bayes"))
    assert _run(path, "sdl.db").state.lab_seconds == pytest.approx(30, rel=0.01)


def test_virtual_and_real_are_kept_apart(tmp_path: Path) -> None:
    """A campaign that was begun on virtual time is not gone on with in a lab, nor the other way round."""
    path = soft_lab(tmp_path, trials=2)
    _run(path, "sdl.db")
    edit(path, lambda data: data.update(budget={"trials": 3}))
    with pytest.raises(InputError, match="was begun on virtual time"):
        _run(path, "sdl.db", virtual=False)
    _run(path, "other.db", virtual=False)
    edit(path, lambda data: data.update(budget={"trials": 4}))
    with pytest.raises(InputError, match="leave out --virtual"):
        _run(path, "other.db")


def test_it_goes_on_after_a_kill(tmp_path: Path, nursery: Nursery) -> None:
    """A virtual campaign whose process was killed goes on, and its times go on from where they were."""
    soft_lab(tmp_path, seconds=100, points=5, trials=60)
    process = nursery.start("run", "campaign.yaml", "--virtual", "--quiet", cwd=tmp_path)
    wait_until(lambda: journal_length(tmp_path / "sdl.db") > 80, 30, "entries")
    process.kill()
    with Store.open(tmp_path / "sdl.db") as store:
        before = store.state(store.campaigns()[0].id)
    assert before.status == "running"
    again = nursery.run("run", "campaign.yaml", "--virtual", "--quiet", cwd=tmp_path, seconds=60)
    assert again.status == 0, again.err
    times = [entry.at for entry in entries_of(tmp_path / "sdl.db")]
    assert times == sorted(times)
    assert check_record(tmp_path / "sdl.db")["proposed"] == 60
