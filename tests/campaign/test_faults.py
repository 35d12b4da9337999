"""Equipment that fails while `sdl run` runs: every fault of every kind of instrument, through the control channel."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, Process, check_record, descendants, silver_lab, wait_until

from sdl.simulators._control import ControlClient

_TRANSIENT = ("refuse", "hang", "cut", "garbage")
_TOLD = ("trial.observed", "trial.infeasible")


def _after(process: Process, seq: int, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The first event after an entry that fits; fails when the campaign ends before."""

    def found() -> dict[str, Any] | None:
        first = next((e for e in process.events if e["seq"] > seq and fits(e)), None)
        if first is None and process.status is not None:
            pytest.fail(f"ended with {process.status} before {what}\n{process.out[-3000:]}\n{process.err}")
        return first

    return dict(wait_until(found, 30, what, 0.01))


def _start(nursery: Nursery, campaign: Path) -> tuple[Process, dict[str, Any]]:
    process = nursery.start("run", campaign, "--json", "--store", "../sdl.db", cwd=campaign.parent)
    return process, process.wait_for("lab.opened")


def _finish(nursery: Nursery, campaign: Path) -> None:
    """Go on after the pause for one more trial: the campaign works again."""
    store = campaign.parent.parent / "sdl.db"
    with_one_more = str(check_record(store)["proposed"] + 1)
    argv = ("run", campaign, "--json", "--store", store, "--trials", with_one_more)
    process = nursery.run(*argv, cwd=campaign.parent, seconds=60)
    assert process.status == 0, process.out[-2000:] + process.err
    assert process.events[-2]["event"] == "campaign.ended"
    assert any(e["event"] in _TOLD for e in process.events)


def _is_clear(failed: dict[str, Any], device: str, address: str) -> None:
    """The message names the device and its address, in one line."""
    assert failed["cause"] == "fault"
    assert failed["device"] == device
    assert failed["message"].startswith(f"{device}: {address}: "), failed["message"]
    assert "\n" not in failed["message"]
    assert len(failed["message"]) < 400


_STUCK = {
    "silver_pump": "moved 0 uL instead of",
    "heater": "did not stay within 0.5 degC of",
    "spectrometer": "still measuring",
}


@pytest.mark.slow
@pytest.mark.parametrize("device", list(_STUCK))
def test_passing_faults(tmp_path: Path, nursery: Nursery, device: str) -> None:
    """Refused, unanswered, cut off, answered with garbage, stuck: each is told clearly, and the campaign goes on."""
    campaign = silver_lab(tmp_path / "lab", trials=400, faults=5)
    process, opened = _start(nursery, campaign)
    with ControlClient(opened["control"]) as control:
        seq = process.wait_for("step.done", step="react")["seq"]
        for fault in _TRANSIENT:
            control.inject(device, fault, count=1)
            seq = _met_and_tried_again(process, seq, device, fault, opened)
        control.inject(device, "stuck")
        safe = _met(process, seq, device, "stuck", opened, _STUCK[device])
        went_on = safe["devices"][device] == "safe"
        if went_on:  # otherwise the campaign pauses and takes the simulated instruments along
            control.clear(device)
    if went_on:
        _after(process, safe["seq"], lambda e: e["event"] in _TOLD, "a trial after it moves again")
        process.signal(signal.SIGTERM)
    else:
        paused = _after(process, safe["seq"], lambda e: e["event"] == "campaign.paused", "a pause")
        assert "not in a safe state" in paused["message"]
        assert "make it safe by hand" in paused["advice"]
    assert process.wait() == 3
    assert "Traceback" not in process.err
    _finish(nursery, campaign)


def _met(
    process: Process, seq: int, device: str, fault: str, opened: dict[str, Any], message: str = ""
) -> dict[str, Any]:
    """Wait for the step that meets the fault; it says so clearly. Returns the event of the station's safe state."""
    failed = _after(process, seq, lambda e: e["event"] == "step.failed", f"{fault} of {device}")
    _is_clear(failed, device, opened["addresses"][device])
    assert message in failed["message"]
    safe = _after(process, failed["seq"], lambda e: e["event"] == "station.safe", f"safe after {fault}")
    assert set(safe["devices"]) == set(opened["addresses"])
    assert {name for name, said in safe["devices"].items() if said != "safe"} <= {device}
    return safe


def _met_and_tried_again(process: Process, seq: int, device: str, fault: str, opened: dict[str, Any]) -> int:
    """The fault of one request leaves all devices safe, and the trial that met it is brought to its end."""
    safe = _met(process, seq, device, fault, opened)
    assert set(safe["devices"].values()) == {"safe"}
    failed = next(e for e in process.events if e["event"] == "step.failed" and e["seq"] > seq)
    again = _after(process, safe["seq"], lambda e: e["event"] == "step.started", f"a retry after {fault}")
    told = _after(process, safe["seq"], lambda e: e["event"] in _TOLD, f"a trial after {fault}")
    assert again["trial"] == told["trial"] == failed["trial"]
    return int(told["seq"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "fault"),
    [("silver_pump", "refuse"), ("heater", "cut"), ("spectrometer", "hang")],
)
def test_lasting_faults(tmp_path: Path, nursery: Nursery, device: str, fault: str) -> None:
    """A fault that lasts pauses the campaign with status 3 and says what to do; afterwards it goes on."""
    campaign = silver_lab(tmp_path / "lab", trials=400, faults=2)
    process, opened = _start(nursery, campaign)
    with ControlClient(opened["control"]) as control:
        process.wait_for("step.done", step="react")
        control.inject(device, fault)
        assert process.wait(30) == 3, process.err
    paused = next(e for e in process.events if e["event"] == "campaign.paused")
    failed = next(e for e in process.events if e["event"] == "step.failed")
    _is_clear(failed, device, opened["addresses"][device])
    unsafe = next(e for e in process.events if e["event"] == "station.safe")["devices"][device] != "safe"
    if unsafe:
        assert f"not in a safe state: {device}: " in paused["message"]
        assert "make it safe by hand" in paused["advice"]
    else:
        assert paused["message"] == "2 trials in a row failed through the equipment"
        assert "look at the equipment" in paused["advice"]
    assert "Traceback" not in process.err
    _finish(nursery, campaign)


@pytest.mark.slow
def test_simulation_dies(tmp_path: Path, nursery: Nursery) -> None:
    """When the process of the simulated instruments dies, the campaign pauses; run again, it starts them again."""
    campaign = silver_lab(tmp_path / "lab", trials=400, faults=2)
    process, opened = _start(nursery, campaign)
    process.wait_for("step.done", step="react")
    for pid in descendants(process.pid):
        if b"simulate" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    assert process.wait(30) == 3, process.err
    paused = next(e for e in process.events if e["event"] == "campaign.paused")
    assert any(address.removeprefix("tcp://") in json.dumps(paused) for address in opened["addresses"].values())
    assert "Traceback" not in process.err
    _finish(nursery, campaign)
