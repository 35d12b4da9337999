"""`sobol`: a scrambled Sobol sequence, which fills the space evenly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from sdl.model import MissingExtra, Problem, Proposal, Reason, Record, Trial
from sdl.planners._candidates import Candidates
from sdl.planners._options import read_options
from sdl.planners._space import Array

try:
    from scipy.stats import qmc
except ModuleNotFoundError as error:
    raise MissingExtra("planner 'sobol'", "planners") from error

__all__ = ["SobolOptions", "SobolPlanner"]


class SobolOptions(Record):
    """Options of `sobol`."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Chooses the scrambling, and with it the sequence."""


class SobolPlanner:
    """Walks along one scrambled Sobol sequence (Owen scrambling as in `scipy.stats.qmc.Sobol`).

    The number of trials known is the position in the sequence, so successive calls continue it and `n` points at once
    are those of `n` calls. A campaign hands each call another seed; a sequence that changed with it would be no more
    even than random draws. So the call's seed is not used, and the option `seed` chooses the sequence.

    A mixture takes its shares from the sequence one component after another; where the number of components is limited,
    one coordinate chooses them. Points that break a constraint or repeat one are left out; where hardly any would be
    left, points of a random walk inside the constraints stand in. Of a finite space the candidate nearest to each point
    of the sequence is taken.
    """

    version: str = "1"
    in_process: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        self.options = read_options(SobolOptions, "sobol", options)

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points; see `sdl.protocols.Planner`.

        Raises:
            Exhausted: nothing is left to propose.
            InputError: the constraints leave no room that the sequence can hit.
        """
        candidates = Candidates.of(problem, trials)
        position = len(trials)
        source = self._sequence(candidates.space.d)
        if candidates.finite is None:
            raw = candidates.draw(source, n, skip=position)
        else:
            raw = _nearest(candidates, source, n, position)
        return [
            Proposal(parameters=candidates.space.values(row), reason=self._reason(candidates, position + i))
            for i, row in enumerate(raw)
        ]

    def _sequence(self, d: int) -> Callable[[int], Array]:
        engine = qmc.Sobol(d, scramble=True, rng=self.options.seed)
        return lambda m: np.asarray(engine.random_base2(m.bit_length() - 1), dtype=np.float64)

    def _reason(self, candidates: Candidates, position: int) -> Reason:
        details = {
            "planner": "sobol",
            "version": self.version,
            "position": position,
            "seed": self.options.seed,
            **candidates.notes,
        }
        return Reason(summary=f"point {position + 1} of a Sobol sequence{candidates.merged}", details=details)


def _nearest(candidates: Candidates, source: Callable[[int], Array], n: int, position: int) -> Array:
    """For each of `n` points of the sequence the nearest candidate that is still free, shape (≤ n, d)."""
    assert candidates.finite is not None
    assert candidates.free is not None
    space, free = candidates.space, candidates.free
    n = min(n, len(free))
    points = space.to_unit(space.from_cube(source(1 << (n + position - 1).bit_length())))[position : position + n]
    unit = candidates.finite.unit[free]
    chosen: list[int] = []
    for point in points:
        gaps = space.difference(point[None, :], unit)[0]
        gaps[chosen] = np.inf
        chosen.append(int(gaps.argmin()))
    return candidates.finite.rows[free[chosen]]
