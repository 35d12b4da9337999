"""Plug-ins by entry point. First-party planners, devices, simulators and analyses come through the same door."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from sdl.model import InputError, MissingExtra

__all__ = ["Group", "find", "load", "names", "suggest"]

Group = Literal["sdl.planners", "sdl.devices", "sdl.simulators", "sdl.analyses"]

_EXTRAS = {"sdl.planners": "planners", "sdl.simulators": "simulators"}


def names(group: Group) -> dict[str, EntryPoint]:
    """Registered plug-ins of a group by name, sorted."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda p: p.name)}


def suggest(name: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or the list of known names."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"


def find(group: Group, name: str) -> EntryPoint:
    """The entry point called `name`.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    known = names(group)
    if name not in known:
        kind = group.removeprefix("sdl.")
        raise InputError(f"no plug-in {name!r} among the {kind}{suggest(name, list(known))}")
    return known[name]


def load(group: Group, name: str) -> Any:
    """Import and return the object behind an entry point.

    Raises:
        InputError: there is no such plug-in, or it cannot be imported.
        MissingExtra: one of ours, and the packages of its extra are not installed.
    """
    point = find(group, name)
    try:
        return point.load()
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(group)
        if extra and point.value.startswith("sdl.") and not (error.name or "").startswith("sdl"):
            raise MissingExtra(f"{group.removeprefix('sdl.').removesuffix('s')} {name!r}", extra) from error
        raise InputError(f"plug-in {name!r} ({point.value}) cannot be imported: {error}") from error
    except (ImportError, AttributeError) as error:
        raise InputError(f"plug-in {name!r} ({point.value}) cannot be imported: {error}") from error
