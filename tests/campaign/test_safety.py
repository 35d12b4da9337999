"""Interlocks and the emergency stop while a campaign runs on simulated instruments."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from support.labs import edit, silver_lab

from sdl.campaign import Campaign
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState
from sdl.lab.stopcards import lab_key, mark, release
from sdl.simulators._control import ControlClient


def entries(store: Path, id_: str, *wanted: str) -> list[dict[str, Any]]:
    with Store.open(store) as opened:
        return [dict(entry.body) for entry in opened.entries(id_) if entry.kind in wanted]


def with_interlock(path: Path, text: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["interlocks"] = {"hot": {"require": text, "message": "let it cool down"}}

    edit(path.parent / "lab.yaml", change)


def test_a_violated_interlock_keeps_a_step_from_beginning(tmp_path: Path) -> None:
    """Before a step its interlocks are read; a violated one pauses the campaign and says what was read."""
    path = silver_lab(tmp_path / "lab", trials=1)
    with_interlock(path, "heater.temperature < 5 degC")
    campaign = Campaign.from_yaml(path, store=tmp_path / "lab.db")
    campaign.run()
    state = campaign.state
    assert state.status == "paused"
    assert "must be < 5 degC" in state.message
    assert "let it cool down" in state.message
    assert entries(tmp_path / "lab.db", campaign.id, kinds.ACTION_DISPATCHED) == []
    assert entries(tmp_path / "lab.db", campaign.id, kinds.INTERLOCK_TRIPPED)[0]["interlock"] == "hot"


def test_a_trip_stops_the_station_and_the_campaign_goes_on_later(tmp_path: Path) -> None:
    """A trip during a step stops it, makes the station safe and pauses; without the cause, the campaign goes on."""
    path = silver_lab(tmp_path / "lab", trials=1, speed=400.0)
    edit(path, lambda data: data["problem"]["parameters"]["temperature"].update(low=80))
    with_interlock(path, "heater.temperature < 60 degC")
    campaign = Campaign.from_yaml(path, store=tmp_path / "lab.db")
    campaign.run()
    state = campaign.state
    assert state.status == "paused"
    assert "refused" in state.message  # the plan would have set the heater above the interlock

    with_interlock(path, "heater.output < 0.5 %")
    campaign = Campaign.from_yaml(path, store=tmp_path / "other.db")
    campaign.run()
    state = campaign.state
    assert state.status == "paused"
    assert state.message.startswith("interlock: hot: heater.output is")
    step = state.trials[1].steps[-1]
    assert (step.status, step.cause) == ("interrupted", "interlock")
    safe = entries(tmp_path / "other.db", campaign.id, kinds.STATION_SAFE)
    assert safe[0]["cause"] == "interlock"
    assert set(safe[0]["devices"].values()) == {"safe"}

    with_interlock(path, "heater.output <= 100 %")
    campaign = Campaign.from_yaml(path, store=tmp_path / "other.db")
    campaign.run()
    assert campaign.state.status == "ended", campaign.state.message


def test_a_silent_instrument_trips(tmp_path: Path) -> None:
    """An interlock that cannot be read is violated: noticed within 2 s and said in plain words."""
    path = silver_lab(tmp_path / "lab", trials=1, speed=20.0)
    with_interlock(path, "heater.temperature < 95 degC")
    campaign = Campaign.from_yaml(path, store=tmp_path / "lab.db")
    hung: list[float] = []
    noticed: list[float] = []

    def hang(control: str) -> None:
        time.sleep(1.0)
        with ControlClient(control) as client:
            hung.append(time.monotonic())
            client.inject("heater", "hang")
            while not noticed and time.monotonic() < hung[0] + 20:
                time.sleep(0.05)
            client.clear("heater")

    threads: list[threading.Thread] = []

    def on_event(entry: Any, state: CampaignState) -> None:
        if entry.kind == kinds.LAB_OPENED:
            threads.append(threading.Thread(target=hang, args=(entry.body["control"],)))
            threads[-1].start()
        if entry.kind == kinds.INTERLOCK_TRIPPED or "interlock" in state.message:
            noticed.append(time.monotonic())

    campaign.run(on_event=on_event)
    for thread in threads:
        thread.join()
    state = campaign.state
    assert state.status == "paused"
    assert "heater" in state.message
    trips = entries(tmp_path / "lab.db", campaign.id, kinds.INTERLOCK_TRIPPED)
    assert any("heater.temperature cannot be read" in trip["message"] for trip in trips)


def test_a_stop_mark_aborts_and_refuses(tmp_path: Path) -> None:
    """`sdl stop` leaves a mark: the campaign aborts to the safe state, and none begins before it is taken away."""
    path = silver_lab(tmp_path / "lab", trials=1, speed=500.0)
    campaign = Campaign.from_yaml(path, store=tmp_path / "lab.db")
    key = lab_key(path.parent / "lab.yaml")

    def on_event(entry: Any, state: CampaignState) -> None:
        if entry.kind == kinds.STEP_STARTED:
            mark(key, "ann@bench", "smoke")

    campaign.run(on_event=on_event)
    assert campaign.state.status == "aborted"
    assert "stopped by ann@bench" in campaign.state.message
    assert "smoke" in campaign.state.message
    campaign.run()
    assert campaign.state.status == "paused"
    assert "sdl stop --release" in campaign.state.message
    release(key)
    campaign.run(on_event=lambda entry, state: None, interrupted="redo")
    assert campaign.state.status == "ended", campaign.state.message
