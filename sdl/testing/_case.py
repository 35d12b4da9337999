"""What the kits are told about a device, and about a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sdl.protocols import Effect

__all__ = ["Act", "DeviceCase"]


@dataclass(frozen=True)
class Act:
    """One action on a device: `Act("dispense", 50.0)`, or `Act(verb="trigger")`.

    Args:
        path: part of the device that is acted on, such as `dispense`; empty for the device itself.
        args: arguments of the verb.
        verb: `set`, `trigger`, `kickoff` or another verb of plans.
    """

    path: str
    args: tuple[Any, ...]
    verb: str

    def __init__(self, path: str = "", *args: Any, verb: str = "set") -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "args", args)
        object.__setattr__(self, "verb", verb)

    def __str__(self) -> str:
        shown = ", ".join(f"{value:g}" if isinstance(value, float) else repr(value) for value in self.args)
        return f"{self.path + '.' if self.path else ''}{self.verb}({shown})"


@dataclass(frozen=True, kw_only=True)
class DeviceCase:
    """A device under test: its driver, its instrument, real or simulated, and what to try with it."""

    driver: str | Callable[..., Any]
    """Registered name of the driver, `package.module:Class`, `file.py:Class`, or the class itself."""
    name: str = "device"
    """Name of the device; also of its simulated instrument."""
    address: str = ""
    """Where a real instrument answers; leave it out for a simulated one, and for a device without an instrument."""
    simulator: str | Callable[..., Any] | None = None
    """Registered name of the simulator, or the factory itself (`sdl.protocols.SimulatorFactory`)."""
    instruments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of the simulated instruments by name; by default one with the name of the device and no settings."""
    simulation: Mapping[str, Any] = field(default_factory=dict)
    """Options of the simulator."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the driver."""
    effects: Mapping[str, Effect] = field(default_factory=dict)
    """As `devices.NAME.effects` of a lab file, for a driver that declares none."""
    prepare: tuple[Act, ...] | None = None
    """What has to be done after connecting before the device can be read; by default `trigger`, where there is one."""
    exercise: tuple[Act, ...] | None = None
    """What to try, within limits; by default each number that can be set is set to the middle of its limits."""
    arrange: Callable[[Any, Act], object] | None = None
    """Called with the simulation right before each act: what a person at the bench would do first, such as putting a
    sample in its place. Of a simulated instrument only; may be a coroutine function."""
    beyond: tuple[Act, ...] = ()
    """Further actions that have to be refused with a `LimitError`, beside those that the limits themselves tell."""
    acts: bool | None = None
    """Whether the device may act. By default only a simulated one may."""
    timeout: float | None = None
    """Wall seconds for one exchange, given to a driver that takes a `timeout`; by default 0.5 for a simulated
    instrument, and what the driver has for a real one."""
    patience: float = 30.0
    """Wall seconds that one act may take."""
    speed: float = 100.0
    """Lab seconds a wall second of a simulated instrument."""
    seed: int = 1
    """Of the simulation."""
    folder: Path = Path()
    """Folder to which `file.py:Class` is relative."""

    @property
    def simulated(self) -> bool:
        """Whether the kit starts the instrument, and may put faults into it."""
        return self.simulator is not None and not self.address

    @property
    def instrument(self) -> bool:
        """Whether there is an instrument behind the device."""
        return self.simulated or bool(self.address)

    @property
    def may_act(self) -> bool:
        """Whether the device may be made to act."""
        return (not self.address) if self.acts is None else self.acts

    @property
    def exchange(self) -> float:
        """Wall seconds that one exchange may take."""
        if self.timeout is not None:
            return self.timeout
        return 0.5 if not self.address else 2.0

    @property
    def label(self) -> str:
        """Driver and instrument, for people."""
        driver = self.driver if isinstance(self.driver, str) else self.driver.__name__
        if self.simulated:
            simulator = self.simulator
            return f"{driver} (simulated by {simulator if isinstance(simulator, str) else _name(simulator)})"
        return f"{driver} at {self.address}" if self.address else f"{driver} (without an instrument)"

    def at(self, **changes: Any) -> DeviceCase:
        """The same with changes."""
        return replace(self, **changes)


def _name(factory: Any) -> str:
    return str(getattr(factory, "__name__", type(factory).__name__))
