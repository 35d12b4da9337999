"""Checks of simulated instruments on virtual time."""

from __future__ import annotations

import asyncio

from sdl.testing._bench import Bench, Deed
from sdl.testing._case import DeviceCase
from sdl.testing._device_time import HOUR, MOST_BUSY, MOST_IDLE, Stopwatch, needs_virtual
from sdl.testing._report import CheckFailed
from sdl.testing._simulator_case import SimulatorCase
from sdl.virtual import VirtualClock, VirtualLoop

__all__ = ["keeps_virtual_time", "repeats_with_its_seed"]

_MOST_JUMPS = 700
"""How often an hour in which nothing happens may be interrupted."""


async def repeats_with_its_seed(case: SimulatorCase) -> str:
    """On virtual time, equal seeds give equal readings."""
    told = []
    for device in case.devices:
        needs_virtual(device)
        first, again = [await _history(device) for _ in range(2)]
        if first != again:
            raise CheckFailed(f"{device.name} read {first}, then {again}, with one seed and the same acts")
        told.append(device.name)
    return f"{', '.join(told)}: the same acts give the same readings"


async def _history(device: DeviceCase) -> list[str]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock, found = VirtualClock(loop), []
    # What is rounded to the pace of the loop's clock must not depend on when the simulation began.
    await clock.sleep(HOUR - loop.time() % HOUR)
    async with Bench(device, clock=clock) as bench:
        for act in bench.exercise():
            await bench.perform(Deed(act))
        await clock.sleep(60.0)
        await bench.prepare()
        for key, reading in sorted((await bench.read()).items()):
            value = reading["value"]
            found.append(f"{key}={value.tobytes().hex() if hasattr(value, 'tobytes') else value!r}")
    return found


async def keeps_virtual_time(case: SimulatorCase) -> str:
    """An hour in which nothing happens costs nothing: no ticking, no waiting in real time."""
    for device in case.devices:
        needs_virtual(device)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Bench(case.first, clock=clock) as bench:
        await bench.read()
        jumps = loop.jumps
        with Stopwatch() as watch:
            await clock.sleep(HOUR)
        jumps = loop.jumps - jumps
        await bench.read()
    told = f"an hour: {jumps} jumps, {watch.busy:.2f} s of computing, {watch.idle:.2f} s of waiting"
    if jumps > _MOST_JUMPS:
        raise CheckFailed(f"{told}: something ticks; work out what has happened when somebody asks")
    if watch.idle > MOST_IDLE or watch.busy > MOST_BUSY:
        raise CheckFailed(f"{told}: something waits in real time; wait with `await clock.sleep(...)`")
    return told
