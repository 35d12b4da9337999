"""When things are and were to be: the lab time of sessions, and what was planned for trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Scheduled", "ScheduledStep", "SessionTime", "scheduled"]


@dataclass(frozen=True, slots=True)
class SessionTime:
    """How the lab time of a session follows from the time of day."""

    opened_at: int
    """When its lab time began, UTC, ns."""
    speed: float = 1.0
    """Lab seconds a wall second."""
    closed_at: int | None = None
    """UTC, ns; None while it is under way, and where its process died."""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """A step with the time that was planned for it."""

    step: str
    station: str
    start: float
    """Lab seconds of the campaign, as the coordinator counts them."""
    end: float


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What was planned for a trial when its first step began."""

    at: int
    """When that was put on record, UTC, ns."""
    now: float
    """The same moment in lab seconds of the campaign, as the coordinator counts them."""
    by: str
    """lookahead or rule."""
    steps: tuple[ScheduledStep, ...] = ()


def scheduled(body: Mapping[str, Any], at: int) -> Scheduled:
    """What an entry `trial.scheduled` says.

    Args:
        body: of the entry.
        at: of the entry, UTC, ns.
    """
    steps = tuple(ScheduledStep(s["step"], s["station"], s["start"], s["end"]) for s in body["steps"])
    return Scheduled(at, body["now"], body["by"], steps)
