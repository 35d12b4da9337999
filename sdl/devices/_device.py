"""What our ophyd-async drivers have in common: an address, a clock, and a connect that talks to the instrument."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from ophyd_async.core import DEFAULT_TIMEOUT, DeviceMock, StandardReadable

from sdl.devices._heartbeat import Heartbeat
from sdl.lab.clock import LabClock
from sdl.protocols import Clock
from sdl.virtual import on_virtual_time

__all__ = ["InstrumentDevice"]


class InstrumentDevice(StandardReadable):
    """A readable device behind a link.

    Args:
        name: name in the lab file; prefixes the names of its signals.
        clock: lab time, for what takes time in the lab; wall time by default.
        heartbeat: keeps the instrument from making itself safe for want of requests; none by default.
    """

    def __init__(self, name: str, clock: Clock | None, heartbeat: Heartbeat | None = None) -> None:
        self.clock: Clock = clock or LabClock()
        self._heartbeat = heartbeat
        super().__init__(name=name)

    @abstractmethod
    async def begin(self) -> None:
        """Check that the right instrument answers and write its settings. Raises `Fault`."""

    async def greet(self) -> None:
        """Find out what reading the signals needs to know, by queries only. Raises `Fault`; nothing by default."""

    @abstractmethod
    async def leave(self) -> None:
        """Close the connection. The next request opens it again."""

    async def close(self) -> None:
        """End the heartbeat and close the connection. The next request opens it again."""
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        await self.leave()

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
            if self._heartbeat is not None and not on_virtual_time():
                self._heartbeat.start()

    async def attach(self) -> None:
        """Connect beside another driver of the same instrument, to read its signals.

        No setting is written, no alarm acknowledged and no error queue cleared; there is no heartbeat. A serial server
        in between has to take two connections at a time.

        Raises:
            Fault: the instrument does not answer.
        """
        await super().connect()
        await self.greet()

    async def poll_pause(self, seconds: float = 1.0) -> None:
        """Wait between two looks: `seconds` of lab time, but at least 5 ms of wall time."""
        if seconds / self.clock.speed < 0.005:
            await asyncio.sleep(0.005)
        else:
            await self.clock.sleep(seconds)
