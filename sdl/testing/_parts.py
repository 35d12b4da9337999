"""What a device consists of: its parts, what can be read and set of them, and their limits."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sdl.virtual import held_for

__all__ = ["VERBS", "Limits", "finished", "limits_of", "parts_of", "reached", "readers_of", "settled", "verbs_of"]

VERBS = ("set", "trigger", "prepare", "kickoff", "complete")
_BASES = ("ophyd.", "ophyd_async.", "bluesky.", "typing", "builtins", "abc")


@dataclass(frozen=True)
class Limits:
    """What a part of a device takes."""

    low: float
    high: float
    unit: str = ""

    @property
    def middle(self) -> float:
        """A value well inside: the geometric middle of limits that span decades, the arithmetic one else."""
        if self.low > 0 and self.high > 1e3 * self.low:
            return math.sqrt(self.low * self.high)
        return (self.low + self.high) / 2

    def outside(self, *, whole: bool) -> list[float]:
        """A value below and one above."""
        step = 1 if whole else max(0.01 * (self.high - self.low), 1e-9)
        return [self.low - step, self.high + step]

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".strip()


def parts_of(device: Any) -> dict[str, Any]:
    """The device itself (path empty) and everything below it, by path."""
    return {"": device, **dict(_below(device, ""))}


def _below(device: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, child in _children(device):
        path = f"{prefix}.{name}" if prefix else name
        yield path, child
        yield from _below(child, path)


def _children(device: Any) -> Iterator[tuple[str, Any]]:
    own = getattr(device, "children", None)
    if callable(own):  # ophyd-async
        yield from own()
    elif isinstance(names := getattr(device, "component_names", None), tuple | list):  # classic ophyd
        for name in names:
            yield str(name), getattr(device, name)


def reached(device: Any, path: str) -> Any:
    """A part by its path.

    Raises:
        KeyError: there is none; the message names those that there are.
    """
    parts = parts_of(device)
    if path in parts:
        return parts[path]
    target = device
    for name in path.split("."):  # a part that is no child, such as a plain object with a verb of its own
        target = getattr(target, name, None)
        if target is None:
            raise KeyError(f"{getattr(device, 'name', device)!s} has no part {path!r}; there are: {', '.join(parts)}")
    return target


def verbs_of(part: Any) -> list[str]:
    """Verbs of plans that a part offers of its own; those of a base class of ophyd's that do nothing are no offer."""
    found = []
    for verb in VERBS:
        method = getattr(type(part), verb, None)
        if not callable(method):
            continue
        classic = str(getattr(method, "__module__", "")).startswith("ophyd.")
        if not classic or (verb == "set" and not getattr(part, "read_access_only", False)):
            found.append(verb)
    return found


def limits_of(part: Any) -> Limits | None:
    """Limits that a part declares: what `check_value` says of a value that is no number, or `limits`."""
    check = getattr(part, "check_value", None)
    if callable(check):
        try:
            answer = check(math.nan)
            if inspect.iscoroutine(answer):  # one that has to ask its instrument tells no limits
                answer.close()
        except Exception as error:  # whatever a driver raises for a value that it does not take
            low, high = getattr(error, "low", None), getattr(error, "high", None)
            if isinstance(low, int | float) and isinstance(high, int | float):
                return Limits(float(low), float(high), str(getattr(error, "unit", "")))
    pair = getattr(part, "limits", None)
    if isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(end, int | float) for end in pair):
        low, high = map(float, pair)
        if low < high:
            return Limits(low, high, str(getattr(part, "egu", "") or ""))
    return None


def readers_of(device: Any) -> dict[str, Callable[[], Any]]:
    """Everything that can be read on its own, by path: each signal, or the whole device where there are none."""
    found = {
        path: part.read
        for path, part in parts_of(device).items()
        if path and callable(getattr(part, "get_value", None))
    }
    return found or {"": device.read}


async def settled(answer: Any) -> Any:
    """What a method gives that may be a coroutine function."""
    return await answer if inspect.isawaitable(answer) else answer


async def finished(status: Any) -> None:
    """Wait for a status, of whichever kind, and raise what it raised."""
    if inspect.isawaitable(status):
        await status
    elif callable(getattr(status, "add_callback", None)):  # classic ophyd, whose statuses end in a thread
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        status.add_callback(lambda *_: loop.call_soon_threadsafe(done.set))
        held_for(status)
        await done.wait()
        error = status.exception(timeout=0)
        if error is not None:
            raise error


Reading = Mapping[str, Mapping[str, Any]]
Getter = Callable[[], Awaitable[Reading]]
