"""What `bayes` makes of prior knowledge: related campaigns, tables and simulations, as expectations that data refute.

Each source is modelled by itself, once. How like it the trials are is inferred from them (`_related`, `_mixed`): a
source that they do not bear out loses its say. Three rules keep what is left of the harm small:

* a source that does not foretell its own rows, each left out in turn, is not used at all;
* it stands in for the trials that would be spread over the space without it, and has the full say for as many;
* from then on, every other call is left to the trials alone, so that a source that points to the wrong place, though
  it is right elsewhere, costs at most as many trials again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from sdl.model import CategoricalParameter, Source
from sdl.planners._expert import Expert
from sdl.planners._known import outcome_names
from sdl.planners._mixed import Mixed, mixed
from sdl.planners._space import Array, Space
from sdl.planners._surrogate import Data, Surrogate, fit

__all__ = ["Knowledge", "Mixed", "Model", "informed"]

_MOST = 600  # points of a source that its model keeps: the cube of them is what it costs
_LEAST = 5  # points without which a source says nothing of an outcome
_FORETOLD = 0.2  # share of its own variance that a source has to foretell
_UNKNOWN = 0.5  # length scale of a parameter that a source lacks, by the root of the number of parameters

Model = Surrogate | Mixed
"""Of one outcome."""


class Knowledge:
    """The sources of a problem, modelled. Made once for each space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._groups = np.array(space.feature_groups, dtype=np.intp)
        self.experts: dict[str, tuple[Expert, ...]] = {}
        """By outcome."""
        self.troubles: list[str] = []
        """Sources that could not be used, and why."""
        self._asked = outcome_names(space.problem)
        for source in space.problem.sources:
            for outcome in self._asked:
                expert = self._expert(source, outcome) if outcome in source.outcomes else None
                if expert is not None:
                    self.experts[outcome] = (*self.experts.get(outcome, ()), expert)

    @classmethod
    def of(cls, space: Space) -> Knowledge | None:
        """What the sources of a space's problem say; None where it has none that say anything."""
        if not space.problem.sources:
            return None
        if "knowledge" not in space.memo:
            space.memo["knowledge"] = cls(space)
        known: Knowledge = space.memo["knowledge"]
        return known if known.experts else None

    def _expert(self, source: Source, outcome: str) -> Expert | None:
        names = [p.name for p in self._space.parameters]
        has = np.array([name in source.parameters for name in names])
        columns = np.flatnonzero(has[self._groups])
        x, kept = _features(self._space, source, has)
        y = np.array([math.nan if v is None else v for v in source.outcomes[outcome]], dtype=np.float64)
        sem = np.array([v or 0.0 for v in source.sems.get(outcome, (0.0,) * len(y))], dtype=np.float64)
        good = kept & np.isfinite(y)
        if good.sum() < _LEAST or float(np.ptp(y[good])) == 0.0:
            self.troubles.append(f"{source.name} says too little of {outcome}")
            return None
        chosen = np.flatnonzero(good)
        if len(chosen) > _MOST:  # the best and the worst, and an even selection of the others
            order = chosen[np.argsort(y[chosen], kind="stable")]
            chosen = np.sort(order[np.linspace(0, len(order) - 1, _MOST).round().astype(int)])
        _, groups = np.unique(self._groups[columns], return_inverse=True)
        try:
            model = fit(Data(x[chosen][:, columns], groups.astype(np.intp), y[chosen], sem[chosen] ** 2))
        except ArithmeticError as error:
            self.troubles.append(f"{source.name} of {outcome}: {error}")
            return None
        foretold = _foretold(model)
        if foretold < _FORETOLD:
            share = f"{100 * max(foretold, 0.0):.0f} %"
            self.troubles.append(f"{source.name} foretells {share} of the variance of its own {outcome}: no pattern")
            return None
        expert = Expert(source.name, columns, model, self._whole(columns, model))
        finite = self._space.memo.get("finite")
        if finite is not None:
            expert.keep(finite.features)
        return expert

    def _whole(self, columns: NDArray[np.intp], model: Surrogate) -> Surrogate:
        """A process over all features that is like a source's over its own."""
        inverse = np.full(len(self._groups), 1.0 / (_UNKNOWN * math.sqrt(self._space.d)))
        inverse[columns] = model.inverse_lengths
        centre = np.where(np.bincount(self._groups)[self._groups] == 1, 0.5, 0.0)
        return replace(model, inverse_lengths=inverse, centre=centre)

    # -- before there is a model of the trials ------------------------------------------------------------------------

    def promise(self, z: Array, scores: Mapping[str, Callable[[Array], Array]]) -> Array:
        """How good the sources expect points to be, shape (m,): the higher the better, in no unit.

        Args:
            z: features, shape (m, f).
            scores: outcome → what turns its values into scores; outcomes that no source speaks of count for nothing.
        """
        total = np.zeros(len(z))
        for outcome, score in scores.items():
            for expert in self.experts.get(outcome, ()):
                found = score(expert.predict(z)[0])
                spread = float(np.std(score(expert.model.predict(expert.model.x)[0])))
                total += found / (spread or 1.0)
        return total

    # -- with a model of the trials -----------------------------------------------------------------------------------

    def informed(self, outcome: str, plain: Surrogate, data: Data, seed: int) -> Model:
        """The model of an outcome with what the sources say of it; `plain` itself where they have no say.

        Args:
            outcome: its name.
            plain: fitted to the trials alone.
            data: the trials.
            seed: of the call; its parity decides whose turn it is when the sources no longer have the full say.
        """
        experts = self.experts.get(outcome, ())
        if not experts or (len(data.y) >= self.trusted and seed % 2 == 1):
            return plain
        return mixed(plain, experts, data)

    @property
    def whole(self) -> bool:
        """Whether they tell enough to have a model after one trial: a scale of every outcome, and of one objective."""
        return len(self._space.problem.objectives) == 1 and set(self._asked) <= set(self.experts)

    @property
    def trusted(self) -> int:
        """Trials during which sources have the full say: those that would be spread over a space without them."""
        return min(10, max(4, 2 * self._space.d))

    @staticmethod
    def describe(model: Any) -> dict[str, float]:
        """What weight each source has in a model of `informed`, and the trials alone."""
        return model.describe() if isinstance(model, Mixed) else {"trials alone": 1.0}


