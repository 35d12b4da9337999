"""Sums that have to be met exactly, for peers that know inequalities only: one parameter of each is left out.

Of Σ cᵢ·xᵢ = s the parameter with the widest range is solved for; its limits become two inequalities of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdl.model import LinearConstraint, Problem, RealParameter
from sdl.planners.adapters._box import least

__all__ = ["Reduced", "reduce"]


@dataclass(frozen=True)
class Reduced:
    """A problem's linear rules without equalities; what is not linear is left to the mapping after a proposal."""

    solved: Mapping[str, tuple[float, Mapping[str, float]]]
    """Parameter left out → constant and coefficients of the others: x = constant + Σ coefficient · other."""
    rules: tuple[tuple[Mapping[str, float], float], ...]
    """Coefficients and bound of each Σ coefficient · x ≤ bound."""

    def complete(self, values: Mapping[str, float]) -> dict[str, float]:
        """The values with those left out computed."""
        found = dict(values)
        for name, (constant, terms) in self.solved.items():
            found[name] = constant + sum(weight * values[other] for other, weight in terms.items())
        return found


def reduce(problem: Problem) -> Reduced:
    """Take the equalities out of a problem's linear constraints and mixtures.

    Equalities that share a parameter are left to the mapping that follows a proposal.
    """
    reals = {p.name: p for p in problem.searched if isinstance(p, RealParameter) and not p.log}
    numeric = {p.name for p in problem.searched if p.kind in ("real", "integer") and not getattr(p, "log", False)}
    linear = [c for c in problem.constraints if isinstance(c, LinearConstraint) and set(c.sum) <= numeric]
    equal = [(dict(c.sum), float(c.at_most)) for c in linear if c.at_most is not None and c.at_most == c.at_least]
    equal += [(dict.fromkeys(m.components, 1.0), m.total) for m in problem.mixtures]
    rules = [rule for c in linear if c.at_most != c.at_least for rule in _bounds(c)]
    solved: dict[str, tuple[float, Mapping[str, float]]] = {}
    met: set[str] = set()
    for weights, total in equal:
        free = [name for name, weight in weights.items() if name in reals and weight]
        if met & set(weights) or not free or any(set(weights) & set(terms) for terms, _ in rules):
            continue
        met |= set(weights)
        pivot = max(free, key=lambda name: abs(weights[name]) * (reals[name].high - reals[name].low))
        terms = {name: -weight / weights[pivot] for name, weight in weights.items() if name != pivot}
        constant = total / weights[pivot]
        solved[pivot] = (constant, terms)
        rules.append((terms, reals[pivot].high - constant))
        rules.append(
            ({name: -weight for name, weight in terms.items()}, constant - least(problem, pivot, reals[pivot].low))
        )
    return Reduced(solved, tuple(rules))


def _bounds(constraint: LinearConstraint) -> list[tuple[Mapping[str, float], float]]:
    found: list[tuple[Mapping[str, float], float]] = []
    if constraint.at_most is not None:
        found.append((constraint.sum, constraint.at_most))
    if constraint.at_least is not None:
        found.append(({name: -weight for name, weight in constraint.sum.items()}, -constraint.at_least))
    return found
