"""Stop cards: what `sdl stop` needs to bring a lab to its safe state without drivers. Standard library only.

Whoever opens a lab first writes a card: for each device the bytes that stop it and the reply that confirms it.
`sdl stop` reads the cards and sends the bytes, whatever has become of the process that wrote them. A card is removed
when its lab is closed in good order; after a crash it stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import socket
import time
from collections.abc import Collection, Mapping
from typing import Any

from sdl.lab._press import Pressed, endpoint, press
from sdl.lab._stopexchange import DeviceStop, HasStopExchanges, StopCard, StopExchange
from sdl.lab._stopfolder import lab_key, stop_folder, write_whole
from sdl.lab._stopmarks import Mark, mark, marked, marks, refuse_if_stopped, release

__all__ = [
    "DeviceStop",
    "HasStopExchanges",
    "Mark",
    "Pressed",
    "StopCard",
    "StopExchange",
    "WrittenCard",
    "device_stops",
    "lab_key",
    "mark",
    "marked",
    "marks",
    "press",
    "read_cards",
    "refuse_if_stopped",
    "release",
    "stop_folder",
    "write_card",
]

_VERSION = 1
_SUFFIX = ".card"
_numbers = itertools.count(1)


class WrittenCard:
    """A card of this process. While it is held, readers can tell that the process lives."""

    def __init__(self, card: StopCard, descriptor: int) -> None:
        self.card = card
        self._descriptor: int | None = descriptor

    def remove(self) -> None:
        """Take the card away: the lab was closed in good order. Harmless when it is gone."""
        with contextlib.suppress(OSError):
            os.unlink(self.card.path)
        self._let_go()

    def leave(self) -> None:
        """Leave the card for `sdl stop`, as a crash would, but without simulated instruments: those have ended."""
        real = tuple(device for device in self.card.devices if not device.simulated)
        if not any(device.real for device in real):
            self.remove()
            return
        with contextlib.suppress(OSError):
            os.close(write_whole(self.card.path, _text(self.card._replace(devices=real))))
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def write_card(lab: str, file: str, inputs: Mapping[str, str], devices: Collection[DeviceStop]) -> WrittenCard:
    """Write the card of a lab that this process is about to open, and remove those that it replaces.

    A card is replaced when it is of the same lab, its process has ended, and all its devices are on the new one.

    Args:
        lab: name of the lab.
        file: absolute path of the lab file.
        inputs: input of the lab → path.
        devices: what stops each device.

    Raises:
        OSError: the state folder cannot be written to.
    """
    key = lab_key(file)
    path = os.path.join(stop_folder(), f"{key}.{os.getpid()}-{next(_numbers)}{_SUFFIX}")
    card = StopCard(
        key, lab, file, dict(inputs), tuple(devices), socket.gethostname(), os.getpid(), time.time_ns(), path
    )
    # The system gives the lock up when the process ends, however it ends; so a reader can tell.
    descriptor = write_whole(path, _text(card), lock=True)
    names = {device.name for device in devices}
    for other in read_cards():
        mine = other.key == key and other.host == card.host and other.path != path
        if mine and not other.alive and {device.name for device in other.devices} <= names:
            with contextlib.suppress(OSError):
                os.unlink(other.path)
    return WrittenCard(card, descriptor)


def read_cards() -> list[StopCard]:
    """Every card of the state folder, the newest first; one that cannot be read says so in `damage`."""
    folder = stop_folder()
    try:
        names = [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]
    except OSError:
        return []
    found = (_read(os.path.join(folder, name)) for name in names)
    return sorted((card for card in found if card is not None), key=lambda card: (-card.at, card.path))


def device_stops(
    devices: Mapping[str, Any], addresses: Mapping[str, str], simulated: Collection[str] = ()
) -> tuple[DeviceStop, ...]:
    """What stops each of the devices, asked from their drivers.

    Args:
        devices: name → device, built but not necessarily connected.
        addresses: name → address, of those that have one.
        simulated: names of devices whose instruments are simulated by the calling process.
    """
    return tuple(_stop_of(n, device, addresses.get(n, ""), n in simulated) for n, device in devices.items())


def _stop_of(name: str, device: Any, address: str, simulated: bool) -> DeviceStop:
    if isinstance(device, HasStopExchanges):
        try:
            exchanges = tuple(device.stop_exchanges())
            _checked(exchanges)
        except Exception as error:  # a driver is anybody's code
            return DeviceStop(name, address, (), True, simulated, f"stop_exchanges failed: {error}")
        return DeviceStop(name, address, exchanges, False, simulated, "" if exchanges else "nothing to stop")
    if hasattr(device, "safe_state"):
        return DeviceStop(name, address, (), True, simulated)
    return DeviceStop(name, address, (), False, simulated, "its driver knows no safe state")


def _checked(exchanges: Collection[StopExchange]) -> None:
    """Refuse what would fail only when it is needed."""
    import re

    for exchange in exchanges:
        endpoint(exchange.address)
        re.compile(exchange.confirms)
        re.compile(exchange.complete)


def _text(card: StopCard) -> str:
    devices = [
        {**device._asdict(), "exchanges": [{**e._asdict(), "request": e.request.hex()} for e in device.exchanges]}
        for device in card.devices
    ]
    kept = {name: getattr(card, name) for name in ("key", "lab", "file", "inputs", "host", "pid", "at")}
    return json.dumps({"version": _VERSION, **kept, "devices": devices})


def _read(path: str) -> StopCard | None:
    """A card; None when it has just been removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _damaged(path, error)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        try:
            return _card(json.load(file), path, _is_held(descriptor))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            return _damaged(path, error)


def _card(data: dict[str, Any], path: str, alive: bool) -> StopCard:
    if data.pop("version") != _VERSION:
        raise ValueError("another release of sdl wrote it")
    devices = []
    for item in data.pop("devices"):
        listed = item.pop("exchanges")
        exchanges = tuple(StopExchange(**{**e, "request": bytes.fromhex(e["request"])}) for e in listed)
        for exchange in exchanges:
            endpoint(exchange.address)
        devices.append(DeviceStop(**item, exchanges=exchanges))
    return StopCard(**data, devices=tuple(devices), path=path, alive=alive)


def _damaged(path: str, error: Exception) -> StopCard:
    key = os.path.basename(path).partition(".")[0]
    return StopCard(key, "", "", {}, (), path=path, damage=f"{type(error).__name__}: {error}")


def _is_held(descriptor: int) -> bool:
    """Whether a living process holds the card."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
