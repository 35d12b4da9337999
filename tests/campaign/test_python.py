"""The campaign from Python: in a script, in a running event loop, and to look at."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import PlannerPlugin, check_record, edit, soft_lab

from sdl.campaign import Campaign, Control
from sdl.journal import Entry, LeaseHeld, Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import InputError, TrialStatus


def test_run_and_look(tmp_path: Path) -> None:
    """A campaign runs from its file, is opened by name, and tells its best trial, its table and itself."""
    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=6), store=tmp_path / "lab.db")
    assert campaign.id == ""
    assert campaign.state.trials == {}
    assert "0 trials" in repr(campaign)
    assert campaign.run() is campaign
    assert campaign.state.status == "ended"
    opened = Campaign.open("soft", store=tmp_path / "lab.db")
    assert opened.id == campaign.id
    assert opened.best is not None
    values = {n: t.outcomes["z"].value for n, t in opened.state.trials.items()}
    assert opened.best.number == min(values, key=lambda n: values[n])
    assert repr(opened).splitlines()[0] == "Campaign 'soft' (ended): 6 trials, 6 observed"
    assert f"best: trial {opened.best.number}, z 0." in repr(opened)
    frame = opened.to_dataframe()
    assert len(frame) == 6
    told = [value for column in frame.columns if column == "z" for value in frame[column]]
    assert told == pytest.approx(list(values.values()))
    with pytest.raises(InputError, match="load its file to run it"):
        opened.run()


async def test_inside_a_running_loop(tmp_path: Path) -> None:
    """In a notebook, where an event loop runs already, `run` works as it does in a script."""
    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=3), store=tmp_path / "lab.db")
    assert asyncio.get_running_loop().is_running()
    campaign.run()
    assert campaign.state.count(TrialStatus.OBSERVED) == 3


def test_seed_decides_the_proposals(tmp_path: Path) -> None:
    """Two campaigns with one seed propose the same trials; another seed proposes others."""
    file = soft_lab(tmp_path, trials=4)

    def proposals(store: str, seed: int) -> list[Any]:
        state = Campaign.from_yaml(file, store=tmp_path / store, seed=seed).run().state
        return [dict(t.parameters) for t in state.trials.values()]

    assert proposals("a.db", 5) == proposals("b.db", 5) != proposals("c.db", 6)


def test_on_event_sees_every_entry(tmp_path: Path) -> None:
    """The listener gets every entry but documents, once and in order, with the state after it."""
    seen: list[tuple[Entry, CampaignState]] = []
    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=3), store=tmp_path / "lab.db")
    campaign.run(on_event=lambda entry, state: seen.append((entry, state)))
    with Store.open(tmp_path / "lab.db") as store:
        every = list(store.entries(campaign.id))
    wanted = [e for e in every if e.kind != kinds.DOCUMENT and not e.kind.startswith("action.")]
    assert [e.seq for e, _ in seen] == [e.seq for e in wanted]
    assert all(state.seq == entry.seq for entry, state in seen)


def test_a_listener_that_raises(tmp_path: Path) -> None:
    """A listener that fails pauses the campaign in good order, and the pause says what it raised."""

    def broken(entry: Entry, state: CampaignState) -> None:
        if entry.kind == kinds.TRIAL_OBSERVED:
            raise ValueError("no space on the plot")

    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=50), store=tmp_path / "lab.db").run(on_event=broken)
    assert campaign.state.status == "paused"
    assert "no space on the plot" in campaign.state.message
    assert len(campaign.state.trials) < 50
    check_record(tmp_path / "lab.db")


def test_control_from_another_thread(tmp_path: Path) -> None:
    """Another thread pauses a campaign, and aborts a step of an hour."""
    control = Control()
    campaign = Campaign.from_yaml(soft_lab(tmp_path, seconds=3600), store=tmp_path / "lab.db")
    started = threading.Event()

    def listen(entry: Entry, state: CampaignState) -> None:
        if entry.kind == kinds.STEP_STARTED:
            started.set()

    def stop() -> None:
        started.wait(30)
        control.pause("the sample holder is empty")
        control.abort("fire drill")

    thread = threading.Thread(target=stop)
    thread.start()
    campaign.run(on_event=listen, control=control)
    thread.join()
    assert (campaign.state.status, campaign.state.message) == ("aborted", "fire drill")


def test_second_run_in_one_process(tmp_path: Path) -> None:
    """Two objects of one campaign cannot run at once; the second is told who holds it."""
    file = soft_lab(tmp_path, trials=2, seconds=0.3)
    first = Campaign.from_yaml(file, store=tmp_path / "lab.db")
    held: list[str] = []

    def listen(entry: Entry, state: CampaignState) -> None:
        if entry.kind == kinds.STEP_STARTED and not held:
            second = Campaign.from_yaml(file, store=tmp_path / "lab.db")
            with pytest.raises(LeaseHeld) as error:
                second.run()
            held.append(str(error.value))

    first.run(on_event=listen)
    assert first.state.status == "ended"
    assert len(held) == 1


def test_several_trials_in_flight(tmp_path: Path) -> None:
    """With three in flight on two stations, trials overlap, and each step has its station to itself."""
    file = soft_lab(tmp_path, trials=8, seconds=0.05)

    def two_stations(lab: dict[str, Any]) -> None:
        lab["devices"]["other"] = {"driver": "soft_detector", "options": {}}
        lab["stations"]["desk"] = {"devices": ["other"]}
        step = lab["procedures"]["measure"]["steps"][1]
        step.update(station="desk", plan="plans.py:read_other", **{"with": {"seconds": 0.05}})
        step.pop("redo_from")

    edit(tmp_path / "lab.yaml", two_stations)
    edit(file, lambda data: data.update(in_flight=3))
    plans = tmp_path / "plans.py"
    more = "\n\ndef read_other(other, x, y, seconds=0.0):\n    yield from read(other, x, y, seconds)\n"
    plans.write_text(plans.read_text() + more)
    in_flight: list[int] = []
    campaign = Campaign.from_yaml(file, store=tmp_path / "lab.db")
    campaign.run(on_event=lambda e, s: in_flight.append(sum(t.status.pending for t in s.trials.values())))
    assert max(in_flight) == 3
    assert check_record(tmp_path / "lab.db")["trial.observed"] == 8
    _no_overlap(campaign.state)


def _no_overlap(state: CampaignState) -> None:
    """No station has two steps at once, and some trial begins on one while another is on the other."""
    steps = [step for trial in state.trials.values() for step in trial.steps]
    for station in ("bench", "desk"):
        own = sorted((s.started_at, s.ended_at or 0) for s in steps if s.station == station)
        assert len(own) == 8
        assert all(before[1] <= after[0] for before, after in pairwise(own))
    bench = [s for s in steps if s.station == "bench"]
    desk = [s for s in steps if s.station == "desk"]
    assert any(a.started_at < (b.ended_at or 0) and b.started_at < (a.ended_at or 0) for a in bench for b in desk)


def test_infeasible_trials_are_told(tmp_path: Path) -> None:
    """Trials whose analysis finds no material are infeasible, with its words, and the campaign goes on."""
    file = soft_lab(tmp_path, trials=12, infeasible_above=0.5)
    state = Campaign.from_yaml(file, store=tmp_path / "lab.db").run().state
    bad = [t for t in state.trials.values() if t.parameters["x"] > 0.5]
    assert 0 < len(bad) < 12
    assert [t.status for t in bad] == [TrialStatus.INFEASIBLE] * len(bad)
    assert all("gives no material" in t.message for t in bad)
    assert state.count(TrialStatus.OBSERVED) == 12 - len(bad)


_PLANNERS = {
    "raises": ('raise RuntimeError("the matrix is singular")', "RuntimeError: the matrix is singular"),
    "outside": (
        'return [Proposal(parameters={"x": 3.0, "y": 0.5}, reason=Reason(summary="far"))]',
        "proposed something outside the problem",
    ),
    "short": (
        'return [Proposal(parameters={"x": 0.5}, reason=Reason(summary="half"))]',
        "y: no value",
    ),
    "nonsense": ('return {"x": 0.5}', "failed: AttributeError"),
    "dies": ("os._exit(3)", "died twice in a row"),
    "nothing": ("return []", ""),
    "exhausted": ('raise Exhausted("all 0 candidates were tried")', ""),
}


@pytest.mark.parametrize(
    ("name", "in_process"),
    [
        *((name, True) for name in _PLANNERS if name != "dies"),
        ("raises", False),
        ("dies", False),
        ("nothing", False),
    ],
)
def test_bad_planners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, in_process: bool) -> None:
    """A planner that fails pauses the campaign and says how, wherever it runs; one with no more to propose ends it."""
    body, message = _PLANNERS[name]
    registered = f"{name}_{'here' if in_process else 'there'}"
    code = f'version = "1"\nin_process = {in_process}\n\ndef propose(self, problem, trials, n, seed):\n    {body}\n'
    plugin = PlannerPlugin(tmp_path / "site", registered, code)
    monkeypatch.syspath_prepend(str(plugin.path))
    monkeypatch.setenv("PYTHONPATH", str(plugin.path))
    settings = {"planner": registered}
    campaign = Campaign.from_yaml(soft_lab(tmp_path), store=tmp_path / "lab.db", settings=settings).run()
    state = campaign.state
    if not message:
        assert (state.status, len(state.trials)) == ("ended", 0)
        return
    assert state.status == "paused"
    assert message in state.message
    assert "--set planner=NAME" in state.advice
    again = Campaign.from_yaml(soft_lab(tmp_path), store=tmp_path / "lab.db", trials=2).run()
    assert again.state.status == "ended"
    assert check_record(tmp_path / "lab.db")["trial.observed"] == 2
