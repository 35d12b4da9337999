"""What the trials say, as a model takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdl.model import Problem, Trial, TrialStatus
from sdl.planners._space import Array, Space
from sdl.planners._surrogate import Data

__all__ = ["Known", "outcome_names"]


def outcome_names(problem: Problem) -> tuple[str, ...]:
    """Outcomes that the problem asks about: of objectives, then of outcome constraints."""
    return tuple(dict.fromkeys([*(o.name for o in problem.objectives), *(c.name for c in problem.outcome_constraints)]))


@dataclass(frozen=True)
class Known:
    """The trials of a campaign, in raw coordinates."""

    observed: Array
    """Of trials with every outcome that is asked about, shape (m, d)."""
    numbers: tuple[int, ...]
    """Their numbers."""
    values: Array
    """Their outcomes, shape (m, outcomes)."""
    sems: Array
    """Standard errors, 0 where unknown, shape (m, outcomes)."""
    names: tuple[str, ...]
    """Of the outcomes."""
    infeasible: Array
    pending: Array
    last: Array
    """The point that was asked for last, shape (≤ 1, d)."""
    unusable: tuple[int, ...]
    """Numbers of trials whose outcomes are missing or no numbers."""

    @classmethod
    def of(cls, space: Space, trials: Sequence[Trial]) -> Known:
        """Sort the trials. Failed and rejected ones teach nothing."""
        names = outcome_names(space.problem)

        def raw(chosen: Sequence[Trial]) -> Array:
            return space.raw([t.parameters for t in chosen])

        seen = [t for t in trials if t.status is TrialStatus.OBSERVED]
        good = [t for t in seen if all(n in t.outcomes and math.isfinite(t.outcomes[n].value) for n in names)]
        made = [t for t in trials if t.status not in (TrialStatus.FAILED, TrialStatus.REJECTED)]
        usable = {t.number for t in good}
        return cls(
            observed=raw(good),
            numbers=tuple(t.number for t in good),
            values=np.array([[t.outcomes[n].value for n in names] for t in good]).reshape(-1, len(names)),
            sems=np.array([[_sem(t, n) for n in names] for t in good]).reshape(-1, len(names)),
            names=names,
            infeasible=raw([t for t in trials if t.status is TrialStatus.INFEASIBLE]),
            pending=raw([t for t in trials if t.status.pending]),
            last=raw(made[-1:]),
            unusable=tuple(t.number for t in seen if t.number not in usable),
        )

    @property
    def started(self) -> int:
        """Trials that taught something or will."""
        return len(self.observed) + len(self.infeasible) + len(self.pending)

    def data(self, space: Space) -> dict[str, Data]:
        """What models are fitted to, by outcome."""
        x, groups = space.features(self.observed), np.array(space.feature_groups, dtype=np.intp)
        columns = zip(self.names, self.values.T, self.sems.T, strict=True)
        return {name: Data(x, groups, y, sem**2) for name, y, sem in columns}


def _sem(trial: Trial, name: str) -> float:
    sem = trial.outcomes[name].sem
    return sem if sem is not None and math.isfinite(sem) else 0.0
