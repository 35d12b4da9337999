"""Run one trial: its steps on their stations, then the analysis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdl.campaign.recovery import next_move
from sdl.journal import kinds
from sdl.journal.runs import runs_of
from sdl.lab.procedure import BoundStep
from sdl.lab.spec import OnInterrupt
from sdl.lab.station import Aborted, Station
from sdl.model import Fault, Infeasible, Outcome, SdlError, TrialStatus
from sdl.model.units import convert

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Opened", "PauseNeeded", "TrialRunner", "approval"]


_Entries = Sequence[tuple[str, Mapping[str, Any]]]

_QUICK = 0.05
"""Wall seconds within which an analysis counts as quick."""


class PauseNeeded(SdlError):
    """The campaign cannot go on without a person."""

    def __init__(self, message: str, advice: str) -> None:
        self.message = message
        self.advice = advice
        super().__init__(message)


def approval(number: int) -> dict[str, Any]:
    """Body of the entry that lets a trial through: nobody has to look at it first."""
    return {"trial": number, "by": "policy:auto"}


@dataclass(frozen=True)
class Opened:
    """A trial that was just proposed."""

    number: int
    entries: tuple[tuple[str, dict[str, Any]], ...] = ()
    """The start of its first step, when that begins at once."""
    station: Station | None = None
    """The station that is held for it then."""


class TrialRunner:
    """Runs trials of a campaign, each in a task of its own."""

    def __init__(self, campaign: Coordinator, answer: OnInterrupt | None) -> None:
        self._campaign = campaign
        self._answer = answer
        self._procedure = campaign.procedure

    def open(self, number: int, parameters: Mapping[str, Any]) -> Opened:
        """Prepare the first step of a proposed trial, if its station is free: one wait for the disk serves both."""
        step = self._procedure.steps[0]
        station = self._campaign.stations[step.spec.station]
        if self._campaign.stopping or not station.busy.try_acquire():
            return Opened(number)
        return Opened(number, ((kinds.STEP_STARTED, _start(number, step, 1, parameters)),), station)

    async def go_on(self, opened: Opened) -> None:
        """Take up a trial that was just recorded. See `run`."""
        if opened.station is None:
            await self.run(opened.number)
        else:
            done = await self._steps(opened.number, 0, opened.station)
            if done is not None:
                await self._analyse(opened.number, done)

    async def run(self, number: int) -> None:
        """Take up a trial where the journal says it stands, and bring it to its end.

        Returns early, the trial still pending, when the campaign is stopping.

        Raises:
            PauseNeeded: only a person can decide how the trial goes on, or the lab is not safe.
        """
        campaign = self._campaign
        if campaign.state.trials[number].status is TrialStatus.PROPOSED:
            await campaign.record(kinds.TRIAL_APPROVED, approval(number))
        move = next_move(campaign.state.trials[number], self._procedure, self._answer)
        if move.what == "ask":
            raise PauseNeeded(
                move.message,
                "look at the sample, then run again with --interrupted redo (do the step again), "
                "--interrupted discard (give the trial up) or --interrupted resume (the step was done)",
            )
        if move.what == "fail":
            await self._fail(number, move.message, "")
        elif move.what == "infeasible":
            await self._end(number, TrialStatus.INFEASIBLE, {"message": move.message})
        elif move.what == "analyse":
            await self._analyse(number, ())
        else:
            done = await self._steps(number, move.index)
            if done is not None:
                await self._analyse(number, done)

    async def _steps(self, number: int, index: int, opened: Station | None = None) -> _Entries | None:
        """Execute steps from an index on.

        Args:
            number: the trial.
            index: of the first step.
            opened: the station of the first step, when that has been recorded as started.

        Returns:
            What is still to be recorded of the last step; None when the trial ended before it, or waits.
        """
        held = opened
        try:
            while True:
                step = self._procedure.steps[index]
                if opened is None:
                    station = self._campaign.stations[step.spec.station]
                    if held is not station:  # a trial keeps its station while its steps stay there
                        if held is not None:
                            held.busy.release()
                        held = None
                        await station.busy.acquire()
                        held = station
                    if self._campaign.stopping:
                        return None
                    attempt = 1 + sum(s.name == step.name for s in self._campaign.state.trials[number].steps)
                    parameters = self._campaign.state.trials[number].parameters
                    await self._campaign.record(kinds.STEP_STARTED, _start(number, step, attempt, parameters))
                assert held is not None
                opened = None
                following, unrecorded = await self._step(number, index, held)
                if following is None:
                    return None
                if following == len(self._procedure.steps):
                    return unrecorded
                index = following
        finally:
            if held is not None:
                held.busy.release()

    async def _step(self, number: int, index: int, station: Station) -> tuple[int | None, _Entries]:
        """Execute the attempt of a step that was recorded as started.

        Returns:
            The index to go on with, None when the trial ends or waits; and what is still to be recorded.
        """
        campaign, step = self._campaign, self._procedure.steps[index]
        trial = campaign.state.trials[number]
        attempt = trial.steps[-1].attempt
        where = {"trial": number, "step": step.name, "attempt": attempt}
        try:
            runs = await self._execute(step, station, trial.parameters, where)
        except Aborted as error:
            await self._failed(where, "aborted", str(error))
            return None, ()
        except Infeasible as error:
            await self._failed(where, "infeasible", str(error))
            await self._end(number, TrialStatus.INFEASIBLE, {"message": str(error)})
            return None, ()
        except Fault as error:
            return await self._after_fault(number, station, where, error), ()
        done = (kinds.STEP_DONE, {**where, "runs": runs})
        if index + 1 == len(self._procedure.steps):
            return index + 1, (done,)
        await campaign.record(*done)
        return index + 1, ()

    async def _execute(
        self, step: BoundStep, station: Station, parameters: Mapping[str, Any], where: Mapping[str, Any]
    ) -> tuple[str, ...]:
        campaign = self._campaign
        if campaign.control.aborting:
            raise Aborted("aborted on request")
        metadata = {
            "campaign": campaign.state.id,
            "campaign_name": campaign.state.name,
            **where,
            "parameters": dict(parameters),
            "scan_id": where["trial"],
        }

        def on_document(name: str, doc: dict[str, Any]) -> None:
            text = campaign.writer.post(kinds.DOCUMENT, {**where, "name": name, "doc": doc})
            campaign.recent.add_document(where["trial"], text)

        return await station.run(_lazily(step, station, parameters), on_document, metadata, step.time_limit)

    async def _failed(self, where: Mapping[str, Any], cause: str, message: str, device: str = "") -> None:
        body = {**where, "cause": cause, "message": message, "device": device}
        await self._campaign.record(kinds.STEP_FAILED, body)

    async def _after_fault(self, number: int, station: Station, where: Mapping[str, Any], fault: Fault) -> int | None:
        """Make the station safe; then try again, or give the trial up."""
        campaign = self._campaign
        await self._failed(where, "fault", str(fault), fault.device)
        complaints = await campaign.make_safe("fault", [station])
        if complaints:
            raise PauseNeeded(
                f"{fault}; and not in a safe state: {'; '.join(complaints)}",
                "go to the instrument and make it safe by hand, then run the campaign again",
            )
        move = next_move(campaign.state.trials[number], self._procedure, self._answer)
        if move.what == "step":
            return move.index
        await self._fail(number, str(fault), fault.device)
        return None

    async def _analyse(self, number: int, unrecorded: _Entries) -> None:
        """Turn the trial's runs into outcomes and record how it ended.

        Args:
            number: the trial.
            unrecorded: the end of its last step. A quick analysis shares its wait for the disk; a slow one does not
                leave it off the record.
        """
        campaign = self._campaign
        entries = campaign.recent.take(number)
        if entries is None:  # it began in another session
            unrecorded = await self._settled(unrecorded)
            first = campaign.state.trials[number].first_seq
            entries = list(campaign.store.entries(campaign.state.id, after=first))
        runs = runs_of(entries, number)
        try:
            if getattr(self._procedure.analyse_with, "quick", False):
                outcomes = self._procedure.analyse(runs)
            else:
                analysing = asyncio.get_running_loop().run_in_executor(None, self._procedure.analyse, runs)
                if not (await asyncio.wait({analysing}, timeout=_QUICK))[0]:
                    unrecorded = await self._settled(unrecorded)
                outcomes = await analysing
            told = self._in_units(outcomes)
        except asyncio.CancelledError:
            await self._settled(unrecorded)
            raise
        except Infeasible as error:
            await self._end(number, TrialStatus.INFEASIBLE, {"message": str(error)}, unrecorded)
        except Exception as error:  # an analysis is anybody's code; its trial fails and says what it raised
            text = str(error) if isinstance(error, SdlError) else f"{type(error).__name__}: {error}"
            await self._fail(number, f"analysis {self._procedure.analysis.name!r} failed: {text}", "", unrecorded)
        else:
            await self._end(
                number,
                TrialStatus.OBSERVED,
                {
                    "outcomes": {name: outcome.model_dump(mode="json") for name, outcome in told.items()},
                    "analysis": self._procedure.analysis.model_dump(mode="json"),
                    "runs": [run.start["uid"] for run in runs],
                },
                unrecorded,
            )

    async def _settled(self, unrecorded: _Entries) -> _Entries:
        if unrecorded:
            await self._campaign.record_all(unrecorded)
        return ()

    def _in_units(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Outcomes of objectives in the units of the problem.

        Raises:
            SdlError: an objective has no outcome, or its unit measures something else.
        """
        told = dict(outcomes)
        for objective in self._campaign.spec.problem.objectives:
            if objective.name not in told:
                given = ", ".join(sorted(told)) or "none"
                raise SdlError(f"it gives no outcome {objective.name!r}; it gives: {given}")
            outcome = told[objective.name]
            if outcome.unit != objective.unit:
                told[objective.name] = _converted(outcome, objective.unit)
        return told

    async def _fail(self, number: int, message: str, device: str, unrecorded: _Entries = ()) -> None:
        await self._end(number, TrialStatus.FAILED, {"message": message, "device": device}, unrecorded)

    async def _end(self, number: int, status: TrialStatus, body: Mapping[str, Any], unrecorded: _Entries = ()) -> None:
        kind = {
            TrialStatus.OBSERVED: kinds.TRIAL_OBSERVED,
            TrialStatus.INFEASIBLE: kinds.TRIAL_INFEASIBLE,
            TrialStatus.FAILED: kinds.TRIAL_FAILED,
        }[status]
        campaign = self._campaign
        ending = (kind, {"trial": number, **body, "lab_seconds": campaign.lab_seconds})
        await campaign.record_all([*unrecorded, ending])
        campaign.trial_ended(status)


def _start(number: int, step: BoundStep, attempt: int, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Body of the entry that a step starts."""
    return {
        "trial": number,
        "step": step.name,
        "attempt": attempt,
        "station": step.spec.station,
        "plan": step.spec.plan,
        "arguments": step.arguments(parameters),
    }


def _lazily(step: BoundStep, station: Station, parameters: Mapping[str, Any]) -> Iterator[Any]:
    """The step's messages; the plan is called in the RunEngine's thread, so what it raises is the step's fault."""
    yield from step.start(station.devices, parameters)


def _converted(outcome: Outcome, unit: str) -> Outcome:
    try:
        zero = convert(0.0, outcome.unit, unit)
        sem = None if outcome.sem is None else abs(convert(outcome.sem, outcome.unit, unit) - zero)
        return Outcome(value=convert(outcome.value, outcome.unit, unit), sem=sem, unit=unit)
    except ValueError as error:
        raise SdlError(str(error)) from None
