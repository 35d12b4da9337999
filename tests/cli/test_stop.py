"""`sdl stop` with real processes: whatever has become of the coordinator, the instruments get the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Nursery, Process, descendants, edit, silver_lab, soft_lab, wait_until

from sdl.lab.stopcards import lab_key, mark, marked, read_cards

PUMPS = ("silver_pump", "reductant_pump", "stabiliser_pump", "seed_pump")
DEVICES = (*PUMPS, "heater", "spectrometer")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A state folder of the test's own, for this process and those it starts."""
    monkeypatch.setenv("SDL_STATE_DIR", str(tmp_path / "state"))
    return {"SDL_STATE_DIR": str(tmp_path / "state")}


class Bench:
    """The silver-flow lab at the pace of the wall's clock, its instruments in a process that outlives all others."""

    def __init__(self, folder: Path, nursery: Nursery, env: dict[str, str]) -> None:
        self.campaign = silver_lab(folder / "lab", speed=1.0)
        self.lab, self.log = folder / "lab" / "lab.yaml", folder / "instruments.jsonl"
        self._nursery, self._env, self._folder = nursery, env, folder
        self.instruments = nursery.start("simulate", self.lab, "--json", "--log", self.log, cwd=folder)
        line = wait_until(lambda: "\n" in self.instruments.out and self.instruments.out, 60, "the instruments")
        self.addresses: dict[str, str] = json.loads(line)["addresses"]

        def connect(lab: dict[str, Any]) -> None:
            del lab["simulation"]
            for name, address in self.addresses.items():
                lab["devices"][name]["address"] = address
            procedure = lab["procedures"]["synthesis"]
            react = procedure["steps"].pop()
            react.pop("redo_from")
            procedure["steps"] = [react]

        edit(self.lab, connect)
        # Without the step that heats, the pumps run from the first moment on.
        edit(self.campaign, lambda campaign: campaign["problem"]["parameters"].pop("temperature"))

    def actions(self, name: str) -> list[dict[str, Any]]:
        """What an instrument did."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["instrument"] == name]

    def run_until_pumping(self) -> Process:
        """A campaign whose pumps run."""
        process = self._nursery.start("run", self.campaign, "--json", cwd=self._folder, env=self._env)

        def pumping() -> bool:
            assert process.status is None, f"{process.out}\n{process.err}"
            return all("run" in [a["action"] for a in self.actions(pump)] for pump in PUMPS)

        wait_until(pumping, 60, "running pumps", 0.02)
        return process

    def all_safe(self) -> bool:
        """Whether each instrument's last command was that of its safe state."""
        standing = [self.actions(pump)[-1] for pump in PUMPS]
        heater = {entry["register"]: entry["value"] for entry in self.actions("heater") if entry["action"] == "write"}
        off = (heater.get("manual"), heater.get("output"), heater.get("target")) == (1, 0, 200)
        return off and all((entry["action"], entry.get("state")) == ("stop", "S") for entry in standing)


@pytest.fixture
def bench(tmp_path: Path, nursery: Nursery, state: dict[str, str]) -> Iterator[Bench]:
    bench = Bench(tmp_path, nursery, state)
    yield bench
    bench.instruments.kill()


def devices_of(process: Process) -> dict[str, dict[str, Any]]:
    return {event["device"]: event for event in process.events if event["event"] == "device"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["hanging", "dead"])
def test_the_coordinator_hangs_or_is_dead(
    bench: Bench, nursery: Nursery, tmp_path: Path, state: dict[str, str], number: signal.Signals
) -> None:
    """Pumps stand still and the heating is off though the campaign hangs or is dead; the lab is marked and kept."""
    campaign = bench.run_until_pumping()
    campaign.signal(number)
    stop = nursery.run("stop", "--json", "--note", "leak at pump 2", cwd=tmp_path, env=state)
    assert stop.status == 0, f"{stop.out}\n{stop.err}"
    assert {name: event["state"] for name, event in devices_of(stop).items()} == dict.fromkeys(DEVICES, "safe")
    assert bench.all_safe()
    found = marked(lab_key(bench.lab))
    assert found is not None
    assert (found.lab, found.file, found.note) == ("silver-flow", str(bench.lab), "leak at pump 2")
    again = nursery.run("stop", cwd=tmp_path, env=state)
    assert again.status == 0, again.out
    assert again.out.count(" safe ") == len(DEVICES)
    campaign.kill()