def _features(space: Space, source: Source, has: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Features of a source's points, and which of them are points of the space's kind; columns it lacks mean nothing.

    Values outside the limits stay as they are.
    """
    rows = len(source)
    raw = np.tile(space.low, (rows, 1))
    raw[:, space.log] = np.exp(np.zeros(int(space.log.sum())))
    kept = np.ones(rows, dtype=bool)
    for j, parameter in enumerate(space.parameters):
        if not has[j]:
            continue
        values = source.parameters[parameter.name]
        if isinstance(parameter, CategoricalParameter):
            index = {level: float(i) for i, level in enumerate(parameter.levels)}
            column = np.array([index.get(str(value), -1.0) for value in values])
            kept &= column >= 0
            raw[:, j] = np.maximum(column, 0.0)
            continue
        column = np.array([_number(value) for value in values])
        good = np.isfinite(column) & ((column > 0) | (not space.log[j]))
        kept &= good
        raw[:, j] = np.where(good, column, space.high[j])
    return space.features(raw), kept


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _foretold(model: Surrogate) -> float:
    """Share of the variance of a source's own outcomes that it foretells when each is left out, with fixed
    hyper-parameters (Rasmussen and Williams, 2006, equation 5.12)."""
    inverse_root = solve_triangular(model.chol, np.eye(len(model.chol)), lower=True)
    missed = model.weights / (inverse_root**2).sum(axis=0)
    y = model.chol @ (model.chol.T @ model.weights)
    return 1.0 - float(missed @ missed) / float(((y - y.mean()) ** 2).sum())


def informed(space: Space, fitted: Mapping[str, Surrogate], data: Mapping[str, Data], seed: int) -> dict[str, Model]:
    """Models of the trials with what the problem's sources say; the same ones where there are no sources.

    Args:
        space: of the problem.
        fitted: by outcome, to the trials alone.
        data: the trials, by outcome.
        seed: of the call.
    """
    knowledge = Knowledge.of(space)
    if knowledge is None:
        return dict(fitted)
    return {name: knowledge.informed(name, model, data[name], seed) for name, model in fitted.items()}
