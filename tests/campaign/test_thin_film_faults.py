"""The thin-film lab with four samples in flight, on virtual time, while its instruments fail in every way there is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from sdl.campaign import Campaign
from sdl.campaign.labbook import LabBook, record
from sdl.journal import Entry, Store, kinds
from sdl.journal.samples import SampleStatus
from sdl.journal.state import CampaignState
from sdl.lab import opening
from sdl.lab.labfile import load_lab
from sdl.lab.simulation import build_simulation
from sdl.model import TrialStatus

EXAMPLE = Path(__file__).parents[2] / "examples" / "thin-film"
STATIONS = {
    "coater": "coating", "balance": "coating", "glovebox": "coating", "furnace_a": "furnace_a", "robot": "transport",
    "stage": "probing", "smu": "probing", "gauge": "probing",
}  # fmt: skip
OnEvent = Callable[[Entry, CampaignState], None]
ENDED = (TrialStatus.OBSERVED, TrialStatus.INFEASIBLE)
_TRIALS = 9
_SECOND = 4
_STOCK = {"substrate": 60.0, "ink": 20.0}


@dataclass
class Lab:
    """A lab whose simulation a test can reach, and campaigns in it."""

    folder: Path
    simulations: list[Any] = field(default_factory=list)
    struck: dict[str, int] = field(default_factory=dict)
    """Instrument → the trial whose step had just begun when the fault was put in."""

    @property
    def store(self) -> Path:
        return self.folder / "sdl.db"

    def run(self, name: str = "campaign", on_event: OnEvent | None = None) -> CampaignState:
        campaign = Campaign.from_yaml(self.folder / f"{name}.yaml", store=self.store)
        return campaign.run(virtual=True, on_event=on_event).state

    @property
    def steps(self) -> list[set[str]]:
        """Stations that may have each step of the procedure."""
        procedure = load_lab(self.folder / "lab.yaml").spec.procedures["film"]
        return [{step.station, *step.other_stations} for step in procedure.steps]

    def strike(self, kind: str, instruments: Sequence[str], **how: Any) -> OnEvent:
        """A listener that puts a fault into each instrument, as a step at its station begins with four in flight."""

        def on_event(entry: Entry, state: CampaignState) -> None:
            if entry.kind not in (kinds.STEP_STARTED, kinds.STEP_FAILED):
                return
            probes = {probe.name: probe for probe in self.simulations[-1].probes}
            if entry.kind == kinds.STEP_FAILED and kind == "stuck" and how:
                for name in self.struck:
                    probes[name].faults.clear()  # somebody has freed it
            in_flight = sum(trial.status.pending for trial in state.trials.values())
            if entry.kind == kinds.STEP_FAILED or in_flight < 4:
                return
            left = [n for n in instruments if n not in self.struck and STATIONS[n] == entry.body["station"]]
            if left[:1] in (["smu"], ["gauge"]) and entry.body["step"] == "eject":
                return  # which uses the stage alone
            if left and entry.body["attempt"] == 1:
                self.struck[left[0]] = entry.body["trial"]
                probes[left[0]].faults.inject(kind, **{} if kind == "stuck" else how)

        return on_event

    def check_ledgers(self) -> None:
        """Stock and samples on record are those of the twins of all simulations, one after another."""
        spec = load_lab(self.folder / "lab.yaml").spec
        with Store.open(self.store) as store:
            inventory = LabBook(store, spec.name).refresh().inventory(spec.stock)
        used = {item: sum(lot.used for lot in inventory.of(item)) for item in _STOCK}
        logs = [line for simulation in self.simulations for probe in simulation.probes for line in probe.log]
        loaded = sum((line["instrument"], line["action"]) == ("coater", "load") for line in logs)
        dispensed = [line["volume"] for line in logs if line["action"] == "dispense"]
        assert used["substrate"] == loaded
        assert used["ink"] == pytest.approx(sum(dispensed) / 1000, abs=1e-5 * max(1, len(dispensed)))
        said = Counter(s.at.place for s in inventory.samples.values() if s.sample.status is SampleStatus.ARCHIVED)
        assert said["tray"] == sum(line["action"] == "eject" for line in logs)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The example with its stock on the shelf, and short anneals."""
    found = Lab(tmp_path)

    def build(*args: Any) -> Any:
        found.simulations.append(build_simulation(*args))
        return found.simulations[-1]

    monkeypatch.setattr(opening, "build_simulation", build)
    yaml = YAML(typ="safe", pure=True)
    (tmp_path / "procedure.py").write_text((EXAMPLE / "procedure.py").read_text())
    (tmp_path / "lab.yaml").write_text((EXAMPLE / "lab.yaml").read_text())
    campaign = yaml.load((EXAMPLE / "campaign.yaml").read_text())
    del campaign["stop"]
    campaign |= {"planner": "random", "budget": {"trials": _TRIALS}}
    campaign["problem"]["parameters"]["anneal_time"] |= {"low": 2, "high": 8}
    for name in ("campaign", "second"):
        with (tmp_path / f"{name}.yaml").open("w") as file:
            budget = {"trials": _TRIALS if name == "campaign" else _SECOND}
            yaml.dump({**campaign, "name": name, "budget": budget}, file)
    with Store.open(found.store) as store:
        for item, amount in _STOCK.items():
            unit = {"substrate": "1", "ink": "mL"}[item]
            body = {"item": item, "lot": "A", "amount": amount, "unit": unit, "expires": "", "by": "", "note": ""}
            record(store, "thin-film", kinds.STOCK_RECEIVED, body)
    return found


