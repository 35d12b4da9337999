"""Build the devices of a lab and connect them in a station's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdl.lab.labfile import Lab, find_driver
from sdl.lab.spec import DeviceSpec
from sdl.model import Fault, InputError, SdlError
from sdl.plugins import suggest
from sdl.protocols import Clock, HasSafeState

__all__ = ["build_devices", "close_devices", "connect_devices", "make_safe"]

CONNECT_LIMIT = 20.0
"""Wall seconds for a device to connect."""
SAFE_LIMIT = 10.0
"""Wall seconds for a device to confirm its safe state."""

_GIVEN = ("address", "prefix", "name", "clock", "parent")
"""Arguments of drivers that no option can give."""


def build_devices(lab: Lab, station: str, addresses: Mapping[str, str], clock: Clock) -> dict[str, Any]:
    """Construct the devices of a station; nothing is sent to any instrument.

    Args:
        lab: the lab.
        station: name of the station.
        addresses: addresses of simulated instruments, by device.
        clock: lab time, given to drivers that take a `clock`.

    Raises:
        InputError: a driver refuses its options; all faults with their lines.
    """
    devices, faults = {}, []
    for name in lab.spec.stations[station].devices:
        spec = lab.spec.devices[name]
        address = spec.address or addresses.get(name, "")
        try:
            devices[name] = _build(name, spec, address, clock, lab.folder)
        except _StrayOptions as error:
            at = ("devices", name, "options")
            faults += [lab.file.fault((*at, key), f"unknown option{hint}") for key, hint in error.hints.items()]
        except Exception as error:  # a driver is anybody's code
            text = str(error) if isinstance(error, SdlError | TypeError | ValueError) else repr(error)
            faults.append(lab.file.fault(("devices", name), text))
    if faults:
        raise InputError(faults)
    return devices


class _StrayOptions(Exception):
    """Options that a driver does not take, each with a hint."""

    def __init__(self, hints: Mapping[str, str]) -> None:
        self.hints = hints
        super().__init__()


def _build(name: str, spec: DeviceSpec, address: str, clock: Clock, folder: Path) -> Any:
    driver = find_driver(spec.driver, folder)
    accepted = inspect.signature(driver).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    stray = [k for k in spec.options if k in _GIVEN or (k not in accepted and not open_ended)]
    if stray:
        options = [p for p in accepted if p not in _GIVEN]
        raise _StrayOptions({key: suggest(key, options) for key in stray})
    offered = {"name": name, "clock": clock}
    offered["prefix" if "prefix" in accepted else "address"] = address  # ophyd calls an address a prefix
    given = {key: value for key, value in offered.items() if key in accepted}
    return driver(**given, **spec.options)


async def connect_devices(devices: Mapping[str, Any]) -> None:
    """Connect every device at once. Run in the event loop that will use them.

    Raises:
        Fault: naming every device that did not answer, and why.
    """
    results = await asyncio.gather(*(_connect(d) for d in devices.values()), return_exceptions=True)
    failed = {name: result for name, result in zip(devices, results, strict=True) if isinstance(result, BaseException)}
    if failed:
        reasons = "; ".join(
            str(cause) if name in str(cause) else f"{name}: {cause}"
            for name, cause in ((name, _reason(error)) for name, error in failed.items())
        )
        raise Fault("", f"cannot connect {len(failed)} of {len(devices)} devices: {reasons}")


async def _connect(device: Any) -> None:
    connect = getattr(device, "connect", None)
    if inspect.iscoroutinefunction(connect):
        await asyncio.wait_for(connect(), CONNECT_LIMIT)
    elif hasattr(device, "wait_for_connection"):  # classic ophyd
        await asyncio.to_thread(device.wait_for_connection, timeout=CONNECT_LIMIT)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {CONNECT_LIMIT:g} s"
    return " ".join(str(error).split()) or type(error).__name__


async def make_safe(devices: Mapping[str, Any]) -> dict[str, str]:
    """Drive every device that knows one to its safe state, all at once.

    Returns:
        Device name → `safe`, or what went wrong.
    """

    async def one(device: HasSafeState) -> str:
        try:
            await asyncio.wait_for(device.safe_state(), SAFE_LIMIT)
        except TimeoutError:
            return f"did not confirm its safe state within {SAFE_LIMIT:g} s"
        except Exception as error:  # whatever a driver raises here, the other devices still have to be made safe
            return _reason(error)
        return "safe"

    able = {name: device for name, device in devices.items() if isinstance(device, HasSafeState)}
    results = await asyncio.gather(*(one(device) for device in able.values()))
    return dict(zip(able, results, strict=True))


async def close_devices(devices: Mapping[str, Any]) -> None:
    """Close the connections of devices that have a `close` or `disconnect` coroutine."""
    for device in devices.values():
        for verb in ("close", "disconnect"):
            method = getattr(device, verb, None)
            if inspect.iscoroutinefunction(method):
                # Whatever a driver raises here, the other devices still have to be closed.
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(method(), SAFE_LIMIT)
                break
