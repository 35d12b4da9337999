"""What follows a fault or a doubt: other tries, another station, a pause; and who waits for whom meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import one_parameter

from sdl.campaign import Campaign, load_campaign
from sdl.campaign.doubts import resolve
from sdl.journal import Store, kinds
from sdl.journal.actions import ActionStatus
from sdl.journal.state import CampaignState
from sdl.model import InputError, TrialStatus

DRIVERS = '''
import os
from pathlib import Path
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw
from sdl.model import Fault
from sdl.protocols import Acts, Effect, Receipt, Verdict

HERE = Path(__file__).parent


class Dropper(StandardReadable):
    """Adds a line to drops.log each time it is set; `broken-NAME` and `lost-NAME` in its folder make it fail."""

    effects = {"set": Effect.NON_REPEATABLE}

    def __init__(self, name="", knows=False):
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.level = soft_signal_rw(float, 0.0, units="mm")
        self._knows = knows
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def set(self, value):
        if self._file("broken").exists():
            raise Clean(self.name, "no power")
        with open(HERE / "drops.log", "a") as log:
            log.write(f"{self.name} {value:g}\\n")
        if self._file("lost").exists():
            raise Fault(self.name, "the answer was lost")

    def _file(self, what):
        return HERE / f"{what}-{self.name}"


class Clean(Fault):
    clean = True
'''
PLANS = """
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome

def drop(dropper, x):
    @bpp.run_decorator()
    def inner():
        yield from bps.mv(dropper, round(x, 3))
        yield from bps.trigger_and_read([dropper])
    return inner()

def look(detector):
    return bpp.run_wrapper(bps.trigger_and_read([detector]))

def analyse(runs):
    return {"z": Outcome(value=runs[0].start["parameters"]["x"])}
"""
LAB = """\
name: drops
devices:
  detector: {driver: soft_detector}
  dropper: {driver: "drivers.py:Dropper", address: "tcp://127.0.0.1:9"}
  second: {driver: "drivers.py:Dropper", address: "tcp://127.0.0.1:9"}
stations: {table: {devices: [detector]}, left: {devices: [dropper]}, right: {devices: [second]}}
procedures:
  measure:
    steps:
      - {name: look, station: table, plan: "plans.py:look", on_interrupt: redo}
      - {name: drop, station: left, plan: "plans.py:drop", on_interrupt: redo POLICY}
    analysis: {name: "plans.py:analyse"}
"""


def write(folder: Path, policy: str = "", trials: int = 2, flight: int = 1) -> Path:
    (folder / "drivers.py").write_text(DRIVERS)
    (folder / "plans.py").write_text(PLANS)
    (folder / "lab.yaml").write_text(LAB.replace("POLICY", policy))
    (folder / "campaign.yaml").write_text(one_parameter(trials, flight))
    return folder / "campaign.yaml"


class Run:
    """A campaign that is run again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.campaign = Campaign.from_yaml(folder / "campaign.yaml", store=folder / "lab.db")

    @property
    def id(self) -> str:
        return self.campaign.id

    def run(self, **options: Any) -> CampaignState:
        self.campaign.run(**options)
        return self.campaign.state

    def settle(self, action: str, verdict: str, note: str) -> None:
        with Store.open(self.folder / "lab.db") as store:
            resolve(store, self.id, action, verdict, "ann", note)


def campaign(folder: Path) -> Run:
    return Run(folder)


def drops(folder: Path) -> list[str]:
    log = folder / "drops.log"
    return log.read_text().splitlines() if log.exists() else []


def of_kind(folder: Path, id_: str, *wanted: str) -> list[dict[str, Any]]:
    with Store.open(folder / "lab.db") as store:
        return [dict(e.body) for e in store.entries(id_) if e.kind in wanted]


def test_another_station_after_the_retries(tmp_path: Path) -> None:
    """A fault is tried again after waits that double, then on the other station, and the trial is observed."""
    write(tmp_path, ", retries: 2, backoff: 50 ms, other_stations: {right: {dropper: second}}", trials=1)
    (tmp_path / "broken-dropper").touch()
    run = campaign(tmp_path)
    begin = time.monotonic()
    state = run.run()
    assert state.trials[1].status is TrialStatus.OBSERVED
    assert [(s.station, s.status) for s in state.trials[1].steps[1:]] == [("left", "failed")] * 3 + [("right", "done")]
    assert time.monotonic() - begin >= 0.15
    assert [line.split()[0] for line in drops(tmp_path)] == ["second"]


def test_pauses_when_nothing_helps(tmp_path: Path) -> None:
    """By default the trial waits, the pause says why, and once the cause is gone it goes on."""
    write(tmp_path, trials=2)
    (tmp_path / "broken-dropper").touch()
    run = campaign(tmp_path)
    state = run.run()
    assert (state.status, state.trials[1].status) == ("paused", TrialStatus.RUNNING)
    assert "no power" in state.message
    (tmp_path / "broken-dropper").unlink()
    state = run.run()
    assert state.status == "ended"
    assert [trial.status for trial in state.trials.values()] == [TrialStatus.OBSERVED] * 2
    assert len(drops(tmp_path)) == 2


