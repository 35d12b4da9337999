"""The check that each fault of a simulated instrument does what it says."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any

from sdl.model import Fault
from sdl.protocols import Effect
from sdl.testing._bench import Bench, Deed
from sdl.testing._case import Act
from sdl.testing._parts import readers_of, settled
from sdl.testing._report import CheckFailed, Skip
from sdl.testing._simulator_case import SimulatorCase

__all__ = ["has_to_be_told", "suffers_its_faults"]


def has_to_be_told(bench: Bench, act: Act) -> bool:
    """Whether an act has to be in the log: what must not be repeated, and what the device as a whole is set to."""
    effect = bench.acts_of(act).effect
    return effect in (Effect.NON_REPEATABLE, Effect.DEDUP) or (effect is Effect.ABSOLUTE and not act.path)


async def suffers_its_faults(case: SimulatorCase) -> str:
    """Each kind of fault does what it says, as often as it was told, and is gone once it is cleared."""
    for device in case.devices:
        async with Bench(device) as bench:
            if bench.relay is None:
                raise Skip(f"{device.name} is not behind a TCP port of its own")
            reader = await _talker(bench)
            for kind in ("refuse", "hang", "cut", "garbage"):
                await _suffers(bench, kind, reader)
            await bench.faulty("stuck")
            await settled(reader())
            await bench.sound()
            await _loses(bench)
    return "refuse, hang, cut, garbage, lose and stuck, each as described"


async def _talker(bench: Bench) -> Any:
    assert bench.relay is not None
    for reader in readers_of(bench.device).values():
        sent = bench.relay.sent
        await settled(reader())
        if bench.relay.sent > sent:
            return reader
    for act in bench.exercise():  # of a device that keeps in memory what it has measured
        if bench.acts_of(act).effect is Effect.READ:
            return functools.partial(bench.perform, Deed(act))
    raise Skip(f"{bench.case.name} reads nothing from its instrument")


async def _suffers(bench: Bench, kind: str, reader: Any) -> None:
    relay, name = bench.relay, bench.case.name
    assert relay is not None
    came, cuts, before = relay.received, relay.cuts, len(await bench.log())
    await bench.faulty(kind, count=1)
    try:
        await settled(reader())
    except Fault:
        pass
    else:
        raise CheckFailed(f"{name}: {kind} did not hit the first request")
    for _ in range(20):
        if kind != "cut" or relay.cuts > cuts:
            break
        await asyncio.sleep(0.01)
    answered = relay.received > came
    if answered != (kind in ("refuse", "garbage")):
        raise CheckFailed(f"{name}: under {kind} it {'answered' if answered else 'did not answer'}")
    if (relay.cuts > cuts) != (kind == "cut"):
        raise CheckFailed(f"{name}: under {kind} the connection was {'closed' if relay.cuts > cuts else 'not closed'}")
    if made := (await bench.log())[before:]:
        raise CheckFailed(f"{name} acted under {kind}: {made}")
    await bench.sound()
    await settled(reader())


async def _loses(bench: Bench) -> None:
    """An act whose answer is lost is in the log."""
    for act in bench.exercise():
        acts = bench.acts_of(act)
        if not has_to_be_told(bench, act):
            continue
        before = len(await bench.log())

        async def strike() -> None:
            nonlocal before
            before = len(await bench.log())
            await bench.faulty("lose", count=1)

        for after in range(6):
            if not acts.arms:
                await bench.faulty("lose", count=1, after=after)
            with contextlib.suppress(Fault):
                await bench.perform(Deed(act), strike if acts.arms else None)
            await bench.sound()
            if len(await bench.log()) > before:
                return
        raise CheckFailed(f"{bench.case.name}: {act} is not in the log when its answer is lost")
