"""Checks of a device whose instrument fails: each failure a clear error in bounded time, and then it works again."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sdl.model import Fault, UnsafeState
from sdl.protocols import Effect, HasSafeState
from sdl.testing._bench import CONNECT_LIMIT, Bench, Deed
from sdl.testing._case import DeviceCase
from sdl.testing._parts import readers_of, settled
from sdl.testing._relay import moved_to
from sdl.testing._report import CheckFailed, Skip

__all__ = ["KINDS", "admits_no_confirmation", "finds_nobody", "meets", "works_again"]

KINDS = {"refuse": "refuse", "hang": "hang", "eof": "cut", "garbage": "garbage"}
"""Check → fault of the simulated instrument."""
_MOST = 4
"""Signals that are read under each fault."""


async def _talkers(bench: Bench) -> dict[str, Callable[[], Any]]:
    """What is read from the instrument, and not from the driver's memory."""
    found = {}
    for path, reader in readers_of(bench.device).items():
        sent = bench.relay.sent if bench.relay is not None else -1
        await settled(reader())
        if bench.relay is None or bench.relay.sent > sent:
            found[path] = reader
    if not found:
        found = await _measurements(bench)
    if not found:
        raise Skip("reads nothing from the instrument")
    return dict(list(found.items())[:_MOST])


async def _measurements(bench: Bench) -> dict[str, Callable[[], Any]]:
    """Acts that only read, of a device that keeps in memory what they have brought."""
    found: dict[str, Callable[[], Any]] = {}
    for act in bench.case.exercise or ():
        sent = bench.relay.sent if bench.relay is not None else -1
        if bench.acts_of(act).effect is Effect.READ:
            await bench.perform(Deed(act))
            if bench.relay is None or bench.relay.sent > sent:
                found[act.path or act.verb] = functools.partial(bench.perform, Deed(act))
    return found


async def _bounded(bench: Bench, what: str, call: Callable[[], Awaitable[Any]], limit: float) -> BaseException | None:
    """What it raises within `limit` wall seconds; None when it succeeds."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            await call()
    except TimeoutError as error:
        if time.monotonic() - begun >= limit:
            raise CheckFailed(f"{what} has no end within {limit:g} s, an exchange {bench.case.exchange:g} s") from None
        return error
    except Exception as error:  # judged by whoever asked
        return error
    return None


def meets(kind: str) -> Callable[[DeviceCase], Awaitable[str]]:
    """The check of one kind of fault."""

    async def check(case: DeviceCase) -> str:
        async with Bench(case) as bench:
            bench.needs_faults()
            talkers = await _talkers(bench)
            await bench.faulty(kind)
            said = ""
            for path, reader in talkers.items():
                what = f"reading {path or case.name}"
                error = await _bounded(bench, what, lambda r=reader: settled(r()), 2 * case.exchange + 2)  # type: ignore[misc]
                if error is None:
                    raise CheckFailed(f"{what} gave a value although the instrument failed ({kind})")
                if not isinstance(error, Fault):
                    raise CheckFailed(f"{what} raised {type(error).__name__} ({error}) instead of a Fault")
                bench.named(error)
                said = said or str(error)
            await bench.sound()
            return said

    return check


async def works_again(case: DeviceCase) -> str:
    """Once the fault is gone the same object works again, without being built or connected anew."""
    async with Bench(case) as bench:
        bench.needs_faults()
        for name, kind in KINDS.items():
            await bench.faulty(kind)
            await _bounded(bench, f"reading under {name}", bench.usable, 20 * case.exchange + 10)
            await bench.sound()
            error = await _bounded(bench, f"reading after {name}", bench.usable, 20 * case.exchange + 10)
            if error is not None:
                raise CheckFailed(f"does not work again after {name}: {type(error).__name__}: {error}")
        return f"works again after {', '.join(KINDS)}"


async def admits_no_confirmation(case: DeviceCase) -> str:
    """With an instrument that keeps silent the safe state is said not to be confirmed, in bounded time."""
    async with Bench(case) as bench:
        bench.needs_faults()
        device = bench.device
        if not isinstance(device, HasSafeState):
            raise Skip("knows no safe state")
        await bench.faulty("hang")
        error = await _bounded(bench, "safe_state", device.safe_state, 12 * case.exchange + 5)
        await bench.sound()
        if not isinstance(error, UnsafeState):
            told = "said that it is safe" if error is None else f"raised {type(error).__name__} ({error})"
            raise CheckFailed(f"with a silent instrument safe_state {told}; it has to raise UnsafeState")
        bench.named(error)
        await asyncio.wait_for(device.safe_state(), CONNECT_LIMIT)
        return str(error)


async def finds_nobody(case: DeviceCase) -> str:
    """Where nobody answers, connecting fails in bounded time with device and address."""
    async with Bench(case, connect=False) as bench:
        if not case.instrument:
            raise Skip("has no instrument")
        # Port 9 (discard, RFC 863) of this machine: refused at once.
        where = moved_to(bench.address, "127.0.0.1:9")
        if where is None:
            raise Skip("its address has no port that could be nobody's")
        device = bench.make(where)
        error = await _bounded(bench, "connecting", lambda: bench.connect(device), 10 * case.exchange + 5)
        if not isinstance(error, Fault):
            told = "succeeded" if error is None else f"raised {type(error).__name__} ({error}) instead of a Fault"
            raise CheckFailed(f"connecting where nobody is {told}")
        if case.name not in str(error) or "127.0.0.1:9" not in str(error):
            raise CheckFailed(f"the Fault does not name {case.name} and 127.0.0.1:9: {str(error)!r}")
        return str(error)
