"""What a campaign wants of an outcome: as much, as little, or as near to a target as possible."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sdl.model._base import Name, Record, Unit

__all__ = ["Match", "Maximize", "Minimize", "Objective"]


class _Objective(Record):
    name: Name
    """Name of the outcome that the analysis returns."""
    unit: Unit
    description: str = ""


class Maximize(_Objective):
    """The more the better."""

    kind: Literal["maximize"] = "maximize"

    def score(self, value: float) -> float:
        """Value to be maximised."""
        return value


class Minimize(_Objective):
    """The less the better."""

    kind: Literal["minimize"] = "minimize"

    def score(self, value: float) -> float:
        """Value to be maximised: −value."""
        return -value


class Match(_Objective):
    """The nearer to `target` the better."""

    kind: Literal["match"] = "match"
    target: float
    """Value wanted, in `unit`."""

    def score(self, value: float) -> float:
        """Value to be maximised: −|value − target|."""
        return -abs(value - self.target)


Objective = Annotated[Maximize | Minimize | Match, Field(discriminator="kind")]
