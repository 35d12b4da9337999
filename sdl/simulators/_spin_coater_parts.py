"""What a simulated spin coater stands in and remembers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Protocol

from sdl.devices._spin_coater_protocol import NONE
from sdl.simulators._plant import PlantError

__all__ = ["CoaterLimits", "CoaterMemory", "CoaterPlant", "Refused", "SmallPlant"]


class Refused(Exception):
    """The coater answers `ERR` with this number, and perhaps a word more."""

    def __init__(self, number: int, detail: str = "") -> None:
        self.number, self.detail = number, detail
        super().__init__(number, detail)


class CoaterPlant(Protocol):
    """The physical world of a coater."""

    def load(self) -> None:
        """A new substrate comes onto the chuck. Raises `PlantError` when the magazine is empty or the chuck taken."""
        ...

    def dispense(self, microlitres: float) -> None:
        """So much ink came out onto the substrate."""
        ...

    def spin(self, rpm: float, seconds: float) -> None:
        """A program has ended: the highest speed that was reached, and how long its segment lasted."""
        ...

    def occupied(self) -> bool:
        """Whether a substrate is on the chuck."""
        ...

    def magazine(self) -> int:
        """Substrates left."""
        ...


class SmallPlant:
    """A magazine and a chuck, for a coater on its own.

    Args:
        substrates: in the magazine.
    """

    def __init__(self, substrates: int = 25) -> None:
        self.left, self.taken = substrates, False
        self.spins: list[tuple[float, float]] = []
        """rpm and seconds of each program."""
        self.ink = 0.0
        """Dispensed in all, uL."""

    def load(self) -> None:
        if self.taken or not self.left:
            raise PlantError("the chuck is taken" if self.taken else "the magazine is empty")
        self.left, self.taken = self.left - 1, True

    def dispense(self, microlitres: float) -> None:
        self.ink += microlitres

    def spin(self, rpm: float, seconds: float) -> None:
        self.spins.append((rpm, seconds))

    def occupied(self) -> bool:
        return self.taken

    def magazine(self) -> int:
        return self.left


@dataclass(frozen=True)
class CoaterLimits:
    """What a coater can do; a command beyond it is refused with error 12."""

    min_speed: float = 50.0
    """rpm"""
    max_speed: float = 10_000.0
    """rpm"""
    max_acceleration: float = 10_000.0
    """rpm/s"""
    max_seconds: float = 3600.0
    """Of one segment, s."""
    max_segments: int = 10
    max_volume: float = 2000.0
    """Of one dispense, uL."""
    flow: float = 100.0
    """Of the syringe, uL/s."""
    load_time: float = 8.0
    """That the handler takes, s."""


@dataclass
class CoaterMemory:
    """What a coater remembers through a power cut."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    loads: int = 0
    dispenses: int = 0
    volume: float = 0.0
    """uL"""
    spins: int = 0
    tags: set[str] = field(default_factory=set)
    """Of every action that was accepted."""
    tag: str = NONE
    """Of the last one."""
    kind: str = NONE
    result: str = NONE
    done: float = 0.0
    of: float = 0.0
