"""Simulated instruments and the twins behind them: servers on loopback that speak their instruments' protocols.

A simulator of your own is built on `InstrumentServer`, which reads requests and suffers faults; on `Probe`, which holds
an instrument's faults and the log of what it really did; and on `ControlServer`, over which tests reach both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdl.simulators._control import ControlServer
    from sdl.simulators._faults import Probe
    from sdl.simulators._server import InstrumentServer

__all__ = ["ControlServer", "InstrumentServer", "Probe"]

# Imported when asked for: a module of one instrument needs none of the others.
_WHERE = {"ControlServer": "_control", "InstrumentServer": "_server", "Probe": "_faults"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
