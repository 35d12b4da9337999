"""Problems and trials that several test modules use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from sdl.model import Outcome, Problem, Proposal, Scalar, Trial, TrialStatus

Response = Callable[[Mapping[str, Scalar]], float]


def _plane(kind: str = "minimize", **more: Any) -> Problem:
    """Two real parameters x and y in [0, 1], one objective `f`."""
    real = {"kind": "real", "low": 0.0, "high": 1.0, "unit": "1"}
    objective = {"kind": kind, "unit": "1", **more.pop("objective", {})}
    return Problem.model_validate({"parameters": {"x": real, "y": real}, "objectives": {"f": objective}, **more})


def _told(trials: Sequence[Trial], proposals: Sequence[Proposal], response: Response) -> list[Trial]:
    """The trials, and the proposals as observed ones."""
    first = len(trials) + 1
    return [
        *trials,
        *(
            Trial(
                number=first + i,
                parameters=p.parameters,
                status=TrialStatus.OBSERVED,
                outcomes={"f": Outcome(value=response(p.parameters))},
            )
            for i, p in enumerate(proposals)
        ),
    ]


@pytest.fixture
def plane() -> Callable[..., Problem]:
    """Builds a problem of two real parameters."""
    return _plane


@pytest.fixture
def told() -> Callable[[Sequence[Trial], Sequence[Proposal], Response], list[Trial]]:
    """Adds proposals to trials as observed."""
    return _told
