"""What our ophyd-async drivers have in common: an address, a clock, and a connect that talks to the instrument."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from ophyd_async.core import DEFAULT_TIMEOUT, DeviceMock, StandardReadable

from sdl.lab.clock import LabClock
from sdl.protocols import Clock

__all__ = ["InstrumentDevice"]


class InstrumentDevice(StandardReadable):
    """A readable device behind a link.

    Args:
        name: name in the lab file; prefixes the names of its signals.
        clock: lab time, for what takes time in the lab; wall time by default.
    """

    def __init__(self, name: str, clock: Clock | None) -> None:
        self.clock: Clock = clock or LabClock()
        super().__init__(name=name)

    @abstractmethod
    async def begin(self) -> None:
        """Check that the right instrument answers and write its settings. Raises `Fault`."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection. The next request opens it again."""

    async def connect(
        self,
        mock: bool | DeviceMock[StandardReadable] = False,
        timeout: float = DEFAULT_TIMEOUT,
        force_reconnect: bool = False,
    ) -> None:
        """Connect, check the instrument and write its settings; a mock talks to nobody.

        Raises:
            Fault: the instrument does not answer, or is not what it should be.
        """
        await super().connect(mock=mock, timeout=timeout, force_reconnect=force_reconnect)
        if not mock:
            await self.begin()

    async def poll_pause(self, seconds: float = 1.0) -> None:
        """Wait between two looks: `seconds` of lab time, but at least 5 ms of wall time."""
        if seconds / self.clock.speed < 0.005:
            await asyncio.sleep(0.005)
        else:
            await self.clock.sleep(seconds)
