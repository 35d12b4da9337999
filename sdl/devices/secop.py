"""Driver of instruments that describe themselves over SECoP, as sample environments do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._limits import check_limits
from sdl.devices._secop_link import SecopLink
from sdl.devices._secop_module import Module, Movable, attribute_for, build_module
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, InputError, SdlError, UnsafeState
from sdl.model.units import parse_quantity
from sdl.plugins import suggest
from sdl.protocols import Acts, Clock, Effect

__all__ = ["SecopDevice"]

_STOP_TIMEOUT = 0.5
"""Wall seconds to wait for a reply to a stop."""
_LOOKS = 5
"""How often a module that was stopped is looked at."""


class SecopDevice(InstrumentDevice):
    """A node whose modules, signals, units and limits are those that it describes when it is connected.

    A module `humidity` becomes the part `humidity`, with its parameters and commands as parts; those with more than one
    value in them (tuples, arrays, structures) are left out. A module with a target is set (`bps.mv(box.humidity, 5)`)
    and done when it is busy no more. A command is triggered (`bps.trigger(box.pump.purge)`), or set to its argument.
    Setting leads to a state; a command may be anything, so it counts as not repeatable unless the lab file says more.

    Protocol: SECoP 1.x, https://sampleenvironment.github.io/secop-site.

    Args:
        address: `tcp://host:port`.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds for one exchange.
        modules: names of modules to use; all by default.
        safe: module → target of the safe state (a number; of an enum its number), or `stop`. What is not named is left
            as it is; without it modules that are busy are stopped. `sdl stop` knows no more than what is named here.
        patience: lab time that a module may take to arrive.
        heartbeat: wall seconds of silence after which the node is pinged, so that one with a communications time-out
            does not take its driver for dead; none by default.

    Raises:
        InputError: `modules` or `safe` cannot be understood.
    """

    effects: Mapping[str, Effect | Acts] = {}
    """Known once it is connected."""

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        modules: Sequence[str] | None = None,
        safe: Mapping[str, float | bool | str] | None = None,
        patience: str | float = "2 h",
        heartbeat: str | float | None = None,
    ) -> None:
        self.link = SecopLink(address, lambda: self.name, timeout)
        self._wanted = _names(modules)
        self._safe = _safe_targets(safe)
        self.patience = check_limits("patience", parse_quantity(patience, "s"), "s", 1, 1e7)
        """Lab seconds that a module may take to arrive."""
        self.modules: dict[str, Module] = {}
        """Name in the node → part."""
        self._described: dict[str, Any] = {}
        super().__init__(name, clock, Heartbeat(heartbeat, self.link.ping, lambda: self.link.tcp.asked_at))

    async def begin(self) -> None:
        """Ask for the description and build the parts; check what the safe state names against it."""
        await self.greet()
        faults = [fault for label in self._safe if (fault := self._unsafe(label))]
        if faults:
            raise self.link.fault(f"the safe state cannot be reached: {'; '.join(faults)}")

    async def greet(self) -> None:
        """Ask for the description and build the parts. Nothing is set.

        Raises:
            Fault: no SECoP, a module that is wanted is not there, or the node has changed since it was first asked.
        """
        await self.link.identify()
        found = (await self.link.describe())["modules"]
        missing = [label for label in self._wanted or () if label not in found]
        if missing:
            raise self.link.fault(
                "; ".join(f"has no module {label!r}{suggest(label, list(found))}" for label in missing)
            )
        described = {
            label: module.get("accessibles", {})
            for label, module in found.items()
            if self._wanted is None or label in self._wanted
        }
        if self._described and described != self._described:
            raise self.link.fault("describes itself otherwise than when it was connected; open the lab anew")
        if not self._described:
            await self._build(described)
            self._described = described

    async def _build(self, described: Mapping[str, Any]) -> None:
        try:
            parts = {label: build_module(self, label, accessibles) for label, accessibles in described.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self.link.fault(f"its description makes no sense: {type(error).__name__}: {error}") from error
        effects: dict[str, Effect | Acts] = {}
        for label, part in parts.items():
            attribute = attribute_for(self, label)
            setattr(self, attribute, part)
            self.add_readables([part])
            await part.connect()
            path = attribute.rstrip("_")
            effects |= {path: Effect.ABSOLUTE} if isinstance(part, Movable) else {}
            effects |= {f"{path}.{name.rstrip('_')}": Effect.ABSOLUTE for name in part.settable}
            once = Acts(Effect.NON_REPEATABLE, arms=True)
            effects |= {f"{path}.{name.rstrip('_')}": once for name in part.commands}
        self.modules, self.effects = parts, effects

    def __getitem__(self, label: str) -> Module:
        """The part of a module, by its name in the node."""
        return self.modules[label]

    def _unsafe(self, label: str) -> str:
        """What keeps a module from its part of the safe state; empty when nothing does."""
        part, value = self.modules.get(label), self._safe[label]
        if part is None:
            return f"there is no module {label!r}{suggest(label, list(self.modules))}"
        if not isinstance(part, Movable) or (value == "stop" and not part.stoppable):
            return f"{label} has no {'command stop' if value == 'stop' else 'target'}"
        try:
            if value != "stop":
                part.info.check(label, part.info.decode(value) if part.info.kind == "enum" else value)
        except (SdlError, ValueError) as error:
            return str(error)
        return ""

    async def identity(self) -> str:
        """Name, firmware and protocol, as the node tells them. Raises `Fault`."""
        about = await self.link.describe()
        told = [
            str(about.get("equipment_id") or self.name),
            f"firmware {about['firmware']}" if about.get("firmware") else "",
        ]
        return ", ".join([*filter(None, told), await self.link.identify()])

    async def leave(self) -> None:
        """Close the connection; the node goes on by itself."""
        await self.link.close()

    async def stop(self, success: bool = True) -> None:
        """Stop every module that this driver drives."""
        for part in self._movable():
            await part.stop(success)

    def _movable(self) -> list[Movable]:
        return [part for part in self.modules.values() if isinstance(part, Movable)]

    async def safe_state(self) -> None:
        """Give modules the targets of the safe state, or stop them, and confirm.

        Raises:
            UnsafeState: the node did not confirm.
        """
        for part in self._movable():
            part.interrupt()
        last: Fault | None = None
        for _ in range(2):
            try:
                return await self._make_safe()
            except Fault as error:
                last = error
        raise UnsafeState(
            self.name, f"{self.link.tcp.address}: the safe state was not confirmed ({last}); set it by hand"
        ) from last

    async def _make_safe(self) -> None:
        for label, value in self._safe.items():
            if value == "stop":
                await self._halt(label)
                continue
            there = await self.link.change(label, "target", value)
            if not isinstance(there, int | float) or not math.isclose(there, float(value), rel_tol=1e-6, abs_tol=1e-9):
                raise self.link.fault(f"{label} was set to {value!r} and says {there!r}")
        if not self._safe:
            for part in self._movable():
                if part.stoppable and (await self.link.status(part.label)).kind == "BUSY":
                    await self._halt(part.label)
        if not self._safe and not self._movable():
            await self.link.ping()

    async def _halt(self, label: str) -> None:
        await self.link.do(label, "stop")
        for _ in range(_LOOKS):
            status = await self.link.status(label)
            if status.kind != "BUSY":
                return
            await self.poll_pause()
        raise self.link.fault(f"{label} was told to stop and is {status}")

    def stop_exchanges(self) -> list[StopExchange]:
        """What brings the modules that `safe` names to their safe state, for `sdl stop`."""
        where = str(self.link.tcp.address)
        exchanges: list[StopExchange] = []
        for label, value in self._safe.items():
            name = re.escape(label)
            if value == "stop":
                ended = f"(?:done|error_do) {name}:stop[^\\n]*\\n"
                told = f"(?:reply|error_read) {name}:status[^\\n]*\\n"
                rests = f"(?:^|\\n)reply {name}:status \\[\\s*\\[\\s*(?:\\d\\d?|[12]\\d\\d)\\s*,[^\\n]*\\n"
                exchanges += [
                    StopExchange(where, f"do {label}:stop\n".encode(), complete=ended, timeout=_STOP_TIMEOUT),
                    StopExchange(where, f"read {label}:status\n".encode(), rests, told, _STOP_TIMEOUT, repeat=3),
                ]
                continue
            request = f"change {label}:target {_json(value)}\n".encode()
            told = f"(?:changed|error_change) {name}:target[^\\n]*\\n"
            taken = f"(?:^|\\n)changed {name}:target \\[\\s*{_pattern(value)}\\s*[,\\]][^\\n]*\\n"
            exchanges.append(StopExchange(where, request, taken, told, _STOP_TIMEOUT, repeat=2))
        return exchanges


def _names(modules: Any) -> tuple[str, ...] | None:
    if modules is None:
        return None
    if isinstance(modules, str) or not all(isinstance(label, str) for label in modules) or not modules:
        raise InputError(f"modules: {modules!r} is no list of names; write [humidity, temperature]")
    return tuple(modules)


def _safe_targets(safe: Any) -> dict[str, float | bool | str]:
    if safe is None:
        return {}
    if not isinstance(safe, Mapping):
        raise InputError(f"safe: {safe!r} names no modules; write {{humidity: 5}} or {{shutter: stop}}")
    for label, value in safe.items():
        if not (value == "stop" or (isinstance(value, bool | int | float) and math.isfinite(value))):
            raise InputError(f"safe: {label}: {value!r} is neither a number nor `stop`; of an enum write its number")
    return dict(safe)


def _json(value: float | bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _pattern(value: float | bool | str) -> str:
    """Pattern of a value in JSON, with as many zeros as a node may write behind it."""
    if isinstance(value, bool):
        return str(value).lower()
    whole, _, decimals = f"{float(value):.12f}".rstrip("0").partition(".")
    return re.escape(whole) + (f"\\.{decimals}0*" if decimals else "(?:\\.0*)?")
