"""The ground-truth log of `sdl simulate`: what instruments did, in a file that outlives everybody."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, Process, edit, silver_lab, wait_until

from sdl.devices.modbus_heater import Register
from sdl.model import InputError
from sdl.simulators._faults import Probe
from sdl.simulators._truth import TruthLog

Dial = Callable[[str], Awaitable[Any]]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The lab file of the silver-flow example at 200 lab seconds a second."""
    return silver_lab(tmp_path / "lab", speed=200.0).parent / "lab.yaml"


def _serving(process: Process) -> dict[str, str]:
    """Addresses of the instruments, once they serve."""

    def line() -> str:
        assert process.status is None, process.err
        return process.out if process.out.endswith("\n") else ""

    return dict(json.loads(wait_until(line, 30, "addresses"))["addresses"])


def _entries(file: Path, instrument: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return [entry for entry in entries if entry["instrument"] == instrument]


async def test_the_log_survives_a_kill(lab: Path, tmp_path: Path, nursery: Nursery, dial: Dial) -> None:
    """Actions are in the file at the moment they are done; SIGKILL takes none; the next server goes on in it."""
    file = tmp_path / "truth.jsonl"
    begin = time.time_ns()
    for life in (1, 2):
        process = nursery.start("simulate", lab, "--json", "--log", file, cwd=tmp_path)
        addresses = _serving(process)
        pump, heater = await dial(addresses["silver_pump"]), await dial(addresses["heater"])
        for command in ("", "DIA14.43", "VOLUL", "RAT2000UM", "VOL10", "RUN"):
            await pump.pump(command)
        await heater.modbus(16, Register.TARGET, 400)
        before = _entries(file, "silver_pump")
        assert before[-1]["action"] in ("run", "target"), "an answer comes after its line"
        wait_until(lambda n=life: len(_entries(file, "silver_pump")) == 6 * n - n, 10, "the volume to be out")
        process.signal(signal.SIGKILL)
        process.wait()
    entries = _entries(file, "silver_pump")
    one_life = ["begin", "diameter", "rate", "run", "target"]
    assert [entry["action"] for entry in entries] == one_life * 2
    assert entries[0]["pid"] != entries[5]["pid"]
    assert [e["total"] for e in entries if e["action"] == "target"] == [{"INF": 10.0, "WDR": 0.0}] * 2
    assert [e["number"] for e in entries if e["action"] == "run"] == [1, 1]
    assert begin < entries[0]["wall"] <= entries[-1]["wall"] < time.time_ns()
    lab_seconds = entries[4]["at"] - entries[3]["at"]
    assert lab_seconds >= 10 / 2000 * 60
    wall_seconds = (entries[4]["wall"] - entries[3]["wall"]) / 1e9
    assert lab_seconds == pytest.approx(200 * wall_seconds, rel=0.2, abs=0.5)
    written = [(e["register"], e["value"]) for e in _entries(file, "heater") if e["action"] == "write"]
    assert written == [("target", 400)] * 2


def test_a_campaign_writes_it_too(lab: Path, tmp_path: Path, nursery: Nursery) -> None:
    """With SDL_SIMULATION_LOG in its environment, `sdl run` has its simulated instruments keep the log."""
    file = tmp_path / "truth.jsonl"
    campaign = lab.parent / "campaign.yaml"
    edit(campaign, lambda data: data.update(budget={"trials": 1}))
    edit(lab, lambda data: data["simulation"].update(speed=2000))
    process = nursery.run("run", campaign, cwd=tmp_path, seconds=60, env={"SDL_SIMULATION_LOG": str(file)})
    assert process.status == 0, process.err
    assert len([e for e in _entries(file, "spectrometer") if e["action"] == "init"]) >= 3
    runs = [e for e in _entries(file, "silver_pump") if e["action"] == "run"]
    assert [e["number"] for e in runs] == list(range(1, len(runs) + 1)) != []


def test_a_log_that_cannot_be_opened(lab: Path, tmp_path: Path, nursery: Nursery) -> None:
    """Status 2, one line with file and reason."""
    process = nursery.run("simulate", lab, "--log", tmp_path / "no" / "such", cwd=tmp_path)
    assert process.status == 2
    assert "cannot write the log" in process.err
    assert "No such file or directory" in process.err
    assert len(process.err.splitlines()) == 1


def test_a_simulator_without_a_log(lab: Path, tmp_path: Path, nursery: Nursery) -> None:
    """Somebody else's simulator that shows no probes is refused with --log, and served without."""
    folder = tmp_path / "plugin"
    info = folder / "quiet-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sdl.simulators]\nquiet = quiet:Quiet\n")
    body = """
    class Quiet:
        control = ""
        def __init__(self, instruments, *, seed, speed, **options): self.names = list(instruments)
        async def start(self): return {name: "tcp://127.0.0.1:9" for name in self.names}
        async def stop(self): pass
    """
    (folder / "quiet.py").write_text(body.replace("\n    ", "\n"))
    edit(lab, lambda data: data["simulation"].update(simulator="quiet", options={}))
    process = nursery.run("simulate", lab, "--log", "truth.jsonl", cwd=tmp_path, path=[folder])
    assert process.status == 2
    assert "the simulator 'quiet' keeps no log of its instruments; leave out --log" in process.err
    assert not (tmp_path / "truth.jsonl").exists()
    process = nursery.start("simulate", lab, "--json", cwd=tmp_path, path=[folder])
    assert set(_serving(process).values()) == {"tcp://127.0.0.1:9"}
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_torn_line_is_ended(tmp_path: Path) -> None:
    """A file that ends in half a line keeps it, and the next entry has a line of its own."""
    file = tmp_path / "truth.jsonl"
    file.write_text('{"at": 1}\n{"at": 2, "wa')
    log = TruthLog(file)
    probe = Probe("pump", lambda: 3.5)
    probe.keep(log)
    probe.record("run", number=1)
    log.close()
    log.close()
    lines = file.read_text().splitlines()
    assert lines[:2] == ['{"at": 1}', '{"at": 2, "wa']
    begin, run = map(json.loads, lines[2:])
    assert (begin["action"], begin["at"], begin["instrument"]) == ("begin", 3.5, "pump")
    assert (run["action"], run["number"], run["at"]) == ("run", 1, 3.5)
    assert probe.log == [run]


