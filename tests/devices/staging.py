"""A simulated stage with its driver, and what the library needs before a test may look for leaks."""

from __future__ import annotations

import asyncio

import pytest

from sdl.devices.epics_stage import EpicsStage
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.epics_stage import StageIoc

TIMEOUT = 1.0


class Rig:
    """A stage and its driver."""

    def __init__(self, speed: float = 100.0) -> None:
        self.clock = LabClock(speed)
        self.ioc = StageIoc(None, Probe("stage", self.clock.now), self.clock)
        self.faults = self.ioc.probe.faults
        self.address = ""

    async def start(self) -> None:
        self.address = await self.ioc.start()
        self.stage = await self.driver()

    async def driver(self, **options: object) -> EpicsStage:
        """A connected driver."""
        stage = EpicsStage(self.address, name="stage", clock=self.clock, timeout=TIMEOUT, **options)  # type: ignore[arg-type]
        await stage.connect()
        return stage

    async def stop(self) -> None:
        await self.stage.close()
        await self.ioc.stop()

    def actions(self, action: str) -> list[dict[str, object]]:
        """What the stage really did, of one kind."""
        return [entry for entry in self.ioc.probe.log if entry["action"] == action]

    async def moving(self) -> None:
        """Return when it is on its way."""
        while not 5 < self.ioc.position < 100:
            await asyncio.sleep(0.002)


def begin_library() -> None:
    """The library keeps threads and sockets of its own as long as the process lives; here they begin."""

    async def use() -> None:
        rig = Rig()
        await rig.start()
        await rig.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPHYD_CONTROL_LAYER", "dummy")  # else RunEngines start a client of caproto
        import ophyd  # noqa: F401
    asyncio.run(use())
