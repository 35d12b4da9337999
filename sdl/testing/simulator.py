"""Conformance kit for simulated instruments, as one call in a plug-in's own test.

    from sdl.testing import DeviceCase, check_simulator

    def test_conformance():
        check_simulator("my_lab", [DeviceCase(driver="my_doser", name="doser")]).require()

What a simulated instrument has to do is in docs/plugins.md. Most of it is seen through the driver of the instrument, so
the kit needs one for each; it drives them over a relay that counts bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from sdl.testing import _simulator_checks as checks
from sdl.testing import _simulator_time as timing
from sdl.testing._case import Act, DeviceCase
from sdl.testing._report import CheckReport
from sdl.testing._runner import Check, run_checks
from sdl.testing._simulator_case import SimulatorCase
from sdl.testing._simulator_faults import suffers_its_faults

__all__ = ["SIMULATOR_CHECKS", "SimulatorReport", "check_simulator"]

LIMIT = 300.0
"""Wall seconds for one check."""

_CHECKS: dict[str, Callable[[SimulatorCase], Awaitable[str]]] = {
    "serves": checks.serves,
    "garbage": checks.withstands_garbage,
    "two_clients": checks.takes_two_clients,
    "limits": checks.keeps_its_limits,
    "deadman": checks.dies_safely,
    "truth_log": checks.keeps_its_log,
    "faults": suffers_its_faults,
    "stop": checks.stops,
    "seeds": timing.repeats_with_its_seed,
    "virtual_time": timing.keeps_virtual_time,
}
_VIRTUAL = ("seeds", "virtual_time")

SIMULATOR_CHECKS = tuple(_CHECKS)
"""Names of the checks, in their order."""


class SimulatorReport(CheckReport):
    """All checks of one simulator."""


def check_simulator(
    simulator: str | Callable[..., Any],
    devices: Iterable[DeviceCase],
    *,
    instruments: Mapping[str, Mapping[str, Any]] | None = None,
    simulation: Mapping[str, Any] | None = None,
    beyond: Mapping[str, tuple[Mapping[str, Any], Act]] | None = None,
    seed: int = 1,
    speed: float = 100.0,
    only: Collection[str] | None = None,
) -> SimulatorReport:
    """Check that simulated instruments are what tests and rehearsals rely on. Not from within an event loop.

    Args:
        simulator: registered name, or the factory (`sdl.protocols.SimulatorFactory`).
        devices: a driver for each instrument, with its name, options and what to try.
        instruments: settings of the instruments by name; by default each device's, without settings.
        simulation: options of the simulator.
        beyond: device → options with which its driver lets an act pass, and the act that the instrument itself has to
            refuse.
        seed: of the simulation.
        speed: lab seconds a wall second.
        only: names of the checks to make; by default all (`SIMULATOR_CHECKS`).

    Returns:
        The report of all checks; `report.require()` raises with every failure.

    Raises:
        ValueError: no device was given, or `only` names a check that there is not.
    """
    given = list(devices)
    if not given:
        raise ValueError("give at least one device: a simulated instrument is looked at through its driver")
    unknown = set(only or ()) - set(SIMULATOR_CHECKS)
    if unknown:
        raise ValueError(f"no check {', '.join(sorted(unknown))}; there are: {', '.join(SIMULATOR_CHECKS)}")
    settings = dict(instruments) if instruments is not None else {device.name: {} for device in given}
    shared = {"simulator": simulator, "simulation": simulation or {}, "seed": seed, "speed": speed, "address": ""}
    cases = tuple(device.at(instruments=settings, **shared) for device in given)
    case = SimulatorCase(devices=cases, beyond=beyond or {})
    chosen = [
        Check(name, " ".join((check.__doc__ or "").split()), functools.partial(check, case), name in _VIRTUAL)
        for name, check in _CHECKS.items()
        if only is None or name in only
    ]
    name = simulator if isinstance(simulator, str) else getattr(simulator, "__name__", "simulator")
    return SimulatorReport(f"{name} with {', '.join(settings)}", run_checks(chosen, LIMIT))
