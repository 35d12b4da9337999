"""The worker's hands: one station, one step at a time, everything on record in the spool first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdl.journal import JournalError, canonical, kinds
from sdl.lab.effects import InDoubt
from sdl.lab.guard import StepOrder
from sdl.lab.host import PlanRefused
from sdl.lab.interlocks import Interlock, Trip
from sdl.lab.labfile import Lab
from sdl.lab.procedure import BoundStep, Procedure
from sdl.lab.station import Aborted, Station
from sdl.model import Fault, Infeasible, InputError, Refusal, SdlError, UnsafeState
from sdl.worker._messages import AskStep, Running, RunStep, action_of
from sdl.worker._past import STEP_ANSWERED, STEP_ORDERED, StepKey
from sdl.worker._spool import MOST_TEXT, Chain
from sdl.worker.errors import WorkerRefused

__all__ = ["Bench"]

_log = logging.getLogger("sdl.worker")

_LARGE = 100_000
"""Values of an event from which on its size is looked at before it is recorded."""


class Bench:
    """A station that executes the steps of one campaign at a time. Lives in the worker's event loop."""

    def __init__(self, lab: Lab, station: Station, on_end: Callable[[], None]) -> None:
        """Nothing is running yet.

        Args:
            lab: the worker's own lab file; plans come from it and from nowhere else.
            station: open.
            on_end: called whenever a step has ended and is on record.
        """
        self.station = station
        self.stopped = ""
        """Why no step may begin any more; empty while all is well."""
        self.tripped: Callable[[], Sequence[Trip]] = lambda: ()
        """Which interlocks are violated now; no step begins meanwhile."""
        self._lab, self._on_end = lab, on_end
        self._interlocks: tuple[Interlock, ...] = ()
        self._procedures: dict[tuple[str, tuple[str, ...]], Procedure] = {}
        self._running: Running | None = None
        self._task: asyncio.Task[None] | None = None
        self._identities: dict[str, dict[str, str]] = {}
        self._given_up: tuple[str, str] | None = None
        """Outcome and message of a step that the worker itself gives up."""

    @property
    def running(self) -> Running | None:
        """The step under way."""
        return self._running

    async def bind(self, interlocks: Sequence[Interlock]) -> None:
        """Hold plans against these interlocks, and look at them before each step.

        Raises:
            InputError: a signal is not there, or has another kind of unit.
        """
        self._interlocks = tuple(item for item in interlocks if item.device in self.station.devices)
        await self.station.bind(self._interlocks)

    async def identities(self) -> dict[str, dict[str, str]]:
        """What the station's instruments say of themselves, by device; during a step what they said last."""
        if self._running is None:  # nothing that is at work is disturbed
            self._identities = await self.station.identities()
        return self._identities

    def step_of(self, order: RunStep) -> BoundStep:
        """The step of the worker's own lab file that an order names.

        Raises:
            WorkerRefused: there is none, or it is another station's.
        """
        names = tuple(order.parameters)
        try:
            procedure = self._procedures.get((order.procedure, names))
            if procedure is None:
                procedure = self._procedures[order.procedure, names] = self._lab.procedure(order.procedure, names)
        except InputError as error:
            raise WorkerRefused("step", f"its worker cannot use procedure {order.procedure!r}: {error}") from error
        step = next((step for step in procedure.steps if step.name == order.step), None)
        if step is None:
            raise WorkerRefused("step", f"procedure {order.procedure!r} has no step {order.step!r}")
        if self.station.name not in step.spec.every_station:
            raise WorkerRefused("step", f"step {order.step!r} belongs to station {step.spec.station!r}")
        step = step.on(self.station.name)
        return step.handing(**order.handover) if {*order.handover} == {"source", "target"} else step

    async def begin(self, order: RunStep, chain: Chain) -> None:
        """Put an order on record and begin to execute it; returns once it is on the disk.

        Raises:
            WorkerRefused: it cannot be executed here.
            WireError: its actions are malformed.
            JournalError: it cannot be recorded.
        """
        step = self.step_of(order)
        if self.stopped:
            raise WorkerRefused("stopped", self.stopped)
        if trips := self.tripped() or await self.station.check(self._interlocks):
            self.note_trips(chain, trips)
            raise WorkerRefused("stopped", f"the step did not begin: {'; '.join(trip.text for trip in trips)}")
        theirs = {action.id: action for action in (action_of(item) for item in order.actions)}
        where = {"trial": order.trial, "step": order.step, "attempt": order.attempt}
        body = {**where, "epoch": order.epoch, "procedure": order.procedure, "parameters": dict(order.parameters)}
        self._given_up = None
        self._running = Running(campaign=order.campaign, **where)
        try:
            # It goes to the disk before anything that the plan records, and the plan need not wait for it.
            recorded = asyncio.ensure_future(chain.record(STEP_ORDERED, body))
            given = StepOrder(
                order.campaign, order.trial, order.step, order.attempt, self.station.name, order.epoch, chain,
                chain.past.merged(order.trial, theirs),
            )  # fmt: skip
            await asyncio.sleep(0)  # the record is handed over
            self._task = asyncio.ensure_future(self._execute(order, step, given, chain))
            await recorded
        except BaseException:
            if self._task is None:
                self._running = None
            raise

    async def _execute(self, order: RunStep, step: BoundStep, given: StepOrder, chain: Chain) -> None:
        where = {"trial": order.trial, "step": order.step, "attempt": order.attempt}

        def on_document(name: str, doc: dict[str, Any]) -> None:
            body = {**where, "name": name, "doc": doc}
            _check_size(body)
            chain.post(kinds.DOCUMENT, body)

        try:
            answer = await self._outcome(step, order, given, on_document)
            await chain.record(STEP_ANSWERED, {**where, **answer})
        except JournalError as error:
            self.stopped = self.cannot_record(str(error))
            _log.error("%s", self.stopped)
            await self.station.make_safe()
        finally:
            self._running, self._task = None, None
            self._on_end()

    async def over(self) -> None:
        """Wait until a step whose end is on record has let the station go."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def cannot_record(self, reason: str) -> str:
        """What to say, and do, when the spool takes nothing more."""
        return (
            f"the worker of station {self.station.name!r} cannot record anything any more ({reason}); mend that, then "
            "start the worker again"
        )

    async def _outcome(
        self, step: BoundStep, order: RunStep, given: StepOrder, on_document: Callable[[str, dict[str, Any]], None]
    ) -> dict[str, Any]:
        try:
            runs = await self.station.run_step(step, order.parameters, given, on_document, order.metadata)
        except InDoubt as error:
            device = next((d for d, doubt in self.station.guard.doubts.items() if doubt.id == error.action), "")
            return _answer("doubt", str(error), device=device, action=error.action)
        except PlanRefused as error:
            faults = [[f.message, f.file, f.line, f.path] for f in error.faults]
            return {**_answer("refused", str(error)), "faults": faults}
        except Infeasible as error:
            return _answer("infeasible", str(error))
        except Aborted as error:
            return _answer(*(self._given_up or ("aborted", str(error))))
        except Fault as error:
            known = "Refusal" if isinstance(error, Refusal) else "Fault"
            known = "UnsafeState" if isinstance(error, UnsafeState) else known
            message = getattr(error, "_message", str(error))
            return _answer("fault", message, device=error.device, error=known)
        except SdlError as error:
            return _answer("fault", str(error), error="Fault")
        except Exception as error:
            _log.exception("step %r of trial %d", order.step, order.trial)
            return _answer("fault", f"{type(error).__name__}: {error}", error="Fault")
        return _answer("done", "", runs=runs)

    async def abort(self, reason: str, outcome: str = "aborted", message: str = "") -> bool:
        """Stop the step under way and wait until its end is on record.

        Args:
            reason: why, for the RunEngine.
            outcome: how the step ended, for the coordinator: `aborted`, or `interrupted`.
            message: for a step that the worker itself gives up: what the coordinator is told.

        Returns:
            Whether there was one.
        """
        task = self._task
        if task is None:
            return False
        self._given_up = (outcome, message) if message else None
        await self.station.abort(reason)
        await asyncio.wait({task})
        return True

    async def make_safe(self, chain: Chain | None, cause: str) -> dict[str, str]:
        """Drive the devices to their safe states; put it on record when there is a chain and nobody has asked for it.

        Returns:
            Device → `safe`, or what went wrong.
        """
        result = await self.station.make_safe()
        for device, said in result.items():
            if said != "safe":
                _log.error("not in its safe state: %s", said if said.startswith(device) else f"{device}: {said}")
        if chain is not None and not chain.trouble:
            try:
                await chain.record(
                    kinds.STATION_SAFE, {"station": self.station.name, "devices": result, "cause": cause}
                )
            except JournalError as error:
                _log.error("the safe state is not on record: %s", error)
        return result

    def note_trips(self, chain: Chain | None, trips: Sequence[Trip]) -> None:
        """Put violated interlocks on record."""
        for trip in trips:
            _log.error("%s", trip.text)
            if chain is not None and not chain.trouble and trip.kind != "stopped":
                chain.post(*trip.entry(self.station.name))

    @staticmethod
    def key(order: RunStep | AskStep) -> StepKey:
        """Which attempt of which step an order is."""
        return StepKey(order.trial, order.step, order.attempt)


def _answer(
    outcome: str, message: str, *, runs: Sequence[str] = (), device: str = "", action: str = "", error: str = ""
) -> dict[str, Any]:
    return {
        "outcome": outcome, "runs": list(runs), "message": message, "device": device, "action": action, "error": error,
    }  # fmt: skip


def _check_size(body: Mapping[str, Any]) -> None:
    """Refuse a document that could be recorded and never sent.

    Raises:
        Fault: it is too large.
    """
    data = body["doc"].get("data")
    if isinstance(data, Mapping) and sum(_values(value) for value in data.values()) > _LARGE:
        size = len(canonical(body).encode())
        if size > MOST_TEXT:
            most = MOST_TEXT / 2**20
            raise Fault("", f"a document of {size / 2**20:.0f} MiB; a worker can send up to {most:.0f} MiB")


def _values(value: Any) -> int:
    size = getattr(value, "size", None)
    return size if isinstance(size, int) else len(value) if isinstance(value, str | list | tuple) else 1
