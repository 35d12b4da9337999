"""Laws of chance that labs may follow in truth, and rehearsed trials for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from sdl.campaign.rehearsal.experience import Experience, Timed, Tried
from sdl.campaign.rehearsal.script import Part, ScriptStep
from sdl.campaign.rehearsal.timing import Recovery, Rules
from sdl.campaign.scheduling.problem import Lab, PlaceNow, StationNow, Task
from sdl.model import TrialStatus

LAB = Lab(
    {name: StationNow() for name in ("coating", "furnace_a", "furnace_b", "probing")},
    {
        "chuck": PlaceNow(station="coating"),
        "bed_a": PlaceNow(station="furnace_a"),
        "bed_b": PlaceNow(station="furnace_b"),
        "tray": PlaceNow(capacity=1000),
    },
)
SECONDS = {"coat": 180.0, "anneal": 1500.0, "measure": 240.0}


def tasks() -> tuple[Task, ...]:
    """Coat; anneal in either furnace; measure."""
    both = ("furnace_a", "furnace_b")
    return (
        Task("coat", ("coating",), {"coating": SECONDS["coat"]}, into=("chuck",)),
        Task("anneal", both, dict.fromkeys(both, SECONDS["anneal"]), into=("bed_a", "bed_b")),
        Task("measure", ("probing",), {"probing": SECONDS["measure"]}, into=("tray",), frees=True),
    )


def parts(count: int, *, reached: int = 0) -> tuple[Part, ...]:
    """Rehearsed trials; number `reached` reaches the goal."""
    steps = tuple(ScriptStep(task, SECONDS[task.step]) for task in tasks())
    return tuple(
        Part(n, {}, TrialStatus.OBSERVED, steps, len(steps) - 1, {}, {}, n == reached) for n in range(1, count + 1)
    )


def rules(in_flight: int = 3, retries: int = 1, **more: object) -> Rules:
    """Tries again after 60 s, then the other furnace, then the trial has failed."""
    recoveries = tuple(Recovery(task.stations, retries, 60.0, index) for index, task in enumerate(tasks()))
    return Rules(recoveries, in_flight=in_flight, **more)  # type: ignore[arg-type]


class Exact:
    """A lab in which everything takes as long as it should, and fails when it is told to."""

    def __init__(self, failing: Sequence[tuple[str, str]] = ()) -> None:
        """Args:
        failing: step and station of attempts that fail after 10 s, each once.
        """
        self.failing = list(failing)

    def factor(self, rng: Random, step: str, station: str) -> float:
        """None."""
        return 1.0

    def fails(self, rng: Random, step: str, station: str) -> bool:
        """Once for each that is listed."""
        if (step, station) in self.failing:
            self.failing.remove((step, station))
            return True
        return False

    def lasts(self, rng: Random, step: str, station: str, seconds: float) -> float:
        """Ten seconds."""
        return 10.0


@dataclass
class GammaLab:
    """A lab whose steps take gamma-distributed times, differ from what was declared, and have good and bad days."""

    ratios: dict[str, float]
    """Step → true mean over declared."""
    spread: float
    """Coefficient of variation of a step."""
    days: float
    """Relative spread between campaigns."""
    rate: float
    """Faults an attempt."""
    name: str = ""
    today: float = 1.0
    timed: list[Timed] = field(default_factory=list)
    failed: dict[tuple[str, str], list[bool]] = field(default_factory=dict)

    def begin(self, rng: Random, name: str) -> None:
        """Another campaign, on another day."""
        self.name, self.today = name, rng.lognormvariate(0.0, self.days)

    def factor(self, rng: Random, step: str, station: str) -> float:
        """Gamma, not log-normal."""
        shape = 1 / self.spread**2
        drawn = self.today * self.ratios[step] * rng.gammavariate(shape, 1 / shape)
        self._last = Timed(self.name, step, station, SECONDS[step], SECONDS[step] * drawn)
        return drawn

    def fails(self, rng: Random, step: str, station: str) -> bool:
        """At a constant rate."""
        failed = rng.random() < self.rate
        self.failed.setdefault((step, station), []).append(failed)
        if not failed:
            self.timed.append(self._last)
        return failed

    def lasts(self, rng: Random, step: str, station: str, seconds: float) -> float:
        """Faults show early."""
        return 0.3 * seconds

    def experience(self) -> Experience:
        """What the record of it says."""
        tried = tuple(
            Tried(*key, len(found), sum(found), tuple([0.3 * SECONDS[key[0]]] * sum(found)))
            for key, found in sorted(self.failed.items())
        )
        return Experience(tuple(self.timed), tried)
