"""The modules of a SECoP node as devices: what they describe becomes signals, and what drives can be set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from bluesky.protocols import Location
from ophyd_async.core import AsyncStatus, Device, SignalR, StandardReadable
from ophyd_async.core import StandardReadableFormat as Format

from sdl.devices._secop_link import SecopLink
from sdl.devices._secop_protocol import DataInfo
from sdl.devices._signal import link_signal_r, link_signal_rw
from sdl.lab.effects import current_action
from sdl.protocols import Clock

__all__ = ["Command", "CommandWith", "Module", "Movable", "Node", "attribute_for", "build_module"]

SHORTEST, LONGEST = 1.0, 60.0
"""Lab seconds between two looks at a module that is busy."""


class Node(Protocol):
    """What a module needs of its node's device."""

    clock: Clock
    link: SecopLink
    patience: float
    """Lab seconds that a module may take to arrive."""


class Module(StandardReadable):
    """A module with a value. Its reading has the name of the module.

    Args:
        node: the device of the node.
        label: name of the module in the node.
        accessibles: name → description of each parameter and command.
    """

    def __init__(self, node: Node, label: str, accessibles: Mapping[str, Any]) -> None:
        # Not a plain attribute: a device would take it for its child.
        self._of = (node,)
        self.label = label
        """Name in the node."""
        main = DataInfo.read(accessibles.get("value", {}).get("datainfo"))
        self.settable: list[str] = []
        """Names of the parts that lead to a state when they are set."""
        self.commands: list[str] = []
        """Names of the parts that are commands."""
        self.left_out: list[str] = []
        """Names of parameters and commands with more than one value in them, which have no signal."""
        self.status = link_signal_r(str, f"{self._source}:status", self._get_status)
        """IDLE, WARN, BUSY, ERROR or DISABLED, with the node's own words."""
        for name, description in accessibles.items():
            if name != "status" and name != "stop":
                self._add(name, description, main.unit if main is not None else "")
        super().__init__()

    @property
    def _node(self) -> Node:
        return self._of[0]

    @property
    def _link(self) -> SecopLink:
        return self._node.link

    @property
    def _source(self) -> str:
        return f"secop://{self._link.tcp.address}/{self.label}".replace("tcp://", "")

    def _add(self, name: str, description: Mapping[str, Any], unit: str) -> None:
        given = description.get("datainfo", {})
        attribute = attribute_for(self, name)
        part: Device | None
        if isinstance(given, Mapping) and given.get("type") == "command":
            part = self._command(name, given)
            self.commands += [attribute] if part is not None else []
        else:
            info = DataInfo.read(given, unit)
            fixed = bool(description.get("readonly", True))
            part = None if info is None else self._parameter(name, info, fixed)
            self.settable += [attribute] if part is not None and not fixed else []
        if part is None:
            self.left_out.append(name)
            return
        setattr(self, attribute, part)
        if name in ("value", "target") and isinstance(part, SignalR):
            self.add_readables([part], Format.HINTED_UNCACHED_SIGNAL if name == "value" else Format.UNCACHED_SIGNAL)

    def _parameter(self, name: str, info: DataInfo, fixed: bool) -> Device:
        source, get = f"{self._source}:{name}", self.getter(name, info)
        if fixed:
            return link_signal_r(info.type, source, get, unit=info.unit)

        async def put(value: Any) -> None:
            await self._link.change(self.label, name, info.encode(value))

        def check(value: Any) -> None:
            info.check(f"{self.name}.{name}", value)

        return link_signal_rw(info.type, source, get, put, check=check, unit=info.unit)

    def getter(self, name: str, info: DataInfo) -> Callable[[], Awaitable[Any]]:
        """Reads a parameter."""

        async def get() -> Any:
            value = await self._link.read(self.label, name)
            try:
                return info.decode(value)
            except ValueError as error:
                raise self._link.fault(f"answered to 'read {self.label}:{name}' what makes no sense: {error}") from None

        return get

    def _command(self, name: str, given: Mapping[str, Any]) -> Device | None:
        argument = given.get("argument")
        if argument is None:
            return Command(self._link, self.label, name)
        info = DataInfo.read(argument)
        return None if info is None else CommandWith(self._link, self.label, name, info)

    async def _get_status(self) -> str:
        return str(await self._link.status(self.label))

    def set_name(self, name: str, *, child_name_separator: str | None = None) -> None:
        """Name the module and its parts; its value has the module's own name."""
        super().set_name(name, child_name_separator=child_name_separator)
        value = getattr(self, "value", None)
        if isinstance(value, Device):
            value.set_name(name)


