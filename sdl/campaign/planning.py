"""Ask planners without blocking the loop: cheap ones in place, the others in a supervised worker process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from sdl.campaign._planner_process import PlannerProcess, WorkerDied
from sdl.campaign._planner_worker import answer, build_planner
from sdl.campaign.initial import initial_proposals
from sdl.model import CampaignSpec, Exhausted, Proposal, SdlError, Trial
from sdl.virtual import outside

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
        self._planner = build_planner(spec.planner.name, spec.planner.options)
        self._in_process = bool(getattr(self._planner, "in_process", False))
        self._worker = None if self._in_process else self._start()

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and options, for the journal."""
        choice = self._spec.planner
        return {"name": choice.name, "version": str(self._planner.version), "options": choice.options}

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None for a planner that is called in place."""
        return self._worker.pid if self._worker is not None else None

    def _start(self) -> PlannerProcess:
        choice = self._spec.planner
        return PlannerProcess(choice.name, choice.options, self._spec.problem.model_dump(mode="json"))

    async def propose(self, trials: Sequence[Trial], n: int, seed: int) -> list[Proposal]:
        """Proposals checked against the problem; those that the campaign file asks for come first.

        Raises:
            Exhausted: nothing is left to propose.
            PlannerFailure: see the class.
        """
        if first := initial_proposals(self._spec, trials, n):
            return first
        if self._in_process:
            said = answer(self._planner, self._spec.problem, trials, n, seed)
        else:
            said = await self._ask_worker(trials, n, seed)
        if "exhausted" in said:
            raise Exhausted(said["exhausted"])
        if "error" in said:
            raise PlannerFailure(f"planner {self._spec.planner.name!r} failed: {said['error']}")
        return [self._checked(proposal) for proposal in said["proposals"]]

    async def _ask_worker(self, trials: Sequence[Trial], n: int, seed: int) -> dict[str, Any]:
        request = {"trials": [trial.model_dump(mode="json") for trial in trials], "n": n, "seed": seed}
        for _ in range(2):
            if self._worker is None:
                self._worker = self._start()
            try:
                with outside():
                    return await asyncio.wrap_future(self._worker.ask(request))
            except WorkerDied as error:
                self._worker.close()
                self._worker = None
                words = str(error)
        raise PlannerFailure(
            f"the process of planner {self._spec.planner.name!r} died twice in a row; is there enough memory?"
            + (f" Its last words: {words}" if words else "")
        )

    def _checked(self, plain: dict[str, Any]) -> Proposal:
        name = self._spec.planner.name
        problem = self._spec.problem
        try:
            proposal = Proposal.model_validate(plain)
            values = problem.check(proposal.parameters)
        except (ValidationError, ValueError) as error:
            raise PlannerFailure(f"planner {name!r} proposed something outside the problem: {error}") from error
        if problem.pool is not None and not _in_pool(values, problem.pool.columns):
            raise PlannerFailure(f"planner {name!r} proposed {values}, which is no row of the pool")
        return proposal.model_copy(update={"parameters": values})

    def close(self) -> None:
        """End the worker process, also in the middle of a computation."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _in_pool(values: dict[str, Any], columns: dict[str, tuple[Any, ...]]) -> bool:
    wanted = tuple(values[name] for name in columns)
    return any(row == wanted for row in zip(*columns.values(), strict=True))
