"""Several campaigns at once on one lab: they share its stations, places and stock, and each ends by its own rule."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, check_record, edit, journal_length, soft_lab, wait_until
from typer.testing import CliRunner

from sdl.campaign import Campaign
from sdl.campaign.labbook import LabBook, record
from sdl.cli._app import app
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import InputError, TrialStatus

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "thin-film" / "campaign.yaml"


def _films(folder: Path, *, substrates: int = 50) -> Path:
    """A store with stock for thin films."""
    with Store.open(folder / "sdl.db") as store:
        for item, amount, unit in (("substrate", substrates, "1"), ("ink", 50, "mL")):
            body = {
                "item": item,
                "lot": f"{item}-1",
                "amount": amount,
                "unit": unit,
                "expires": "",
                "by": "",
                "note": "",
            }
            record(store, "thin-film", kinds.STOCK_RECEIVED, body)
    return folder / "sdl.db"


def _film_campaign(store: Path, name: str, trials: int, **settings: Any) -> Campaign:
    settings = {"name": name, "planner": "random", "stop": {}, **settings}
    return Campaign.from_yaml(EXAMPLE, store=store, settings=settings, trials=trials)


def _spans(states: list[CampaignState], station: str) -> list[tuple[int, int]]:
    """When a station was at work, UTC ns."""
    return sorted(
        (step.started_at, step.ended_at or 0)
        for state in states
        for trial in state.trials.values()
        for step in trial.steps
        if step.station == station
    )


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[CampaignState]]:
    """Two campaigns of four films each, run together on virtual time."""
    store = _films(tmp_path_factory.mktemp("together"))
    campaigns = [_film_campaign(store, "one", 4), _film_campaign(store, "two", 4, seed=2)]
    Campaign.run_together(campaigns, virtual=True)
    return store, [campaign.state for campaign in campaigns]


def test_stations_and_places_are_shared(films: tuple[Path, list[CampaignState]]) -> None:
    """Both end, their films are under way at once, and no station ever serves two steps."""
    _, states = films
    assert [state.status for state in states] == ["ended", "ended"]
    assert all(state.count(TrialStatus.OBSERVED, TrialStatus.INFEASIBLE) == 4 for state in states)
    begun = [min(t.started_at or 0 for t in state.trials.values()) for state in states]
    ended = [max(t.ended_at or 0 for t in state.trials.values()) for state in states]
    assert max(begun) < min(ended)
    for station in ("coating", "transport", "furnace_a", "furnace_b", "probing"):
        spans = _spans(states, station)
        assert spans
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans)), station


def test_one_ledger_for_all(films: tuple[Path, list[CampaignState]]) -> None:
    """Stock is drawn from the same lots, and no two films have one slot of the tray."""
    path, states = films
    with Store.open(path) as store:
        inventory = LabBook(store, "thin-film").refresh().inventory()
        assert store.verify() == []
    used = {lot.item: lot.used for lot in inventory.lots.values()}
    volumes = sum(float(t.parameters["volume"]) for state in states for t in state.trials.values())
    assert used["substrate"] == 8
    assert used["ink"] == pytest.approx(volumes / 1000)
    slots = [(sample.place, sample.slot) for state in states for sample in state.samples.values()]
    assert len(slots) == len(set(slots)) == 8


def test_the_last_one_leaves_the_stations_safe(films: tuple[Path, list[CampaignState]]) -> None:
    """The campaign that ends first leaves stations alone that the other still uses; the other makes them safe."""
    path, states = films
    first, last = sorted(states, key=lambda state: max(t.ended_at or 0 for t in state.trials.values()))
    with Store.open(path) as store:
        made = {
            state.id: [e.body["station"] for e in store.entries(state.id, kinds={kinds.STATION_SAFE})]
            for state in (first, last)
        }
    assert made[first.id] == []
    assert sorted(made[last.id]) == ["coating", "furnace_a", "furnace_b", "probing", "transport"]


def test_priority_goes_first_and_nobody_starves(tmp_path: Path) -> None:
    """Where both wait for one station, the campaign with the higher priority goes first; the other ends as well."""
    soft_lab(tmp_path, seconds=0.2)
    campaigns = [
        Campaign.from_yaml(
            tmp_path / "campaign.yaml",
            store=tmp_path / "sdl.db",
            settings={"name": name, "priority": priority, "in_flight": 2, "seed": priority},
            trials=6,
        )
        for name, priority in (("low", 0), ("high", 5))
    ]
    Campaign.run_together(campaigns)
    low, high = (campaign.state for campaign in campaigns)
    assert low.status == high.status == "ended"
    ends = {state.name: sorted(t.ended_at or 0 for t in state.trials.values()) for state in (low, high)}
    assert ends["high"][-1] < ends["low"][-1]
    assert sum(end < ends["high"][-1] for end in ends["low"]) <= 3


def test_short_stock_is_never_set_aside_twice(tmp_path: Path) -> None:
    """With five substrates for eight films five are made, whosever they are; who has too few pauses and says so."""
    store = _films(tmp_path, substrates=5)
    campaigns = [_film_campaign(store, "one", 4), _film_campaign(store, "two", 4, seed=2)]
    Campaign.run_together(campaigns, virtual=True)
    states = [campaign.state for campaign in campaigns]
    assert sum(len(state.samples) for state in states) == 5
    assert "paused" in {state.status for state in states}
    for state in states:
        assert state.status == "ended" or "sdl stock receive substrate" in state.message


def test_killed_together_they_go_on_together(tmp_path: Path, nursery: Nursery) -> None:
    """SIGKILL while both have a step under way: the same command goes on, and each trial of each is there once."""
    soft_lab(tmp_path, seconds=0.02, points=2, trials=8)
    second = tmp_path / "second.yaml"
    shutil.copy(tmp_path / "campaign.yaml", second)
    edit(second, lambda data: data.update(name="second", seed=7))
    store = tmp_path / "sdl.db"
    argv = ("run", tmp_path / "campaign.yaml", second, "--store", store, "--json")
    for _ in range(2):
        goal = journal_length(store) + 50
        process = nursery.start(*argv, cwd=tmp_path)
        wait_until(lambda: journal_length(store) >= goal or process.status is not None, 60, "entries", 0.001)  # noqa: B023
        process.kill()
    process = nursery.start(*argv, cwd=tmp_path)
    assert process.wait(120) == 0, process.err
    with Store.open(store) as opened:
        assert opened.verify() == []
        states = [opened.state(head.id) for head in opened.campaigns()]
    assert [(state.name, state.status, len(state.trials)) for state in states] == [
        ("soft", "ended", 8),
        ("second", "ended", 8),
    ]
    assert all(not trial.status.pending for state in states for trial in state.trials.values())


def test_one_station_that_is_out_is_out_for_all(tmp_path: Path) -> None:
    """A fault that lasts pauses the campaign it struck, and the other as well once its trials can go no further."""
    soft_lab(tmp_path)
    (tmp_path / "plans.py").write_text(
        (tmp_path / "plans.py").read_text() + "\n\ndef broken(detector, x, y):\n"
        "    from sdl.model import Fault\n    raise Fault('detector', 'the lamp is dead')\n    yield\n"
    )

    def breaks(data: Any) -> None:
        whole = next(iter(data["procedures"].values()))
        copy = {**whole, "steps": [dict(whole["steps"][0])]}
        copy["steps"][0].update(plan="plans.py:broken", on_fault="pause")
        copy["steps"][0].pop("with", None)
        copy.pop("redo_from", None)
        data["procedures"]["breaking"] = copy

    edit(tmp_path / "lab.yaml", breaks)
    shutil.copy(tmp_path / "campaign.yaml", tmp_path / "second.yaml")
    edit(tmp_path / "second.yaml", lambda data: data.update(name="second", procedure="breaking"))
    campaigns = [
        Campaign.from_yaml(tmp_path / file, store=tmp_path / "sdl.db", trials=400)
        for file in ("campaign.yaml", "second.yaml")
    ]
    Campaign.run_together(campaigns)
    states = {campaign.state.name: campaign.state for campaign in campaigns}
    assert {name: state.status for name, state in states.items()} == {"soft": "paused", "second": "paused"}
    assert "the lamp is dead" in states["second"].message
    assert "out of use since a step of campaign second" in states["soft"].message


def test_one_alone_is_as_before(tmp_path: Path) -> None:
    """A campaign that runs alone through the same door keeps its record as ever."""
    campaign = Campaign.from_yaml(soft_lab(tmp_path, trials=3), store=tmp_path / "sdl.db")
    Campaign.run_together([campaign])
    assert check_record(tmp_path / "sdl.db")["trial.observed"] == 3


def test_what_cannot_run_together(tmp_path: Path) -> None:
    """The same name twice, two stores, and two lab files are refused, in one text."""
    one = soft_lab(tmp_path / "a")
    other = soft_lab(tmp_path / "b")
    first = Campaign.from_yaml(one, store=tmp_path / "a.db")
    second = Campaign.from_yaml(other, store=tmp_path / "b.db")
    with pytest.raises(InputError) as refused:
        Campaign.run_together([first, second])
    for said in ("soft is given twice", "one store", "one lab file"):
        assert said in str(refused.value)
    assert not (tmp_path / "a.db").exists()


def test_a_feed_has_one_address(tmp_path: Path) -> None:
    """`--feed` with several campaigns is refused with what to do."""
    path = str(soft_lab(tmp_path))
    found = CliRunner().invoke(app, ["run", path, path, "--feed", "tcp://127.0.0.1:0"], standalone_mode=False)
    assert isinstance(found.exception, InputError)
    assert "each campaign has a feed of its own" in str(found.exception)
