"""From where to where: what a carry is set to, and which places there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sdl.devices._ur_protocol import GRIPPER
from sdl.model import InputError
from sdl.plugins import suggest

__all__ = ["Route", "check_places", "read_route"]

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_FORM = '{"source": "chuck", "target": "bed_a"} or "chuck -> bed_a"'


class Route(NamedTuple):
    """From one place to another."""

    source: str
    """`gripper` for what it holds."""
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


def check_places(places: Any) -> tuple[str, ...]:
    """Names that the program channel can carry, each once.

    Raises:
        InputError: it is no list, or one is no word, stands twice, or is taken by the gripper.
    """
    if isinstance(places, str) or not isinstance(places, Iterable):
        raise InputError(f"places: {places!r} is no list of names; write [chuck, bed_a]")
    given = tuple(places)
    for place in given:
        if not isinstance(place, str) or not _WORD.fullmatch(place) or place == GRIPPER or given.count(place) > 1:
            raise InputError(
                f"places: {place!r} cannot be the name of a place; write letters, digits, '_', '-' and '.', each name "
                f"once, and not {GRIPPER!r}, which stands for what the robot holds"
            )
    return given


def read_route(value: Any, places: tuple[str, ...]) -> Route:
    """What a carry is set to.

    Args:
        value: a mapping with `source` and `target`, a pair of names, or text as in `chuck -> bed_a`.
        places: names that are known.

    Raises:
        InputError: it is none of these, or names a place that is not known.
    """
    route = _parsed(value)
    for role, place in zip(("source", "target"), route, strict=True):
        if place not in places and not (role == "source" and place == GRIPPER):
            raise InputError(f"the robot knows no place {place!r}{suggest(place, list(places))}")
    if route.source == route.target:
        raise InputError(f"{route.source!r} is both source and target of the carry")
    return route


def _parsed(value: Any) -> Route:
    if isinstance(value, Mapping) and set(value) == {"source", "target"}:
        pair = [value["source"], value["target"]]
    elif isinstance(value, str):
        pair = [part.strip() for part in value.split("->")]
    else:
        pair = list(value) if isinstance(value, tuple | list) else []
    if len(pair) != 2 or not all(isinstance(place, str) and place for place in pair):
        raise InputError(f"{value!r} is no carry; write {_FORM}")
    return Route(*pair)
