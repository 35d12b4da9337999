"""`random`: independent uniform draws. The baseline that every other planner has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from sdl.model import Problem, Proposal, Reason, Record, Trial
from sdl.planners._candidates import Candidates
from sdl.planners._options import read_options

__all__ = ["RandomOptions", "RandomPlanner"]


class RandomOptions(Record):
    """The planner takes no options."""


class RandomPlanner:
    """Draws uniformly (in the logarithm, where a parameter asks for it) among the points that were not tried.

    In a finite space a point is drawn again only after a failed trial. Mixtures are drawn uniformly over the points
    that keep them: first how many components and which, where their number is limited, then their shares. Constraints
    are met by rejection, and by a random walk inside them where hardly any draw would be left.
    """

    version: str = "2"
    in_process: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        self.options = read_options(RandomOptions, "random", options)

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points; see `sdl.protocols.Planner`.

        Raises:
            Exhausted: nothing is left to propose.
            InputError: the constraints leave no room that draws can hit.
        """
        candidates = Candidates.of(problem, trials)
        raw = candidates.sample(np.random.default_rng(seed), n)
        summary = "drawn at random from the space"
        if candidates.free is not None:
            summary = f"drawn at random from {len(candidates.free)} candidates that were not tried{candidates.merged}"
        reason = Reason(summary=summary, details={"planner": "random", "version": self.version, **candidates.notes})
        return [Proposal(parameters=candidates.space.values(row), reason=reason) for row in raw]
