"""What all adapters share: options, what is refused, random starts, and a fallback when a peer's numbers go wrong."""

from __future__ import annotations

import importlib
import io
import logging
import random
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from sdl.model import Exhausted, InputError, MissingExtra, Problem, Proposal, Reason, Record, SdlError, Trial
from sdl.planners._options import read_options
from sdl.planners.adapters._case import Case, Choice

__all__ = ["Peer", "PeerOptions", "need"]

_REVISION = "1"


class PeerOptions(Record):
    """Options that all adapters have."""

    initial: int = Field(default=2, ge=1)
    """Observed trials before the peer is asked; until then points are drawn at random."""
    candidates: int = Field(default=2_000, ge=10, le=100_000)
    """Points drawn to choose among where the peer needs a list and the space has none."""


def need(module: str, planner: str) -> Any:
    """Import a module of the `peers` extra.

    Raises:
        MissingExtra: its package is not installed; the message names the command that installs it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers' own imports warn of their dependencies' future
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == module.split(".")[0]:
            raise MissingExtra(f"planner {planner!r}", "peers") from error
        raise


class Peer(ABC):
    """A peer as a planner. Pure: whatever the peer remembers is made anew from the trials at each call.

    Failed trials teach a peer nothing; an infeasible one only that its point is not proposed again.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Distribution of the peer."""
    in_process: ClassVar[bool] = False
    constrains_outcomes: ClassVar[bool] = False
    """Whether the peer is told of outcome constraints; otherwise a problem that has some is refused."""
    options_type: ClassVar[type[PeerOptions]] = PeerOptions

    def __init__(self, **options: Any) -> None:
        self.options: Any = read_options(self.options_type, self.name, options)
        try:
            self.version = f"{_REVISION}+{self.package} {version(self.package)}"
        except PackageNotFoundError as error:
            raise MissingExtra(f"planner {self.name!r}", "peers") from error

    def propose(self, problem: Problem, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Propose `n` points; see `sdl.protocols.Planner`.

        Raises:
            Exhausted: nothing is left to propose.
            InputError: the problem has something that the peer cannot take.
        """
        self.refuse(problem)
        case = Case.of(problem, trials, seed)
        if case.finite:
            n = min(n, len(case.offered(n)))
        if len(case.seen) < self.options.initial:
            return self._random(case, n, {})
        for module in self.modules():
            need(module, self.name)
        try:
            with isolated(seed):
                choices = self.choose(case, n)
        except SdlError:
            raise
        except (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            # What a peer raises when its numbers go wrong is not told apart by type.
            return self._random(case, n, {"fallback": f"{type(error).__name__}: {error}"[:300]})
        return [self._proposal(case, choice, f"chosen by {self.name}", choice.details) for choice in choices]

    def refuse(self, problem: Problem) -> None:
        """Raise for a problem that the peer cannot take.

        Raises:
            InputError: says what it is and which planner to take instead.
        """
        if problem.outcome_constraints and not self.constrains_outcomes:
            names = ", ".join(rule.name for rule in problem.outcome_constraints)
            raise InputError(
                f"planner {self.name!r} takes no outcome constraints, the problem has them on {names}; "
                "use planner 'bayes'"
            )

    def modules(self) -> tuple[str, ...]:
        """What is imported before random numbers are seeded: the peer, and what it imports only when it computes.

        Otherwise the first call of a process would be another than those after it: torch has its own generator, and
        its own threads.
        """
        return ()

    @abstractmethod
    def choose(self, case: Case, n: int) -> list[Choice]:
        """Ask the peer; at least one trial is observed. Random numbers are seeded and put back afterwards."""

    def _random(self, case: Case, n: int, details: dict[str, Any]) -> list[Proposal]:
        rows = case.candidates.rows
        raw = case.rng.permutation(rows)[:n] if rows is not None else case.offered(n)
        if len(raw) == 0:
            raise Exhausted("nothing is left to propose")
        summary = "drawn at random, " + ("since the peer failed" if details else f"before {self.name} is asked")
        return [self._proposal(case, Choice(row, {}), summary, details) for row in raw[:n]]

    def _proposal(self, case: Case, choice: Choice, summary: str, details: dict[str, Any]) -> Proposal:
        about = {"planner": self.name, "version": self.version, **details}
        unused = _unused(case.problem)
        if unused:
            about["ignored"] = unused
        return Proposal(parameters=case.values(choice.raw), reason=Reason(summary=summary, details=about))


def _unused(problem: Problem) -> list[str]:
    """Parts of a problem that no peer is told of."""
    costly = any(getattr(p, "change_cost", 0.0) > 0 for p in problem.parameters)
    found = {"sources": bool(problem.sources), "trial_cost": problem.trial_cost is not None, "change_cost": costly}
    return [name for name, there in found.items() if there]


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed every global generator, keep torch on one thread, silence advice; all of it is put back afterwards."""
    torch: Any = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    native, numpy_state = random.getstate(), np.random.get_state()
    disabled = logging.root.manager.disable
    with (
        warnings.catch_warnings(record=True),
        torch.random.fork_rng(devices=[]) if torch else nullcontext(),
        redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if torch:
            torch.manual_seed(seed % 2**63)
            torch.set_num_threads(1)
        try:
            yield
        finally:
            logging.disable(disabled)
            random.setstate(native)
            np.random.set_state(numpy_state)
            if torch:
                torch.set_num_threads(threads)
