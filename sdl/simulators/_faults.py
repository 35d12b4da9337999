"""Faults that a test can put into a simulated instrument, and the record of what it really did."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sdl.simulators._truth import TruthLog

__all__ = ["FaultKind", "Faults", "Probe"]


class FaultKind(StrEnum):
    """What can go wrong."""

    REFUSE = "refuse"
    """Answers with the protocol's own error."""
    HANG = "hang"
    """Takes the request and never answers; the request has no effect."""
    CUT = "cut"
    """Closes the connection in the middle of a request; new connections are closed at once while it lasts."""
    GARBAGE = "garbage"
    """Answers with bytes that mean nothing; the request has no effect."""
    LOSE = "lose"
    """Does what is asked, and the answer is lost: only this one leaves an action in doubt that was done."""
    STUCK = "stuck"
    """Accepts and acknowledges everything, and nothing moves."""


@dataclass
class _Injection:
    kind: FaultKind
    left: int | None
    after: int
    seconds: float | None
    ends: float | None = None

    def begin(self) -> None:
        if self.ends is None and self.seconds is not None:
            self.ends = time.monotonic() + self.seconds

    def over(self) -> bool:
        return self.left == 0 or (self.ends is not None and time.monotonic() >= self.ends)


class Faults:
    """The fault of one instrument, at most one at a time."""

    def __init__(self) -> None:
        self.on_change: list[Callable[[], None]] = []
        """Called after a fault is put in or taken out, for instruments that tell a twin at once."""
        self._injection: _Injection | None = None
        self._cutting = False

    def inject(
        self,
        kind: FaultKind | str,
        *,
        count: int | None = None,
        after: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Put a fault in, in place of the one there is.

        Args:
            kind: which.
            count: how many requests it hits; None until cleared. `stuck` takes none.
            after: how many requests pass unharmed first.
            seconds: wall seconds it lasts from the first request it hits.

        Raises:
            ValueError: there is no such kind of fault, or `count` was given for `stuck`.
        """
        kind = FaultKind(kind)
        if kind is FaultKind.STUCK and count is not None:
            raise ValueError("'stuck' is a state, it cannot hit a number of requests: give no count")
        self._injection = _Injection(kind, count, after, seconds)
        self._cutting = False
        self._tell()

    def clear(self) -> None:
        """Take the fault out."""
        self._injection = None
        self._cutting = False
        self._tell()

    def _tell(self) -> None:
        for callback in self.on_change:
            callback()

    def strike(self) -> FaultKind | None:
        """Called once a request: the fault that hits this request, `stuck` excepted."""
        injection = self._current()
        if injection is None:
            return None
        if injection.after > 0:
            injection.after -= 1
            return None
        injection.begin()
        if injection.kind is FaultKind.STUCK:
            return None
        if injection.left is not None:
            injection.left -= 1
        self._cutting = injection.kind is FaultKind.CUT
        return injection.kind

    @property
    def stuck(self) -> bool:
        """Whether the actuator or the reading stands still."""
        injection = self._current()
        return injection is not None and injection.kind is FaultKind.STUCK and injection.after == 0

    @property
    def unreachable(self) -> bool:
        """Whether a new connection is closed at once."""
        return self._current() is not None and self._cutting

    def _current(self) -> _Injection | None:
        if self._injection is not None and self._injection.over():
            self.clear()
        return self._injection


class Probe:
    """What a test can reach of one simulated instrument: its faults and the log of its actions.

    Args:
        name: name of the instrument in the simulation.
        now: lab time, for the log.
    """

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.faults = Faults()
        self.log: list[dict[str, Any]] = []
        """What the instrument did, in order: `at` (lab s), `wall` (Unix ns), `instrument`, `action`, and details."""
        self._now = now
        self._truth: TruthLog | None = None

    def keep(self, truth: TruthLog) -> None:
        """Write each action into a file as well, from now on."""
        self._truth = truth
        truth.begin(self.name, self._now())

    def record(self, action: str, **details: Any) -> None:
        """Add an action to the log; details must be JSON values."""
        entry = {"at": self._now(), "wall": time.time_ns(), "instrument": self.name, "action": action, **details}
        self.log.append(entry)
        if self._truth is not None:
            self._truth.write(entry)
