"""Interlocks and the emergency stop while a campaign runs on simulated instruments."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from support import Nursery, wait_until
from support.labs import edit, silver_lab, soft_lab

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
    path = silver_lab(tmp_path / "lab", trials=1, speed=100.0)
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


def test_a_dead_controller_leaves_a_safe_lab(tmp_path: Path, nursery: Nursery) -> None:
    """When the controller is killed, the instruments reach their safe states by themselves: nobody talks to them."""
    path = silver_lab(tmp_path / "lab", trials=1, speed=60.0)

    def lease(data: dict[str, Any]) -> None:
        data["simulation"]["options"]["deadman"] = "1.5 s"
        for name, device in data["devices"].items():
            device["options"].update({"watchdog": "3 s"} if name.endswith("pump") else {"heartbeat": "0.4 s"})

    edit(path.parent / "lab.yaml", lease)
    truth = tmp_path / "truth.jsonl"
    simulated = nursery.start("simulate", "lab.yaml", "--json", "--log", truth, cwd=path.parent)
    try:
        wait_until(lambda: simulated.events, 30, "the instruments are up")
        addresses = simulated.events[0]["addresses"]

        def place(data: dict[str, Any]) -> None:
            for name, address in addresses.items():
                data["devices"][name]["address"] = address

        edit(path.parent / "lab.yaml", place)
        run = nursery.start("run", path.name, "--store", tmp_path / "lab.db", cwd=path.parent)
        wait_until(lambda: ("heater", "write") in acts(truth), 30, "heating")
        time.sleep(2.5)  # longer than the lease: while it lives, its heartbeats keep the instruments going
        assert run.status is None
        assert not fallen(truth) & {"heater", "spectrometer"}  # a pump at rest is safe, and nobody talks to it
        run.kill()
        killed = time.time_ns()
        wait_until(lambda: {"heater", "spectrometer"} <= fallen(truth), 10, "heater and spectrometer fell safe")
        late = [a for a in log(truth) if a["action"] == "deadman" and a["wall"] - killed > 3e9]
        assert not late
    finally:
        simulated.kill()


def log(truth: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in truth.read_text().splitlines()] if truth.exists() else []


def acts(truth: Path) -> set[tuple[str, str]]:
    return {(a["instrument"], a["action"]) for a in log(truth)}


def fallen(truth: Path) -> set[str]:
    return {a["instrument"] for a in log(truth) if a["action"] == "deadman"}


def test_an_undeclared_action_is_refused_with_its_line(tmp_path: Path) -> None:
    """A plan that acts on what is no device of its step is refused before it runs, naming file and line."""
    path = soft_lab(tmp_path, trials=1)
    plans = (tmp_path / "plans.py").read_text()
    stray = "from sdl.devices.soft import SoftDetector\nSTRAY = SoftDetector(name='stray')\n\n\ndef read("
    plans = plans.replace("def read(", stray).replace(
        "    yield from inner()", "    yield from bps.abs_set(STRAY.value, 5.0)\n    yield from inner()"
    )
    (tmp_path / "plans.py").write_text(plans)
    line = 1 + plans.splitlines().index("    yield from bps.abs_set(STRAY.value, 5.0)")
    campaign = Campaign.from_yaml(path, store=tmp_path / "lab.db")
    campaign.run()
    assert campaign.state.status == "paused"
    assert f"plans.py:{line}" in campaign.state.message
    assert "undeclared action" in campaign.state.message
    assert entries(tmp_path / "lab.db", campaign.id, kinds.DOCUMENT) == []
