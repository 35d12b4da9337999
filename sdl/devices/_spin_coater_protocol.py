"""The spin coater's line protocol: what its answers say, and how programs are written.

There is no common standard for spin coaters; the command set is documented in full in `sdl.simulators.spin_coater`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Self

__all__ = [
    "ERRORS",
    "FAULTS",
    "Counters",
    "Segment",
    "Status",
    "parse_reply",
    "read_program",
    "write_program",
]

NONE: Final = "-"
"""Stands for a tag, kind or result that there is none of."""
RESOLUTION_UL: Final = 0.01
"""The syringe counts in steps of so much, uL."""

ERRORS: Final[Mapping[int, str]] = {
    10: "unknown command",
    11: "wrong parameters",
    12: "out of limits",
    13: "this tag was accepted before",
    20: "busy",
    21: "the magazine is empty",
    22: "the chuck is taken",
    23: "no substrate on the chuck",
    24: "the lid is open",
    25: "no vacuum under the substrate",
    26: "the rotor turns",
    30: "a fault is latched",
    31: "the cause of the fault persists",
    90: "not ready",
}
"""Number of an `ERR` answer → what it means."""

FAULTS: Final[Mapping[int, str]] = {
    0: "none",
    1: "the lid was opened while something moved",
    2: "the vacuum was lost while the rotor turned",
    3: "the handler could not do it",
}
"""Number of a latched fault → what it means."""


class Segment(NamedTuple):
    """One part of a spin program."""

    rpm: float
    """Speed that is gone to and held, rpm."""
    seconds: float
    """How long it lasts, ramp included."""
    acceleration: float
    """Of the ramp, rpm/s, up or down."""


@dataclass(frozen=True)
class Status:
    """Answer to `ST?`."""

    state: str
    """IDLE, LOAD, DISP, SPIN, BRAKE or FAULT."""
    left: float
    """Lab seconds until nothing moves any more."""
    rpm: float
    """Measured speed of the rotor, rpm."""
    lid: int
    """1 closed, 0 open."""
    vacuum: int
    """1 when the chuck holds a substrate, 0 when not."""
    chuck: int
    """1 with a substrate on the chuck."""
    magazine: int
    """Substrates left."""
    fault: int
    """See `FAULTS`."""
    tag: str
    """Of the last action that was accepted."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError for an answer of another form."""
        found = cls(**_fields(cls, text))
        if found.state not in ("IDLE", "LOAD", "DISP", "SPIN", "BRAKE", "FAULT"):
            raise ValueError(f"there is no state {found.state!r}")
        return found

    @property
    def safe(self) -> bool:
        """Whether rotor and syringe stand still."""
        return self.rpm == 0 and self.state in ("IDLE", "LOAD", "FAULT")


@dataclass(frozen=True)
class Counters:
    """Answer to `CN?`."""

    memory: str
    """Id of the memory that the counters are kept in; another one when that was replaced or cleared."""
    loads: int
    """Substrates put on the chuck."""
    dispenses: int
    """Dispenses of which something came out."""
    volume: float
    """Dispensed in all, uL."""
    spins: int
    """Programs in which the rotor turned."""
    tag: str
    """Of the last action that was accepted."""
    kind: str
    """LOAD, DISP or SPIN: of that action."""
    result: str
    """RUN, DONE, STOPPED or FAILED: of that action."""
    done: float
    """Of that action: substrates, uL, or seconds that the rotor turned."""
    of: float
    """What was asked of it, in the same unit."""
    left: float
    """Lab seconds until it is over."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError for an answer of another form."""
        found = cls(**_fields(cls, text))
        if found.result not in ("RUN", "DONE", "STOPPED", "FAILED", NONE):
            raise ValueError(f"there is no result {found.result!r}")
        return found

    def count(self, kind: str) -> int:
        """How many actions of a kind have had an effect."""
        return {"LOAD": self.loads, "DISP": self.dispenses, "SPIN": self.spins}[kind]


def parse_reply(text: str) -> dict[str, str]:
    """Read `OK key=value key=value`.

    Raises:
        ValueError: it is not of that form.
    """
    word, *pairs = text.split()
    if word != "OK":
        raise ValueError("neither OK nor ERR")
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{pair!r} is not key=value")
        found[key] = value
    return found


def _fields(kind: type[Status] | type[Counters], text: str) -> dict[str, Any]:
    """The fields of an answer, each as its type wants it."""
    given = parse_reply(text)
    found: dict[str, Any] = {}
    for item in fields(kind):
        if item.name not in given:
            raise ValueError(f"{item.name} is missing")
        found[item.name] = _READ[str(item.type)](given[item.name])
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


_READ: Final[Mapping[str, Callable[[str], Any]]] = {"str": str, "int": int, "float": _finite}


def read_program(value: Any, seconds: float | None = None, acceleration: float | None = None) -> tuple[Segment, ...]:
    """Segments from what a plan gives: a speed, a mapping, or a sequence of mappings.

    Args:
        value: rpm; `{"rpm": …, "seconds": …, "acceleration": …}`; or several of those.
        seconds: where a segment gives none; nan by default, which no limit lets through.
        acceleration: likewise, rpm/s.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | Mapping):
        value = {"rpm": value}
    given = [value] if isinstance(value, Mapping) else list(value)
    if not given:
        raise ValueError("a spin program has at least one segment")
    defaults = {"seconds": math.nan if seconds is None else seconds}
    defaults["acceleration"] = math.nan if acceleration is None else acceleration
    return tuple(_segment(item, defaults) for item in given)


def _segment(item: Any, defaults: Mapping[str, float]) -> Segment:
    wrong = 'is no segment of a spin program; write {"rpm": 3000, "seconds": 30, "acceleration": 1000}'
    if not isinstance(item, Mapping) or "rpm" not in item or not set(item) <= set(Segment._fields):
        raise ValueError(f"{item!r} {wrong}")
    try:
        return Segment(**{key: float(value) for key, value in {**defaults, **item}.items()})
    except (TypeError, ValueError):
        raise ValueError(f"{item!r} {wrong}") from None


def write_program(program: Sequence[Segment]) -> str:
    """`500,500,5;3000,1000,30`: rpm, rpm/s and seconds of each segment."""
    return ";".join(f"{s.rpm:.1f},{s.acceleration:.1f},{s.seconds:.2f}" for s in program)
