"""The loop: ask the planner, approve, execute, analyse, tell; every arrow is an entry in the journal.

The coordinator is asyncio. It keeps no state of its own beside the fold over the journal: what it knows after a
restart is what it knew before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdl.campaign._recent import KnownTrials, RecentEntries
from sdl.campaign._taken import Shared, Taken, stations_of
from sdl.campaign.files import LoadedCampaign
from sdl.campaign.jobs import needs_planning
from sdl.campaign.keeping import Short
from sdl.campaign.planning import PlannerFailure, PlannerHost
from sdl.campaign.rules import Ending, ended
from sdl.campaign.seeds import derive_seed
from sdl.campaign.settling import JournalRecorder, Settling, advice_on
from sdl.campaign.trial import Opened, PauseNeeded, TrialRunner, approval
from sdl.campaign.turns import StationTurns, Turns
from sdl.journal import Entry, kinds
from sdl.journal.state import CampaignState, fold
from sdl.lab.host import StationHost
from sdl.lab.procedure import BoundStep
from sdl.lab.spec import OnInterrupt
from sdl.model import Exhausted, SdlError, TrialStatus
from sdl.virtual import on_virtual_time, outside

if TYPE_CHECKING:
    from sdl.campaign.board import Board

__all__ = ["Coordinator", "OnEvent"]

OnEvent = Callable[[Entry, CampaignState], None]
"""Called after each entry that the coordinator writes, in the coordinator's thread."""


_TELL = frozenset(
    {kinds.ACTION_DOUBTFUL, kinds.ACTION_RESOLVED, kinds.STATION_SAFE, kinds.INTERLOCK_TRIPPED, kinds.RUN_INTERRUPTED}
)
"""Entries of stations that people are told of at once."""
_POLL = 0.5
"""Wall seconds between two looks for what people ask for through the store."""
_AFTER_ABORT = 1.0
"""Wall seconds in which trials may record how they ended, once their plans are stopped."""


@dataclass
class _Reasons:
    """Why a campaign goes no further."""

    pause: PauseNeeded | None = None
    """Why no further step begins, and it pauses."""
    short: PauseNeeded | None = None
    """Why no further trial begins, and it pauses once those in flight have come as far as they can."""
    exhausted: str = ""
    """Why the planner has nothing left to propose."""
    faults: int = 0
    """Trials in a row that the equipment failed."""


