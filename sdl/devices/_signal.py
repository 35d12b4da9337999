"""Signals whose value lives in the instrument: each get asks it, each put tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic

from bluesky.protocols import Reading
from event_model import DataKey
from ophyd_async.core import (
    CALCULATE_TIMEOUT,
    AsyncStatus,
    Callback,
    SignalBackend,
    SignalDatatypeT,
    SignalMetadata,
    SignalR,
    SignalRW,
    SoftSignalBackend,
    StrictEnum,
    make_datakey,
)

__all__ = ["CheckedSignalRW", "LinkSignalBackend", "checked_soft_signal", "link_signal_r", "link_signal_rw"]


class LinkSignalBackend(SignalBackend[SignalDatatypeT], Generic[SignalDatatypeT]):
    """A signal backend made of two coroutine functions.

    Args:
        datatype: float, int, str or an array type.
        source: where the value comes from, such as `ne1000://127.0.0.1:4001/0/RAT`.
        getter: asks the instrument.
        putter: tells the instrument; None for a signal that is read only.
        unit: unit of the value; empty for none.
        precision: decimals worth showing.
    """

    def __init__(
        self,
        datatype: type[SignalDatatypeT],
        source: str,
        getter: Callable[[], Awaitable[SignalDatatypeT]],
        putter: Callable[[SignalDatatypeT], Awaitable[None]] | None = None,
        *,
        unit: str = "",
        precision: int | None = None,
    ) -> None:
        super().__init__(datatype)
        self._source, self._getter, self._putter = source, getter, putter
        self._unit, self._precision = unit, precision
        self._setpoint: SignalDatatypeT | None = None
        self._callback: Callback[Reading[SignalDatatypeT]] | None = None
        self._first: asyncio.Task[None] | None = None

    def source(self, name: str, read: bool) -> str:
        return self._source

    async def connect(self, timeout: float) -> None:
        """Nothing to do: the device checks its link once for all of its signals."""

    async def put(self, value: SignalDatatypeT | None) -> None:
        if self._putter is None or value is None:
            raise TypeError(f"{self._source} cannot be set to {value!r}")
        await self._putter(value)
        self._setpoint = value
        if self._callback:
            self._callback(await self.get_reading())

    async def get_datakey(self, source: str) -> DataKey:
        assert self.datatype is not None
        metadata = SignalMetadata()
        if self._unit:
            metadata["units"] = self._unit
        if self._precision is not None:
            metadata["precision"] = self._precision
        if issubclass(self.datatype, StrictEnum):
            metadata["choices"] = [str(choice.value) for choice in self.datatype]
        if self.datatype in (float, int, str, bool):
            return make_datakey(self.datatype, self.datatype(), source, metadata)  # type: ignore[call-arg]
        return make_datakey(self.datatype, await self._getter(), source, metadata)

    async def get_reading(self) -> Reading[SignalDatatypeT]:
        return {"value": await self._getter(), "timestamp": time.time(), "alarm_severity": 0}

    async def get_value(self) -> SignalDatatypeT:
        return await self._getter()

    async def get_setpoint(self) -> SignalDatatypeT:
        return await self._getter() if self._setpoint is None else self._setpoint

    def set_callback(self, callback: Callback[Reading[SignalDatatypeT]] | None) -> None:
        """Report the value once, and after each put; the instrument itself sends no news."""
        self._callback = callback
        if callback is not None:
            self._first = asyncio.get_running_loop().create_task(self._report(callback))
        elif self._first is not None:
            self._first.cancel()
            self._first = None

    async def _report(self, callback: Callback[Reading[SignalDatatypeT]]) -> None:
        callback(await self.get_reading())


class CheckedSignalRW(SignalRW[SignalDatatypeT]):
    """A signal that can say whether it takes a value without telling the instrument (`bluesky.protocols.Checkable`).

    Args:
        backend: of the signal.
        check: raises for a value that the signal does not take; asks nobody and never waits.
        timeout: wall seconds for a get or put; None for those of the link.
    """

    def __init__(
        self,
        backend: SignalBackend[SignalDatatypeT],
        check: Callable[[SignalDatatypeT], object],
        timeout: float | None = None,
    ) -> None:
        self._check = check
        super().__init__(backend, timeout=timeout)

    def check_value(self, value: SignalDatatypeT) -> None:
        """Raise when the signal does not take `value`; nothing is sent.

        Raises:
            LimitError: it is outside the limits.
        """
        self._check(value)

    @AsyncStatus.wrap
    async def set(self, value: SignalDatatypeT, timeout: Any = CALCULATE_TIMEOUT) -> None:
        """Check the value and put it."""
        self._check(value)
        await super().set(value, timeout)


def checked_soft_signal(value: float, check: Callable[[float], object], *, unit: str) -> SignalRW[float]:
    """A number that only the driver knows, with a check."""
    return CheckedSignalRW(SoftSignalBackend(float, value, unit), check)


def link_signal_r(
    datatype: type[SignalDatatypeT],
    source: str,
    getter: Callable[[], Awaitable[SignalDatatypeT]],
    *,
    unit: str = "",
    precision: int | None = None,
) -> SignalR[SignalDatatypeT]:
    """A read-only signal of the instrument. The link bounds the time, so the signal has no time-out of its own."""
    return SignalR(LinkSignalBackend(datatype, source, getter, unit=unit, precision=precision), timeout=None)


def link_signal_rw(
    datatype: type[SignalDatatypeT],
    source: str,
    getter: Callable[[], Awaitable[SignalDatatypeT]],
    putter: Callable[[SignalDatatypeT], Awaitable[None]],
    *,
    check: Callable[[SignalDatatypeT], object] | None = None,
    unit: str = "",
    precision: int | None = None,
) -> SignalRW[SignalDatatypeT]:
    """A signal of the instrument that can be set; `check` raises for values that it does not take."""
    backend = LinkSignalBackend(datatype, source, getter, putter, unit=unit, precision=precision)
    return SignalRW(backend, timeout=None) if check is None else CheckedSignalRW(backend, check)
