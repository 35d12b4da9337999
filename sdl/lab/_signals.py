"""The one number that an interlock looks at: found on a device by its path, described once, read as often as asked."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sdl.model import InputError
from sdl.plugins import suggest

__all__ = ["Watched", "ask", "child_of", "find_signal", "hinted_fields", "parts_of"]

_NUMBERS = ("number", "integer", "boolean")


@dataclass(frozen=True)
class Watched:
    """A number that a device reads."""

    owner: Any
    """Object that is read: a signal, or the device itself when the number is one of its readings."""
    key: str
    """Key of the reading."""
    unit: str
    """`1` when the device gives none."""

    async def read(self) -> float:
        """Ask for the value now, never a cached one.

        Raises:
            ValueError: what came is no number.
            Exception: whatever the driver raises.
        """
        reading = await _read(self.owner)
        if self.key not in reading:
            raise ValueError(f"the reading has no {self.key!r}")
        value = reading[self.key]["value"]
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ValueError(f"its value {value!r} is no number") from None


async def _read(owner: Any) -> Mapping[str, Any]:
    from ophyd_async.core import SignalR

    if isinstance(owner, SignalR):
        reading: Mapping[str, Any] = await owner.read(cached=False)
        return reading
    answer: Mapping[str, Any] = await ask(owner.read)
    return answer


async def ask(method: Callable[[], Any]) -> Any:
    """Call what may be a coroutine function or block: the latter in a thread."""
    if inspect.iscoroutinefunction(method):
        return await method()
    answer = await asyncio.to_thread(method)
    return await answer if isinstance(answer, Awaitable) else answer


async def find_signal(device: Any, name: str, path: str) -> Watched:
    """Find the signal `path` of a device: a child, or a reading called `name-path` or `name_path`.

    Args:
        device: any object of Bluesky's protocols.
        name: of the device in the lab file.
        path: dotted, such as `outcomes.toughness`.

    Raises:
        InputError: the device has no such signal, or it is no number.
        Exception: whatever the driver raises when asked for a description.
    """
    child = child_of(device, path)
    if child is not None:
        keys = await ask(child.describe)
        return _watched(child, _one_key(child, keys, f"{name}.{path}"), keys, f"{name}.{path}")
    keys = await ask(device.describe) if _readable(device) else {}
    names = {name, str(getattr(device, "name", name))}
    for key in (f"{own}{mark}{path.replace('.', mark)}" for own in names for mark in "-_"):
        if key in keys:
            return _watched(device, key, keys, f"{name}.{path}")
    known = sorted({*parts_of(device), *(_short(key, names) for key in keys)})
    raise InputError(f"device {name!r} has no signal {path!r}{suggest(path, known)}")


def child_of(device: Any, path: str) -> Any:
    """The readable part of a device at a dotted path; None when there is none."""
    current = device
    for part in path.split("."):
        if part.startswith("_"):
            return None
        parent, current = current, getattr(current, part, None)
        if current is None and isinstance(parent, Mapping):
            current = parent.get(part)
    return current if _readable(current) else None


def _readable(candidate: Any) -> bool:
    return callable(getattr(candidate, "read", None)) and callable(getattr(candidate, "describe", None))


def parts_of(device: Any) -> list[str]:
    """Names of the parts of a device that can be read."""
    children = getattr(device, "children", None)
    if callable(children):  # ophyd-async
        return [name for name, child in children() if _readable(child)]
    names = getattr(device, "component_names", None) or vars(device) if hasattr(device, "__dict__") else ()
    return [n for n in names if not n.startswith("_") and _readable(getattr(device, n, None))]


def hinted_fields(owner: Any) -> list[str]:
    """Keys of the readings that a device itself holds to be the ones of interest."""
    try:
        return list(owner.hints.get("fields", []))
    except Exception:  # a hint is no more than that
        return []


def _short(key: str, names: set[str]) -> str:
    for name in names:
        key = key.removeprefix(f"{name}-").removeprefix(f"{name}_")
    return key


def _one_key(child: Any, keys: Mapping[str, Any], what: str) -> str:
    found = list(keys) if len(keys) == 1 else [k for k in hinted_fields(child) if k in keys]
    if len(found) != 1:
        raise InputError(f"{what} is not one signal: it reads {', '.join(sorted(keys)) or 'nothing'}")
    return found[0]


def _watched(owner: Any, key: str, keys: Mapping[str, Any], what: str) -> Watched:
    description = keys[key]
    kind = description.get("dtype", "number")
    if kind not in _NUMBERS or description.get("shape"):
        raise InputError(f"{what} is no number: it reads {kind!r} of shape {list(description.get('shape') or [])}")
    return Watched(owner, key, str(description.get("units") or "1"))
