"""Targets as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign.rehearsal.bakery import bakery
from support import edit

from sdl.campaign.files import load_campaign
from sdl.campaign.rehearsal.target import target_of
from sdl.journal.state import TrialState
from sdl.model import CampaignSpec, InputError, Outcome, TrialStatus


def _trial(value: float, status: TrialStatus = TrialStatus.OBSERVED) -> TrialState:
    outcomes = {"z": Outcome(value=value, sem=None, unit="MS/m")}
    return TrialState(1, {}, status, {}, {}, 0, 0, outcomes=outcomes)


@pytest.fixture
def spec(tmp_path: Path) -> CampaignSpec:
    """A campaign that maximises z, in MS/m."""
    return load_campaign(bakery(tmp_path)).spec


@pytest.mark.parametrize("text", ["z > 10 MS/m", "z>10", " z  >  1e7 S/m ", "z > 100000 S/cm"])
def test_units_are_converted(text: str, spec: CampaignSpec) -> None:
    """Ten MS/m, whatever unit it is written in, and a bare number is in the objective's unit."""
    target = target_of(text, spec)
    assert target is not None
    assert [target.reached(_trial(value)) for value in (9.99, 10.01)] == [False, True]
    assert not target.reached(_trial(20.0, TrialStatus.INFEASIBLE))


@pytest.mark.parametrize(
    ("text", "holds"), [("z < 5", (4, 4)), ("z <= 5", (4, 5)), ("z ≥ 5", (5, 6)), ("z >= 5", (5, 6))]
)
def test_every_comparison(text: str, holds: tuple[float, float], spec: CampaignSpec) -> None:
    """Less, more, and either with the limit itself."""
    target = target_of(text, spec)
    assert target is not None
    assert all(target.reached(_trial(value)) for value in holds)
    assert not target.reached(_trial(10.0 if "<" in text else 4.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conductivity", "is no comparison, as in 'z > 10 MS/m'"),
        ("z > 5 > 3", "is no comparison|not finite|cannot convert|unknown unit"),
        ("y > 5", "no objective 'y'"),
        ("z > lots", "could not convert|write a number"),
        ("z > nan", "not finite"),
        ("z > 5 degC", "cannot convert 5 degC to MS/m"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str, spec: CampaignSpec) -> None:
    """The message names the text, what is wrong with it, and an example."""
    with pytest.raises(InputError, match=said) as error:
        target_of(text, spec)
    assert repr(text) in str(error.value)


def test_the_stopping_rule_is_a_target(tmp_path: Path) -> None:
    """Without a target of its own a rehearsal asks for `stop.reach`; without either for nothing."""
    path = bakery(tmp_path)
    assert target_of("", load_campaign(path).spec) is None
    edit(path, lambda data: data.update(stop={"reach": {"z": 8}}))
    target = target_of("", load_campaign(path).spec)
    assert target is not None
    assert target.text == "z ≥ 8 MS/m"
    assert target.reached(_trial(8.0))
    assert not target.reached(_trial(7.9))
