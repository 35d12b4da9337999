"""Checks of a device that acts: safe state, cancelling, stopping without the driver."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from sdl.lab.stopcards import DeviceStop, HasStopExchanges, StopCard, press
from sdl.protocols import HasSafeState
from sdl.testing._bench import SAFE_LIMIT, Bench, Deed
from sdl.testing._case import Act, DeviceCase
from sdl.testing._parts import reached, settled
from sdl.testing._report import CheckFailed, Skip

__all__ = ["confirms_safe_state", "does_its_acts", "is_safe_while_acting", "is_stopped_by_bytes", "survives_cancelling"]

_PART = 0.3
"""How far into an act it is interrupted, as a part of how long it takes."""


async def does_its_acts(case: DeviceCase) -> str:
    """Each act within the limits comes to its end, and `stop` after success undoes nothing."""
    async with Bench(case) as bench:
        told = []
        for act in bench.exercise():
            seconds = await bench.timed(act)
            told.append(f"{act} in {seconds:.2g} s")
            log = await bench.log()
            stop = getattr(reached(bench.device, act.path), "stop", None)
            if callable(stop) and act.verb != "kickoff":
                await settled(stop(success=True))
                after = (await bench.log())[len(log) :]
                if after:
                    raise CheckFailed(f"stop(success=True) after {act} made the instrument act: {after}")
        return ", ".join(told)


def _safe(device: Any) -> HasSafeState:
    if not isinstance(device, HasSafeState):
        raise Skip("knows no safe state")
    return device


async def confirms_safe_state(case: DeviceCase) -> str:
    """The safe state is reached and confirmed, twice in a row."""
    async with Bench(case) as bench:
        device = _safe(bench.device)
        if case.address and not case.may_act:
            raise Skip("the device may not act; allow it with acts=True (--acts)")
        for _ in range(2):
            await asyncio.wait_for(device.safe_state(), SAFE_LIMIT)
        await bench.usable()
        return "confirmed twice; it can be read after that"


async def _takes(bench: Bench, act: Act) -> float:
    """Wall seconds of an act; a simulated instrument that has not done it yet has it before it still."""
    if not bench.case.simulated:
        return await bench.timed(act)
    async with Bench(bench.case) as other:
        return await other.timed(act)


async def _under_way(bench: Bench, act: Act, then: Callable[[], Awaitable[Any]]) -> str:
    """Begin an act, and do something to it before its end; say how the act ended."""
    seconds = await _takes(bench, act)
    doing = asyncio.ensure_future(bench.perform(Deed(act, "check/1/interrupted/1")))
    await asyncio.sleep(max(_PART * seconds, 0.001))
    try:
        await then()
    finally:
        done, _ = await asyncio.wait({doing}, timeout=bench.case.patience)
        if not done:
            doing.cancel()
            with contextlib.suppress(BaseException):
                await doing
    if not done:
        raise CheckFailed(f"{act} has no end after it was interrupted")
    if doing.cancelled():
        return "cancelled"
    error = doing.exception()
    return "done" if error is None else type(error).__name__


async def is_safe_while_acting(case: DeviceCase) -> str:
    """The safe state is reached in the middle of each act, whose end is told."""
    async with Bench(case) as bench:
        acts, told = bench.exercise(), []
        _safe(bench.device)
    for act in acts:
        async with Bench(case) as bench:
            device = _safe(bench.device)
            ended = await _under_way(bench, act, lambda d=device: asyncio.wait_for(d.safe_state(), SAFE_LIMIT))  # type: ignore[misc]
            await asyncio.wait_for(device.safe_state(), SAFE_LIMIT)
            await bench.usable()
            told.append(f"{act}: {ended}")
    return ", ".join(told)


async def survives_cancelling(case: DeviceCase) -> str:
    """Stopped or cancelled in the middle, each act ends; made safe then, as a campaign does, it can be done again."""
    async with Bench(case) as bench:
        acts, told = bench.exercise(), []
    for act in acts:
        for way in ("stop", "cancel"):
            async with Bench(case) as bench:
                ended = await _stopped(bench, act) if way == "stop" else await _cancelled(bench, act)
                if not ended:
                    continue
                if isinstance(bench.device, HasSafeState):
                    await asyncio.wait_for(bench.device.safe_state(), SAFE_LIMIT)
                try:
                    await bench.usable()
                    await bench.perform(Deed(act, "check/1/again/1"))
                except Exception as error:  # whatever a driver raises
                    raise CheckFailed(f"{act} cannot be done after it was stopped by {way}: {error}") from error
                told.append(f"{act} by {way}: {ended}")
    return ", ".join(told)


async def _stopped(bench: Bench, act: Act) -> str:
    part = reached(bench.device, act.path)
    stop = getattr(part, "stop", None) or getattr(bench.device, "stop", None)
    if not callable(stop):
        return ""
    return await _under_way(bench, act, lambda: settled(stop(success=False)))


async def _cancelled(bench: Bench, act: Act) -> str:
    seconds = await _takes(bench, act)
    doing = asyncio.ensure_future(bench.perform(Deed(act, "check/1/cancelled/1")))
    await asyncio.sleep(max(_PART * seconds, 0.001))
    doing.cancel()
    done, _ = await asyncio.wait({doing}, timeout=bench.case.patience)
    if not done:
        raise CheckFailed(f"{act} goes on {bench.case.patience:g} s after it was cancelled")
    if not doing.cancelled():
        with contextlib.suppress(Exception):
            doing.result()
    return "cancelled" if doing.cancelled() else "done"


async def is_stopped_by_bytes(case: DeviceCase) -> str:
    """The bytes of `stop_exchanges` alone bring it to its safe state, idle and in the middle of an act."""
    async with Bench(case) as bench:
        if not isinstance(bench.device, HasStopExchanges) or inspect.iscoroutinefunction(bench.device.stop_exchanges):
            raise Skip("has no `stop_exchanges`: `sdl stop` takes the slow way, through the driver")
        if case.address and not case.may_act:
            raise Skip("the device may not act; allow it with acts=True (--acts)")
        if not bench.make().stop_exchanges():
            return "there is nothing to stop"
        told = [f"idle: confirmed in {await _press(bench):.2g} s"]
        acts = case.exercise if case.exercise is not None else ()
    for act in acts if case.may_act else ():
        async with Bench(case) as bench:
            ended = await _under_way(bench, act, lambda b=bench: _press(b))  # type: ignore[misc]
            told.append(f"during {act}: confirmed, the act ended as {ended}")
    return ", ".join(told)


async def _press(bench: Bench) -> float:
    stop = DeviceStop(bench.case.name, bench.address, tuple(bench.make().stop_exchanges()))
    card = StopCard("", "check", "", {}, (stop,))
    (pressed,) = await asyncio.to_thread(press, [card])
    if pressed.state != "safe":
        raise CheckFailed(f"was not stopped: {pressed.message}")
    return pressed.seconds or 0.0
