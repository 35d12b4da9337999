"""A short real campaign on soft devices: three trials in flight over two stations; the planner's worker process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support import one_parameter

from sdl.campaign import Campaign, load_campaign
from sdl.campaign.amendment import amendments
from sdl.campaign.planning import PlannerFailure, PlannerHost
from sdl.journal import Entry, Store, kinds
from sdl.journal.state import CampaignState
from sdl.model import InputError, TrialStatus

LAB = """\
name: soft
devices: {one: {driver: soft_detector}, two: {driver: soft_detector}}
stations: {left: {devices: [one]}, right: {devices: [two]}}
procedures:
  measure:
    steps:
      - {name: a, station: left, plan: "plans.py:first"}
      - {name: b, station: left, plan: "plans.py:first"}
      - {name: c, station: right, plan: "plans.py:second"}
    analysis: {name: "plans.py:analyse"}
"""
PLANS = """\
import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from sdl.model import Outcome
def first(one, x):
    return bpp.run_wrapper(bps.trigger_and_read([one]))
def second(two):
    return bpp.run_wrapper(bps.trigger_and_read([two]))
def analyse(runs):
    return {"z": Outcome(value=runs[0].start["parameters"]["x"])}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name, text in {"lab.yaml": LAB, "plans.py": PLANS, "campaign.yaml": one_parameter(7, 3)}.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "campaign.yaml"


def test_three_in_flight(path: Path, tmp_path: Path) -> None:
    """Every trial ends, keeps its station while its steps stay there, and the state in memory is the stored fold."""
    seen: list[tuple[Entry, CampaignState]] = []
    campaign = Campaign.from_yaml(path, store=tmp_path / "s.db").run(on_event=lambda e, s: seen.append((e, s)))
    assert campaign.state.status == "ended"
    assert [t.status for t in campaign.state.trials.values()] == [TrialStatus.OBSERVED] * 7
    on_left = [e.body["trial"] for e, _ in seen if e.kind == kinds.STEP_STARTED and e.body["station"] == "left"]
    assert on_left[0::2] == on_left[1::2]
    assert max(sum(t.status.pending for t in s.trials.values()) for _, s in seen) == 3
    with Store.open(tmp_path / "s.db") as store:
        kept = store.state(campaign.id)
    last = seen[-1][1]
    assert (kept.trials, kept.status, kept.spec, kept.seq) == (last.trials, last.status, last.spec, last.seq)


def test_what_may_change(path: Path, tmp_path: Path) -> None:
    """The budget may change and is told as old and new; the problem may not."""
    state = Campaign.from_yaml(path, store=tmp_path / "s.db", trials=1).run().state
    assert amendments(state, load_campaign(path)) == {"budget.trials": [1, 7]}
    path.write_text(one_parameter(7, 3).replace("high: 1", "high: 2"))
    with pytest.raises(InputError, match=r"has begun with another problem: .*1.0 then, 2.0 now"):
        amendments(state, load_campaign(path))


def host(path: Path) -> PlannerHost:
    """The random planner, made to run in its worker process as a slow one does."""
    planner = PlannerHost(load_campaign(path).spec)
    planner._in_process = False
    planner._worker = planner._start()
    return planner


def worker(planner: PlannerHost) -> int:
    assert planner.worker_pid is not None
    return planner.worker_pid


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_the_worker_process(path: Path) -> None:
    """It proposes what the planner proposes in place; killed, it is started again; closed, it is gone."""
    direct = PlannerHost(load_campaign(path).spec)
    planner = host(path)
    wanted: Any = await direct.propose([], 1, 7)
    try:
        assert await planner.propose([], 1, 7) == wanted
        os.kill(worker(planner), signal.SIGKILL)
        time.sleep(0.3)
        assert await planner.propose([], 1, 7) == wanted
        pid = worker(planner)
    finally:
        planner.close()
    assert gone(pid)
    with pytest.raises(PlannerFailure, match="outside the problem"):
        direct._checked({"parameters": {"x": 5}, "reason": {"summary": ""}})
