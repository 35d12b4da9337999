"""The thin-film example as a campaign: four films in flight over five stations, at speed and on virtual time."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import edit

from sdl.campaign import Campaign
from sdl.campaign.labbook import LabBook, record
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import TrialStatus

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "thin-film" / "campaign.yaml"


def _supplied(path: Path, substrates: int = 100) -> Path:
    with Store.open(path) as store:
        for item, amount, unit in (("substrate", substrates, "1"), ("ink", 50, "mL")):
            said = {"expires": "", "by": "a test", "note": ""}
            body = {"item": item, "lot": f"{item}-1", "amount": amount, "unit": unit, **said}
            record(store, "thin-film", kinds.STOCK_RECEIVED, body)
    return path


def _run(store: Path, *, virtual: bool = True, trials: int = 8, path: Path = EXAMPLE) -> CampaignState:
    settings: dict[str, Any] = {"planner": "random", "stop": {}}
    campaign = Campaign.from_yaml(path, store=store, settings=settings, trials=trials)
    return campaign.run(virtual=virtual).state


def _waits(state: CampaignState, earlier: str, later: str) -> list[float]:
    """Lab seconds between two steps, in a virtual record."""
    return [
        (b.started_at - (a.ended_at or 0)) / 1e9
        for trial in state.trials.values()
        for a, b in pairwise(trial.steps)
        if (a.name, b.name) == (earlier, later)
    ]


def test_films_overlap_and_keep_their_waits(tmp_path: Path) -> None:
    """Eight films, four in flight: all end, both furnaces work at once, and no wait is too short or too long."""
    state = _run(_supplied(tmp_path / "sdl.db"))
    assert state.status == "ended"
    assert state.count(TrialStatus.OBSERVED, TrialStatus.INFEASIBLE) == 8
    waits = _waits(state, "coat", "to_furnace")
    assert len(waits) == 8
    assert min(waits) >= 30 - 0.01
    assert max(waits) <= 240
    assert max(_waits(state, "to_furnace", "anneal")) <= 60
    anneals = {s: [] for s in ("furnace_a", "furnace_b")}
    for trial in state.trials.values():
        for step in trial.steps:
            if step.name == "anneal":
                anneals[step.station].append((step.started_at, step.ended_at or 0))
    assert all(anneals.values())
    assert any(a0 < b1 and b0 < a1 for a0, a1 in anneals["furnace_a"] for b0, b1 in anneals["furnace_b"])
    for spans in anneals.values():
        ordered = sorted(spans)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ordered))


def test_the_ledger_says_what_was_used_and_where_films_are(tmp_path: Path) -> None:
    """Each film took a substrate and its volume of ink, and lies in a slot of its own in the tray."""
    path = _supplied(tmp_path / "sdl.db")
    state = _run(path, trials=5)
    with Store.open(path) as store:
        inventory = LabBook(store, "thin-film").refresh().inventory()
    used = {lot.item: lot.used for lot in inventory.lots.values()}
    assert used["substrate"] == 5
    volumes = sum(float(trial.parameters["volume"]) for trial in state.trials.values())
    assert used["ink"] == pytest.approx(volumes / 1000)
    assert sorted(sample.slot for sample in state.samples.values()) == [1, 2, 3, 4, 5]
    assert {(sample.place, str(sample.status)) for sample in state.samples.values()} == {("tray", "archived")}


def test_a_campaign_pauses_when_stock_is_short(tmp_path: Path) -> None:
    """With three substrates three films are made; then the campaign pauses and says what to receive, and goes on."""
    path = _supplied(tmp_path / "sdl.db", substrates=3)
    state = _run(path, trials=5)
    assert (state.status, len(state.trials)) == ("paused", 3)
    assert "sdl stock receive substrate" in state.message
    with Store.open(path) as store:
        body = {"item": "substrate", "lot": "s-2", "amount": 2, "unit": "1", "expires": "", "by": "", "note": ""}
        record(store, "thin-film", kinds.STOCK_RECEIVED, body)
    state = _run(path, trials=5)
    assert (state.status, len(state.trials)) == ("ended", 5)


def test_virtual_runs_of_one_seed_are_equal(tmp_path: Path) -> None:
    """Look-ahead, five stations and eight instruments: two runs give the same outcomes to the last bit."""
    first, second = (_run(_supplied(tmp_path / f"{n}.db"), trials=6) for n in range(2))
    assert [t.status for t in first.trials.values()] == [t.status for t in second.trials.values()]
    assert [t.outcomes for t in first.trials.values()] == [t.outcomes for t in second.trials.values()]


@pytest.mark.slow
def test_virtual_and_real_agree_film_by_film(tmp_path: Path) -> None:
    """At speed and on virtual time: the same trials, the same verdicts, outcomes within five per cent."""
    # Slow enough that what the computer needs for itself is little lab time, with short anneals to make up for it.
    shutil.copytree(EXAMPLE.parent, tmp_path / "lab")
    # In dry air a film does not age while it waits, which is what a busy computer makes longer.
    dry = {"humidity": "0 percent"}
    edit(tmp_path / "lab" / "lab.yaml", lambda data: data["simulation"]["options"].update(dry))
    edit(tmp_path / "lab" / "lab.yaml", lambda data: data["simulation"].update(speed=100))
    path = tmp_path / "lab" / "campaign.yaml"
    edit(path, lambda data: data["problem"]["parameters"]["anneal_time"].update(high=7))
    edit(path, lambda data: data["problem"]["parameters"]["anneal_temperature"].update(low=240, high=280))
    virtual = _run(_supplied(tmp_path / "virtual.db"), trials=4, path=path)
    real = _run(_supplied(tmp_path / "real.db"), trials=4, path=path, virtual=False)
    for number, trial in real.trials.items():
        other = virtual.trials[number]
        assert (other.parameters, other.status) == (trial.parameters, trial.status)
        for name, outcome in trial.outcomes.items():
            assert other.outcomes[name].value == pytest.approx(outcome.value, rel=0.05)
