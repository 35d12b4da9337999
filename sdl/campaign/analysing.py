"""The end of a trial: its runs become outcomes, and how it ended goes on record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.journal import kinds
from sdl.journal.runs import runs_of
from sdl.model import Infeasible, Outcome, SdlError, TrialStatus
from sdl.model.measured import in_unit

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Analyst", "Entries"]

Entries = Sequence[tuple[str, Mapping[str, Any]]]
"""Kinds and bodies of entries that are still to be recorded."""

_QUICK = 0.05
"""Wall seconds within which an analysis counts as quick."""

_KINDS = {
    TrialStatus.OBSERVED: kinds.TRIAL_OBSERVED,
    TrialStatus.INFEASIBLE: kinds.TRIAL_INFEASIBLE,
    TrialStatus.FAILED: kinds.TRIAL_FAILED,
}


class _LastStep:
    """The end of a trial's last step, until it is on record; its station is held as long."""

    def __init__(self, campaign: Coordinator, unrecorded: Entries, let_go: Callable[[], None]) -> None:
        self._campaign, self._unrecorded, self._let_go = campaign, unrecorded, let_go
        self._held = True

    def take(self) -> Entries:
        """What is still to be recorded, for whoever records it now."""
        taken, self._unrecorded = self._unrecorded, ()
        return taken

    async def settle(self) -> None:
        """Put it on record, and let the station go."""
        if entries := self.take():
            await self._campaign.record_all(entries)
        self.let_go()

    def let_go(self) -> None:
        """Release the station, once."""
        if self._held:
            self._held = False
            self._let_go()


class Analyst:
    """Analyses trials of a campaign and ends them."""

    def __init__(self, campaign: Coordinator) -> None:
        self._campaign = campaign
        self._procedure = campaign.procedure

    async def analyse(self, number: int, unrecorded: Entries, let_go: Callable[[], None] = lambda: None) -> None:
        """Turn the trial's runs into outcomes and record how it ended.

        Args:
            number: the trial.
            unrecorded: the end of its last step. A quick analysis shares its wait for the disk; a slow one does not
                leave it off the record.
            let_go: releases the station of that step, once its end is on record.
        """
        last = _LastStep(self._campaign, unrecorded, let_go)
        try:
            await self._analyse(number, last)
        finally:
            last.let_go()

    async def _analyse(self, number: int, last: _LastStep) -> None:
        campaign = self._campaign
        entries = campaign.recent.take(number)
        if entries is None:  # it began in another session
            await last.settle()
            first = campaign.state.trials[number].first_seq
            entries = list(campaign.store.entries(campaign.state.id, after=first))
        runs = runs_of(entries, number)
        try:
            if getattr(self._procedure.analyse_with, "quick", False):
                outcomes = self._procedure.analyse(runs)
            else:
                analysing = asyncio.get_running_loop().run_in_executor(None, self._procedure.analyse, runs)
                if not (await asyncio.wait({analysing}, timeout=_QUICK))[0]:
                    await last.settle()
                outcomes = await analysing
            told = self._in_units(outcomes)
        except asyncio.CancelledError:
            await last.settle()
            raise
        except Infeasible as error:
            await self.end(number, TrialStatus.INFEASIBLE, {"message": str(error)}, last.take())
        except Exception as error:  # an analysis is anybody's code; its trial fails and says what it raised
            text = str(error) if isinstance(error, SdlError) else f"{type(error).__name__}: {error}"
            await self.fail(number, f"analysis {self._procedure.analysis.name!r} failed: {text}", "", last.take())
        else:
            await self.end(
                number,
                TrialStatus.OBSERVED,
                {
                    "outcomes": {name: outcome.model_dump(mode="json") for name, outcome in told.items()},
                    "analysis": {
                        **self._procedure.analysis.model_dump(mode="json"),
                        # As the lab file has it: an input by its name, whose content the journal has, not by its path.
                        "with": self._procedure.raw.get("analysis", {}).get("with", {}),
                        "version": str(getattr(self._procedure.analyse_with, "version", "")),
                    },
                    "runs": [run.start["uid"] for run in runs],
                },
                last.take(),
            )

    def _in_units(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Outcomes of objectives and outcome constraints in the units of the problem.

        Raises:
            SdlError: an objective has no outcome, or its unit measures something else.
        """
        told = dict(outcomes)
        problem = self._campaign.spec.problem
        for objective in (*problem.objectives, *problem.outcome_constraints):
            if objective.name not in told:
                given = ", ".join(sorted(told)) or "none"
                raise SdlError(f"it gives no outcome {objective.name!r}; it gives: {given}")
            try:
                told[objective.name] = in_unit(told[objective.name], objective.unit)
            except ValueError as error:
                raise SdlError(str(error)) from None
        return told

    async def fail(self, number: int, message: str, device: str, unrecorded: Entries = ()) -> None:
        """The equipment failed the trial."""
        await self.end(number, TrialStatus.FAILED, {"message": message, "device": device}, unrecorded)

    async def end(self, number: int, status: TrialStatus, body: Mapping[str, Any], unrecorded: Entries = ()) -> None:
        """Record how the trial ended, after what is still to be recorded of it."""
        campaign = self._campaign
        ending = (_KINDS[status], {"trial": number, **body, "lab_seconds": campaign.lab_seconds})
        await campaign.record_all([*unrecorded, ending])
        campaign.trial_ended(status)
