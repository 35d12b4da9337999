"""What the record of a lab says of its steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign.rehearsal.bakery import bakery
from support import edit

from sdl.campaign import Campaign
from sdl.campaign.files import load_campaign
from sdl.campaign.labbook import record
from sdl.campaign.rehearsal.experience import attempts_of, gather, speeds_of
from sdl.journal import Store, kinds
from sdl.journal.state import CampaignState, StepState, TrialState
from sdl.model import TrialStatus


def _trial(number: int, x: float, steps: tuple[StepState, ...]) -> TrialState:
    return TrialState(number, {"x": x}, TrialStatus.OBSERVED, {}, {}, 0, 0, steps=steps)


def _step(began: float, ended: float, status: str = "done", cause: str = "", station: str = "first_oven") -> StepState:
    return StepState("bake", station, 1, status, int(began * 1e9), int(ended * 1e9), cause=cause)  # type: ignore[arg-type]


def test_set_up_is_left_out(tmp_path: Path) -> None:
    """An oven that has to heat by 4 units first took 40 s more; the other oven's value does not matter to it."""
    path = bakery(tmp_path)

    def heated(data):  # type: ignore[no-untyped-def]
        steps = data["procedures"]["bread"]["steps"]
        steps[1].update({"plan": "plans.py:bake_at", "setup": {"by": "x", "per_unit": "10 s"}})

    edit(tmp_path / "lab.yaml", heated)
    plans = (tmp_path / "plans.py").read_text()
    (tmp_path / "plans.py").write_text(
        plans + "\n\ndef bake_at(oven_a, x, seconds):\n    yield from _work(oven_a, seconds)\n"
    )
    loaded = load_campaign(path)
    trials = {
        1: _trial(1, 5.0, (_step(0, 600),)),
        2: _trial(2, 8.0, (_step(100, 700, station="second_oven"),)),
        3: _trial(3, 9.0, (_step(700, 1340),)),
        4: _trial(4, 9.0, (_step(1400, 1430, "failed", "fault"), _step(1500, 2100))),
    }
    state = CampaignState("c", spec=loaded.spec, trials=trials)
    found = list(attempts_of(state, loaded.procedure, lambda at: 2.0 if at > 1.45e12 else 1.0))
    assert [a.net for a in found] == pytest.approx([600, 600, 600, 30, 1200])
    assert [a.setup for a in found] == pytest.approx([0, 0, 40, 0, 0])
    assert [a.declared for a in found] == [600] * 5
    assert [a.cause for a in found] == ["", "", "", "fault", ""]


def test_only_what_happened_in_the_lab_counts(tmp_path: Path) -> None:
    """A rehearsed campaign teaches nothing of the lab, nor does one of another procedure; a real one does."""
    path = bakery(tmp_path, mix=0.05, bake=0.1, look=0.05, trials=2)
    file = tmp_path / "sdl.db"
    body = {"item": "flour", "lot": "F-1", "amount": 99.0, "unit": "g", "expires": "", "by": "", "note": ""}
    with Store.open(file) as store:
        record(store, "bakery", kinds.STOCK_RECEIVED, body)
    Campaign.from_yaml(path, store=file).run(virtual=True)
    with Store.open(file) as store:
        assert gather(store, load_campaign(path)).attempts == 0
    path = bakery(tmp_path, mix=0.05, bake=0.1, look=0.05, trials=3, name="real")
    campaign = Campaign.from_yaml(path, store=file).run()
    with Store.open(file) as store:
        known = gather(store, load_campaign(path))
        assert speeds_of(store, campaign.id)(campaign.state.updated_at) == 1.0
    assert (known.attempts, known.campaigns, len(known.timed)) == (9, 1, 9)
    assert {t.step: t.declared for t in known.timed} == {"mix": 0.05, "bake": 0.1, "look": 0.05}
    assert all(t.seconds >= t.declared for t in known.timed)
    assert all(t.faults == 0 for t in known.tried)