def test_a_full_disk_does_not_stop_the_instrument(capfd: pytest.CaptureFixture[str]) -> None:
    """Writing fails with ENOSPC: the action goes on, standard error says so once, and the lines are kept."""
    log = TruthLog("/dev/full")
    probe = Probe("pump")
    probe.keep(log)
    for _ in range(3):
        probe.record("run")
    assert len(probe.log) == 3
    assert log._pending.count(b"\n") == 4
    log.close()
    complaint = capfd.readouterr().err
    assert complaint.count("\n") == 1
    assert "'/dev/full': No space left on device" in complaint


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    """What cannot be appended to is refused with its name."""
    with pytest.raises(InputError, match=rf"cannot write the log '{tmp_path}': Is a directory"):
        TruthLog(tmp_path)


def test_bad_simulation_blocks_name_their_lines(lab: Path, tmp_path: Path, nursery: Nursery) -> None:
    """Every fault of the block with file, line and key; `sdl run` hands the same lines on."""

    def spoil(data: dict[str, Any]) -> None:
        data["simulation"]["instruments"]["heater"].update(high="5 mm", deadmann="3 s")
        data["simulation"]["options"].update(reactor_volum="3 uL", deadman="soon")

    edit(lab, spoil)
    lines = lab.read_text().splitlines()
    simulated = nursery.run("simulate", lab, cwd=tmp_path)
    assert simulated.status == 2
    for key, says in (
        ("high: 5 mm", "simulation.instruments.heater.high: cannot convert 5 mm to degC"),
        ("deadmann", "simulation.instruments.heater.deadmann: unknown key; did you mean 'deadman'?"),
        ("reactor_volum:", "simulation.options.reactor_volum: unknown key; did you mean 'reactor_volume'?"),
        ("deadman: soon", "simulation.options.deadman: 'soon' is not a finite number"),
    ):
        line = next(number for number, text in enumerate(lines, 1) if key in text)
        assert f"lab.yaml:{line}: {says}" in simulated.err
    assert len(simulated.err.splitlines()) == 4
    campaign = nursery.run("run", lab.parent / "campaign.yaml", cwd=tmp_path)
    said = " ".join((campaign.out + campaign.err).split())
    assert "the simulated instruments did not start" in said
    for line in simulated.err.splitlines():
        assert line.partition("lab.yaml:")[2] in said


def test_options_that_a_simulator_does_not_have(tmp_path: Path, nursery: Nursery) -> None:
    """Options that are missing or unknown are named in the file's own words, not as a call of a function."""
    lab = silver_lab(tmp_path / "lab").parent / "lab.yaml"

    def change(data: dict[str, Any]) -> None:
        data["simulation"].update(simulator="tabulated", options={"inputz": {}, "table": "t.csv", "outcomes": {}})

    edit(lab, change)
    process = nursery.run("simulate", lab, cwd=tmp_path)
    assert process.status == 2
    assert "simulation.options.inputz: unknown key; did you mean 'inputs'?" in process.err
    assert "simulation.options: tabulated needs the option 'inputs'" in process.err
    assert "__init__" not in process.err
