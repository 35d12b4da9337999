"""A station: devices that one RunEngine drives, in a thread of its own.

The RunEngine is composed, never extended. It runs in its own event loop; a second thread, one a station, waits for
its plans; the coordinator's loop never blocks on either.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bluesky import Msg, RunEngine
from bluesky.utils import FailedStatus, RequestAbort, RequestStop, RunEngineInterrupted

from sdl.journal import JournalError
from sdl.journal.actions import ActionState
from sdl.lab._planstacks import write_stacks_late
from sdl.lab._quiet import quiet_engine
from sdl.lab.devices import close_devices, connect_devices, make_safe
from sdl.lab.effects import InDoubt
from sdl.lab.guard import Guard, StepOrder
from sdl.lab.hold import Hold
from sdl.lab.host import OnDocument, PlanRefused
from sdl.lab.identities import identities
from sdl.lab.interlocks import Bound, Interlock, Trip, bind, check
from sdl.lab.preflight import NeedsLoop, PlanRules, preflight, preflight_here
from sdl.lab.procedure import BoundStep
from sdl.lab.receipts import ask
from sdl.lab.rehearsing import restamped
from sdl.model import Fault, FileFault, Infeasible, Scalar, SdlError
from sdl.protocols import ActionRecord, Clock, Effect, Receipt
from sdl.virtual import VirtualLoop, let_go

__all__ = ["Aborted", "Station"]

_READING = 1.5
"""Wall seconds in which a signal has to be read before a step."""
_READ_AGAIN = 0.25
"""Wall seconds between two tries."""
_OWN = str(Path(__file__).resolve().parents[1]) + "/"


class Aborted(SdlError):
    """The plan was stopped on request."""


class Station:
    """Devices and the RunEngine that drives them."""

    def __init__(
        self,
        name: str,
        devices: Mapping[str, Any],
        clock: Clock,
        effects: Mapping[str, Mapping[str, Effect]] | None = None,
        stopped: Callable[[], str] = lambda: "",
        loop: VirtualLoop | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            name: of the station in the lab file.
            devices: by name.
            clock: lab time.
            effects: what the lab file declares, by device.
            stopped: gives the reason why nothing may act any more; empty while all is well.
            loop: the running loop when everything shares one, on virtual time; a loop of its own by default.
        """
        self.name = name
        self.devices = dict(devices)
        self.clock = clock
        self.busy = Hold()
        """Held by the trial that has the station."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"station-{name}")
        self._shared = loop
        self._loop: asyncio.AbstractEventLoop = loop or asyncio.new_event_loop()
        self._executing = False
        """The RunEngine works in a shared loop, and this station's thread only waits for it."""
        self._engine: RunEngine | None = None
        self._aborting = False
        self._call: asyncio.Future[Any] | None = None
        self.guard = Guard(self.devices, effects, stopped)
        """Every action of a plan goes through it."""
        self._pausing = self._finished = False
        self._resume = threading.Event()
        self._interlocks: tuple[Bound, ...] = ()
        self._rules: dict[tuple[str, ...], PlanRules] = {}

    async def open(self) -> None:
        """Start the RunEngine and connect the devices.

        Raises:
            Fault: devices that cannot be connected, all in one.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._start)
        await self._in_loop(connect_devices(self.devices))

    def _start(self) -> None:
        self._engine = quiet_engine(self._loop)
        if self._shared is not None:
            self._engine.state_hook = self._at_state  # type: ignore[assignment]
        self._engine.register_command("sleep", self._sleep)  # type: ignore[no-untyped-call]
        self.guard.install(self._engine)
        write_stacks_late()  # in this thread, which checks plans, and in the loop's, which executes them
        self._loop.call_soon_threadsafe(write_stacks_late)

    def _at_state(self, state: str, before: str) -> None:
        """Hold virtual time but while the RunEngine works in the shared loop, where time passes as it has to."""
        assert self._shared is not None
        executing = state not in ("idle", "paused")
        if executing and not self._executing:
            self._shared.release()
        elif self._executing and not executing:
            self._shared.acquire()
        self._executing = executing

    async def _sleep(self, msg: Msg) -> None:
        """`bps.sleep(seconds)` waits for lab time."""
        await self.clock.sleep(*msg.args)

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run something in the loop and wait for it in the station's thread, which holds virtual time otherwise."""
        if self._shared is None:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
            return

        async def freely() -> None:
            with let_go():
                await coroutine

        asyncio.run_coroutine_threadsafe(freely(), self._loop).result()

    async def _in_loop(self, coroutine: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def run(
        self,
        plan: Iterator[Any],
        on_document: OnDocument,
        metadata: Mapping[str, Any],
        time_limit: float | None = None,
        order: StepOrder | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[str, ...]:
        """Execute a plan; return the uids of its runs.

        Args:
            plan: messages for the RunEngine.
            on_document: called with every document, in the RunEngine's thread; must not block.
            metadata: goes into every run's start document.
            time_limit: lab seconds after which the plan is aborted.
            order: which step it is; its actions are recorded and guarded. Without one, nothing is recorded.
            check: called before the plan begins, in the thread that waits for it.

        Raises:
            JournalError: an action cannot be recorded, so it was not begun, or its end is not on record.
            InDoubt: whether an action of the plan happened is not known.
            Fault: the equipment failed, the time limit passed, or the plan itself is wrong.
            Infeasible: the plan or a device says that the trial cannot give a material.
            Aborted: `abort` was called.
        """
        engine = self._running_engine()
        self._aborting = False
        call = asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: self._execute(engine, plan, on_document, metadata, order, check)
        )
        self._call = call
        if time_limit is None:
            return await asyncio.shield(call)
        done, _ = await asyncio.wait({call}, timeout=time_limit / self.clock.speed)
        if not done:
            await self.abort(f"over its time limit of {time_limit:g} s")
            await asyncio.wait({call})
            if isinstance(error := call.exception(), InDoubt):
                raise error
            raise Fault("", f"the plan was given up after its time limit of {time_limit:g} s of lab time")
        return call.result()

    def _execute(
        self,
        engine: RunEngine,
        plan: Iterator[Any],
        on_document: OnDocument,
        metadata: Mapping[str, Any],
        order: StepOrder | None,
        check: Callable[[], None],
    ) -> tuple[str, ...]:
        check()
        messages = self._to_its_end(plan)
        if order is not None:
            self.guard.begin(order)
            messages = self.guard.numbered(messages)
        try:
            return self._run_engine(engine, messages, on_document, metadata)
        finally:
            if not self.guard.idle:
                self._wait_for(self.guard.settle())

    def _to_its_end(self, plan: Iterator[Any]) -> Generator[Any, Any, Any]:
        """The plan; notes when it has come to its end by itself."""
        self._finished = False
        answer = yield from _guarded(plan)
        self._finished = True
        return answer

    def _run_engine(
        self, engine: RunEngine, plan: Iterator[Any], on_document: OnDocument, metadata: Mapping[str, Any]
    ) -> tuple[str, ...]:
        runs: list[str] = []

        def note(name: str, doc: dict[str, Any]) -> None:
            if name == "start":
                runs.append(doc["uid"])
            on_document(name, doc if self._shared is None else restamped(doc, self.clock))

        try:
            try:
                engine(plan, note, **metadata)  # type: ignore[arg-type]
            except RunEngineInterrupted:
                self._after_pause(engine)
        except (RunEngineInterrupted, RequestAbort, RequestStop) as error:
            if engine.state == "paused":  # the plan paused itself, and nobody can resume it
                engine.abort("plans cannot pause")  # type: ignore[no-untyped-call]
            raise (Aborted("aborted on request") if self._aborting else Fault("", str(error))) from error
        except BaseException as error:
            if self._aborting:
                raise Aborted("aborted on request") from error
            if reason := self.guard.stopped():
                raise Aborted(reason) from error
            raise _cause(error) from error
        return tuple(runs)

    def _after_pause(self, engine: RunEngine) -> None:
        """Wait until a pause that was asked for is over, and go on; others are raised."""
        while self._pausing:
            if engine.state != "paused":
                if self._finished:  # the pause came when the plan had ended
                    return
                break
            self._resume.wait()
            self._resume.clear()
            self._pausing = False
            if self._aborting:
                engine.abort("aborted while paused")  # type: ignore[no-untyped-call]
                raise RequestAbort
            try:
                self._wait_for(self.guard.at_rest())
            except Fault:
                self.guard.give_up()
                engine.abort("what the pause stopped has not ended")  # type: ignore[no-untyped-call]
                raise
            with contextlib.suppress(RunEngineInterrupted):
                engine.resume()  # type: ignore[no-untyped-call]
                return
        raise RunEngineInterrupted(engine.pause_msg)

    async def pause(self) -> None:
        """Stop what moves and hold the plan where it is, at once; `resume` goes on. Nothing is repeated.

        Raises:
            RuntimeError: no plan is running.
        """
        engine = self._running_engine()
        self._pausing = True
        try:
            await asyncio.to_thread(engine.request_pause, False)
        except Exception:
            self._pausing = False
            raise

    def resume(self) -> None:
        """Go on with a plan that `pause` holds, as soon as it is on record what became of the actions that it stopped.

        Where that is not known within 30 s, the plan is given up, and `run` raises a `Fault` that names the action.
        """
        self._resume.set()

    @property
    def remote(self) -> bool:
        """False: what this station does ends with this process."""
        return False

    async def run_step(
        self,
        step: BoundStep,
        parameters: Mapping[str, Scalar],
        order: StepOrder,
        on_document: OnDocument,
        metadata: Mapping[str, Any],
    ) -> tuple[str, ...]:
        """Execute a step; see `StationHost.run_step`."""

        def check() -> None:
            self.guard.rules = self._rules_of(step)
            if faults := self._faults(step, parameters):
                raise PlanRefused(faults)

        plan = _lazily(step, self.devices, parameters)
        return await self.run(plan, on_document, metadata, step.time_limit, order, check)

    async def check_plans(self, orders: Sequence[tuple[BoundStep, Mapping[str, Scalar]]]) -> list[list[FileFault]]:
        """Draw the plans of steps, without executing anything; for each what may not be done, with its line.

        Args:
            orders: steps, each with the parameters of its trial.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: [self._faults(step, parameters) for step, parameters in orders]
        )

    def _faults(self, step: BoundStep, parameters: Mapping[str, Scalar]) -> list[FileFault]:
        """What a step's plan would do and may not. In the station's thread, while its RunEngine is idle."""
        rules = self._rules_of(step)
        try:
            return preflight_here(_lazily(step, self.devices, parameters), rules)
        except NeedsLoop:
            checking = preflight(_lazily(step, self.devices, parameters), rules)
            return asyncio.run_coroutine_threadsafe(checking, self._loop).result()

    def _rules_of(self, step: BoundStep) -> PlanRules:
        rules = self._rules.get(step.held)
        if rules is None:
            devices = {name: self.devices[name] for name in step.held}
            rules = self._rules[step.held] = PlanRules(devices, self._interlocks, self._running_engine().commands)
        return rules

    async def bind(self, interlocks: Sequence[Interlock]) -> None:
        """Hold plans against interlocks on devices of this station, too.

        Raises:
            InputError: a signal is not there, or has another kind of unit; with the line of the lab file.
        """
        self._interlocks = await self._in_loop(bind(interlocks, self.devices)) if interlocks else ()
        self._rules.clear()

    def block(self, action: ActionState) -> None:
        """Let nothing act on the action's device until it is settled."""
        self.guard.block(action)

    def unblock(self, action: str) -> None:
        """An action (id) is settled."""
        self.guard.unblock(action)

    def blocked(self, devices: tuple[str, ...]) -> ActionState | None:
        """The action in doubt that blocks one of the devices, if any."""
        return next((self.guard.doubts[name] for name in devices if name in self.guard.doubts), None)

    async def check(self, interlocks: Sequence[Interlock]) -> list[Trip]:
        """Read what interlocks on devices of this station are about; returns those that are violated.

        One failed reading is none: what cannot be read is tried again for a second and a half.
        """
        if not interlocks:
            return []
        end = time.monotonic() + _READING
        while True:
            trips: list[Trip] = await self._in_loop(check(interlocks, self.devices))
            if any(trip.kind != "unreadable" for trip in trips) or not trips or time.monotonic() > end:
                return trips
            await asyncio.sleep(_READ_AGAIN)

    async def receipt(self, action: ActionRecord) -> Receipt:
        """Ask the action's device what became of it."""
        answer: Receipt = await self._in_loop(ask(self.devices[action.device], action))
        return answer

    async def identities(self) -> dict[str, dict[str, str]]:
        """What the devices that can be asked say of themselves, by name; one that does not answer is left out."""
        told: dict[str, dict[str, str]] = await self._in_loop(identities(self.devices))
        return told

    async def abort(self, reason: str) -> None:
        """Stop the running plan now; its cleanup and the devices' `stop()` run. Does nothing on an idle station."""
        engine = self._running_engine()
        self._aborting = True
        self.guard.give_up()
        if self._pausing:
            self._resume.set()
        while self._call is not None and not self._call.done():
            if engine.state != "idle":
                with contextlib.suppress(Exception):  # it may have finished meanwhile
                    await asyncio.to_thread(engine.abort, reason)
            # The plan was handed over and has not begun, or its last lines are running.
            await asyncio.sleep(0.01)

    async def make_safe(self) -> dict[str, str]:
        """Drive the devices to their safe states; return device → `safe` or what went wrong."""
        result: dict[str, str] = await self._in_loop(make_safe(self.devices))
        return result

    async def close(self) -> None:
        """Close the devices and end the threads."""
        if self._engine is not None:
            await self._in_loop(close_devices(self.devices))
            if self._shared is None:
                await asyncio.to_thread(self._stop_loop)
        self._executor.shutdown(wait=True)
        if not self._loop.is_running():
            self._loop.close()

    def _stop_loop(self) -> None:
        async def cancel_tasks() -> None:
            tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel_tasks(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._running_engine()._th.join(timeout=10)

    def _running_engine(self) -> RunEngine:
        if self._engine is None:
            raise RuntimeError(f"station {self.name!r} is not open")
        return self._engine


def _lazily(step: BoundStep, devices: Mapping[str, Any], parameters: Mapping[str, Scalar]) -> Iterator[Any]:
    """The step's messages; the plan is called in the RunEngine's thread, so what it raises is the step's fault."""
    yield from step.start(devices, parameters)


def _guarded(plan: Iterator[Any]) -> Generator[Any, Any, Any]:
    """The plan, unable to end the process: an exit inside it would end the RunEngine's loop, and nobody would hear."""
    try:
        return (yield from plan)
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError("the plan tried to end the process") from error


def _cause(error: BaseException) -> SdlError:
    """What lies at the root of an exception from the RunEngine, as a fault or an infeasible trial."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for kinds in ((JournalError,), (InDoubt,), (Infeasible, Fault)):
        for link in chain:
            if isinstance(link, kinds):
                return link
    for link in chain:
        if isinstance(link, SdlError):
            return Fault("", str(link))
    root = next((link for link in reversed(chain) if not isinstance(link, FailedStatus)), error)
    return Fault("", f"{type(root).__name__}: {root}{_where(root)}")


def _where(error: BaseException) -> str:
    """` (file.py:12)`: the innermost line outside installed packages, where a lab's author has to look."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "site-packages" not in file and not file.startswith(_OWN):
            place = f" ({file}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place
