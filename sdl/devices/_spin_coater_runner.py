"""Carries out what a spin coater is to do, one action at a time, and never twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from sdl.devices._spin_coater_link import CoaterLink
from sdl.devices._spin_coater_options import CoaterOptions
from sdl.devices._spin_coater_protocol import FAULTS, Counters
from sdl.devices._spin_coater_receipt import UNITS, whole
from sdl.lab.effects import current_action
from sdl.protocols import Clock

__all__ = ["Coater", "Order", "Runner"]


_LOADING = 600.0
"""Lab seconds for which a load that goes on is waited for."""


class Coater(Protocol):
    """What an action needs of its coater."""

    clock: Clock
    link: CoaterLink
    options: CoaterOptions

    async def halt(self) -> None: ...
    async def poll_pause(self, seconds: float = 1.0) -> None: ...


@dataclass(frozen=True)
class Order:
    """One action."""

    kind: str
    """LOAD, DISP or SPIN."""
    words: str
    """For people: `dispense 100 uL`."""
    asked: float
    """Substrates, uL, or seconds."""
    parameters: str = ""
    """Behind the tag."""


class Runner:
    """Carries out one action at a time."""

    def __init__(self, coater: Coater) -> None:
        self._coater = coater
        self._under_way = ""
        self._sent = False
        self._load = ""
        self._interrupted = asyncio.Event()

    def interrupt(self) -> None:
        """Let an action under way fail once it has been stopped."""
        self._interrupted.set()

    @property
    def under_way(self) -> bool:
        """Whether an action is being carried out."""
        return bool(self._under_way)

    async def carry_out(self, order: Order) -> None:
        """Do it, and wait until it is done.

        Raises:
            Refusal: the coater answered that it does not do it.
            Fault: it failed or was stopped; the message says how far it got.
        """
        if self._under_way:
            raise self._coater.link.fault(f"cannot {order.words}: it is to {self._under_way} already")
        self._under_way, self._sent = order.words, False
        self._interrupted.clear()
        try:
            await self._perform(order)
        except asyncio.CancelledError:
            if self._sent:
                await self._coater.halt()
            raise
        finally:
            self._under_way = ""

    async def load_ended(self) -> None:
        """Wait for the end of a load that was left alone: one that has begun cannot be stopped.

        Raises:
            Fault: it has no end, or the coater does not answer.
        """
        coater, end = self._coater, self._coater.clock.now() + _LOADING + 2 * self._coater.clock.speed
        while self._load:
            now = await coater.link.counters()
            if now.tag != self._load or now.result != "RUN":
                self._load = ""
            elif coater.clock.now() > end:
                raise coater.link.fault(f"does not come to the end of a load: {now.left:g} s left")
            else:
                await coater.poll_pause(now.left)

    async def _perform(self, order: Order) -> None:
        link = self._coater.link
        await self.load_ended()
        before = await link.counters()
        if before.result == "RUN":
            raise link.fault(f"cannot {order.words}: it is busy for another {before.left:g} s with tag {before.tag}")
        self._go_on(order)
        tag, action = uuid.uuid4().hex[:12], current_action()
        if action is not None:
            await action.arm(
                tag=tag,
                kind=order.kind,
                asked=order.asked,
                unit=UNITS[order.kind],
                memory=before.memory,
                count=before.count(order.kind),
                volume=before.volume,
            )
            self._go_on(order)
        self._sent = True
        if order.kind == "LOAD":
            self._load = tag
        answer = await link.command(f"{order.kind} {tag} {order.parameters}".rstrip())
        try:
            left = float(answer["left"])
        except (KeyError, ValueError):
            raise link.fault(f"answered {answer} to {order.kind}, without the time it takes") from None
        if action is not None:
            action.acknowledge(left=left)
        await self._check(order, await self._finish(order, tag, left))

    def _go_on(self, order: Order) -> None:
        if self._interrupted.is_set():
            raise self._coater.link.fault(f"was stopped before it began to {order.words}")

    async def _finish(self, order: Order, tag: str, left: float) -> Counters:
        """Counters at the end of the action."""
        clock, link = self._coater.clock, self._coater.link
        # A fifth more than it takes, and two wall seconds for a busy computer.
        end = clock.now() + 1.2 * left + 10 + 2 * clock.speed
        while True:
            await self._nap(left)
            now = await link.counters()
            if now.tag != tag:
                raise link.fault(f"took tag {now.tag} while it was to {order.words} (tag {tag}): who else drives it?")
            if now.result != "RUN":
                self._load = ""
                return now
            if clock.now() > end:
                raise link.fault(f"has not come to the end of it: {_progress(order, now)}, {now.left:g} s left")
            left = now.left

    async def _nap(self, seconds: float) -> None:
        """Wait, but not on when the action is interrupted."""
        if self._interrupted.is_set():
            await self._coater.poll_pause(min(seconds, 1.0))
            return
        waits: list[Awaitable[object]] = [self._coater.poll_pause(seconds), self._interrupted.wait()]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self, order: Order, now: Counters) -> None:
        link = self._coater.link
        if now.result in ("STOPPED", "FAILED"):
            fault = (await link.status()).fault
            why = f" (fault {fault}: {FAULTS.get(fault, 'unknown')})" if fault else ""
            how = "was stopped" if now.result == "STOPPED" else "failed"
            raise link.fault(f"{how}: {_progress(order, now)}{why}")
        if not whole(order.kind, now.done, order.asked):
            raise link.fault(f"reports that it is done, and is not: {_progress(order, now)}; look whether it moves")


def _progress(order: Order, now: Counters) -> str:
    unit = UNITS[order.kind]
    return f"asked to {order.words}, it has done {now.done:g} of {order.asked:g} {unit}"
