"""The watchdog: looks at every interlocked signal over connections of its own, whatever the stations are doing.

It is a thread with its own event loop and its own devices, so a RunEngine that hangs, a plan that computes and a
planner that fits hold nothing up. It queries only: devices are attached, not set up (see `attach`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sdl.lab.devices import build_devices, close_devices
from sdl.lab.interlocks import Bound, Interlock, Trip, bind, interlocks_of
from sdl.lab.labfile import Lab
from sdl.model import InputError
from sdl.protocols import Clock

__all__ = ["Watchdog", "attach"]

INTERVAL = 0.5
"""Wall seconds from one look to the next."""
GRACE = 2.0
"""Wall seconds without a reading after which a signal cannot be read."""
STOP_LIMIT = 30.0
"""Wall seconds that the thread may take to end."""

_log = logging.getLogger(__name__)


async def attach(device: Any) -> None:
    """Connect a second instance of a device without telling its instrument anything.

    A driver whose connection needs more than a socket at the first request has a coroutine function `attach()`, which
    sends queries only. Of an ophyd-async device without it the signals are connected, and whatever its own `connect`
    does beyond that is left out.
    """
    from ophyd_async.core import Device

    own = getattr(device, "attach", None)
    if inspect.iscoroutinefunction(own):
        await own()
    elif isinstance(device, Device):
        await Device.connect(device)
    elif hasattr(device, "wait_for_connection"):  # classic ophyd
        await asyncio.to_thread(device.wait_for_connection, timeout=GRACE)


class Watchdog:
    """Reads every interlocked signal again and again, and tells of each trip once until it has cleared.

    Args:
        lab: its lab file declares the interlocks.
        addresses: of simulated instruments, by device.
        clock: lab time, given to drivers. The watchdog itself goes by wall time.
        on_trip: called with new trips in the watchdog's thread; must not block. When it raises, it is called again
            at the next look.
        stopped: gives the reason when somebody has asked for a stop; called at each look, must not block.
        interval: wall seconds from one look to the next.
        grace: wall seconds without a reading after which that is a trip; a single failure never is one. An answer
            that takes longer than half of it is a failure.
        interlocks: to look at; all of the lab file by default. A process that has only some of the stations gives
            those whose devices it can reach.

    Raises:
        InputError: an interlock or a driver's options cannot be used.
    """

    def __init__(
        self,
        lab: Lab,
        addresses: Mapping[str, str],
        clock: Clock,
        on_trip: Callable[[list[Trip]], None],
        *,
        stopped: Callable[[], str | None] | None = None,
        interval: float = INTERVAL,
        grace: float = GRACE,
        interlocks: Iterable[Interlock] | None = None,
    ) -> None:
        self.interlocks = tuple(interlocks_of(lab.spec, lab.file) if interlocks is None else interlocks)
        self.devices = _build(lab, {item.device for item in self.interlocks}, addresses, clock)
        """The watchdog's own, by name."""
        self.interval, self.grace = interval, grace
        self.ready = threading.Event()
        """Set once there is a verdict on every interlock."""
        self._on_trip, self._stopped = on_trip, stopped
        self._standing: dict[str, Trip] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @property
    def trips(self) -> tuple[Trip, ...]:
        """What is wrong now: trips that have not cleared. May be asked from any thread."""
        return tuple(self._standing.copy().values())

    @property
    def alive(self) -> bool:
        """Whether it is watching."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and close the connections; returns when that is done. Twice is once.

        Called in `on_trip`, it returns at once.
        """
        if self._thread is threading.current_thread():
            self._ending.set()
            return
        if self._thread.ident is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            while self.alive and self._loop is None:
                time.sleep(0.001)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(STOP_LIMIT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._watch())
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        _log.error("the watchdog failed", exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        text = f"the watchdog failed ({reason}), so nobody looks at the interlocks; run the campaign again"
        self._tell("failed", [Trip("", text, "failed")])

    async def _watch(self) -> None:
        by_signal: dict[tuple[str, str], list[Interlock]] = {}
        for item in self.interlocks:
            by_signal.setdefault((item.device, item.signal), []).append(item)
        locks = {name: asyncio.Lock() for name in self.devices}
        eyes = [_Eye(self, items, self.devices[name], locks[name]) for (name, _), items in by_signal.items()]
        tasks = [asyncio.create_task(self._repeat(eye.look)) for eye in eyes]
        if self._stopped is not None:
            tasks.append(asyncio.create_task(self._repeat(self._look_for_stop)))
        seen = asyncio.create_task(self._announce(eyes))
        end = asyncio.create_task(self._ending.wait())
        try:
            done, _ = await asyncio.wait({end, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {end}:
                task.result()
        finally:
            for task in (seen, end, *tasks):
                task.cancel()
            await asyncio.gather(seen, end, *tasks, return_exceptions=True)
            await close_devices(self.devices)

    async def _announce(self, eyes: Sequence[_Eye]) -> None:
        for eye in eyes:
            await eye.seen.wait()
        self.ready.set()

    async def _repeat(self, look: Callable[[], Any]) -> None:
        while not self._ending.is_set():  # a library may have taken the cancellation for a failed request
            due = time.monotonic() + self.interval
            await look()
            await asyncio.sleep(max(due - time.monotonic(), 0.0))

    async def _look_for_stop(self) -> None:
        assert self._stopped is not None
        try:
            reason = self._stopped()
        except Exception as error:  # whoever cannot say whether to stop is heard, too
            reason = f"whether to stop cannot be told ({type(error).__name__}: {error})"
        self._tell("stop", [Trip("", reason, "stopped")] if reason else [])

    def _tell(self, about: str, trips: Sequence[Trip]) -> None:
        """Report what is new among the trips about one thing, and forget those that have cleared."""
        keys = {f"{about}/{trip.interlock}/{trip.kind}": trip for trip in trips}
        for key in [k for k in self._standing if k.startswith(f"{about}/") and k not in keys]:
            del self._standing[key]
        new = {key: trip for key, trip in keys.items() if key not in self._standing}
        if new:
            try:
                self._on_trip(list(new.values()))
            except Exception:
                _log.exception("nobody took the trip: %s", "; ".join(trip.text for trip in new.values()))
                return
        self._standing |= keys


class _Eye:
    """Looks at one signal."""

    def __init__(self, dog: Watchdog, interlocks: list[Interlock], device: Any, lock: asyncio.Lock) -> None:
        self.seen = asyncio.Event()
        """Whether there is a verdict."""
        self._dog, self._interlocks, self._device, self._lock = dog, interlocks, device, lock
        self._about = interlocks[0].what
        self._bound: tuple[Bound, ...] = ()
        self._failures, self._silence = 0, 0.0
        self._ended = time.monotonic()

    async def look(self) -> None:
        """Read the signal once and tell what follows."""
        grace, interval, began = self._dog.grace, self._dog.interval, time.monotonic()
        # Silence is what was waited for in vain: time in which this process stood still is no fault of the instrument.
        self._silence += min(began - self._ended, interval)
        # Two looks have to fail within the grace, so the first must leave time for a second.
        limit = max(grace - self._silence, interval / 2) if self._failures else grace / 2
        try:
            async with asyncio.timeout(limit):
                value = await self._read()
        except InputError as error:
            self._tell([item.unreadable("; ".join(f.message for f in error.faults)) for item in self._interlocks])
        except Exception as error:  # whatever a driver raises, the signal cannot be read
            self._failures += 1
            self._silence += min(time.monotonic() - began, limit)
            if self._failures > 1 and self._silence >= grace:
                reason = " ".join(str(error).split()) or f"no answer within {limit:.2g} s"
                text = f"no reading for {self._silence:.1f} s: {reason}"
                self._tell([item.unreadable(text) for item in self._interlocks])
                self._bound = ()  # it may have been switched off and on, and listen in another way now
        else:
            self._failures, self._silence = 0, 0.0
            self._tell([trip for trip in (bound.judge(value) for bound in self._bound) if trip is not None])
        self._ended = time.monotonic()

    async def _read(self) -> float:
        if not self._bound:
            async with self._lock:
                await attach(self._device)
            self._bound = await bind(self._interlocks, {self._interlocks[0].device: self._device})
        return await self._bound[0].signal.read()

    def _tell(self, trips: Sequence[Trip]) -> None:
        self._dog._tell(self._about, trips)
        self.seen.set()


def _build(lab: Lab, wanted: set[str], addresses: Mapping[str, str], clock: Clock) -> dict[str, Any]:
    """New instances of some devices of a lab."""
    devices: dict[str, Any] = {}
    for name, station in lab.spec.stations.items():
        own = tuple(device for device in station.devices if device in wanted)
        if own:
            fewer = lab.spec.stations | {name: station.model_copy(update={"devices": own})}
            part = dataclasses.replace(lab, spec=lab.spec.model_copy(update={"stations": fewer}))
            devices |= build_devices(part, name, addresses, clock)
    return devices
