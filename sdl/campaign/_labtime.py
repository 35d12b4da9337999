"""Lab time of a campaign: its sessions one after another, as if nobody had been away between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from sdl.journal.state import CampaignState

__all__ = ["LabTime"]


class _Session(NamedTuple):
    opened: int
    closed: int
    speed: float
    zero: float
    """Lab second of the campaign at which it begins."""


class LabTime:
    """Turns moments of a journal into lab seconds since the campaign's first session began.

    Args:
        state: of the campaign.
        now: the present, UTC, ns; None for the last entry.
    """

    def __init__(self, state: CampaignState, now: int | None = None) -> None:
        self._sessions: list[_Session] = []
        zero = 0.0
        last = len(state.times) - 1
        for index, time in enumerate(state.times):
            closed = time.closed_at
            if closed is None:
                closed = max(now or 0, state.updated_at) if index == last else _last_sign(state, index)
            closed = max(closed, time.opened_at)
            self._sessions.append(_Session(time.opened_at, closed, time.speed, zero))
            zero += (closed - time.opened_at) / 1e9 * time.speed
        self.end = zero
        """Lab seconds of the campaign until now."""

    def at(self, moment: int) -> float:
        """Lab seconds of a moment, UTC, ns. While nobody runs the campaign, its time stands still."""
        index = bisect_right(self._sessions, moment, key=lambda session: session.opened) - 1
        if index < 0:
            return 0.0
        session = self._sessions[index]
        return session.zero + (min(moment, session.closed) - session.opened) / 1e9 * session.speed

    def speed(self, moment: int) -> float:
        """Lab seconds a wall second at a moment, UTC, ns."""
        index = bisect_right(self._sessions, moment, key=lambda session: session.opened) - 1
        return self._sessions[max(index, 0)].speed if self._sessions else 1.0


def _last_sign(state: CampaignState, index: int) -> int:
    """The last moment on record of a session whose process died, UTC, ns: of its trials, steps and actions."""
    opened, following = state.times[index].opened_at, state.times[index + 1].opened_at
    return max((moment for moment in _moments(state) if opened <= moment < following), default=opened)


def _moments(state: CampaignState) -> Iterator[int]:
    for trial in state.trials.values():
        yield trial.proposed_at
        if trial.ended_at is not None:
            yield trial.ended_at
        for step in trial.steps:
            yield step.started_at
            # What a dead process left open is put on record as interrupted by the next session.
            if step.ended_at is not None and step.cause != "interrupted":
                yield step.ended_at
        for action in trial.actions.values():
            yield action.dispatched_at
