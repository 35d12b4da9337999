"""Prior knowledge of a problem: what earlier campaigns, tables or simulations say of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sdl.model._base import Name, Record, Scalar

__all__ = ["Source"]


class Source(Record):
    """Points with outcomes from elsewhere, held by column. Planners may learn from it; none of its points is a trial.

    `campaign` is measured in a related space; `simulation` is cheap and approximate; `prior_mean` is what the outcome
    is expected to be, from which measurements differ.
    """

    name: Name
    kind: Literal["campaign", "simulation", "prior_mean"] = "campaign"
    parameters: Annotated[dict[str, tuple[Scalar, ...]], Field(min_length=1)]
    """Values of each parameter that the source has, in the problem's units."""
    outcomes: Annotated[dict[str, tuple[float | None, ...]], Field(min_length=1)]
    """Values of each outcome, in the problem's units; None where it was not measured."""
    sems: dict[str, tuple[float | None, ...]] = {}
    """Standard errors of the outcomes, where they are known."""
    cost: float = Field(default=1.0, ge=0)
    """Cost of one of its points, in trials' worth."""
    notes: tuple[str, ...] = ()
    """What a person should know of it, as parameters that it lacks."""

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        lengths = {len(column) for part in (self.parameters, self.outcomes, self.sems) for column in part.values()}
        if len(lengths) > 1:
            raise ValueError(f"source {self.name}: its columns must be equally long")
        if lengths == {0}:
            raise ValueError(f"source {self.name} has no rows")
        strange = sorted(set(self.sems) - set(self.outcomes))
        if strange:
            raise ValueError(f"source {self.name}: standard errors of {', '.join(strange)}, which is no outcome of it")
        return self

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def row(self, index: int) -> dict[str, Scalar]:
        """Parameter values of point `index`."""
        return {name: column[index] for name, column in self.parameters.items()}
