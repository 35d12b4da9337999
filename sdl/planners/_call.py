"""One call of `bayes`, once there are trials to learn from: models, choices, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from sdl.model import Match, Problem, Proposal, Reason, Record
from sdl.planners._acquisition import Acquisition, feasibility_model
from sdl.planners._candidates import Candidates
from sdl.planners._explain import Explainer
from sdl.planners._known import Known
from sdl.planners._pareto import front
from sdl.planners._search import Found, Search
from sdl.planners._space import Array, Space
from sdl.planners._surrogate import IN_A_BOX, Belief, Surrogate, fit
from sdl.planners._transfer import Knowledge, Model, informed

__all__ = ["BayesOptions", "Call", "unusable"]

_INCUMBENTS = 4  # best trials that the search looks around
_LITTLE = 1e-3  # expected improvement over the range seen, below which the model is doubted
_AWAY = 0.1  # how far from all trials the next is then, of the unit cube
_NOISY = 0.05  # noise variance over that of the outcomes, from which on a point may be worth measuring again


class BayesOptions(Record):
    """Options of `bayes`."""

    initial: int | None = Field(default=None, ge=1)
    """Trials before the model takes over, whoever proposed them; at least two observed ones all the same."""
    pool_limit: int = Field(default=20_000, ge=1)
    """Rows of a pool whose acquisition value is computed exactly; from a larger pool a first pass chooses so many."""
    replicate: Literal["auto", "never"] = "auto"
    """Whether a noisy best point may be measured again. Rows of a pool never are."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where large pools are evaluated; `cuda` needs torch and a graphics card, and gives the same proposals."""


