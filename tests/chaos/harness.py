"""Many runs, some at a time."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from chaos.bench import Bench
from chaos.forks import Forks
from chaos.runs import Case, Result, run_case

__all__ = ["Harness", "Reference", "doubles", "missed", "spread"]

_TAKING_UP = 130
"""Points in which a session takes up what another left: lease, journal, devices, receipts, the step cut off."""


@dataclass(frozen=True)
class Reference:
    """A campaign that nobody disturbed."""

    history: list[Any]
    points: list[str]
    """Of the campaign's process: their names, in the order in which they were reached."""
    worker_points: list[str] = field(default_factory=list)
    """Of the worker's."""


class Harness:
    """Runs cases in threads. A context manager.

    Args:
        work: folder for the runs; those with violations stay in it.
        jobs: how many runs at a time.
        kind: the lab.
    """

    def __init__(self, work: Path, jobs: int = 2, kind: type[Bench] = Bench) -> None:
        self._work, self._kind = work, kind
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="chaos")
        self.forks = Forks(kind.modules)
        """Starts processes."""
        self._lock = threading.Lock()
        self._count = 0

    def reference(self, *, worker: bool = False) -> Reference:
        """Run the campaign twice without a kill, and see that it comes to the same.

        Raises:
            AssertionError: it does not, or something is wrong with it as it is.
        """
        case = Case(worker=() if worker else None)
        one, two = (self._pool.submit(self._run, case, None).result() for _ in range(2))
        assert not one.violations + two.violations, one.violations + two.violations
        assert one.sessions == two.sessions == 1
        assert not (differing := self._kind.differing(one.history, two.history)), differing
        return Reference(one.history, one.points, one.worker_points)

    def run(
        self, cases: Iterable[Case], reference: Reference, done: Callable[[Result], None] = lambda _: None
    ) -> list[Result]:
        """Run all cases.

        Args:
            cases: where to die.
            reference: what each has to come to.
            done: told each result, one at a time.
        """

        def one(case: Case) -> Result:
            result = self._run(case, reference.history)
            with self._lock:
                done(result)
            return result

        return list(self._pool.map(one, cases))

    def _run(self, case: Case, history: list[Any] | None) -> Result:
        name = "-".join(map(str, (*case.run, *(case.worker or ())))) or "reference"
        return run_case(self.forks, self._folder(re.sub(r"[^\w.-]+", "-", name)[:60]), case, history, self._kind)

    def _folder(self, name: str) -> Path:
        with self._lock:
            self._count += 1
            return self._work / f"{self._count:05}-{name}"

    def bench(self, *, worker: bool = False, broken: str = "") -> Bench:
        """A bench for a test of its own.

        Args:
            worker: whether a worker has the station.
            broken: what is broken on purpose; see `chaos.breaks`.
        """
        return self._kind(self.forks, self._folder("bench"), () if worker else None, broken=broken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.forks.__exit__()


def doubles(points: int, number: int, seed: int) -> list[tuple[int, int]]:
    """Pairs of points: one in the first session (or life), one in the second, most while that takes the campaign up.

    Args:
        points: of an undisturbed session.
        number: of pairs.
        seed: chooses them.
    """
    rng = random.Random(seed)
    points -= points % 50  # a few more or less from run to run are to give the same pairs
    pairs = []
    for _ in range(number):
        first = rng.randint(1, points)
        left = points - first + _TAKING_UP
        pairs.append((first, rng.randint(1, _TAKING_UP if rng.random() < 0.7 else left)))
    return pairs


def spread(points: Sequence[str], number: int, seed: int) -> list[int]:
    """So many points: some of each sort (a kind of entry or command, and the phase), the rest wherever they fall.

    Args:
        points: of an undisturbed session.
        number: how many.
        seed: chooses them.
    """
    rng = random.Random(seed)
    order = list(range(1, len(points) + 1))
    rng.shuffle(order)
    sorts: dict[str, int] = {}
    for index in order:
        sorts.setdefault(_sort(points[index - 1]), index)
    first = sorted(sorts.values(), key=lambda index: (_weight(points[index - 1]), index), reverse=True)
    chosen = list(dict.fromkeys([*first[: number * 2 // 3], *order]))
    return sorted(chosen[:number])


def missed(points: Sequence[str], died: Collection[str]) -> list[str]:
    """Points that every session reaches and at which none has died.

    Numbers shift a little from run to run, since a pump is looked at more or less often while it runs, and since
    documents share transactions as it happens. Names stay.

    Args:
        points: of an undisturbed session.
        died: names of points.
    """
    return [point for point in points if _steady(point) and point not in died]


def _steady(point: str) -> bool:
    """Whether a point does not depend on how long something took."""
    kind, what = point.split(" ")[:2]
    shared = kind == "journal" and ("," in what or what == "document")
    return not shared and what not in ("Batch", "lease") and not what.endswith("DIS")


def _sort(point: str) -> str:
    """`pump 01RAT5000UM sent #2` → `pump RAT sent`; `journal a,b told #1` → `journal a,b told`."""
    words = point.split(" ")[:-1]
    if words[0] == "pump":
        words[1:-1] = [words[1].lstrip("0123456789")[:3]]
    return " ".join(words)


def _weight(point: str) -> int:
    """What is near an action that cannot be taken back comes first."""
    return sum(
        word in point
        for word in ("action.", "RUN", "STP", "CLD", "VOL", "LOAD", "DISP", "SPIN", "CARRY", "trial.", "step.")
    )
