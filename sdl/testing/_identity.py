"""What a report is about: which code, which versions, which instrument."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import sys
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from sdl.lab.labfile import find_driver
from sdl.testing._bench import Bench
from sdl.testing._case import Act, DeviceCase
from sdl.testing._parts import settled
from sdl.testing._report import Skip

__all__ = ["DriverSource", "Identity", "identity_of", "source_of"]


@dataclass(frozen=True)
class DriverSource:
    """The code of a driver."""

    object: str
    """`module:Class`."""
    distribution: str
    """That brings it; empty for a lab's own file."""
    version: str
    sha256: str
    """Of the text of its module."""

    def as_json(self) -> dict[str, str]:
        """For a file."""
        return dict(vars(self))


@dataclass(frozen=True)
class Identity:
    """What was checked."""

    driver: DriverSource
    address: str = ""
    instrument: str = ""
    """What the instrument says of itself, where the driver can ask (`identity`)."""
    configuration: dict[str, Any] = field(default_factory=dict)
    """Its configuration when it was connected."""
    exercise: tuple[Act, ...] = ()
    """Acts that the device itself suggests."""

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "driver": self.driver.as_json(),
            "address": self.address,
            "instrument": self.instrument,
            "configuration": self.configuration,
        }


def source_of(driver: Any) -> DriverSource:
    """The code of a driver class or function."""
    module = inspect.getmodule(driver)
    name = getattr(module, "__name__", "")
    file = getattr(module, "__file__", None)
    text = Path(file).read_bytes() if file and Path(file).is_file() else b""
    distributions = packages_distributions().get(name.partition(".")[0], [])
    distribution = distributions[0] if distributions and name.partition(".")[0] in sys.modules else ""
    qualified = f"{name}:{getattr(driver, '__qualname__', type(driver).__name__)}"
    return DriverSource(
        qualified, distribution, version(distribution) if distribution else "", hashlib.sha256(text).hexdigest()
    )


def identity_of(case: DeviceCase) -> Identity:
    """Connect once and ask; what cannot be asked stays empty."""
    driver = find_driver(case.driver, case.folder) if isinstance(case.driver, str) else case.driver
    source = source_of(driver)
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        try:
            return runner.run(asyncio.wait_for(_ask(case, source), 60))
        except Exception:  # that it cannot be connected is for the checks to say
            return Identity(source, case.address)


async def _ask(case: DeviceCase, source: DriverSource) -> Identity:
    async with Bench(case) as bench:
        told = getattr(bench.device, "identity", "")
        if callable(told):
            told = await settled(told())
        read = getattr(bench.device, "read_configuration", None)
        found = dict(await settled(read())) if callable(read) else {}
        plain = {key: _plain(value["value"]) for key, value in found.items() if not hasattr(value["value"], "shape")}
        try:
            exercise = bench.exercise()
        except Skip:
            exercise = ()
        return Identity(source, case.address, str(told), plain, exercise)


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value