INSTRUMENTS = tuple(STATIONS)
LASTING = INSTRUMENTS if os.environ.get("SDL_CHAOS") == "full" else ("coater", "furnace_a", "robot", "smu")
"""Instruments that fail for good, one at a time."""
MOVING = ("coater", "robot")
"""Instruments that can be stuck: nothing moves, though all is acknowledged."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["refuse", "hang", "cut", "garbage", "lose", "stuck"])
def test_a_fault_that_passes_costs_no_other_sample(lab: Lab, kind: str) -> None:
    """A fault of each kind once on each instrument, with four samples in flight: every trial comes to its end.

    Steps that failed were done again, no doubt was left to a person, and the ledgers are the instruments' own.
    """
    instruments = MOVING if kind == "stuck" else INSTRUMENTS
    state = lab.run(on_event=lab.strike(kind, instruments, count=1, after=1))
    failed = {t.number: [s.message for s in t.steps if s.status != "done"] for t in state.trials.values()}
    assert set(lab.struck) == set(instruments)
    assert state.status == "ended", state.message
    assert {number for number, trial in state.trials.items() if trial.status not in ENDED} == set()
    assert sum(map(len, failed.values())) >= len(instruments) // 2, "a fault has no consequence"
    assert {number for number, steps in failed.items() if steps} <= set(lab.struck.values())
    assert not list(state.doubts())
    lab.check_ledgers()


@pytest.mark.slow
@pytest.mark.parametrize("instrument", LASTING)
def test_a_fault_that_lasts_spoils_no_other_sample(lab: Lab, instrument: str) -> None:
    """An instrument that answers no more: the other samples go on as far as they can without it, then it pauses.

    No sample is given up, those that need nothing of its station come to their ends, and the ledgers are true.
    """
    state = lab.run(on_event=lab.strike("hang", [instrument]))
    assert set(lab.struck) == {instrument}
    assert state.status == "paused"
    hit = lab.struck[instrument]
    for number, trial in state.trials.items():
        assert trial.status in ENDED or trial.status.pending, f"trial {number} is lost: {trial.message}"
        assert number == hit or all(step.status == "done" for step in trial.steps)
        if number != hit and trial.status.pending:
            to_come = lab.steps[len(trial.steps) :]
            assert any(stations == {STATIONS[instrument]} for stations in to_come), f"trial {number} could go on"
    assert not list(state.doubts())
    lab.check_ledgers()


@pytest.mark.slow
def test_two_campaigns_share_stock_and_slots(lab: Lab) -> None:
    """A second campaign in the same store goes on with the stock and the tray as the first has left them."""
    one, two = lab.run(), lab.run("second")
    assert (one.status, two.status) == ("ended", "ended")
    lab.check_ledgers()
    slots = [sample.slot for state in (one, two) for sample in state.samples.values()]
    assert sorted(slots) == list(range(1, _TRIALS + _SECOND + 1))