class Coordinator:
    """Runs one campaign on open stations until it ends, pauses or aborts.

    Args:
        taken: the campaign.
        shared: the open lab.
        planner: of the campaign.
        answer: what to do with interrupted steps that say `ask`.
        rank: its place among the campaigns that run together.
    """

    def __init__(
        self, taken: Taken, shared: Shared, planner: PlannerHost, answer: OnInterrupt | None = None, rank: int = 0
    ) -> None:
        self.spec, self.procedure = taken.loaded.spec, taken.loaded.procedure
        self.store, self.writer = taken.store, taken.writer
        self.stations: Mapping[str, StationHost] = {n: shared.stations[n] for n in stations_of([taken.loaded])}
        self.clock, self.control = shared.clock, shared.control
        self.workers, self._safety = shared.workers, shared.safety
        self._planner, self._known, self._on_event = planner, KnownTrials(taken.state.seq), taken.on_event
        self._state = taken.state
        self._noted: deque[Entry] = deque()
        """Entries of stations that are not in the state yet."""
        self._lab_seconds_before, self._opened_at = taken.state.lab_seconds, shared.clock.now()
        self.recent = RecentEntries()
        self.recorder = JournalRecorder(taken.writer, self.note)
        """What stations of this process record goes through it."""
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Event | None = None
        self._order = asyncio.Lock()
        self.proposing = asyncio.Lock()
        """Held while a proposal is made and recorded: no other trial may take its number."""
        self._opening = False
        """A proposal is being recorded: from here on its trial has to be taken up, whatever is asked meanwhile."""
        self._why = _Reasons()
        self.tripped: dict[str, str] = {}
        """Station → interlock that stopped it."""
        self.out: dict[str, str] = {}
        """Station → why nothing begins there any more in this session."""
        self.concluded = False
        self.mates: tuple[Coordinator, ...] = (self,)
        """The campaigns that run on the lab together, in this process and loop; this one among them."""
        self.settling = Settling(self)
        self.keeping = taken.keeping
        """Keeps samples and stock; None where the procedure has neither."""
        if self.keeping is not None:
            self.keeping.begin(self)
        self.turns = _turns(self, taken.loaded, shared.board, rank)
        self._trials = TrialRunner(self, answer)

    @property
    def state(self) -> CampaignState:
        """The campaign as its journal tells it. To be read in the coordinator's loop only."""
        while self._noted:
            self._state = fold(self._state, self._noted.popleft())
        return self._state

    @property
    def lab_seconds(self) -> float:
        """Lab time that the campaign has used up, all sessions together."""
        return self._lab_seconds_before + self.clock.now() - self._opened_at

    def note(self, entry: Entry) -> None:
        """Take note of an entry that a station recorded. Safe to call from any thread."""
        # Whoever looks at the state next folds it. Waking the loop for it would cost more CPU than all else about it.
        self._noted.append(entry)
        if entry.kind in _TELL:
            self._loop.call_soon_threadsafe(self._tell, entry)

    def _tell(self, entry: Entry) -> None:
        self._on_event(entry, self.state)

    def take(self, kind: str, body: dict[str, Any]) -> None:
        """Record an entry that came from a worker. Safe to call from any thread.

        Raises:
            JournalError: it cannot be recorded.
        """
        text = self.recorder.post(kind, body)
        if kind == kinds.DOCUMENT:
            self.recent.add_document(body["trial"], text)
        if kind == kinds.INTERLOCK_TRIPPED:
            self._loop.call_soon_threadsafe(self._trip, body["station"], body["message"])

    def _trip(self, station: str, message: str) -> None:
        self.tripped[station] = message
        self.need_pause(f"interlock: {message}", "find out why and put it right, then run again")
        self.settling.pulse()

    def look(self) -> None:
        """Let the loop look at what its trials wait for."""
        if self._wake is not None:
            self._wake.set()

    def final_state(self) -> CampaignState:
        """The state with the lab time of this session added up."""
        return replace(self.state, lab_seconds=self.lab_seconds)

    async def record(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Write an entry durably, fold it, and say so."""
        return (await self.record_all([(kind, body)]))[-1]

    async def record_all(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Entry]:
        """Write entries that belong together with one wait for the disk; fold them, and say so."""
        # Two trials must not fold their entries in another order than the journal has them.
        async with self._order:
            if self.keeping is not None:
                items = self.keeping.complete(items)
            pending = self.writer.submit_all(items)
            try:
                with outside():
                    await asyncio.wrap_future(pending[-1])
            except asyncio.CancelledError:
                self._fold(pending)  # they are recorded all the same, and the state must not lag behind the journal
                raise
            return self._fold(pending)

    def _fold(self, recorded: Sequence[Future[Entry]]) -> list[Entry]:
        entries = [future.result() for future in recorded]
        for entry in entries:
            self._state = fold(self.state, entry)
            self.recent.note(entry)
            self._on_event(entry, self.state)
        self._known.seq = entries[-1].seq
        return entries

    async def run(self) -> None:
        """Go round the loop until the campaign ends by its own rule, pauses, or aborts; the last entry says which."""
        wake = self._wake = self.control.attach()
        self.settling.block()
        self.turns.begin()
        waiting = asyncio.ensure_future(wake.wait())
        polling = asyncio.ensure_future(self._poll())
        asking: asyncio.Task[Opened | None] | None = None
        running = {asyncio.ensure_future(self._trials.run(number)) for number in self._pending()}
        try:
            while True:
                if asking is None and self._wants_more(len(running)):
                    asking = asyncio.ensure_future(self._ask())
                work: set[asyncio.Task[Any]] = {*running, *([asking] if asking else [])}
                if not work:
                    break
                await asyncio.wait({*work, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if wake.is_set():
                    wake.clear()
                    waiting = asyncio.ensure_future(wake.wait())
                if asking is not None and self.stopping and not self._opening:
                    await _cancelled(asking)
                if asking is not None and asking.done():
                    opened = None if asking.cancelled() else asking.result()
                    asking = None
                    if opened is not None:
                        running.add(asyncio.ensure_future(self._trials.go_on(opened)))
                if self.control.aborting and not self._opening:
                    await self._abort_stations(running)
                    break
                running = self._settle(running)
                if self.stopping:
                    self.settling.pulse()
                elif running and asking is None and self.settling.waiting + self.turns.waiting == len(running):
                    self._why.pause = self._why.pause or self._why.short
                    self.need_pause(*advice_on([doubt for mate in self.mates for doubt in mate.state.doubts()]))
                    self.settling.pulse()
        finally:
            for task in (waiting, polling, asking, *running):
                if task is not None:
                    await _cancelled(task)
            await self.turns.end()
        await self._conclude()

    async def _poll(self) -> None:
        """Look now and then for decisions of people and for the mark of `sdl stop`."""
        while not on_virtual_time():  # nobody is there to ask for anything
            await asyncio.sleep(_POLL)
            await self.settling.answer_requests()

    def _pending(self) -> list[int]:
        return [t.number for t in self.state.trials.values() if t.status.pending]

    @property
    def stopping(self) -> bool:
        """Whether no further step should begin."""
        return bool(self.control.pausing or self.control.aborting or self._why.pause)

    def stops(self, step: BoundStep) -> bool:
        """Whether a step should not begin any more. What must not be kept waiting is gone on with in a pause."""
        return self.stopping and (bool(self.control.aborting) or step.timing.max_wait is None)

    @property
    def interlocked(self) -> bool:
        """Whether interlocks have to be checked before a step."""
        return self._safety.interlocked

    async def check_interlocks(self, station: str) -> None:
        """Read what the interlocks of a station look at, before a step begins there.

        Raises:
            PauseNeeded: one of them is violated.
        """
        await self._safety.check(station, self)

    def abort_if_stopped(self) -> None:
        """Abort at once when somebody has called `sdl stop`, rather than at the watchdog's next look."""
        if reason := self._safety.stopped():
            self.control.abort(reason)

    async def pause_for(self, seconds: float) -> None:
        """Wait for a span of lab time, or until the campaign stops."""
        timer = asyncio.ensure_future(self.clock.sleep(seconds))
        try:
            timer.add_done_callback(lambda _: self.settling.pulse())
            await self.settling.until(timer.done)
        finally:
            await _cancelled(timer)

    def _ending(self) -> Ending | None:
        if self._why.exhausted:
            return Ending("exhausted", self._why.exhausted)
        return ended(self.state, self.spec, self.lab_seconds)

    def _wants_more(self, running: int) -> bool:
        room = running < self.spec.in_flight and self.turns.room
        return not self.stopping and room and self._why.short is None and self._ending() is None

    async def _ask(self) -> Opened | None:
        async with self.proposing:
            return await self._asked()

    async def _asked(self) -> Opened | None:
        """Ask for one proposal and record it, with the start of its first step where that can begin at once.

        Returns None when there is no proposal.
        """
        number = len(self.state.trials) + 1
        seed = derive_seed(self.spec.seed, "propose", number)
        known = self._known.seq
        try:
            proposals = await self._planner.propose(self._known.trials(self.state), 1, seed)
        except Exhausted as error:
            self._why.exhausted = str(error)
            return None
        except PlannerFailure as error:
            await self.record(kinds.PLANNER_FAULT, {"planner": self._planner.identity["name"], "message": str(error)})
            self.need_pause(str(error), "mend the planner or choose another with --set planner=NAME, then run again")
            return None
        if not proposals:
            self._why.exhausted = "the planner has nothing left to propose"
            return None
        proposed = {
            "trial": number,
            "parameters": proposals[0].parameters,
            "reason": proposals[0].reason.model_dump(mode="json"),
            "planner": self._planner.identity,
            "seed": seed,
            "known_seq": known,
        }
        async with self.keeping.order if self.keeping is not None else contextlib.nullcontext():
            try:
                reserved = await self.keeping.reserve(number, proposals[0].parameters) if self.keeping else []
            except Short as error:
                # What has been begun is not left lying about for it.
                self._why.short = PauseNeeded(str(error), "say what you have put there, then run the campaign again")
                return None
            self._opening = True
            try:
                opened = self._trials.open(number, proposals[0].parameters)
                await self.record_all(
                    [
                        *reserved,
                        (kinds.TRIAL_PROPOSED, proposed),
                        (kinds.TRIAL_APPROVED, approval(number)),
                        *opened.entries,
                    ]
                )
            finally:
                self._opening = False
        return opened

    def _settle(self, running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Take the results of finished trials; returns those still under way."""
        for task in [t for t in running if t.done()]:
            running.discard(task)
            try:
                task.result()
            except PauseNeeded as needed:
                self._drain(needed)
        return running

    def _drain(self, needed: PauseNeeded) -> None:
        """A trial can only go on with a person: pause, at once or when the trials that can go on have ended."""
        if needed.drains and self.turns.shares and not self.control.aborting:
            self._why.short = self._why.short or needed
        else:
            self._why.pause = self._why.pause or needed

    def put_out(self, station: str, why: str) -> None:
        """Let nothing begin on a station any more in this session: a fault there lasts, or it may not be safe."""
        for mate in self.mates:
            if station in mate.stations:
                mate.out[station] = why
                if mate is not self:
                    mate._drain(
                        PauseNeeded(
                            f"station {station} is out of use since a step of campaign {self.state.name}: {why}",
                            "look at the equipment, then run the campaign again",
                            drains=True,
                        )
                    )
            mate.turns.look()

    def trial_ended(self, status: TrialStatus) -> None:
        """Count trials that the equipment failed, and pause after too many in a row."""
        self._why.faults = self._why.faults + 1 if status is TrialStatus.FAILED else 0
        if self._why.faults >= self.spec.max_consecutive_faults:
            self.need_pause(
                f"{self._why.faults} trials in a row failed through the equipment",
                "look at the equipment (sdl show says what failed), then run the campaign again",
            )

    def need_pause(self, message: str, advice: str) -> None:
        """Let no further step begin, and pause with a message and advice."""
        self._why.pause = self._why.pause or PauseNeeded(message, advice)

    async def _abort_stations(self, running: set[asyncio.Task[None]]) -> None:
        stopping = (station.abort(self.control.aborting) for station in self.stations.values())
        await asyncio.gather(*stopping, return_exceptions=True)  # a worker that is lost is complained of below
        if running:
            await asyncio.wait(running, timeout=_AFTER_ABORT)
        # A long analysis must not hold up the safe state; it is done again from the record.
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        running.clear()

    async def make_safe(self, cause: str, stations: list[StationHost] | None = None) -> list[str]:
        """Drive stations to their safe states and record it; returns complaints of devices that did not confirm."""
        complaints = []
        for station in stations if stations is not None else list(self.stations.values()):
            result = await station.make_safe()
            await self.record(kinds.STATION_SAFE, {"station": station.name, "devices": result, "cause": cause})
            complaints += [
                said if said.startswith(f"{name}: ") else f"{name}: {said}"
                for name, said in result.items()
                if said != "safe"
            ]
        if complaints:
            self._safety.keep_card()
        return complaints

    def _only_mine(self) -> list[StationHost]:
        """Stations that no other campaign goes on with; the last one to use a station leaves it safe."""
        others = {name for mate in self.mates if not mate.concluded for name in mate.stations}
        return [station for name, station in self.stations.items() if name not in others]

    async def _conclude(self) -> None:
        """Write how it stopped. Whatever the way, the stations are left safe."""
        await self._safety.settled()
        await self.settling.answer_requests()
        self._why.pause = self._why.pause or self._why.short
        ending = None if self.control.aborting or self._pending() else self._ending()
        cause = "aborted" if self.control.aborting else "ended" if ending else "paused"
        self.concluded = True
        complaints = await self.make_safe(cause, self._only_mine())
        if complaints:
            self.need_pause(
                f"not in a safe state: {'; '.join(complaints)}",
                "go to the instrument and make it safe by hand, then run the campaign again",
            )
        if self.control.aborting:
            message = "; ".join([self.control.aborting, *(str(self._why.pause) for _ in complaints[:1])])
            await self.record(kinds.CAMPAIGN_ABORTED, {"message": message})
        elif self._why.pause is not None:
            reason = self._why.pause
            await self.record(kinds.CAMPAIGN_PAUSED, {"message": reason.message, "advice": reason.advice})
        elif ending is not None:
            await self.record(kinds.CAMPAIGN_ENDED, {"rule": ending.rule, "message": ending.message})
        else:
            message = self.control.pausing or "stopped"
            advice = "run the same command again to go on"
            await self.record(kinds.CAMPAIGN_PAUSED, {"message": message, "advice": advice})


def _turns(campaign: Coordinator, loaded: LoadedCampaign, board: Board | None, rank: int) -> Turns:
    """Who gives steps their turns; the scheduler is loaded where there is something to schedule."""
    if board is None and not needs_planning(campaign.procedure, campaign.spec):
        return StationTurns(campaign, campaign.procedure)
    from sdl.campaign.board import Board
    from sdl.campaign.dispatch import Dispatcher

    return Dispatcher(campaign, campaign.procedure, board or Board(loaded.lab.spec, campaign.clock), rank)


async def _cancelled(task: asyncio.Task[Any] | asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; what it raised is not lost unless it is the cancellation."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError, SdlError):
        await task
