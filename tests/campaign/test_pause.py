"""Ctrl-C, SIGTERM and a second runner."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import (
    Nursery,
    PlannerPlugin,
    Process,
    check_record,
    descendants,
    edit,
    entries_of,
    journal_length,
    silver_lab,
    soft_lab,
    wait_until,
)

from sdl.simulators._control import ControlClient

_NEVER = """
version = "1"

def propose(self, problem, trials, n, seed):
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_pause(tmp_path: Path, nursery: Nursery, number: signal.Signals) -> None:
    """One Ctrl-C, SIGTERM or SIGHUP finishes the step and pauses with advice; the same command goes on from there."""
    campaign = soft_lab(tmp_path, seconds=1.0, trials=3)
    process = nursery.start("run", campaign, "--json", cwd=tmp_path)
    process.wait_for("step.started", trial=2, step="read")
    process.signal(number)
    assert process.wait() == 3, process.err
    events = process.events
    assert [e["event"] for e in events[-5:]] == [
        "step.started",
        "step.done",
        "station.safe",
        "campaign.paused",
        "session.closed",
    ]
    assert "run the same command again" in events[-2]["advice"]
    assert "once more aborts" in process.err
    edit(tmp_path / "lab.yaml", lambda lab: lab["procedures"]["measure"]["steps"][0].update({"with": {}}))
    again = nursery.run("run", campaign, "--json", cwd=tmp_path)
    assert again.status == 0, again.err
    steps = [(e["trial"], e["step"]) for e in again.events if e["event"] == "step.started"]
    assert steps[:2] == [(2, "read"), (2, "read_again")], "read_again says redo_from read"
    assert check_record(tmp_path / "sdl.db") == {"trial.observed": 3, "proposed": 3, "interrupted": 0}


def test_pause_advice_for_people(tmp_path: Path, nursery: Nursery) -> None:
    """Without --json the pause and what to do are said in words, with --quiet on standard error only."""
    campaign = soft_lab(tmp_path, seconds=0.3, trials=100)
    for flags, stream in (((), "out"), (("--quiet",), "err")):
        process = nursery.start("run", campaign, *flags, cwd=tmp_path)
        _wait_for_step(process, tmp_path / "sdl.db")
        process.signal(signal.SIGINT)
        assert process.wait() == 3
        text = getattr(process, stream)
        assert "paused: Ctrl-C" in text
        assert "what to do: run the same command again to go on" in text
        if flags:
            assert process.out == ""


def _wait_for_step(process: Process, store: Path) -> None:
    before = journal_length(store)
    wait_until(
        lambda: journal_length(store) > before and any(e.kind == "step.started" for e in entries_of(store)[before:]),
        20,
        f"a step\n{process.err}",
        0.02,
    )


def test_abort_in_a_long_step(tmp_path: Path, nursery: Nursery) -> None:
    """Two Ctrl-C in a step of an hour abort within two seconds; exit status 4, and the step is done again later."""
    campaign = soft_lab(tmp_path, seconds=3600, trials=1)
    process = nursery.start("run", campaign, "--json", cwd=tmp_path)
    process.wait_for("step.started")
    process.signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.status is None
    began = time.monotonic()
    process.signal(signal.SIGINT)
    assert process.wait() == 4, process.err
    assert time.monotonic() - began < 2
    kinds = [e["event"] for e in process.events]
    assert kinds[-4:] == ["step.failed", "station.safe", "campaign.aborted", "session.closed"]
    assert next(e for e in process.events if e["event"] == "step.failed")["cause"] == "aborted"
    edit(tmp_path / "lab.yaml", lambda lab: lab["procedures"]["measure"]["steps"][0].update({"with": {}}))
    again = nursery.run("run", campaign, "--json", cwd=tmp_path)
    assert again.status == 0, again.err
    assert check_record(tmp_path / "sdl.db")["trial.observed"] == 1


def test_two_signals_at_once(tmp_path: Path, nursery: Nursery) -> None:
    """Two Ctrl-C without a moment between them, at any point of a fast campaign, end it in good order."""
    campaign = soft_lab(tmp_path, trials=400)
    for after in (0.0, 0.004, 0.011, 0.017, 0.023):
        process = nursery.start("run", campaign, "--json", cwd=tmp_path)
        process.wait_for("lab.opened")
        time.sleep(after)
        process.signal(signal.SIGINT)
        process.signal(signal.SIGTERM)
        assert process.wait(15) == 4, process.err
        assert [e["event"] for e in process.events[-3:]] == [
            "station.safe",
            "campaign.aborted",
            "session.closed",
        ]
        assert "Traceback" not in process.err


def test_abort_while_heating(tmp_path: Path, nursery: Nursery) -> None:
    """Two Ctrl-C while the reactor heats: every device confirms its safe state, and the controller recorded its own."""
    campaign = silver_lab(tmp_path / "lab", speed=20)
    edit(campaign, lambda data: data["problem"]["parameters"]["temperature"].update(low=84))
    process = nursery.start("run", campaign, "--json", cwd=tmp_path)
    opened = process.wait_for("lab.opened")
    process.wait_for("step.started", step="condition")
    time.sleep(0.5)
    with ControlClient(opened["control"]) as control:
        assert control.log("heater")
        process.signal(signal.SIGINT)
        time.sleep(0.2)  # two at once are one to the kernel
        process.signal(signal.SIGINT)
        log = _last_log(control, "heater", process)
    assert process.wait(15) == 4
    safe = process.wait_for("station.safe")
    assert set(safe["devices"].values()) == {"safe"}
    assert set(safe["devices"]) == set(opened["addresses"])
    events = {e["event"]: e for e in process.events}
    assert (events["campaign.aborted"]["at"] - events["step.failed"]["at"]) / 1e9 < 2
    registers = {entry["register"]: entry["value"] for entry in log if entry["action"] == "write"}
    assert (registers["manual"], registers["output"]) == (1, 0), "in manual mode with no output: not heating"


