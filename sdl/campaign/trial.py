"""Run one trial: its steps on their stations, one after another, whatever happens to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sdl.campaign.analysing import Analyst, Entries
from sdl.campaign.keeping import NoSlot, Short
from sdl.campaign.recovery import NextMove, next_move
from sdl.campaign.turns import Claim
from sdl.campaign.workers import StationLost
from sdl.journal import kinds
from sdl.lab.effects import InDoubt
from sdl.lab.guard import StepOrder
from sdl.lab.host import PlanRefused, StationHost
from sdl.lab.procedure import BoundStep
from sdl.lab.spec import OnInterrupt
from sdl.lab.station import Aborted
from sdl.model import Fault, Infeasible, SdlError, TrialStatus
from sdl.worker.errors import StepInterrupted, WorkerRefused

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Opened", "PauseNeeded", "TrialRunner", "approval"]

_LOOK_AGAIN = 5.0
"""Lab seconds between two looks for a slot that another trial will free."""


class PauseNeeded(SdlError):
    """The campaign cannot go on without a person."""

    def __init__(self, message: str, advice: str, *, drains: bool = False) -> None:
        self.message = message
        self.advice = advice
        self.drains = drains
        """Whether trials that need nothing of what failed may go on to their ends first."""
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
    claim: Claim | None = None
    """What is held for it then."""


class TrialRunner:
    """Runs trials of a campaign, each in a task of its own."""

    def __init__(self, campaign: Coordinator, answer: OnInterrupt | None) -> None:
        self._campaign = campaign
        self._answer = answer
        self._procedure = campaign.procedure
        self._analyst = Analyst(campaign)

    def open(self, number: int, parameters: Mapping[str, Any]) -> Opened:
        """Prepare the first step of a proposed trial, if its station is free: one wait for the disk serves both."""
        step = self._procedure.steps[0]
        station = self._campaign.stations[step.spec.station]
        busy = self._campaign.stopping or self._campaign.interlocked or station.blocked(step.held) is not None
        if busy or (claim := self._campaign.turns.try_claim(number)) is None:
            return Opened(number)
        return Opened(number, ((kinds.STEP_STARTED, _start(number, claim.bind(step), 1, parameters)),), claim)

    async def go_on(self, opened: Opened) -> None:
        """Take up a trial that was just recorded. See `run`."""
        if opened.claim is None:
            await self.run(opened.number)
        else:
            await self._steps(opened.number, NextMove("step", 0), opened.claim)

    async def run(self, number: int) -> None:
        """Take up a trial where the journal says it stands, and bring it to its end.

        Returns early, the trial still pending, when the campaign is stopping.

        Raises:
            PauseNeeded: only a person can decide how the trial goes on, or the lab is not safe.
        """
        campaign = self._campaign
        if campaign.state.trials[number].status is TrialStatus.PROPOSED:
            await campaign.record(kinds.TRIAL_APPROVED, approval(number))
        if not await campaign.settling.settle(number):
            return
        move = self._next_move(number)
        if not await self._ended(number, move):
            await self._steps(number, move, None)

    def _next_move(self, number: int) -> NextMove:
        state = self._campaign.state
        return next_move(state.trials[number], self._procedure, self._answer, since=state.opened_at)

    async def _ended(self, number: int, move: NextMove) -> bool:
        """Carry out a move that is no step; whether it was one.

        Raises:
            PauseNeeded: only a person can decide how the trial goes on.
        """
        match move.what:
            case "ask":
                raise PauseNeeded(
                    move.message,
                    "look at the sample, then run again with --interrupted redo (do the step again), "
                    "--interrupted discard (give the trial up) or --interrupted resume (the step was done)",
                )
            case "pause":
                self._campaign.put_out(self._campaign.state.trials[number].steps[-1].station, move.message)
                raise PauseNeeded(move.message, "look at the equipment, then run the campaign again", drains=True)
            case "fail":
                await self._analyst.fail(number, move.message, move.device)
            case "infeasible":
                await self._analyst.end(number, TrialStatus.INFEASIBLE, {"message": move.message})
            case "analyse":
                await self._analyst.analyse(number, ())
            case _:
                return False
        return True

    async def _steps(self, number: int, move: NextMove, opened: Claim | None) -> None:
        """Execute steps, from a move on, until the trial has ended or waits.

        Args:
            number: the trial.
            move: which step is first.
            opened: what the first step needs, when that has been recorded as started.
        """
        campaign, turns = self._campaign, self._campaign.turns
        claim = opened
        try:
            while True:
                if opened is None:
                    if move.wait and not campaign.stopping:
                        await campaign.pause_for(move.wait)
                    claim = await turns.claim(number, move.index, move.station)
                if claim is None:
                    return
                step = claim.bind(self._procedure.steps[move.index])
                if opened is None:
                    if not await self._ready(step):
                        return
                    if move.what != "join" and not await self._record_start(number, step, claim):
                        return
                opened = None
                following, unrecorded = await self._step(number, move.index, step, campaign.stations[claim.station])
                done = following is not None and following.what == "step" and following.index == move.index + 1
                if unrecorded:  # the end of the last step: its station and its place are free once that is on record
                    await self._analyst.analyse(number, unrecorded, partial(self._let_go, number, move.index))
                    return
                turns.over(number, move.index, done)
                if following is None or await self._ended(number, following):
                    return
                move = following
        finally:
            turns.leave(number)

    def _let_go(self, number: int, index: int) -> None:
        """The end of a trial's last step is on record."""
        self._campaign.turns.over(number, index, True)
        self._campaign.turns.leave(number)

    async def _ready(self, step: BoundStep) -> bool:
        """Wait out doubts about the step's devices; False when the campaign stops first.

        Raises:
            PauseNeeded: an interlock is violated.
        """
        campaign = self._campaign
        if campaign.stops(step) or not await campaign.settling.clear(step.spec.station, step.held):
            return False
        await campaign.check_interlocks(step.spec.station)
        return not campaign.stops(step)

    async def _record_start(self, number: int, step: BoundStep, claim: Claim) -> bool:
        """Put the start of a step on record; False when the campaign has to stop for want of stock or of a slot."""
        campaign = self._campaign
        trial = campaign.state.trials[number]
        attempt = 1 + sum(s.name == step.name for s in trial.steps)
        body = _start(number, step, attempt, trial.parameters)
        foreseen = campaign.turns.foreseen(number) if len(trial.steps) == 0 else []
        keeping = campaign.keeping
        if keeping is None:
            await campaign.record_all([(kinds.STEP_STARTED, body), *foreseen])
            return True
        while not campaign.stops(step):
            try:
                async with keeping.order:
                    entries = await keeping.reserve(number, trial.parameters, step.name)
                    into = keeping.slot(number, step.name, claim.target)
                    body |= {} if into is None else {"into": into}
                    await campaign.record_all([*entries, (kinds.STEP_STARTED, body), *foreseen])
                return True
            except (Short, NoSlot) as error:
                if isinstance(error, NoSlot) and error.waits:
                    await campaign.pause_for(_LOOK_AGAIN)
                    continue
                campaign.need_pause(f"trial {number}, step {step.name!r}: {error}", "then run the campaign again")
        return False

    async def _step(
        self, number: int, index: int, step: BoundStep, station: StationHost
    ) -> tuple[NextMove | None, Entries]:
        """Execute the attempt of a step that was recorded as started.

        Returns:
            How the trial goes on, None when it waits; and what is still to be recorded.
        """
        campaign = self._campaign
        trial = campaign.state.trials[number]
        where = {"trial": number, "step": step.name, "attempt": trial.steps[-1].attempt}
        try:
            runs = await self._execute(step, station, trial.parameters, where)
        except StationLost:
            return None, ()  # the worker may be at it still, and is asked when the campaign goes on
        except StepInterrupted as error:
            await self._failed(where, "interrupted", str(error))
            campaign.turns.over(number, index, False)
            settled = await campaign.settling.settle(number)
            return (self._next_move(number) if settled else None), ()
        except Aborted as error:
            campaign.abort_if_stopped()
            tripped = campaign.tripped.get(station.name, "")
            await self._failed(where, "interlock" if tripped else "aborted", tripped or str(error))
            return None, ()
        except InDoubt as error:
            await self._failed(where, "doubt", str(error))
            await self._make_safe(station, error)
            campaign.turns.over(number, index, False)
            settled = await campaign.settling.settle(number)
            return (self._next_move(number) if settled else None), ()
        except Infeasible as error:
            await self._failed(where, "infeasible", str(error))
            return NextMove("infeasible", message=str(error)), ()
        except PlanRefused as error:
            await self._failed(where, "fault", str(error))
            campaign.need_pause(
                f"the plan of step {step.name!r} was refused: {error}",
                "mend the plan, the device's limits or the campaign's parameters, then run the campaign again",
            )
            return NextMove("fail", message=str(error)), ()
        except WorkerRefused as error:  # nothing has happened, and no try is used up
            await self._failed(where, "refused", str(error))
            raise PauseNeeded(f"station {station.name}: {error}", "put that right, then run again") from error
        except Fault as error:
            await self._failed(where, "fault", str(error), error.device)
            await self._make_safe(station, error)
            return self._next_move(number), ()
        done = (kinds.STEP_DONE, {**where, "runs": runs})
        if index + 1 == len(self._procedure.steps):
            return NextMove("step", index + 1), (done,)
        await campaign.record(*done)
        return NextMove("step", index + 1), ()

    async def _execute(
        self, step: BoundStep, station: StationHost, parameters: Mapping[str, Any], where: Mapping[str, Any]
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
        order = StepOrder(
            campaign.state.id, where["trial"], step.name, where["attempt"], station.name, campaign.writer.epoch,
            campaign.recorder, campaign.state.trials[where["trial"]].actions,
        )  # fmt: skip

        def on_document(name: str, doc: dict[str, Any]) -> None:
            text = campaign.writer.post(kinds.DOCUMENT, {**where, "name": name, "doc": doc})
            campaign.recent.add_document(where["trial"], text)

        running = station.run_step(step, parameters, order, on_document, metadata)
        if station.remote:
            return await campaign.workers.unless_lost(station.name, running)
        return await running

    async def _failed(self, where: Mapping[str, Any], cause: str, message: str, device: str = "") -> None:
        body = {**where, "cause": cause, "message": message, "device": device}
        await self._campaign.record(kinds.STEP_FAILED, body)

    async def _make_safe(self, station: StationHost, error: SdlError) -> None:
        """Make the station safe after something went wrong.

        Raises:
            PauseNeeded: a device did not confirm.
        """
        complaints = await self._campaign.make_safe("fault", [station])
        if complaints:
            self._campaign.put_out(station.name, "; ".join(complaints))
            raise PauseNeeded(
                f"{error}; and not in a safe state: {'; '.join(complaints)}",
                "go to the instrument and make it safe by hand, then run the campaign again",
                drains=True,
            )


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
