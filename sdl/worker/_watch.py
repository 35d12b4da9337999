"""The interlocks of a worker's station, watched by the worker itself: they hold while the coordinator is away."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from sdl.lab.interlocks import Trip, interlocks_of
from sdl.lab.labfile import Lab
from sdl.lab.opening import OpenLab, stopped_by
from sdl.lab.watchdog import Watchdog

__all__ = ["own_interlocks", "watching"]


def own_interlocks(lab: Lab, station: str) -> Lab:
    """The lab with those interlocks only that stop the station, on devices that can be reached from here."""
    here = set(lab.spec.stations[station].devices)
    own = {
        item.name: lab.spec.interlocks[item.name]
        for item in interlocks_of(lab.spec, lab.file)
        if station in item.stations and (item.device in here or lab.spec.devices[item.device].address is not None)
    }
    return dataclasses.replace(lab, spec=lab.spec.model_copy(update={"interlocks": own}))


@contextlib.contextmanager
def watching(
    lab: Lab, opened: OpenLab, station: str, on_trip: Callable[[list[Trip]], None]
) -> Iterator[Callable[[], tuple[Trip, ...]]]:
    """Watch the station's interlocks, and whether somebody has called `sdl stop` here.

    Args:
        lab: the worker's.
        opened: with the station's devices connected.
        station: name.
        on_trip: called with new trips in a thread of its own; must not block.

    Yields:
        A function that tells what keeps the station from working now.
    """
    part = own_interlocks(lab, station)

    def asked() -> str | None:
        return stopped_by(opened.key) or None

    with Watchdog(part, opened.addresses, opened.clock, on_trip, stopped=asked) as dog:
        yield lambda: dog.trips
