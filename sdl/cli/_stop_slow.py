"""The part of `sdl stop` that needs drivers: devices without stop exchanges, and labs without a stop card."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

from sdl.devices._device import InstrumentDevice
from sdl.lab.clock import LabClock
from sdl.lab.devices import build_devices, close_devices, connect_devices, make_safe
from sdl.lab.labfile import Lab, load_lab
from sdl.lab.stopcards import Pressed, StopCard, device_stops, press
from sdl.lab.yamlfile import read_yaml
from sdl.model import InputError, SdlError

__all__ = ["stop_devices", "stop_lab"]

CONNECT_LIMIT = 5.0
"""Wall seconds to connect the devices before they are told to be safe, connected or not."""


def stop_devices(card: StopCard, names: Collection[str]) -> list[Pressed]:
    """Make the named devices of an open lab safe through their drivers."""
    addresses = {device.name: device.address for device in card.devices if device.address}
    begun = time.monotonic()
    try:
        lab = _load(card.file, card.inputs)
        devices = _built(lab, names, addresses)
    except SdlError as error:
        return [Pressed(card.lab, name, addresses.get(name, ""), "unconfirmed", _line(error)) for name in names]
    return _made_safe(card.lab, devices, addresses, begun)


def stop_lab(file: str) -> list[Pressed]:
    """Make all devices of a lab file safe: directly where their drivers tell how, through the drivers elsewhere."""
    begun = time.monotonic()
    try:
        lab = _load(file, {})
        names = [n for n, device in lab.spec.devices.items() if device.address is not None or ":" in device.driver]
        devices = _built(lab, names, {})
    except SdlError as error:
        return [Pressed(file, "every device", "", "unconfirmed", _line(error))]
    addresses = {name: spec.address for name, spec in lab.spec.devices.items() if spec.address is not None}
    stops = device_stops(devices, addresses)
    results = press([StopCard("", lab.spec.name, file, {}, stops)])
    slow = {result.device: devices[result.device] for result in results if result.state == "slow"}
    absent = [
        Pressed(lab.spec.name, name, "", "none", "has no address: it is simulated, and no process has the lab open")
        for name in lab.spec.devices
        if name not in devices
    ]
    done = [result for result in results if result.state != "slow"]
    return [*done, *(_made_safe(lab.spec.name, slow, addresses, begun) if slow else ()), *absent]


def _load(file: str, inputs: Mapping[str, str]) -> Lab:
    """The lab; where its inputs cannot be had, with the lab file itself in their place, since stopping needs none."""
    try:
        return load_lab(file, inputs)
    except InputError:
        declared = read_yaml(file).data.get("inputs")
        if not isinstance(declared, dict):
            raise
        return load_lab(file, dict.fromkeys(declared, file))


def _built(lab: Lab, names: Collection[str], addresses: Mapping[str, str]) -> dict[str, Any]:
    devices: dict[str, Any] = {}
    for station, spec in lab.spec.stations.items():
        if set(spec.devices) & set(names):
            built = build_devices(lab, station, addresses, LabClock())
            devices |= {name: device for name, device in built.items() if name in names}
    missing = sorted(set(names) - set(devices))
    if missing:
        raise SdlError(f"{lab.file.name} has no device {', '.join(missing)} any more")
    return devices


def _made_safe(lab: str, devices: Mapping[str, Any], addresses: Mapping[str, str], begun: float) -> list[Pressed]:
    said = asyncio.run(_safe_states(devices))
    took = time.monotonic() - begun
    return [
        Pressed(lab, name, addresses.get(name, ""), "safe", "", took)
        if said.get(name) == "safe"
        else Pressed(lab, name, addresses.get(name, ""), "unconfirmed", said.get(name, "has no safe state"))
        for name in devices
    ]


async def _safe_states(devices: Mapping[str, Any]) -> dict[str, str]:
    # Our own drivers connect when they send, and connecting them beforehand would write their settings.
    others = {name: device for name, device in devices.items() if not isinstance(device, InstrumentDevice)}
    trouble = ""
    try:
        await asyncio.wait_for(connect_devices(others), CONNECT_LIMIT)
    except TimeoutError:
        trouble = f" (not connected within {CONNECT_LIMIT:g} s)"
    except SdlError as error:
        trouble = f" ({_line(error)})"
    try:
        said = await make_safe(devices)
    finally:
        await close_devices(devices)
    return {name: text if text == "safe" or name not in others else text + trouble for name, text in said.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
