"""A simulated instrument that describes itself: a SECoP node over TCP, of any table of modules, and a glovebox."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._secop_node import (
    Atmosphere,
    Drivable,
    Failure,
    FirstOrderAtmosphere,
    Parameter,
    Readable,
    Writable,
    glovebox,
)
from sdl.simulators._server import InstrumentServer

__all__ = [
    "Atmosphere",
    "Drivable",
    "Failure",
    "FirstOrderAtmosphere",
    "GloveboxServer",
    "Parameter",
    "Readable",
    "SecopServer",
    "Writable",
    "glovebox",
]

_IDENTITY = "ISSE,SECoP,V2019-09-16,v1.0"


class SecopServer(InstrumentServer):
    """Serves one node. Protocol: SECoP 1.x, https://sampleenvironment.github.io/secop-site.

    A connection that has sent `activate` is told of every change that a request makes; values that drift of themselves
    are told when they are read. A node that nobody talks to for `deadman` gives its modules the targets of `safe`, and
    stops the others that move.

    Args:
        probe: faults and log.
        modules: name → module.
        equipment_id: of the node.
        description: of the node.
        safe: module → target of the safe state.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds without a valid request after which it makes itself safe; None for never.
    """

    def __init__(
        self,
        probe: Probe,
        modules: Mapping[str, Readable],
        *,
        equipment_id: str = "org.example.sdl",
        description: str = "simulated instrument",
        safe: Mapping[str, Any] | None = None,
        port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        super().__init__(probe, port=port, latency=latency, deadman=deadman)
        self.modules = dict(modules)
        self._about = {"equipment_id": equipment_id, "description": description, "firmware": "sdl"}
        self._safe = dict(safe or {})
        self._active: set[asyncio.StreamWriter] = set()
        # What was taken while nothing moved has its effect once that is over.
        probe.faults.on_change.append(self._on_fault)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> str:
        self._loop = asyncio.get_running_loop()
        return await super().start()

    async def stop(self) -> None:
        self._loop = None
        await super().stop()

    def _on_fault(self) -> None:
        # A fault may be put in from another thread than the one that serves.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for module in self.modules.values():
            module.status()

    async def make_safe(self) -> None:
        """Targets of the safe state; what else moves is stopped."""
        for name, module in self.modules.items():
            if name in self._safe and isinstance(module, Writable):
                module.go(self._safe[name])
                self.probe.record("change", module=name, parameter="target", value=self._safe[name])
            else:
                module.rest()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise ConnectionError("a message without an end") from error

    async def answer(self, request: bytes) -> bytes:
        text = request.decode("utf-8", errors="replace").strip()
        action, _, rest = text.partition(" ")
        specifier, _, data = rest.partition(" ")
        try:
            reply = self._do(action, specifier, data)
        except Failure as failure:
            return _message(f"error_{action}", specifier, [failure.kind, str(failure), {"request": text}])
        self.renew(request)
        return reply

    def refusal(self, request: bytes) -> bytes:
        action, _, rest = request.decode("utf-8", errors="replace").strip().partition(" ")
        return _message(f"error_{action}", rest.partition(" ")[0], ["Impossible", "not at the moment", {}])

    def _do(self, action: str, specifier: str, data: str) -> bytes:
        match action:
            case "*IDN?":
                return f"{_IDENTITY}\n".encode()
            case "describe":
                modules = {name: module.described() for name, module in self.modules.items()}
                return _message("describing", ".", {**self._about, "modules": modules})
            case "ping":
                return _message("pong", specifier, _report(None))
            case "read":
                return _message("reply", specifier, _report(self._parameter(specifier).get()))
            case "change":
                return self._change(specifier, _parsed(data))
            case "do":
                return self._order(specifier, _parsed(data) if data else None)
            case "activate" | "deactivate":
                return self._activate(specifier, on=action == "activate")
        raise Failure("ProtocolError", "unknown action")

    def _module(self, specifier: str) -> tuple[str, Readable, str]:
        name, _, part = specifier.partition(":")
        if name not in self.modules:
            raise Failure("NoSuchModule", f"{name} is not configured on this SEC node")
        return name, self.modules[name], part

    def _parameter(self, specifier: str) -> Parameter:
        name, module, part = self._module(specifier)
        found = module.parameters().get(part or "value")
        if found is None:
            raise Failure("NoSuchParameter", f"{name} has no parameter {part}")
        return found

    def _change(self, specifier: str, value: Any) -> bytes:
        name, _, part = self._module(specifier)
        parameter = self._parameter(specifier)
        if parameter.put is None:
            raise Failure("ReadOnly", f"{specifier} can only be read")
        parameter.put(parameter.checked(value))
        self.probe.record("change", module=name, parameter=part or "value", value=value)
        self._tell(name)
        return _message("changed", specifier, _report(parameter.get()))

    def _order(self, specifier: str, argument: Any) -> bytes:
        name, module, command = self._module(specifier)
        order = module.orders().get(command)
        if order is None:
            raise Failure("NoSuchCommand", f"{name} has no command {command}")
        if command in module.arguments:
            argument = Parameter(module.arguments[command], lambda: None).checked(argument)
        elif argument is not None:
            raise Failure("WrongType", f"{command} takes no argument")
        result = order(argument)
        self.probe.record("do", module=name, command=command, argument=argument)
        self._tell(name)
        return _message("done", specifier, _report(result))

    def _activate(self, specifier: str, *, on: bool) -> bytes:
        task = asyncio.current_task()
        writer = self._connections.get(task) if task is not None else None
        if writer is not None:
            (self._active.add if on else self._active.discard)(writer)
        first = b"".join(self._updates(name) for name in self.modules) if on else b""
        return first + _message("active" if on else "inactive", "", None)

    def _updates(self, name: str) -> bytes:
        parameters = self.modules[name].parameters()
        return b"".join(_message("update", f"{name}:{p}", _report(found.get())) for p, found in parameters.items())

    def _tell(self, name: str) -> None:
        """Side effects are communicated before the reply."""
        self._active = {writer for writer in self._active if not writer.is_closing()}
        for writer in self._active:
            writer.write(self._updates(name))


class GloveboxServer(SecopServer):
    """A glovebox: modules `humidity` (percent; settable) and `temperature` (degC).

    Args:
        probe: faults and log; `stuck` keeps new targets from the drier.
        clock: lab time.
        atmosphere: what it regulates; a `FirstOrderAtmosphere` by default.
        low: driest target that it takes, percent.
        high: moistest, percent.
        tolerance: within which it has arrived, percent.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds without a valid request after which it stays at the humidity that it has; None for never.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        atmosphere: Atmosphere | None = None,
        *,
        low: float = 0.5,
        high: float = 60.0,
        tolerance: float = 0.5,
        port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        self.atmosphere = atmosphere or FirstOrderAtmosphere(clock)
        modules = glovebox(self.atmosphere, probe, low=low, high=high, tolerance=tolerance)
        super().__init__(
            probe,
            modules,
            equipment_id="glovebox.example.sdl",
            description="glovebox with a drier",
            port=port,
            latency=latency,
            deadman=deadman,
        )


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise Failure("BadJSON", str(error)) from error


def _report(value: Any) -> list[Any]:
    return [value, {"t": time.time()}]


def _message(action: str, specifier: str, data: Any) -> bytes:
    text = f"{action} {specifier}".rstrip()
    if data is not None:
        text += (" " if specifier else "  ") + json.dumps(data)
    return f"{text}\n".encode()