@dataclass
class Call:
    """One call, once there is a model."""

    options: BayesOptions
    version: str
    candidates: Candidates
    known: Known
    seed: int
    rng: np.random.Generator

    @property
    def space(self) -> Space:
        return self.candidates.space

    @property
    def problem(self) -> Problem:
        return self.space.problem

    @property
    def _belief(self) -> Belief:
        return Belief() if self.candidates.finite is not None else IN_A_BOX

    def proposals(self, chosen: Array, n: int) -> list[Proposal]:
        """Points of greatest expected improvement, one after another; `chosen` are as pending."""
        known, space = self.known, self.space
        data = known.data(space)
        fitted = {name: fit(one, self._belief) for name, one in data.items()}
        models = informed(space, fitted, data, self.seed)
        explainer = Explainer(space, known, models, self.seed)
        start = Acquisition(
            models=models,
            goals=self.problem.objectives,
            constraints=self.problem.outcome_constraints,
            classifier=self._classifier(),
            base=space.features(known.observed),
            weights=self._weights(),
        )
        search = Search(self.candidates, self._best(start), self.options.pool_limit, self.rng)
        found: list[Proposal] = []
        shares: dict[str, dict[str, float]] = {}
        for _ in range(n):
            pending = np.concatenate([known.pending, chosen])
            acquisition = start.believing(space.features(pending)).at_cost(
                self._cost(pending[-1:] if len(pending) else known.last)
            )
            met = search.maximise(self._placed(acquisition), chosen)
            doubtful = self._content(acquisition, met.row) and (len(known.observed) + len(pending)) % 2 == 1
            if doubtful:
                doubting = self._doubting(acquisition, pending)
                met = search.away(_AWAY).maximise(self._placed(doubting), chosen)._replace(best=met.best)
            shares = shares or explainer.sensitivities(met.best)
            choice = (
                _Choice(met.row, met.value, met.best, doubtful=True)
                if doubtful
                else self._again(acquisition, models, met)
            )
            reason = self._reason(acquisition, explainer, fitted, choice, shares, len(pending))
            found.append(Proposal(parameters=space.values(choice.row), reason=reason))
            chosen = np.concatenate([chosen, choice.row[None, :]])
        return found

    def _content(self, acquisition: Acquisition, row: Array) -> bool:
        """Whether the model expects next to nothing of the best point that is left."""
        if not acquisition.one or acquisition.incumbents is None or len(self.known.observed) < 2:
            return False
        beliefs = {name: model.predict(self.space.features(row[None, :])) for name, model in acquisition.models.items()}
        range_seen = float(np.ptp(self._scores(acquisition)))
        return bool(acquisition.gain(beliefs)[0] < math.log(max(_LITTLE * range_seen, 1e-300)))

    def _doubting(self, acquisition: Acquisition, pending: Array) -> Acquisition:
        """The same with hyper-parameters at the modes of their priors."""
        z = self.space.features(pending)
        data = self.known.data(self.space)
        models = {n: fit(d, self._belief, optimise=False).believing(z) for n, d in data.items()}
        return replace(acquisition, models=models)

    def _placed(self, acquisition: Acquisition) -> Acquisition:
        if self.options.device == "cpu":
            return acquisition
        from sdl.planners._device import on_device

        return on_device(acquisition, self.options.device)

    def _classifier(self) -> Surrogate | None:
        if not len(self.known.infeasible):
            return None
        x = self.space.features(np.concatenate([self.known.observed, self.known.infeasible]))
        labels = np.repeat([1.0, 0.0], [len(self.known.observed), len(self.known.infeasible)])
        return feasibility_model(x, np.array(self.space.feature_groups, dtype=np.intp), labels)

    def _weights(self) -> tuple[float, ...] | None:
        """Weights of the objectives over the spread of their outcomes so far; None where they have none."""
        goals = self.problem.objectives
        if len(goals) == 1 or any(goal.weight is None for goal in goals):
            return None
        found = []
        for goal in goals:
            spread_seen = float(np.std(self.known.values[:, self.known.names.index(goal.name)]))
            found.append(float(goal.weight or 0.0) / (spread_seen if spread_seen > 0 else 1.0))
        return tuple(found)

    def _best(self, acquisition: Acquisition) -> Array:
        """Raw points of the best trials, to look around."""
        scores = self._scores(acquisition)
        if not acquisition.one:
            return self.known.observed[front(scores)][: 2 * _INCUMBENTS]
        return self.known.observed[np.argsort(-scores[:, 0], kind="stable")[:_INCUMBENTS]]

    def _scores(self, acquisition: Acquisition) -> Array:
        """Measured scores of the trials, shape (m, objectives), or (m, 1) where they are weighed into one."""
        columns = [acquisition.score(goal, self.known.values[:, j]) for j, goal in enumerate(self.problem.objectives)]
        scores = np.column_stack(columns)
        return scores if acquisition.weights is None else (scores @ np.array(acquisition.weights))[:, None]

    def _cost(self, last: Array) -> Callable[[Array], Array] | None:
        """Cost of raw points in trials' worth: of the trial, over the median of those made, and of what changes."""
        space = self.space
        changes = np.array([parameter.change_cost for parameter in space.parameters])
        if self.problem.trial_cost is None and not changes.any():
            return None
        usual = float(np.median(space.costs(self.known.observed))) if self.problem.trial_cost is not None else 1.0

        def cost(raw: Array) -> Array:
            found = space.costs(raw) / usual if usual > 0 else np.ones(len(raw))
            return found + (raw != last) @ changes if len(last) else found

        return cost

    def _again(self, acquisition: Acquisition, models: Mapping[str, Model], met: Found) -> _Choice:
        """The point that was found, or the best of those tried, where measuring it again is worth more."""
        choice = _Choice(met.row, met.value, met.best)
        model = models[self.problem.objectives[0].name]
        if (
            self.options.replicate == "never"
            or self.candidates.finite is not None
            or len(self.problem.objectives) > 1
            or isinstance(self.problem.objectives[0], Match)
            or acquisition.incumbents is None
            or model.noise_share() < _NOISY
        ):
            return choice
        offered = np.concatenate([met.row[None, :], self.known.observed])
        z = self.space.features(offered)
        sd, error = model.predict(z)[1], model.scale * math.sqrt(model.noise_share())
        values = acquisition(offered, z) + np.log1p(-error / np.sqrt(sd**2 + error**2))
        top = int(values.argmax())
        if top == 0:
            return choice
        return _Choice(offered[top], float(values[top]), met.best, self.known.numbers[top - 1])

    def _reason(
        self,
        acquisition: Acquisition,
        explainer: Explainer,
        fitted: Mapping[str, Surrogate],
        choice: _Choice,
        shares: Mapping[str, Mapping[str, float]],
        pending: int,
    ) -> Reason:
        goals = self.problem.objectives
        predicted = explainer.predictions(choice.row)
        left = explainer.improvement_left(acquisition, choice.row, choice.best)
        details: dict[str, Any] = {
            "planner": "bayes",
            "version": self.version,
            "model": "Gaussian process: constant, linear trend and Matérn-5/2, one length scale a parameter",
            "acquisition": _named(acquisition),
            "exploration": explainer.exploration(acquisition, choice.row),
            "pending": pending,
            "sensitivities": dict(shares) if len(shares) > 1 else dict(shares[goals[0].name]),
            "nearest_trials": explainer.nearest(choice.row),
            **self._models(fitted),
            **self._prior(explainer.fitted),
            **self.candidates.notes,
            **unusable(self.known),
        }
        if left is not None:
            details["improvement_left"] = left
        if choice.repeats is not None:
            details["repeats_trial"] = choice.repeats
        if choice.doubtful:
            details["doubt"] = "the fitted model expects next to nothing; chosen under the prior's length scales"
        beliefs = []
        for goal in goals:
            unit = "" if goal.unit == "1" else f" {goal.unit}"
            of, values = predicted[goal.name], self.known.values[:, self.known.names.index(goal.name)]
            best = max(values.tolist(), key=goal.score, default=None)
            known = "" if best is None else f", best {best:.4g}{unit}"
            beliefs.append(f"{goal.name} {of.mean:.4g} ± {of.sem:.2g}{unit} predicted{known}")
        why = "measured again, since noise hides how good it is"
        head = "greatest expected improvement" if choice.repeats is None else why
        if acquisition.incumbents is None:
            head = "greatest chance to keep the outcome constraints, which no trial does yet"
        summary = f"{head}: {'; '.join(beliefs)}{self.candidates.merged}"
        return Reason(summary=summary, acquisition=choice.value, predicted=predicted, details=details)

    def _prior(self, models: Mapping[str, Model]) -> dict[str, Any]:
        """The say that each source has in each outcome's model, and sources that have none."""
        if not self.problem.sources:
            return {}
        knowledge = Knowledge.of(self.space)
        found: dict[str, Any] = {"sources": {name: Knowledge.describe(model) for name, model in models.items()}}
        return found | ({"sources_unused": knowledge.troubles} if knowledge is not None and knowledge.troubles else {})

    def _models(self, fitted: Mapping[str, Surrogate]) -> dict[str, Any]:
        """Hyper-parameters, of the only model or by outcome."""
        groups = np.array(self.space.feature_groups, dtype=np.intp)
        names = [parameter.name for parameter in self.space.parameters]
        found = {
            name: {
                "length_scales": dict(zip(names, model.lengths(groups).round(4).tolist(), strict=True)),
                "noise_variance": model.noise_share(),
            }
            for name, model in fitted.items()
        }
        troubles = "; ".join(f"{name}: {model.fallback}" for name, model in fitted.items() if model.fallback)
        if not found:
            return {}
        described: dict[str, Any] = next(iter(found.values())) if len(found) == 1 else {"models": found}
        return described | ({"fallback": troubles} if troubles else {})


@dataclass(frozen=True)
class _Choice:
    """What is to be proposed."""

    row: Array
    value: float
    """Of the acquisition function."""
    best: Array
    """Points with the greatest values."""
    repeats: int | None = None
    """Number of the trial that is measured again."""
    doubtful: bool = False
    """Whether the fitted model was set aside."""


def _named(acquisition: Acquisition) -> str:
    gain = "improvement" if acquisition.one else "hypervolume improvement"
    name = f"log expected {gain} on what the model believes of the trials"
    if acquisition.weights is not None:
        name = f"log expected improvement of the weighted sum: {name}"
    if acquisition.constraints:
        name += ", times the chance to keep the outcome constraints"
    if acquisition.classifier is not None:
        name += ", times the chance of being feasible"
    return name + (", over the cost" if acquisition.cost is not None else "")


def unusable(known: Known) -> dict[str, Any]:
    """For a reason: trials that could not be learnt from."""
    if not known.unusable:
        return {}
    return {"ignored_trials": list(known.unusable), "ignored_because": "an outcome is missing or not a finite number"}
