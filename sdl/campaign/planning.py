"""Ask planners without blocking the loop: cheap ones in place, the others in a supervised worker process."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pydantic import ValidationError

from sdl.campaign import _planner_worker as worker
from sdl.model import CampaignSpec, Exhausted, Proposal, SdlError, Trial

__all__ = ["PlannerFailure", "PlannerHost"]


class PlannerFailure(SdlError):
    """The planner raised, proposed something outside the problem, or its process died twice."""


class PlannerHost:
    """The planner of one campaign."""

    def __init__(self, spec: CampaignSpec) -> None:
        """Load the planner; a worker process begins to import its packages at once.

        Raises:
            InputError: no such planner, or it refuses its options.
            MissingExtra: its packages are not installed.
        """
        self._spec = spec
        self._planner = worker.build_planner(spec.planner.name, spec.planner.options)
        self._in_process = bool(getattr(self._planner, "in_process", False))
        self._pool: ProcessPoolExecutor | None = None
        if not self._in_process:
            self._pool = self._start_pool()

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and options, for the journal."""
        choice = self._spec.planner
        return {"name": choice.name, "version": str(self._planner.version), "options": choice.options}

    def _start_pool(self) -> ProcessPoolExecutor:
        choice = self._spec.planner
        pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker.initialise,
            initargs=(choice.name, choice.options, self._spec.problem.model_dump(mode="json"), os.getpid()),
        )
        pool.submit(worker.warm_up)
        return pool

    async def propose(self, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Proposals checked against the problem.

        Raises:
            Exhausted: nothing is left to propose.
            PlannerFailure: see the class.
        """
        if self._in_process:
            answer = worker.answer(self._planner, self._spec.problem, trials, n, seed)
        else:
            answer = await self._ask_worker(trials, n, seed)
        if "exhausted" in answer:
            raise Exhausted(answer["exhausted"])
        if "error" in answer:
            raise PlannerFailure(f"planner {self._spec.planner.name!r} failed: {answer['error']}")
        return [self._checked(proposal) for proposal in answer["proposals"]]

    async def _ask_worker(self, trials: Sequence[Trial], n: int, seed: int) -> dict[str, Any]:
        plain = [trial.model_dump(mode="json") for trial in trials]
        for last in (False, True):
            if self._pool is None:
                self._pool = self._start_pool()
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._pool, worker.propose, plain, n, seed)
            except BrokenProcessPool as error:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
                if last:
                    raise PlannerFailure(
                        f"the process of planner {self._spec.planner.name!r} died twice in a row; "
                        "is there enough memory?"
                    ) from error
        raise AssertionError("unreachable")

    def _checked(self, plain: dict[str, Any]) -> Proposal:
        name = self._spec.planner.name
        problem = self._spec.problem
        try:
            proposal = Proposal.model_validate(plain)
            values = problem.check(proposal.parameters)
        except (ValidationError, ValueError) as error:
            raise PlannerFailure(
                f"planner {name!r} proposed something outside the problem: {error}"
            ) from error
        if problem.pool is not None and not _in_pool(values, problem.pool.columns):
            raise PlannerFailure(f"planner {name!r} proposed {values}, which is no row of the pool")
        return proposal.model_copy(update={"parameters": values})

    def close(self) -> None:
        """End the worker process, also in the middle of a computation."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            with contextlib.suppress(OSError, ValueError):
                process.terminate()
                process.join(5)
        self._pool = None


def _in_pool(values: dict[str, Any], columns: dict[str, tuple[Any, ...]]) -> bool:
    wanted = tuple(values[name] for name in columns)
    return any(row == wanted for row in zip(*columns.values(), strict=True))