def test_a_fault_fails_the_trial(tmp_path: Path) -> None:
    """With `on_fault: fail` the trial fails and the next one is tried; the planner learns nothing from it."""
    write(tmp_path, ", on_fault: fail", trials=2)
    (tmp_path / "broken-dropper").touch()
    state = campaign(tmp_path).run()
    assert [trial.status for trial in state.trials.values()] == [TrialStatus.FAILED] * 2


def test_a_doubt_pauses_when_nothing_else_is_left(tmp_path: Path) -> None:
    """A lost answer leaves a doubt; the campaign pauses, stays paused, and goes on once it is settled."""
    write(tmp_path, ", retries: 2", trials=2)
    (tmp_path / "lost-dropper").touch()
    run = campaign(tmp_path)
    state = run.run()
    assert state.status == "paused"
    assert "trial 1: set of dropper" in state.message
    assert "sdl resolve" in state.advice
    (doubt,) = state.doubts()
    assert len(drops(tmp_path)) == 1
    (tmp_path / "lost-dropper").unlink()
    assert run.run().status == "paused"
    assert len(drops(tmp_path)) == 1
    run.settle(doubt.id, "done", "seen")
    state = run.run()
    assert state.status == "ended"
    assert len(drops(tmp_path)) == 2
    assert state.trials[1].actions[doubt.id].status is ActionStatus.RESOLVED_DONE


def test_not_done_is_done_again(tmp_path: Path) -> None:
    """What a person says did not happen is done, once."""
    write(tmp_path, trials=1)
    (tmp_path / "lost-dropper").touch()
    run = campaign(tmp_path)
    (doubt,) = run.run().doubts()
    (tmp_path / "lost-dropper").unlink()
    run.settle(doubt.id, "not_done", "the vial is empty")
    assert run.run().status == "ended"
    assert len(drops(tmp_path)) == 2


def test_quarantine_gives_the_trial_up(tmp_path: Path) -> None:
    """A sample in quarantine fails its trial, with the note, and the campaign goes on with the next."""
    write(tmp_path, trials=2)
    (tmp_path / "lost-dropper").touch()
    run = campaign(tmp_path)
    (doubt,) = run.run().doubts()
    (tmp_path / "lost-dropper").unlink()
    run.settle(doubt.id, "quarantine", "fell on the floor")
    state = run.run()
    assert [trial.status for trial in state.trials.values()] == [TrialStatus.FAILED, TrialStatus.OBSERVED]
    assert "fell on the floor" in state.trials[1].message


@pytest.mark.parametrize("verdict", ["done", "not_done"])
def test_the_rest_goes_on_and_a_decision_is_heard(tmp_path: Path, verdict: str) -> None:
    """While one trial waits for a decision, others do what does not need its device; the decision is heard at once."""
    write(tmp_path, trials=3, flight=3)
    slow = "def look(detector):\n    yield from bps.sleep(0.8)\n    yield from again(detector)\n\ndef again(detector):"
    (tmp_path / "plans.py").write_text(PLANS.replace("def look(detector):", slow))
    (tmp_path / "lost-dropper").touch()
    run = campaign(tmp_path)
    seen: list[str] = []

    def decide(action: str) -> None:
        time.sleep(1.2)  # trial 2 is looked at meanwhile
        (tmp_path / "lost-dropper").unlink()
        with Store.open(tmp_path / "lab.db") as store:
            body = {"action": action, "verdict": verdict, "by": "person:ann", "note": "looked"}
            request = store.request(run.id, "resolve", body)
            for _ in range(100):
                if not any(r.id == request for r in store.requests(run.id)):
                    return
                time.sleep(0.05)

    threads: list[threading.Thread] = []

    def on_event(entry: Any, state: CampaignState) -> None:
        seen.append(entry.kind)
        if entry.kind == kinds.ACTION_DOUBTFUL and not threads:
            threads.append(threading.Thread(target=decide, args=(entry.body["action"],)))
            threads[-1].start()

    state = run.run(on_event=on_event)
    for thread in threads:
        thread.join()
    assert state.status == "ended"
    assert [trial.status for trial in state.trials.values()] == [TrialStatus.OBSERVED] * 3
    assert len(drops(tmp_path)) == (3 if verdict == "done" else 4)
    doubtful = seen.index(kinds.ACTION_DOUBTFUL)
    resolved = seen.index(kinds.ACTION_RESOLVED)
    assert kinds.STEP_DONE in seen[doubtful:resolved]


def test_policies_are_checked(tmp_path: Path) -> None:
    """Stations and devices that are not there are all reported, with their lines."""
    write(tmp_path, ", backoff: 3 kg, other_stations: {wrong: {}, right: {dropper: dropper, other: second}}")
    with pytest.raises(InputError) as caught:
        load_campaign(tmp_path / "campaign.yaml")
    text = str(caught.value)
    assert "no station 'wrong'" in text
    assert "'right' has no device 'dropper'" in text
    assert "takes no device 'other'" in text
    assert "backoff" in text
    assert "lab.yaml:" in text
