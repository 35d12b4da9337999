"""What a campaign wants of an outcome: as much, as little, or as near to a target as possible; or within bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sdl.model._base import Name, Record, Unit

__all__ = ["Match", "MatchCurve", "Maximize", "Minimize", "Objective", "OutcomeConstraint"]


class _Objective(Record):
    name: Name
    """Name of the outcome that the analysis returns."""
    unit: Unit
    description: str = ""
    weight: float | None = Field(default=None, gt=0)
    """How much it counts beside the other objectives, where they are to be weighed into one number."""
    threshold: float | None = None
    """Worst value that still counts, in `unit`: the reference point of the hypervolume. For a target: farthest off."""


class Maximize(_Objective):
    """The more the better."""

    kind: Literal["maximize"] = "maximize"

    def score(self, value: float) -> float:
        """Value to be maximised."""
        return value

    @property
    def threshold_score(self) -> float | None:
        """Score at the threshold."""
        return self.threshold


class Minimize(_Objective):
    """The less the better."""

    kind: Literal["minimize"] = "minimize"

    def score(self, value: float) -> float:
        """Value to be maximised: −value."""
        return -value

    @property
    def threshold_score(self) -> float | None:
        """Score at the threshold."""
        return None if self.threshold is None else -self.threshold


class _Distance(_Objective):
    """An objective whose threshold is a distance."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.threshold is not None and self.threshold <= 0:
            raise ValueError(
                f"{self.name}: the threshold of a target is how far off still counts, above 0 {self.unit}; "
                f"got {self.threshold:g}"
            )
        return self

    @property
    def threshold_score(self) -> float | None:
        """Score at the threshold."""
        return None if self.threshold is None else -self.threshold


class Match(_Distance):
    """The nearer to `target` the better."""

    kind: Literal["match"] = "match"
    target: float
    """Value wanted, in `unit`."""

    def score(self, value: float) -> float:
        """Value to be maximised: −|value − target|."""
        return -abs(value - self.target)


class MatchCurve(_Distance):
    """The nearer to a curve the better: the outcome is the root mean square distance that the analysis returns."""

    kind: Literal["match_curve"] = "match_curve"
    target: Annotated[tuple[float, ...], Field(min_length=1)]
    """The curve wanted, point by point, in `unit`, for the analysis to compare with."""

    def score(self, value: float) -> float:
        """Value to be maximised: −value, a distance."""
        return -value


Objective = Annotated[Maximize | Minimize | Match | MatchCurve, Field(discriminator="kind")]


class OutcomeConstraint(Record):
    """Bounds that an outcome has to keep, whatever the objectives say."""

    name: Name
    """Name of the outcome that the analysis returns; may be an objective's."""
    unit: Unit
    at_most: float | None = None
    at_least: float | None = None
    description: str = ""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"{self.name}: an outcome's constraint needs at_most, at_least or both")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(f"{self.name}: at_least {self.at_least:g} is above at_most {self.at_most:g} {self.unit}")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        low = f"{self.at_least:g} ≤ " if self.at_least is not None else ""
        high = f" ≤ {self.at_most:g}" if self.at_most is not None else ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{low}{self.name}{high}{unit}"
