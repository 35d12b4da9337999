"""One search of one planner: a pure function of its job, in any process."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sdl.bench.entrants import Entrant, warm
from sdl.bench.functions import shortfall
from sdl.bench.tasks import FunctionTask, PoolTask, Task
from sdl.model import Exhausted, Outcome, Problem, Proposal, Scalar, SdlError, Trial, TrialStatus
from sdl.protocols import Planner

__all__ = ["PROTOCOL", "STARTS", "Found", "Job", "fingerprint", "run_job"]

PROTOCOL = "1"
"""Changes when the same job would be searched in another way."""
STARTS = 2
"""Random trials at the beginning, the same for all planners of a seed."""


@dataclass(frozen=True)
class Job:
    """A search to be made."""

    entrant: Entrant
    task: Task
    seed: int
    cap: int
    """Evaluations at most, the starts included."""
    full: bool = False
    """Go on to the cap after a top row was found."""

    @property
    def file_name(self) -> str:
        """Where its result is kept."""
        return f"{self.entrant.file_name}--{self.task.name}--{self.seed}.json"


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    planner: str
    """Label."""
    task: str
    kind: str
    """`pool` or `function`."""
    seed: int
    cap: int
    reached: int | None
    """Evaluations until the first top-1 % row; None when there was none, and for functions."""
    rows: tuple[int, ...]
    """Rows measured, by their place in the table, in order; empty for functions."""
    best: tuple[float, ...]
    """After each evaluation: the best score of a pool, what is missing to the best of a function."""
    cpu: tuple[float, ...]
    """CPU seconds of each proposal after the starts."""
    fallbacks: int
    """Proposals whose reason names a fallback."""
    mapped: int
    """Proposals that a planner without pools made elsewhere and that stand for the nearest free row."""
    error: str
    """What stopped the search before its time; empty when nothing did."""
    fingerprint: str = ""

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Found:
        """The opposite of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        return cls(**plain)


def fingerprint(job: Job, planner: Planner) -> str:
    """Tells whether a result that is kept is that of the same search: planner, version, options, task and rules."""
    entrant = job.entrant
    kind = type(planner)
    parts = [
        PROTOCOL,
        f"{kind.__module__}.{kind.__qualname__}",
        planner.version,
        dict(entrant.options),
        job.task.digest,
        job.seed,
        job.cap,
        job.full,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run_job(job: Job) -> Found:
    """Search. Errors of the planner end the search and are part of the result; errors of sdl's own use are raised.

    Raises:
        InputError: the planner is not known or refuses its options.
        MissingExtra: packages that it needs are not installed.
    """
    planner = job.entrant.load()
    warm(job.entrant)
    found = _pool(job, job.task, planner) if isinstance(job.task, PoolTask) else _function(job, job.task, planner)
    return replace(found, fingerprint=fingerprint(job, planner))


def _rng(job: Job) -> np.random.Generator:
    """Random numbers of the task and the seed, not of the planner."""
    return np.random.default_rng([job.seed, int(hashlib.sha256(job.task.name.encode()).hexdigest()[:8], 16)])


class _Walk:
    """The trials of a search, and what the planner's proposals cost."""

    def __init__(self, planner: Planner, problem: Problem, rng: np.random.Generator) -> None:
        self.planner = planner
        self.problem = problem
        self.rng = rng
        self.trials: list[Trial] = []
        self.cpu: list[float] = []
        self.fallbacks = 0
        self.mapped = 0
        self.error = ""

    def tell(self, parameters: dict[str, Scalar], outcomes: dict[str, Outcome]) -> None:
        number = len(self.trials) + 1
        self.trials.append(Trial(number=number, parameters=parameters, status=TrialStatus.OBSERVED, outcomes=outcomes))

    def ask(self) -> Proposal | None:
        """The next proposal; None when the planner ends the search, with the reason in `error`."""
        seed = int(self.rng.integers(2**63))
        started = time.process_time()
        try:
            found = self.planner.propose(self.problem, tuple(self.trials), 1, seed)[0]
        except Exhausted:
            return None
        except SdlError as error:
            self.error = str(error)
            return None
        except Exception as error:  # whatever a planner under test raises is a result of the benchmark
            self.error = f"{type(error).__name__}: {error}"
            return None
        self.cpu.append(time.process_time() - started)
        self.fallbacks += bool(found.reason.details.get("fallback"))
        self.mapped += found.reason.details.get("mapped_to_row") is not None
        return found


def _pool(job: Job, task: PoolTask, planner: Planner) -> Found:
    rng = _rng(job)
    starts = rng.choice(len(task), STARTS, replace=False).tolist()
    problem = task.shuffled(rng.permutation(len(task)))
    values = _rows(task)
    index: dict[tuple[Any, ...], int] = {tuple(row.values()): i for i, row in enumerate(values)}
    walk = _Walk(planner, problem, rng)
    rows: list[int] = []
    reached = None
    while len(rows) < min(job.cap, len(task)):
        if len(rows) < STARTS:
            row = starts[len(rows)]
        else:
            proposal = walk.ask()
            if proposal is None:
                break
            known = index.get(tuple(proposal.parameters.get(name) for name in problem.parameter_names))
            if known is None or known in rows:
                walk.error = f"proposed {proposal.parameters}, which is {'no row' if known is None else 'measured'}"
                break
            row = known
        rows.append(row)
        walk.tell(values[row], task.outcomes(row))
        if reached is None and row in task.good:
            reached = len(rows)
            if not job.full:
                break
    best = np.maximum.accumulate(task.scores[rows]).tolist() if rows else []
    return _found(job, "pool", walk, reached, rows, best)


def _rows(task: PoolTask) -> list[dict[str, Scalar]]:
    pool = task.problem.pool
    assert pool is not None
    return [task.problem.check(pool.row(i)) for i in range(len(pool))]


def _function(job: Job, task: FunctionTask, planner: Planner) -> Found:
    rng = _rng(job)
    walk = _Walk(planner, task.problem, rng)
    limits = [(p.name, float(p.low), float(p.high)) for p in task.problem.parameters if p.kind == "real"]
    while len(walk.trials) < job.cap:
        if len(walk.trials) < STARTS:
            drawn: dict[str, Scalar] = {name: float(rng.uniform(low, high)) for name, low, high in limits}
        else:
            proposal = walk.ask()
            if proposal is None:
                break
            drawn = proposal.parameters
        walk.tell(drawn, task.outcomes(drawn))
    outcomes = [{name: outcome.value for name, outcome in trial.outcomes.items()} for trial in walk.trials]
    return _found(job, "function", walk, None, [], shortfall(task.name, outcomes))


def _found(job: Job, kind: str, walk: _Walk, reached: int | None, rows: Sequence[int], best: Sequence[float]) -> Found:
    return Found(
        planner=job.entrant.label,
        task=job.task.name,
        kind=kind,
        seed=job.seed,
        cap=job.cap,
        reached=reached,
        rows=tuple(rows),
        best=tuple(best),
        cpu=tuple(walk.cpu),
        fallbacks=walk.fallbacks,
        mapped=walk.mapped,
        error=walk.error,
    )
