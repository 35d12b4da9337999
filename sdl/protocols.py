"""The contracts a stranger can satisfy without importing a base class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

from sdl.model import Outcome, Problem, Proposal, Trial

__all__ = [
    "ActionRecord",
    "Acts",
    "Analysis",
    "Clock",
    "Effect",
    "HasIdentity",
    "HasSafeState",
    "Planner",
    "Receipt",
    "Receipts",
    "RunRecord",
    "Simulation",
    "SimulatorFactory",
    "Verdict",
    "quick",
]


@runtime_checkable
class Planner(Protocol):
    """Proposes trials. A pure function: equal arguments give equal proposals, in any process, at any time."""

    version: str
    """Changes whenever the same arguments may give other proposals."""

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` trials (fewer when fewer candidates are left).

        Args:
            problem: parameters, constraints, objectives, and the pool when the space is finite.
            trials: all that the campaign knows, by number: observed, infeasible, failed and pending ones.
            n: how many, at least 1.
            seed: 0 ≤ seed < 2⁶³. All randomness derives from it.

        Raises:
            Exhausted: nothing is left to propose.
        """
        ...


@dataclass(frozen=True)
class RunRecord:
    """The documents of one finished Bluesky run, as the journal holds them (event-model dictionaries)."""

    step: str
    """Name of the procedure's step that made the run."""
    start: Mapping[str, Any]
    descriptors: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    stop: Mapping[str, Any] = field(default_factory=dict)

    def readings(self, key: str, stream: str = "primary") -> list[Any]:
        """Values of the data key in the events of a stream, in order; arrays are nested lists.

        Raises:
            KeyError: no event of the stream has the key; the message lists those there are.
        """
        wanted = {d["uid"] for d in self.descriptors if d.get("name") == stream}
        events = [e["data"] for e in self.events if e["descriptor"] in wanted]
        found = [data[key] for data in events if key in data]
        if not found:
            known = sorted({name for data in events for name in data})
            raise KeyError(f"step {self.step!r} recorded no {key!r} in stream {stream!r}; recorded: {known}")
        return found

    def units(self, key: str) -> str:
        """Unit of a data key, from the first descriptor that has it; `1` when none is given."""
        for descriptor in self.descriptors:
            if key in descriptor.get("data_keys", {}):
                return str(descriptor["data_keys"][key].get("units") or "1")
        return "1"


@runtime_checkable
class Analysis(Protocol):
    """Turns the runs of a trial into outcomes. A pure function of its arguments."""

    def __call__(self, runs: Sequence[RunRecord], **options: Any) -> Mapping[str, Outcome]:
        """Outcomes by name.

        Args:
            runs: successful runs of the trial's last attempt of each step, in the order they ended.
            options: as written in the lab file.

        Raises:
            Infeasible: the runs show that the trial cannot give a material.
        """
        ...


F = TypeVar("F", bound=Callable[..., Any])


def quick(analysis: F) -> F:
    """Mark an analysis that takes a millisecond or so: it is called in the campaign's loop, any other in a thread."""
    analysis.quick = True  # type: ignore[attr-defined]
    return analysis


@runtime_checkable
class Clock(Protocol):
    """Lab time. Processes (ramps, dwells, residence times) wait on it; time-outs of communication do not."""

    speed: float
    """Lab seconds a wall second; 1 in a real lab."""

    def now(self) -> float:
        """Lab seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a span of lab time."""
        ...


@runtime_checkable
class HasSafeState(Protocol):
    """A device that knows a state in which it can be left alone."""

    async def safe_state(self) -> None:
        """Command the safe state and confirm it. Must work whatever else the device is doing, and twice in a row.

        Raises:
            UnsafeState: the instrument did not confirm.
        """
        ...


@runtime_checkable
class HasIdentity(Protocol):
    """A device that can say who it is: what a release states of the instrument, unless the lab file says otherwise."""

    async def identity(self) -> str:
        """Ask the instrument. Sends queries only.

        Returns:
            `maker, model, serial number, firmware`, as `*IDN?` gives them; or the model and parts with labels, as in
            `XPR205, software 1.00, serial number B123`.

        Raises:
            Fault: the instrument does not answer.
        """
        ...


class Effect(StrEnum):
    """What repeating an action would do."""

    READ = "read"
    """Nothing: repeat freely."""
    ABSOLUTE = "absolute"
    """It leads to the same state again, as going to 80 degC does: check the interlocks and repeat."""
    DEDUP = "dedup"
    """The instrument remembers action ids and does each once: send the same id again."""
    NON_REPEATABLE = "non_repeatable"
    """It happens once more, as dispensing does: never repeat it unless it is known not to have happened."""


@dataclass(frozen=True)
class Acts:
    """An effect, and what the driver does to make it traceable."""

    effect: Effect
    arms: bool = False
    """The driver calls `current_action().arm(...)` right before the bytes that act, and not at all before."""
    continues: bool = False
    """Stopped part-way, it delivers what is left when called again with what was `carried` over."""


class Verdict(StrEnum):
    """What an instrument knows of an action."""

    DONE = "done"
    NOT_DONE = "not_done"
    PARTIAL = "partial"
    """Stopped part-way, and how far is known."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ActionRecord:
    """An action as the journal has it, for whoever is asked what became of it."""

    id: str
    device: str
    path: str
    """Part of the device that was acted on; empty for the device itself."""
    verb: str
    arguments: Mapping[str, Any]
    """`args` (list) and `kwargs` of the message."""
    effect: Effect
    armed: bool
    """Whether the bytes that act may have left; always true for drivers that do not arm."""
    evidence: Mapping[str, Any]
    """What the driver noted when it armed and when the instrument took the command."""


@dataclass(frozen=True)
class Receipt:
    """An instrument's answer about an action."""

    verdict: Verdict
    text: str
    """What it is based on, for people: readings with units."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """The readings; for PARTIAL what the driver needs to deliver the rest."""


@runtime_checkable
class Receipts(Protocol):
    """A device that can find out what became of an action."""

    async def receipt(self, action: ActionRecord) -> Receipt:
        """Ask the instrument. Sends queries only, and says UNKNOWN rather than guess.

        Raises:
            Fault: the instrument does not answer.
        """
        ...


class Simulation(Protocol):
    """The simulated instruments of one lab: servers on loopback that share one twin."""

    async def start(self) -> Mapping[str, str]:
        """Start every server; return device name → address."""
        ...

    @property
    def control(self) -> str:
        """Address of the channel over which tests inject faults."""
        ...

    async def stop(self) -> None:
        """Stop every server and close its sockets."""
        ...


class SimulatorFactory(Protocol):
    """What an entry point of `sdl.simulators` is."""

    def __call__(
        self, instruments: Mapping[str, Mapping[str, Any]], *, seed: int, speed: float, **options: Any
    ) -> Simulation:
        """Build a simulation.

        Args:
            instruments: device name → settings, from `simulation.instruments` in the lab file.
            seed: seed of every random number of the twin and the instruments.
            speed: lab seconds a wall second.
            options: `simulation.options` of the lab file.
        """
        ...
