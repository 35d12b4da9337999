"""What the kit is told about a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdl.testing._case import Act, DeviceCase

__all__ = ["SimulatorCase"]


@dataclass(frozen=True, kw_only=True)
class SimulatorCase:
    """A simulator under test, with a driver for each of its instruments."""

    devices: tuple[DeviceCase, ...]
    """Each with this simulator, its settings and options."""
    beyond: Mapping[str, tuple[Mapping[str, Any], Act]] = field(default_factory=dict)
    """Device → options with which its driver lets an act pass, and the act that the instrument itself has to refuse."""
    probe: float = 0.3
    """Wall seconds that a client without manners is waited for."""

    @property
    def first(self) -> DeviceCase:
        """One of its devices, for what concerns the simulator as a whole."""
        return self.devices[0]
