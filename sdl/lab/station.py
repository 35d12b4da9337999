"""A station: devices that one RunEngine drives, in a thread of its own.

The RunEngine is composed, never extended. It runs in its own event loop; a second thread, one a station, waits for
its plans; the coordinator's loop never blocks on either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bluesky import Msg, RunEngine
from bluesky.utils import FailedStatus, RequestAbort, RequestStop, RunEngineInterrupted

from sdl.lab.devices import close_devices, connect_devices, make_safe
from sdl.lab.hold import Hold
from sdl.model import Fault, Infeasible, SdlError
from sdl.protocols import Clock

__all__ = ["Aborted", "Station"]

_OWN = str(Path(__file__).resolve().parents[1]) + "/"

OnDocument = Callable[[str, dict[str, Any]], None]


class Aborted(SdlError):
    """The plan was stopped on request."""


class Station:
    """Devices and the RunEngine that drives them."""

    def __init__(self, name: str, devices: Mapping[str, Any], clock: Clock) -> None:
        self.name = name
        self.devices = dict(devices)
        self.clock = clock
        self.busy = Hold()
        """Held by the trial that has the station."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"station-{name}")
        self._loop = asyncio.new_event_loop()
        self._engine: RunEngine | None = None
        self._aborting = False
        self._call: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Start the RunEngine and connect the devices.

        Raises:
            Fault: devices that cannot be connected, all in one.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._start)
        await self._in_loop(connect_devices(self.devices))

    def _start(self) -> None:
        # The RunEngine must start the loop's thread itself; without context managers it leaves SIGINT alone.
        self._engine = RunEngine({}, loop=self._loop, context_managers=[], call_returns_result=True)
        self._engine.register_command("sleep", self._sleep)  # type: ignore[no-untyped-call]

    async def _sleep(self, msg: Msg) -> None:
        """`bps.sleep(seconds)` waits for lab time."""
        await self.clock.sleep(*msg.args)

    async def _in_loop(self, coroutine: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def run(
        self,
        plan: Iterator[Any],
        on_document: OnDocument,
        metadata: Mapping[str, Any],
        time_limit: float | None = None,
    ) -> tuple[str, ...]:
        """Execute a plan; return the uids of its runs.

        Args:
            plan: messages for the RunEngine.
            on_document: called with every document, in the RunEngine's thread; must not block.
            metadata: goes into every run's start document.
            time_limit: lab seconds after which the plan is aborted.

        Raises:
            Fault: the equipment failed, the time limit passed, or the plan itself is wrong.
            Infeasible: the plan or a device says that the trial cannot give a material.
            Aborted: `abort` was called.
        """
        engine = self._running_engine()
        self._aborting = False
        call = asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: self._execute(engine, plan, on_document, metadata)
        )
        self._call = call
        if time_limit is None:
            return await asyncio.shield(call)
        done, _ = await asyncio.wait({call}, timeout=time_limit / self.clock.speed)
        if not done:
            await self.abort(f"over its time limit of {time_limit:g} s")
            await asyncio.wait({call})
            call.exception()
            raise Fault("", f"the plan was given up after its time limit of {time_limit:g} s of lab time")
        return call.result()

    def _execute(
        self, engine: RunEngine, plan: Iterator[Any], on_document: OnDocument, metadata: Mapping[str, Any]
    ) -> tuple[str, ...]:
        try:
            result: Any = engine(_guarded(plan), on_document, **metadata)  # type: ignore[arg-type]
        except (RunEngineInterrupted, RequestAbort, RequestStop) as error:
            if engine.state == "paused":  # the plan paused itself, and nobody can resume it
                engine.abort("plans cannot pause")  # type: ignore[no-untyped-call]
            raise (Aborted("aborted on request") if self._aborting else Fault("", str(error))) from error
        except BaseException as error:
            if self._aborting:
                raise Aborted("aborted on request") from error
            raise _cause(error) from error
        return tuple(result.run_start_uids)

    async def abort(self, reason: str) -> None:
        """Stop the running plan now; its cleanup and the devices' `stop()` run. Does nothing on an idle station."""
        engine = self._running_engine()
        self._aborting = True
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
    for link in chain:
        if isinstance(link, Infeasible | Fault):
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
