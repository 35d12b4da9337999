"""What the RunEngine is given in place of a device while an action is guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ophyd_async.core import AsyncStatus

__all__ = ["Acting"]

_Begin = Callable[[Callable[[], Any]], AsyncStatus[Any]]


class Acting:
    """Looks like the device; its verb is carried out by the guard. Equal to the device, so the engine sees one thing.

    Args:
        device: what the message acts on.
        begin: takes the call of the device's verb and returns the status of the guarded action.
        has_stopped: told the device when the engine has stopped it.
    """

    parent = None

    def __init__(self, device: Any, begin: _Begin, has_stopped: Callable[[Any], None]) -> None:
        self._device = device
        self._begin = begin
        self._has_stopped = has_stopped

    @property
    def name(self) -> str:
        """Name of the device."""
        return str(getattr(self._device, "name", ""))

    def __eq__(self, other: object) -> bool:
        return self._device is (other._device if isinstance(other, Acting) else other)

    def __hash__(self) -> int:
        return hash(self._device)

    def __repr__(self) -> str:
        return repr(self._device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def set(self, *args: Any, **kwargs: Any) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.set(*args, **kwargs))

    def trigger(self, *args: Any, **kwargs: Any) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.trigger(*args, **kwargs))

    def prepare(self, *args: Any, **kwargs: Any) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.prepare(*args, **kwargs))

    def kickoff(self, *args: Any, **kwargs: Any) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.kickoff(*args, **kwargs))

    def complete(self, *args: Any, **kwargs: Any) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.complete(*args, **kwargs))

    def stage(self) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.stage())

    def unstage(self) -> AsyncStatus[Any]:
        """As the device's, guarded."""
        return self._begin(lambda: self._device.unstage())

    async def stop(self, success: bool = True) -> None:
        """As the device's, never guarded."""
        stop = getattr(self._device, "stop", None)
        if stop is not None:
            answer = stop(success=success)
            if hasattr(answer, "__await__"):
                await answer
            self._has_stopped(self._device)
