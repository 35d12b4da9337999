"""A detector without an instrument, for benchmarks and as the shortest example of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw

from sdl.lab.clock import LabClock
from sdl.lab.stopcards import StopExchange
from sdl.protocols import Acts, Clock, Effect

__all__ = ["SoftDetector"]


class SoftDetector(StandardReadable):
    """One number that counts up when triggered: `value` plus `step` times the number of triggers.

    Args:
        address: not used.
        name: name of the device.
        clock: lab time.
        timeout: not used.
        value: first value.
        step: added at each trigger.
        unit: of the value.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {"trigger": Effect.READ, "value": Effect.ABSOLUTE}

    def __init__(
        self,
        address: str = "",
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        value: float = 0.0,
        step: float = 0.0,
        unit: str = "1",
    ) -> None:
        self.clock: Clock = clock or LabClock()
        self._step = step
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.value = soft_signal_rw(float, float(value), units=unit)
            """In `unit`; can be set."""
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Take a reading."""
        if self._step:
            await self.value.set(await self.value.get_value() + self._step)

    async def attach(self) -> None:
        """As `connect`: there is no instrument."""
        await self.connect()

    async def close(self) -> None:
        """Nothing to close."""

    async def safe_state(self) -> None:
        """Always safe."""

    def stop_exchanges(self) -> list[StopExchange]:
        """Nothing to stop."""
        return []
