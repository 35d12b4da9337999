"""The arm of a simulated robot: what it carries, phase by phase in lab time, and the record that its program keeps."""

from __future__ import annotations

import math
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from sdl.devices._ur_protocol import GRIPPER, REMEMBERED, Carried, Count, State
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._plant import PlantError

__all__ = ["DURATIONS", "Arm", "HandlerPlant", "Refused", "Slots"]

DURATIONS: Mapping[str, float] = {"APPROACH": 5.0, "GRIP": 1.5, "TRAVEL": 8.0, "PLACE": 2.5}
"""Lab seconds of each phase of a carry."""
_HOME = 4.0


class HandlerPlant(Protocol):
    """The places that a robot reaches, and its gripper."""

    def pick(self, place: str) -> None:
        """Take what lies at a place. Raises `PlantError` when nothing does, or the gripper is taken."""
        ...

    def put(self, place: str) -> None:
        """Put what the gripper holds to a place. Raises `PlantError` when that is taken, or the gripper is empty."""
        ...

    def occupied(self, place: str) -> bool:
        """Whether something lies at a place."""
        ...

    def holding(self) -> bool:
        """Whether the gripper holds something."""
        ...


class Slots:
    """Places that hold one thing each.

    Args:
        places: their names.
        full: those where something lies in the beginning.
    """

    def __init__(self, places: Iterable[str], full: Iterable[str] = ()) -> None:
        taken = set(full)
        self.full = {place: place in taken for place in places}
        """Place → whether something lies there."""
        self.gripped = False

    def pick(self, place: str) -> None:
        """Take what lies at a place."""
        if self.gripped or not self.full[place]:
            raise PlantError(f"nothing lies at {place}" if not self.gripped else "the gripper is taken")
        self.full[place], self.gripped = False, True

    def put(self, place: str) -> None:
        """Put it to a place."""
        if self.full[place] or not self.gripped:
            raise PlantError(f"{place} is taken" if self.gripped else "the gripper is empty")
        self.full[place], self.gripped = True, False

    def occupied(self, place: str) -> bool:
        """Whether something lies at a place."""
        return self.full[place]

    def holding(self) -> bool:
        """Whether the gripper holds something."""
        return self.gripped


class Refused(Exception):
    """What the program answers behind `ERR`."""


class Arm:
    """Carries between places; brought up to the present whenever it is looked at.

    Args:
        probe: log; `stuck` means that nothing moves.
        clock: lab time.
        plant: places and gripper.
        places: names that are taught.
        durations: lab seconds of the phases APPROACH, GRIP, TRAVEL and PLACE.
        may_move: whether the controller lets it move: its program plays, and its safety system does not stop it.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        plant: HandlerPlant,
        places: Iterable[str],
        durations: Mapping[str, float],
        may_move: Callable[[], bool],
    ) -> None:
        self.plant = plant
        self.places = tuple(places)
        self.durations = {**DURATIONS, **durations}
        """Lab seconds."""
        self.record: OrderedDict[str, Carried] = OrderedDict()
        """Tag → carry, of the last ones."""
        self.record_id = uuid.uuid4().hex[:12]
        self.taken = 0
        """Carries taken."""
        self._probe, self._clock, self._may_move = probe, clock, may_move
        self._carry: Carried | None = None
        self._phases: list[tuple[str, float]] = []
        """Phases to come, the present one first, with the lab seconds that are left of each."""
        self._at = clock.now()
        self._moving = False

    def count(self) -> Count:
        """Carries taken, and of which record."""
        return Count(self.taken, self.record_id)

    def state(self) -> State:
        """What it does."""
        self.advance()
        if not self._phases:
            return State("IDLE", 0.0, "-")
        left = sum(seconds for _, seconds in self._phases)
        return State(self._phases[0][0], left, "-" if self._carry is None else self._carry.tag)

    def due(self) -> float:
        """Wall seconds until a phase ends of its own accord."""
        if not self._moving or not self._phases:
            return math.inf
        return self._phases[0][1] / self._clock.speed

    def begin(self, tag: str, source: str, target: str) -> int:
        """Take a carry, and return its number.

        Raises:
            Refused: it cannot be; nothing moves.
        """
        self.advance()
        self._check(tag, source, target)
        self.taken += 1
        self._carry = self.record[tag] = Carried(tag, self.taken, source, target)
        while len(self.record) > REMEMBERED:
            self.record.popitem(last=False)
        first = ("APPROACH", "GRIP", "TRAVEL", "PLACE") if source != GRIPPER else ("TRAVEL", "PLACE")
        self._phases = [(phase, self.durations[phase]) for phase in first]
        self._probe.record("carry", tag=tag, number=self.taken, source=source, target=target)
        self.advance()
        return self.taken

    def _check(self, tag: str, source: str, target: str) -> None:
        for place in (target,) if source == GRIPPER else (source, target):
            if place not in self.places:
                raise Refused(f"PLACE {place} is not taught")
        if tag in self.record:
            raise Refused(f"KNOWN {tag} was taken before, and is not carried again")
        if self._phases:
            raise Refused("BUSY it moves")
        if not self._may_move():
            raise Refused("NOT_PLAYING the program does not play")
        if self.plant.holding() and source != GRIPPER:
            raise Refused("HOLDING the gripper holds something")
        if not self.plant.holding() and source == GRIPPER:
            raise Refused("NOT_HOLDING the gripper is empty")

    def home(self) -> float:
        """Go to the home position, and return the lab seconds that it takes.

        Raises:
            Refused: it cannot.
        """
        self.advance()
        if self._phases:
            raise Refused("BUSY it moves")
        if not self._may_move():
            raise Refused("NOT_PLAYING the program does not play")
        self._phases = [("HOME", _HOME)]
        self._probe.record("home")
        self.advance()
        return _HOME

    def advance(self) -> None:
        """Bring it up to the present. To be called after whatever lets it move or keeps it from moving, too."""
        now = self._clock.now()
        elapsed, self._at = now - self._at, now
        if self._moving:
            self._move(elapsed)
        self._moving = bool(self._phases) and self._may_move() and not self._probe.faults.stuck

    def _move(self, seconds: float) -> None:
        while self._phases:
            phase, left = self._phases[0]
            if seconds < left:
                self._phases[0] = (phase, left - seconds)
                return
            seconds -= left
            self._phases.pop(0)
            self._reached(phase)

    def _reached(self, phase: str) -> None:
        """A phase is over: the fingers close or open at the end of theirs."""
        carry = self._carry
        if carry is None:
            return
        try:
            if phase == "GRIP":
                self.plant.pick(carry.source)
                self._probe.record("pick", place=carry.source, number=carry.number)
            elif phase == "PLACE":
                self.plant.put(carry.target)
                self._probe.record("put", place=carry.target, number=carry.number)
                self._end("DONE", "")
        except PlantError as error:
            self._end("PARTIAL" if self.plant.holding() else "NOT_PICKED", str(error))

    def abandon(self, cause: str) -> None:
        """Give up what it is doing where it is; the gripper stays as it is."""
        self.advance()
        if self._carry is not None:
            self._end("PARTIAL" if self.plant.holding() else "NOT_PICKED", cause)
        self._phases.clear()
        self._moving = False

    def _end(self, outcome: str, cause: str) -> None:
        carry, self._carry = self._carry, None
        self._phases.clear()
        if carry is not None:
            carry.outcome, carry.cause = outcome, cause
            self._probe.record("carried", tag=carry.tag, number=carry.number, outcome=outcome, cause=cause)
