"""The planner keeps the contract of sdl.protocols.Planner, and gets better."""

from __future__ import annotations

import pytest
from sdl_planner_local import LocalPlanner

from sdl.model import Outcome, Problem, Trial, TrialStatus
from sdl.testing import check_planner

BOWL = Problem.model_validate(
    {
        "parameters": {name: {"kind": "real", "low": 0, "high": 1, "unit": "1"} for name in ("x", "y")},
        "objectives": {"z": {"kind": "minimize", "unit": "1"}},
    }
)


def test_conformance() -> None:
    """It passes the conformance kit that sdl gives to authors of planners."""
    refused = ("mixture", "few components", "ordinal, fixed and derived")
    assert check_planner(LocalPlanner(), refuses=refused).ok


def test_options_out_of_range_are_refused() -> None:
    """A refused option is named with its value."""
    with pytest.raises(ValueError, match="width -1"):
        LocalPlanner(width=-1)


@pytest.mark.parametrize("seed", range(5))
def test_it_gets_near_the_bottom_of_a_bowl(seed: int) -> None:
    """60 trials in two dimensions come within 0.001 of the least value."""
    planner, trials = LocalPlanner(), []
    for number in range(1, 61):
        point = planner.propose(BOWL, trials, 1, seed * 1000 + number)[0].parameters
        value = (float(point["x"]) - 0.3) ** 2 + (float(point["y"]) - 0.6) ** 2
        trials.append(
            Trial(
                number=number,
                parameters=point,
                status=TrialStatus.OBSERVED,
                outcomes={"z": Outcome(value=value, unit="1")},
            )
        )
    assert min(trial.outcomes["z"].value for trial in trials) < 0.001
