"""Finding the point with the greatest acquisition value: every candidate of a finite space, or a guided search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.generation.gen import gen_candidates_scipy
from torch import Tensor

from sdl.planners._acquisition import evaluate
from sdl.planners._candidates import Candidates
from sdl.planners._space import Array, Space

__all__ = ["Search"]

_DRAWS = 512  # points spread over the space
_LOCAL = 32  # points around each of the best trials, at each of the radii
_RADII = (0.1, 0.01)  # of the unit cube
_STARTS = 4  # points from which gradients are followed
_STEPS = 50  # iterations of gradient search from each
_ROUNDS = 2  # times that neighbours in the discrete parameters are looked at
_SAME = 1e-6  # points nearer than this in every unit coordinate count as one


@dataclass(frozen=True)
class Search:
    """Search of one space for the maximum of acquisition functions."""

    candidates: Candidates
    best: Array
    """Raw points of the best trials, to look around, shape (k, d)."""
    limit: int
    """Rows of a pool that are evaluated at most; from a larger one so many are drawn."""
    rng: np.random.Generator

    def maximise(self, acquisition: AcquisitionFunction, chosen: Array) -> tuple[Array, float]:
        """The best point that was neither tried nor chosen: raw, shape (d,), and its acquisition value."""
        rows = self.candidates.rows
        if rows is not None:
            taken = {row.tobytes() for row in chosen}
            rows = rows[[row.tobytes() not in taken for row in rows]]
            if len(rows) > self.limit:
                rows = rows[np.sort(self.rng.choice(len(rows), self.limit, replace=False))]
            values = self._values(acquisition, rows)
        else:
            rows, values = self._climb(acquisition)
            free = ~self._met(rows, np.concatenate([self.candidates.tried, chosen]))
            rows, values = (rows[free], values[free]) if free.any() else (rows, values)
        top = int(values.argmax())
        return rows[top], float(values[top])

    @property
    def space(self) -> Space:
        return self.candidates.space

    def _values(self, acquisition: AcquisitionFunction, raw: Array) -> Array:
        values = evaluate(acquisition, torch.from_numpy(self.space.to_unit(raw))).numpy()
        if not np.isfinite(values).any():
            raise RuntimeError("the acquisition function is not finite at any candidate")
        return np.where(np.isfinite(values), values, -np.inf)

    def _met(self, raw: Array, others: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        gaps = np.abs(self.space.to_unit(raw)[:, None, :] - self.space.to_unit(others)[None, :, :])
        return np.asarray((gaps < _SAME).all(axis=-1).any(axis=-1))

    def _climb(self, acquisition: AcquisitionFunction) -> tuple[Array, Array]:
        """Points met by drawing, by following gradients and by changing one discrete parameter at a time."""
        rows = self._starts()
        values = self._values(acquisition, rows)
        for turn in range(_ROUNDS if not self.space.real.all() else 1):
            top = np.argsort(-values, kind="stable")[: _STARTS if turn == 0 else 1]
            further = [self._polish(acquisition, rows[top]), self._neighbours(rows[top[0]])]
            more = np.concatenate([part for part in further if len(part)] or [rows[top]])
            rows = np.concatenate([rows, more])
            values = np.concatenate([values, self._values(acquisition, more)])
        return rows, values

    def _starts(self) -> Array:
        d = self.space.d
        drawn = self.candidates.draw(lambda m: self.rng.random((m, d)), _DRAWS)
        unit = self.space.to_unit(self.best)
        near = [self._jitter(np.repeat(unit, _LOCAL, axis=0), radius) for radius in _RADII]
        return np.concatenate([drawn, *near])

    def _jitter(self, unit: Array, radius: float) -> Array:
        moved = unit + radius * self.rng.standard_normal(unit.shape)
        level = np.floor(self.rng.random(unit.shape) * (self.space.high + 1))
        switch = self.rng.random(unit.shape) < 1.0 / self.space.d
        moved = np.where(self.space.categorical, np.where(switch, level, unit), moved)
        raw = self.space.complete(self.space.from_unit(moved))
        return raw[self.space.feasible(raw)]

    def _neighbours(self, row: Array) -> Array:
        """Every point that differs from `row` by one step of an integer or by one level."""
        found = []
        for j in np.flatnonzero(~self.space.real):
            low, high = self.space.low[j], self.space.high[j]
            steps = np.arange(low, high + 1) if self.space.categorical[j] else row[j] + np.array([-1.0, 1.0])
            for value in steps[(steps >= low) & (steps <= high) & (steps != row[j])]:
                near = row.copy()
                near[j] = value
                found.append(near)
        raw = self.space.complete(np.array(found).reshape(-1, self.space.d))
        return raw[self.space.feasible(raw)]

    def _polish(self, acquisition: AcquisitionFunction, raw: Array) -> Array:
        """Follow the gradient in the real parameters; the others stay."""
        constrained = _linear(self.space)
        if not self.space.real.any() or constrained is None:
            return raw[:0]
        unit = self.space.to_unit(raw)
        inequalities, equalities = constrained
        options: dict[str, int] = {"maxiter": _STEPS}
        if inequalities or equalities:
            options = {"maxiter": _STEPS // 2, "max_optimization_problem_aggregation_size": 1}
        found, _ = gen_candidates_scipy(
            torch.from_numpy(unit)[:, None, :],
            acquisition,
            lower_bounds=torch.zeros(self.space.d, dtype=torch.float64),
            upper_bounds=torch.ones(self.space.d, dtype=torch.float64),
            inequality_constraints=inequalities or None,
            equality_constraints=equalities or None,
            fixed_features={int(j): torch.from_numpy(unit[:, j]) for j in np.flatnonzero(~self.space.real)},
            options=options,
        )
        polished = np.where(self.space.real, found.detach().numpy()[:, 0, :], unit)
        moved = self.space.complete(self.space.from_unit(np.nan_to_num(polished)))
        return moved[self.space.feasible(moved)]


_Linear = list[tuple[Tensor, Tensor, float]]


def _linear(space: Space) -> tuple[_Linear, _Linear] | None:
    """Inequalities (≥) and equalities over unit coordinates; None when a logarithmic parameter makes one curved."""
    inequalities: _Linear = []
    equalities: _Linear = []
    for constraint in space.problem.constraints:
        row = space.row_of(constraint)
        index = np.flatnonzero(row)
        if space.log[index].any():
            return None
        slope = row[index] * (space.high - space.low)[index]
        offset = float(row[index] @ space.low[index])
        where, along = torch.from_numpy(index), torch.from_numpy(slope)
        if constraint.at_least is not None and constraint.at_least == constraint.at_most:
            equalities.append((where, along, constraint.at_least - offset))
            continue
        if constraint.at_least is not None:
            inequalities.append((where, along, constraint.at_least - offset))
        if constraint.at_most is not None:
            inequalities.append((where, -along, offset - constraint.at_most))
    return inequalities, equalities
