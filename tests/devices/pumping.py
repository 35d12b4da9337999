"""A simulated pump with its driver, and actions on it as a campaign performs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sdl.devices._ne1000_memory import memory_of
from sdl.devices.ne1000 import Direction, Ne1000Pump
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, _current
from sdl.protocols import ActionRecord, Effect, Receipt
from sdl.simulators._faults import Probe
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump

TIMEOUT = 0.3
RUN = 9
"""How many requests of a dispense come before `RUN`."""


class Book:
    """One action: what its driver put on record, try by try."""

    def __init__(self, volume: float, id_: str = "c/1/make/1") -> None:
        self.id, self.volume = id_, volume
        self.carried: dict[str, Any] = {}
        self.evidence: dict[str, Any] = {}
        self.armed = False

    async def perform(self, pump: Ne1000Pump, on_arm: Any = None) -> None:
        """Try once."""
        self.evidence, self.armed = {}, False

        async def arm(evidence: Mapping[str, Any]) -> None:
            self.evidence |= evidence
            self.armed = True
            if on_arm:
                await on_arm()

        action = Action(self.id, self.carried, arm, self.evidence.update)
        token = _current.set(action)
        try:
            status = pump.dispense.set(self.volume)
        finally:
            _current.reset(token)
        await status

    def record(self) -> ActionRecord:
        """As the journal has it."""
        arguments = {"args": [self.volume], "kwargs": {}}
        evidence = {**self.carried, **self.evidence}
        return ActionRecord(self.id, "pump", "dispense", "set", arguments, Effect.NON_REPEATABLE, self.armed, evidence)

    def carry(self, receipt: Receipt) -> None:
        """What was delivered is known."""
        self.carried |= receipt.evidence


class Rig:
    """One pump on a line, and its driver."""

    def __init__(self, direction: str = "INF", watchdog: int = 30, speed: float = 100.0) -> None:
        self.direction, self.watchdog = direction, watchdog
        self.clock = LabClock(speed)
        self.simulated = SimulatedPump(Probe("pump", self.clock.now), self.clock)
        self.faults = self.simulated.probe.faults
        self.server = Ne1000Server({3: self.simulated})

    async def start(self) -> None:
        self.address = f"{await self.server.start()}/3"
        self.pump = await self.driver()
        await self.pump.direction.set(Direction(self.direction))

    async def driver(self, **options: Any) -> Ne1000Pump:
        """A connected driver."""
        given = {"watchdog": self.watchdog, "dispense_rate": 100.0, **options}
        pump = Ne1000Pump(self.address, name="pump", clock=self.clock, timeout=TIMEOUT, **given)
        await pump.connect()
        return pump

    async def restart(self, **options: Any) -> None:
        """The process ends, and another one connects."""
        await self.pump.close()
        memory_of.cache_clear()
        self.pump = await self.driver(**options)

    async def stop(self) -> None:
        await self.pump.close()
        await self.server.stop()

    @property
    def delivered(self) -> float:
        """Volume that the pump really moved in its direction, uL."""
        self.simulated.advance()
        return self.simulated.total[self.direction]

    @property
    def runs(self) -> int:
        """How often it began to run."""
        return sum(entry["action"] == "run" for entry in self.simulated.probe.log)

    async def until(self, volume: float) -> None:
        """Wait until so much is out, uL."""
        while self.delivered < volume:
            await asyncio.sleep(0.005)