class Movable(Module):
    """A module with a target: done when the node says that it is busy no more."""

    def __init__(self, node: Node, label: str, accessibles: Mapping[str, Any]) -> None:
        self._main = DataInfo.read(accessibles.get("value", {}).get("datainfo"))
        info = DataInfo.read(accessibles["target"]["datainfo"], self._main.unit if self._main is not None else "")
        assert info is not None
        self.info = info
        """What the target can be."""
        self.stoppable = "stop" in accessibles
        """Whether the node has a command that stops it."""
        self.under_way = False
        """Whether it is being driven by this driver."""
        self._interrupted = asyncio.Event()
        super().__init__(node, label, accessibles)

    def check_value(self, value: Any) -> None:
        """Raise when the node does not take the target; nothing is sent.

        Raises:
            LimitError: outside the limits that the node describes.
            InputError: of another type.
        """
        self.info.check(self.name or self.label, value)

    @AsyncStatus.wrap
    async def set(self, value: Any) -> None:
        """Go to a target; done when the module is busy no more.

        Raises:
            LimitError: out of limits; nothing was sent.
            SecopError: the node refused it.
            Fault: the module failed, was stopped, or did not arrive in time.
        """
        self.check_value(value)
        self._interrupted.clear()
        self.under_way = True
        try:
            await self._link.change(self.label, "target", self.info.encode(value))
            await self._arrive(value)
        finally:
            self.under_way = False

    async def _arrive(self, value: Any) -> None:
        clock = self._node.clock
        # Two wall seconds more, for a busy computer.
        end = clock.now() + self._node.patience + 2 * clock.speed
        before: tuple[float, float] | None = None
        while True:
            status = await self._link.status(self.label)
            if status.kind in ("ERROR", "DISABLED"):
                raise self._link.fault(f"{self.label} does not go to {self._shown(value)}: {status}")
            if self._interrupted.is_set():
                raise self._link.fault(f"{self.label} was stopped on its way to {self._shown(value)}")
            if status.kind != "BUSY":
                return
            if clock.now() > end:
                raise self._link.fault(
                    f"{self.label} did not arrive at {self._shown(value)} within {self._node.patience:g} s ({status}); "
                    "look whether it moves, or give it more `patience` in the lab file"
                )
            now = (clock.now(), await self._distance(value))
            await self._pause(_estimate(before, now))
            before = now

    async def _distance(self, value: Any) -> float:
        """How far it is from a target; 0 when that is no number."""
        if self._main is None or not self._main.number or not self.info.number:
            return 0.0
        return abs(float(await self.getter("value", self._main)()) - float(value))

    async def _pause(self, seconds: float) -> None:
        """Wait for so much lab time, or until it is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds / self._node.clock.speed, 0.005)):
                await self._interrupted.wait()

    def _shown(self, value: Any) -> str:
        return f"{value:g} {self.info.unit}".rstrip() if self.info.number else repr(value)

    async def stop(self, success: bool = True) -> None:
        """Stop it on its way, which then fails; Bluesky calls this also after success, and then nothing happens."""
        if self.under_way:
            self.interrupt()
            if self.stoppable:
                await self._link.do(self.label, "stop")

    def interrupt(self) -> None:
        """Let a move under way fail at once."""
        self._interrupted.set()

    async def locate(self) -> Location[Any]:
        """Target and value."""
        target: Any = await self.getter("target", self.info)()
        value = target if self._main is None else await self.getter("value", self._main)()
        return {"setpoint": target, "readback": value}


def _estimate(before: tuple[float, float] | None, now: tuple[float, float]) -> float:
    """Lab seconds until it may have arrived, from how fast it came nearer between two looks (time, distance)."""
    if before is None or before[1] <= now[1]:
        return SHORTEST if before is None else min(2 * (now[0] - before[0]), LONGEST)
    speed = (before[1] - now[1]) / max(now[0] - before[0], 1e-9)
    return min(max(now[1] / speed, SHORTEST), LONGEST)


class Command(Device):
    """A command without an argument: `bps.trigger(node.module.command)`."""

    def __init__(self, link: SecopLink, module: str, command: str) -> None:
        self._where = (link, module, command)
        super().__init__()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Have it executed.

        Raises:
            SecopError: the node refused it, or it went wrong.
        """
        link, module, command = self._where
        if (action := current_action()) is not None:
            await action.arm()
        await link.do(module, command)


class CommandWith(Device):
    """A command with an argument: `bps.abs_set(node.module.command, argument)`."""

    def __init__(self, link: SecopLink, module: str, command: str, info: DataInfo) -> None:
        self._where, self._info = (link, module, command), info
        super().__init__()

    def check_value(self, value: Any) -> None:
        """Raise when the node does not take the argument; nothing is sent."""
        self._info.check(self.name or self._where[2], value)

    @AsyncStatus.wrap
    async def set(self, value: Any) -> None:
        """Have it executed.

        Raises:
            SecopError: the node refused it, or it went wrong.
        """
        self.check_value(value)
        link, module, command = self._where
        if (action := current_action()) is not None:
            await action.arm()
        await link.do(module, command, self._info.encode(value))


def build_module(node: Node, label: str, accessibles: Mapping[str, Any]) -> Module:
    """The device of a module; one that can be set when it has a target that is one value."""
    target = accessibles.get("target", {})
    drives = DataInfo.read(target.get("datainfo")) is not None and not target.get("readonly", True)
    return (Movable if drives else Module)(node, label, accessibles)


def attribute_for(device: Device, name: str) -> str:
    """A name for a part that no method or attribute of the device has."""
    attribute = name.lstrip("_") or name
    while hasattr(type(device), attribute) or attribute in vars(device):
        attribute += "_"
    return attribute