@pytest.mark.slow
def test_instruments_that_are_gone(bench: Bench, nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """Instruments that cannot be reached are named one by one, with what to do; the status asks for a person."""
    campaign = bench.run_until_pumping()
    campaign.signal(signal.SIGSTOP)
    bench.instruments.kill()
    stop = nursery.run("stop", cwd=tmp_path, env=state)
    campaign.kill()
    assert stop.status == 3
    for name in DEVICES:
        (line,) = [line for line in stop.out.splitlines() if line.split()[:1] == [name]]
        assert "NOT CONFIRMED" in line
        assert bench.addresses[name] in line
        assert "(Connection refused); go there and make it safe by hand" in line
    assert marked(lab_key(bench.lab)) is not None


@pytest.mark.slow
def test_a_lab_without_a_card(bench: Bench, nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A lab file is enough: its drivers say what stops the instruments, though nobody has the lab open."""
    stop = nursery.run("stop", bench.lab, "--json", cwd=tmp_path, env=state)
    assert stop.status == 0, f"{stop.out}\n{stop.err}"
    assert {name: event["state"] for name, event in devices_of(stop).items()} == dict.fromkeys(DEVICES, "safe")
    assert [entry["value"] for entry in bench.actions("heater") if entry.get("register") == "manual"] == [1]
    assert marked(lab_key(bench.lab)) is not None
    assert read_cards() == []


_VALVE = """

class Valve:
    def __init__(self, name):
        self.name = name

    async def safe_state(self):
        import pathlib
        pathlib.Path(__file__).with_name("valve.txt").write_text("closed")
"""


def soft_bench(folder: Path, driver: str = _VALVE) -> Path:
    """A soft lab with a device whose safe state only its driver knows; its trials take minutes."""
    campaign = soft_lab(folder, seconds=300)
    plans = folder / "plans.py"
    plans.write_text(plans.read_text() + driver)

    def add(lab: dict[str, Any]) -> None:
        lab["devices"]["valve"] = {"driver": "plans.py:Valve"}
        lab["stations"]["bench"]["devices"].append("valve")

    edit(folder / "lab.yaml", add)
    return campaign


def test_devices_that_only_their_drivers_can_stop(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A device without stop exchanges is made safe through its driver, by the stopping process itself."""
    campaign = nursery.start("run", soft_bench(tmp_path / "lab"), "--json", cwd=tmp_path, env=state)
    campaign.wait_for("step.started")
    campaign.signal(signal.SIGSTOP)
    stop = nursery.run("stop", "soft", cwd=tmp_path, env=state)
    campaign.kill()
    assert stop.status == 0, f"{stop.out}\n{stop.err}"
    assert (tmp_path / "lab" / "valve.txt").read_text() == "closed"
    said = {line.split()[0]: line for line in stop.out.splitlines()}
    assert said["valve"].split()[1] == "safe"
    assert said["detector"].endswith("nothing to stop")


def test_a_stopped_lab_runs_nothing(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A campaign under way ends when its lab is stopped; none begins until the release, and then it goes on."""
    file = soft_lab(tmp_path / "lab", seconds=0.1, points=20, trials=2)
    campaign = nursery.start("run", file, "--json", cwd=tmp_path, env=state)
    campaign.wait_for("step.started")
    assert nursery.run("stop", "--note", "smoke", cwd=tmp_path, env=state).status == 0
    assert campaign.wait(30) in (3, 4)
    refused = nursery.run("run", file, cwd=tmp_path, env=state)
    assert refused.status in (2, 3)
    said = " ".join((refused.out + refused.err).split())
    assert "lab soft was stopped by" in said
    assert "(smoke)" in said
    assert "sdl stop --release" in said
    assert nursery.run("stop", "--release", cwd=tmp_path, env=state).status == 0
    assert nursery.run("run", file, cwd=tmp_path, env=state, seconds=60).status == 0


def test_nobody_reads_what_it_says(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A pipe that nobody reads, or no standard output at all, does not keep a device from being stopped."""
    campaign = nursery.start("run", soft_bench(tmp_path / "lab"), "--json", cwd=tmp_path, env=state)
    campaign.wait_for("step.started")
    campaign.signal(signal.SIGSTOP)
    closed = tmp_path / "lab" / "valve.txt"
    for line in ("(sleep 0.2; $SDL stop; echo $? >status) | true", "$SDL stop >&-; echo $? >status"):
        env = {**os.environ, "SDL": f"{sys.executable} -m sdl"}
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert (tmp_path / "status").read_text() == "0\n"
        assert closed.read_text() == "closed"
        closed.unlink()
    campaign.kill()


def test_a_driver_that_fails(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A driver that cannot make its device safe is told with its reason; the status asks for a person."""
    broken = _VALVE.replace('write_text("closed")', 'with_suffix(".none").read_text()')
    campaign = nursery.start("run", soft_bench(tmp_path / "lab", broken), "--json", cwd=tmp_path, env=state)
    campaign.wait_for("step.started")
    campaign.signal(signal.SIGSTOP)
    stop = nursery.run("stop", tmp_path / "lab" / "lab.yaml", cwd=tmp_path, env=state)
    campaign.kill()
    assert stop.status == 3
    assert "valve" in stop.out
    assert "NOT CONFIRMED: [Errno 2] No such file or directory" in stop.out


@pytest.mark.slow
def test_simulated_instruments_end_with_their_campaign(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """The card of a killed campaign with simulated instruments is of no use: that is said, and the card goes."""
    campaign = nursery.start("run", silver_lab(tmp_path / "lab", speed=1.0), "--json", cwd=tmp_path, env=state)
    campaign.wait_for("lab.opened", 60)
    children = descendants(campaign.pid)
    campaign.kill()
    (card,) = read_cards()
    assert not card.alive
    stop = nursery.run("stop", cwd=tmp_path, env=state)
    assert stop.status == 0, stop.out
    assert stop.out.count("simulated; it ended with the process that ran the lab") == len(DEVICES)
    assert read_cards() == []
    assert marked(card.key) is None
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 10, "the simulation's end", 0.05)


def test_nothing_to_stop(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """Without a card nothing was stopped, and that is what is said, with the folder and what to do; the same for a
    name that no open lab has."""
    for arguments in ((), ("--json",), ("atlantis",), ("atlantis.yaml",)):
        stop = nursery.run("stop", *arguments, cwd=tmp_path, env=state)
        assert stop.status == 2
        assert "NOTHING WAS STOPPED" in stop.err
        assert str(tmp_path / "state") in stop.err
        assert "sdl stop LAB.yaml" in stop.err
        assert stop.out == ""
    assert not (tmp_path / "state").exists()


def test_a_damaged_card(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """A card that cannot be read is told, and the status asks for a person."""
    cards = tmp_path / "state" / "stop"
    cards.mkdir(parents=True)
    (cards / "lab-0123.7-1.card").write_text('{"version": 1')
    stop = nursery.run("stop", cwd=tmp_path, env=state)
    assert stop.status == 3
    assert "NOT DONE: the stop card" in stop.out
    assert "lab-0123.7-1.card" in stop.out


def test_release(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """Releasing tells what the mark said and takes it away; with several one has to be named."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").touch()
        mark(lab_key(tmp_path / f"{name}.yaml"), "ada@bench", "smoke", lab=name, file=str(tmp_path / f"{name}.yaml"))
    several = nursery.run("stop", "--release", cwd=tmp_path, env=state)
    assert several.status == 2
    assert "one.yaml" in several.err
    assert "two.yaml" in several.err
    first = nursery.run("stop", "--release", "one", cwd=tmp_path, env=state)
    assert first.status == 0
    assert "lab one was stopped by ada@bench on 20" in first.out
    assert "smoke" in first.out
    assert marked(lab_key(tmp_path / "one.yaml")) is None
    second = nursery.run("stop", "two.yaml", "--release", "--json", cwd=tmp_path, env=state)
    assert second.status == 0
    assert [(event["event"], event["by"]) for event in second.events] == [("released", "ada@bench")]
    assert marked(lab_key(tmp_path / "two.yaml")) is None
    assert nursery.run("stop", "--release", cwd=tmp_path, env=state).status == 0
    unknown = nursery.run("stop", "--release", "three", cwd=tmp_path, env=state)
    assert unknown.status == 2
    assert "three is not marked as stopped" in unknown.err


def test_the_state_folder_cannot_be_written(nursery: Nursery, tmp_path: Path, state: dict[str, str]) -> None:
    """When no mark can be made the instruments are stopped all the same, and the missing mark asks for a person."""
    campaign = nursery.start("run", soft_bench(tmp_path / "lab"), "--json", cwd=tmp_path, env=state)
    campaign.wait_for("step.started")
    campaign.signal(signal.SIGSTOP)
    (card,) = read_cards()
    in_the_way = Path(card.path).parent / f"{card.key}.stopped"
    in_the_way.mkdir()
    stop = nursery.run("stop", cwd=tmp_path, env=state)
    campaign.kill()
    assert stop.status == 3
    assert (tmp_path / "lab" / "valve.txt").exists()
    assert "NOT DONE: the mark that keeps `sdl run` from lab soft cannot be written" in stop.out


def test_as_a_command_of_its_own(tmp_path: Path) -> None:
    """The installed command works without anything else running: `sdl stop`, and its help; `sdl --help` lists it."""
    sdl = Path(sys.executable).with_name("sdl")

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sdl, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert said("stop").returncode == 2
    assert "sdl stop LAB.yaml" in said("stop").stderr
    assert "--release" in said("stop", "--help").stdout
    assert said("stop", "--what").returncode == 2
    listed = said("--help").stdout
    assert "stop" in [line.split()[0] for line in listed.splitlines() if line.strip()]


def test_the_slow_door_leads_to_the_same_room(tmp_path: Path) -> None:
    """The command that `sdl --help` lists takes the same arguments and does the same."""
    code = (
        "import sys; from sdl.cli._app import app; from sdl.cli._errors import guarded\n"
        "sys.argv = ['sdl', *sys.argv[1:]]; sys.exit(guarded(app))"
    )
    arguments = ["stop", "atlantis", "--note", "x", "--json"]
    slow, quick = (
        subprocess.run([*start, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        for start in ([sys.executable, "-c", code], [sys.executable, "-m", "sdl"])
    )
    assert (slow.returncode, slow.stdout, slow.stderr) == (quick.returncode, quick.stdout, quick.stderr)
    assert quick.returncode == 2
    assert os.environ["SDL_STATE_DIR"] in quick.stderr