def _last_log(control: ControlClient, instrument: str, process: Process) -> list[dict[str, Any]]:
    """What an instrument did, read again and again until it is stopped with the campaign."""
    log: list[dict[str, Any]] = []
    while process.status is None:
        try:
            log = control.log(instrument)
        except (OSError, ValueError):
            break
    return log


@pytest.mark.parametrize(("signals", "status"), [(1, 3), (2, 4)])
def test_stop_while_connecting(tmp_path: Path, nursery: Nursery, signals: int, status: int) -> None:
    """Ctrl-C while simulated instruments start pauses, twice aborts; no trial begins and nothing is left running."""
    campaign = silver_lab(tmp_path / "lab")
    process = nursery.start("run", campaign, "--json", cwd=tmp_path)
    process.wait_for("session.opened")
    for _ in range(signals):
        time.sleep(0.3)
        process.signal(signal.SIGINT)
    children = descendants(process.pid)
    assert process.wait(30) == status, process.err
    assert not any(e["event"] == "step.started" for e in process.events)
    assert process.events[-1]["event"] == "session.closed"
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_pause_while_the_planner_computes(tmp_path: Path, nursery: Nursery) -> None:
    """Ctrl-C pauses at once while a planner computes for minutes; its process ends with the campaign."""
    plugin = PlannerPlugin(tmp_path / "site", "never", _NEVER)
    campaign = soft_lab(tmp_path)
    process = nursery.start("run", campaign, "--json", "--set", "planner=never", cwd=tmp_path, path=[plugin.path])
    process.wait_for("lab.opened")
    time.sleep(0.3)
    began = time.monotonic()
    process.signal(signal.SIGINT)
    assert process.wait(10) == 3, process.err
    assert time.monotonic() - began < 5
    assert process.events[-2]["event"] == "campaign.paused"


def test_second_runner_is_refused(tmp_path: Path, nursery: Nursery) -> None:
    """A second `sdl run` on a campaign that runs is refused with status 2 and names the holder; the first goes on."""
    campaign = soft_lab(tmp_path, seconds=0.5, trials=2)
    first = nursery.start("run", campaign, "--json", cwd=tmp_path)
    first.wait_for("step.started")
    second = nursery.run("run", campaign, "--json", cwd=tmp_path)
    assert second.status == 2
    assert re.search(rf"\S+:{first.pid}\b", second.err), second.err
    assert len(second.err.splitlines()) == 1
    assert second.out == ""
    assert first.wait() == 0
    assert check_record(tmp_path / "sdl.db")["trial.observed"] == 2


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (None, 3, {"proposed": 1}),
        ("redo", 0, {"proposed": 1, "trial.observed": 1}),
        ("discard", 0, {"proposed": 1, "trial.failed": 1}),
    ],
)
def test_ask_after_a_kill(
    tmp_path: Path, nursery: Nursery, answer: str | None, status: int, expected: dict[str, int]
) -> None:
    """A step that says `ask` waits for a person's word after a kill, and the pause says which words there are."""
    campaign = soft_lab(tmp_path, on_interrupt="ask", seconds=0.5, trials=1)
    process = nursery.start("run", campaign, "--json", cwd=tmp_path)
    process.wait_for("step.started")
    time.sleep(0.2)
    process.kill()
    flags = ("--interrupted", answer) if answer else ()
    again = nursery.run("run", campaign, "--json", *flags, cwd=tmp_path)
    assert again.status == status, again.err
    found = check_record(tmp_path / "sdl.db")
    assert found == {**expected, "interrupted": 1}
    if answer is None:
        paused = next(e for e in again.events if e["event"] == "campaign.paused")
        assert "trial 1 was interrupted in step 'read'" in paused["message"]
        assert "--interrupted redo" in paused["advice"]


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal a status line shows trials, best so far, rate and time left; each trial has its line."""
    campaign = soft_lab(tmp_path, seconds=0.15, trials=5)
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "sdl", "run", str(campaign)]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "180", "LINES": "40"}
    process = subprocess.Popen(command, cwd=tmp_path, stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    text = _read_all(parent, process)
    assert process.wait(5) == 0, text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert re.search(r"[ ★] +5 +0\.\d+ ± 0\.010 .*0\.\d+.* 0\.\d+", plain), plain[-2000:]
    best = r"best z 0\.\d+ ± 0\.010 \(trial \d\)"
    status = rf"5 trials · trial \d: read.* · {best} · [\d.]+ trials/min · 0:\d\d · at most 0:\d\d left"
    assert re.search(status, plain), plain[-3000:]
    assert "campaign soft ended: the budget of 5 trials is used up" in plain
    assert text.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in text[-400:], "the cursor is shown again"


def _read_all(parent: int, process: subprocess.Popen[bytes]) -> str:
    chunks = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([parent], [], [], 0.2)[0]:
            try:
                chunk = os.read(parent, 65536)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        elif process.poll() is not None:
            break
    os.close(parent)
    return b"".join(chunks).decode(errors="replace")
