"""Checks of what a device says about actions that must not be repeated, held against its instrument's own log."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sdl.journal import canonical
from sdl.model import SdlError
from sdl.protocols import Effect, Receipt, Verdict
from sdl.testing._bench import Bench, Deed
from sdl.testing._case import Act, DeviceCase
from sdl.testing._report import CheckFailed, Skip

__all__ = ["answers_for", "arms_its_acts", "happens_once"]

_ASKED = 60.0
_REQUESTS = 4
"""Requests of an act that does not arm that are hit by a fault, one after the other."""


@dataclass(frozen=True)
class _Truth:
    """What an instrument's log says when an act is done without trouble."""

    names: tuple[str, ...]
    """Actions in the log that this act, and not its preparation, brings about."""

    def of(self, log: Sequence[dict[str, Any]]) -> str:
        """`nothing`, `part` or `all` of the act."""
        seen = {str(entry["action"]) for entry in log} & set(self.names)
        return "nothing" if not seen else "all" if len(seen) == len(self.names) else "part"


async def _once_only(case: DeviceCase) -> list[Act]:
    """Acts to try whose repetition would be another act."""
    async with Bench(case) as bench:
        if not case.simulated:
            bench.needs_faults()
        found = [a for a in bench.exercise() if bench.acts_of(a).effect in (Effect.NON_REPEATABLE, Effect.DEDUP)]
        if not found:
            raise Skip("nothing that it is to try must not be repeated")
        return found


async def _reference(case: DeviceCase, act: Act) -> tuple[_Truth, Deed]:
    """The act without trouble."""
    async with Bench(case) as bench:
        deed, begun, armed_at = Deed(act), len(await bench.log()), -1

        async def on_arm() -> None:
            nonlocal armed_at
            armed_at = len(await bench.log())

        await bench.perform(deed, on_arm)
        log = await bench.log()
    split = armed_at if armed_at >= 0 else begun
    before = {str(entry["action"]) for entry in log[begun:split]}
    after = [str(entry["action"]) for entry in log[split:]]
    return _Truth(tuple(name for name in dict.fromkeys(after) if name not in before)), deed


async def arms_its_acts(case: DeviceCase) -> str:
    """What arms does so once, with evidence that can be recorded, and what is stopped there has not happened."""
    told = []
    for act in await _once_only(case):
        async with Bench(case) as bench:
            if not bench.acts_of(act).arms:
                continue
        truth, deed = await _reference(case, act)
        if deed.armed != 1:
            raise CheckFailed(f"{act} declares that it arms, and armed {deed.armed} times")
        evidence = canonical(deed.evidence)
        receipt, log = await _tried(case, act, _fall)
        if truth.of(log) != "nothing":
            raise CheckFailed(f"{act} had acted before it was armed: {_actions(log)}")
        _judge(act, "stopped when it was armed", receipt, truth.of(log))
        told.append(f"{act} arms with {evidence}")
    if not told:
        raise Skip("nothing that it is to try declares that it arms")
    return "; ".join(told)


async def _fall(bench: Bench) -> None:
    raise _Fallen("the process ended here")


class _Fallen(SdlError):
    """Stands for the end of a process at the moment of arming."""


def _actions(log: Sequence[dict[str, Any]]) -> str:
    return ", ".join(str(entry["action"]) for entry in log) or "nothing"


async def _tried(
    case: DeviceCase, act: Act, strike: Callable[[Bench], Awaitable[None]] | None, fault: str = "", after: int = 0
) -> tuple[Receipt | None, list[dict[str, Any]]]:
    """An act that something befalls, the receipt of it, and what the instrument did since it was armed.

    The receipt is None when the act was done in spite of it.
    """
    async with Bench(case) as bench:
        deed, start = Deed(act), len(await bench.log())
        acts = bench.acts_of(act)

        async def on_arm() -> None:
            nonlocal start
            start = len(await bench.log())
            if strike is not None:
                await strike(bench)

        if strike is None:
            await bench.faulty(fault, count=1, after=after)
        done = False
        with contextlib.suppress(SdlError, TimeoutError):
            await bench.perform(deed, on_arm if acts.arms else None)
            done = True
        await bench.sound()
        receipt = None
        if not done:
            receipt = await asyncio.wait_for(bench.device.receipt(deed.record(case.name, acts)), _ASKED)
        return receipt, (await bench.log())[start:]


def _judge(act: Act, what: str, receipt: Receipt | None, truth: str) -> str:
    """Hold a receipt against what was really done."""
    if receipt is None:
        return f"{act}, {what}: done all the same"
    fits = {
        Verdict.DONE: truth == "all",
        Verdict.NOT_DONE: truth == "nothing",
        Verdict.PARTIAL: truth != "nothing",
        Verdict.UNKNOWN: True,
    }
    if not fits[receipt.verdict]:
        raise CheckFailed(
            f"{act}, {what}: the receipt says {receipt.verdict.value} ({receipt.text}), "
            f"and the instrument did {truth} of it"
        )
    return f"{act}, {what}: {receipt.verdict.value} ({truth} done)"


def answers_for(fault: str, what: str) -> Callable[[DeviceCase], Awaitable[str]]:
    """The check of receipts after one kind of fault."""

    async def check(case: DeviceCase) -> str:
        acts, told = await _once_only(case), []
        for act in acts:
            async with Bench(case) as bench:
                arms = bench.acts_of(act).arms
                if not callable(getattr(bench.device, "receipt", None)):
                    raise Skip("has no receipt; see effects")
            truth, _ = await _reference(case, act)
            if not truth.names:
                raise CheckFailed(f"the simulated instrument's log does not show {act}")

            async def strike(bench: Bench) -> None:
                await bench.faulty(fault, count=1)

            if arms:
                receipt, log = await _tried(case, act, strike)
                told.append(_judge(act, what, receipt, truth.of(log)))
                continue
            for after in range(_REQUESTS):
                receipt, log = await _tried(case, act, None, fault, after)
                told.append(_judge(act, f"{what} of request {after + 1}", receipt, truth.of(log)))
                if receipt is None:
                    break
        return "; ".join(told)

    return check


async def happens_once(case: DeviceCase) -> str:
    """Sent twice with one id, what the instrument remembers happens once."""
    told = []
    for act in await _once_only(case):
        async with Bench(case) as bench:
            if bench.acts_of(act).effect is not Effect.DEDUP:
                continue
            truth, _ = await _reference(case, act)
            start = len(await bench.log())
            counts = []
            for _ in range(2):
                await bench.perform(Deed(act))
                log = (await bench.log())[start:]
                counts.append(Counter(str(entry["action"]) for entry in log if entry["action"] in truth.names))
            if counts[0] != counts[1]:
                raise CheckFailed(f"{act} with one id happened twice: {dict(counts[1])}")
            told.append(f"{act} happened once")
    if not told:
        raise Skip("nothing that it is to try is remembered by the instrument")
    return ", ".join(told)
