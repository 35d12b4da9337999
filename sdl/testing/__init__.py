"""Conformance kits for authors of plug-ins. Public: a plug-in's own tests import from here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.testing._case import Act, DeviceCase
    from sdl.testing._report import CheckReport, CheckResult, CheckStatus, Conformance
    from sdl.testing.device import DEVICE_CHECKS, DeviceReport, check_case, check_device
    from sdl.testing.planner import PlannerReport, PlannerViolations, check_planner
    from sdl.testing.simulator import SIMULATOR_CHECKS, SimulatorReport, check_simulator

__all__ = [
    "DEVICE_CHECKS",
    "SIMULATOR_CHECKS",
    "Act",
    "CheckReport",
    "CheckResult",
    "CheckStatus",
    "Conformance",
    "DeviceCase",
    "DeviceReport",
    "PlannerReport",
    "PlannerViolations",
    "SimulatorReport",
    "check_case",
    "check_device",
    "check_planner",
    "check_simulator",
]

# The kit for planners needs none of the packages that drive devices, so each is imported when it is asked for.
_WHERE = {
    **dict.fromkeys(("Act", "DeviceCase"), "_case"),
    **dict.fromkeys(("CheckReport", "CheckResult", "CheckStatus", "Conformance"), "_report"),
    **dict.fromkeys(("DEVICE_CHECKS", "DeviceReport", "check_case", "check_device"), "device"),
    **dict.fromkeys(("PlannerReport", "PlannerViolations", "check_planner"), "planner"),
    **dict.fromkeys(("SIMULATOR_CHECKS", "SimulatorReport", "check_simulator"), "simulator"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
