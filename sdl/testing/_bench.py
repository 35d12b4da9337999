"""A device under test with its instrument: started, connected, acted on and closed again."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from sdl import plugins
from sdl.lab.clock import LabClock
from sdl.lab.effects import Action, Target, _current, acts_of
from sdl.lab.labfile import find_driver
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Simulation
from sdl.testing._case import Act, DeviceCase
from sdl.testing._control import Control
from sdl.testing._parts import finished, limits_of, parts_of, reached, settled, verbs_of
from sdl.testing._relay import Relay, moved_to
from sdl.testing._report import CheckFailed, Skip
from sdl.virtual import VirtualLoop

__all__ = ["Bench", "Deed", "takes"]

CONNECT_LIMIT = 20.0
SAFE_LIMIT = 10.0
_DAY = 86400.0

OnArm = Callable[[], Awaitable[None]]


def takes(factory: Any, name: str) -> bool:
    """Whether something can be called with an argument of that name."""
    return name in inspect.signature(factory).parameters


class Deed:
    """One action as a campaign performs it: with an id, and with whatever its driver puts on record."""

    def __init__(self, act: Act, id_: str = "check/1/act/1") -> None:
        self.act, self.id = act, id_
        self.armed = 0
        """How often the driver has armed it."""
        self.evidence: dict[str, Any] = {}

    def record(self, device: str, acts: Acts) -> ActionRecord:
        """As the journal has it."""
        arguments = {"args": list(self.act.args), "kwargs": {}}
        armed = bool(self.armed) or not acts.arms
        return ActionRecord(self.id, device, self.act.path, self.act.verb, arguments, acts.effect, armed, self.evidence)


class Bench:
    """An asynchronous context manager: the instrument serves, and the device is connected and prepared.

    Args:
        case: what is tested.
        clock: lab time; by default that of the case's speed, and wall time for a real instrument.
        connect: whether to connect.
    """

    def __init__(self, case: DeviceCase, *, clock: Clock | None = None, connect: bool = True) -> None:
        self.case = case
        self.clock: Clock = clock or LabClock(case.speed if case.simulated else 1.0)
        self.address = case.address
        """Where the driver finds the instrument: at the relay, when there is one."""
        self.relay: Relay | None = None
        self.simulation: Simulation | None = None
        self.control: Control | None = None
        self.devices: list[Any] = []
        """Every device that was made."""
        self._connect, self._given_clock = connect, clock
        self._driver = find_driver(case.driver, case.folder) if isinstance(case.driver, str) else case.driver

    async def __aenter__(self) -> Self:
        try:
            await self._start()
            self.device = self.make()
            if self._connect:
                await self.connect(self.device)
                await self.prepare()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _start(self) -> None:
        case = self.case
        if case.simulated:
            self.simulation = self._simulation()
            self.address = dict(await self.simulation.start())[case.name]
            self.control = Control(self.simulation.control)
        if moved_to(self.address, ""):
            self.relay = Relay(self.address)
            self.address = moved_to(self.address, await self.relay.start()) or ""

    def _simulation(self) -> Simulation:
        case = self.case
        factory = case.simulator
        if isinstance(factory, str):
            factory = plugins.load("sdl.simulators", factory)
        assert factory is not None
        instruments = case.instruments or {case.name: {}}
        clock = {} if self._given_clock is None else {"clock": self._given_clock}
        made: Simulation = factory(instruments, seed=case.seed, speed=case.speed, **clock, **case.simulation)
        return made

    async def _end(self) -> None:
        for device in self.devices:
            with contextlib.suppress(Exception):  # whatever a driver raises here is for the check of closing to find
                await asyncio.wait_for(self.close(device), SAFE_LIMIT)
        if self.relay is not None:
            await self.relay.stop()
        if self.simulation is not None:
            await self.simulation.stop()

    def make(self, address: str | None = None) -> Any:
        """Build a device with its options; nothing is sent."""
        where = self.address if address is None else address
        offered = {"name": self.case.name, "clock": self.clock}
        if self.case.timeout is not None or not self.case.address:
            offered["timeout"] = self.case.exchange
        offered["prefix" if takes(self._driver, "prefix") else "address"] = where
        given = {key: value for key, value in offered.items() if takes(self._driver, key)}
        device = self._driver(**{**given, **self.case.options})
        self.devices.append(device)
        return device

    async def connect(self, device: Any) -> None:
        """Connect a device of either kind."""
        connect = getattr(device, "connect", None)
        if inspect.iscoroutinefunction(connect):
            await asyncio.wait_for(connect(), CONNECT_LIMIT)
        elif hasattr(device, "wait_for_connection"):  # classic ophyd
            await asyncio.to_thread(device.wait_for_connection, timeout=CONNECT_LIMIT)

    async def close(self, device: Any) -> None:
        """Close a device, where it can be."""
        for verb in ("close", "disconnect", "destroy"):
            method = getattr(device, verb, None)
            if callable(method):
                await settled(method())
                return

    async def prepare(self, device: Any | None = None) -> None:
        """Do what has to be done before a device can be read; where it may not act, only what changes nothing."""
        acts = self.case.prepare
        if acts is None:
            acts = (Act(verb="trigger"),) if "trigger" in verbs_of(device or self.device) else ()
        for number, act in enumerate(acts):
            if self.case.may_act or self.acts_of(act).effect is Effect.READ:
                await self.perform(Deed(act, f"check/1/prepare/{number}"), device=device)

    async def usable(self) -> None:
        """Check that the device can be prepared and read."""
        await self.prepare()
        await self.read()

    async def perform(self, deed: Deed, on_arm: OnArm | None = None, *, device: Any | None = None) -> None:
        """Carry an action out as a campaign does, and wait for its end.

        Raises:
            CheckFailed: it has no end within the case's patience.
        """

        async def arm(evidence: Mapping[str, Any]) -> None:
            deed.armed += 1
            deed.evidence |= evidence
            if on_arm is not None:
                await on_arm()

        if self.case.arrange is not None and self.simulation is not None:
            await settled(self.case.arrange(self.simulation, deed.act))
        part = reached(device or self.device, deed.act.path)
        token = _current.set(Action(deed.id, {}, arm, deed.evidence.update))
        try:
            status = getattr(part, deed.act.verb)(*deed.act.args)
        finally:
            _current.reset(token)
        limit = self._patience()
        begun = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(finished(status), limit)
        except TimeoutError as error:
            if asyncio.get_running_loop().time() - begun < limit:
                raise
            raise CheckFailed(f"{deed.act} has no end within {limit:g} s") from error

    def _patience(self) -> float:
        """Seconds of the running loop that one act may take: on virtual time those are of the lab."""
        virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
        return max(self.case.patience * self.case.speed, _DAY) if virtual else self.case.patience

    async def read(self, device: Any | None = None) -> dict[str, Any]:
        """Everything that `read` gives."""
        return dict(await settled((device or self.device).read()))

    async def log(self) -> list[dict[str, Any]]:
        """What the simulated instrument really did; empty for any other."""
        return [] if self.control is None else await self.control.log(self.case.name)

    async def faulty(self, kind: str, *, count: int | None = None, after: int = 0) -> None:
        """Put a fault into the instrument."""
        assert self.control is not None
        await self.control.inject(self.case.name, kind, count=count, after=after)

    async def sound(self) -> None:
        """Take the fault out."""
        assert self.control is not None
        await self.control.clear(self.case.name)

    def acts_of(self, act: Act) -> Acts:
        """What an action does to the world, as declared."""
        target = Target(self.case.name, act.path)
        part = reached(self.device, act.path)
        return acts_of(target, act.verb, self.device, self.case.effects, part)

    def exercise(self) -> tuple[Act, ...]:
        """What to try.

        Raises:
            Skip: the device may not act, or there is nothing.
        """
        if not self.case.may_act:
            raise Skip("the device may not act; allow it with acts=True (--acts)")
        found = self.case.exercise if self.case.exercise is not None else tuple(self._derived())
        if self.case.address and self.case.exercise is None:
            raise Skip("what a real instrument does is for a person to choose: give `exercise`")
        if not found:
            raise Skip("there is nothing to try; give `exercise`")
        return found

    def _derived(self) -> list[Act]:
        found = []
        for path, part in parts_of(self.device).items():
            for verb in verbs_of(part):
                limits = limits_of(part)
                if verb == "trigger" and not path:
                    found.append(Act(verb="trigger"))
                elif verb == "set" and limits is not None:
                    found.append(Act(path, _like(part, limits.middle)))
        return found

    async def timed(self, act: Act) -> float:
        """Wall seconds that an action takes from beginning to end."""
        begun = time.monotonic()
        await self.perform(Deed(act, "check/1/timed/1"))
        return time.monotonic() - begun

    def needs_faults(self) -> None:
        """Raise `Skip` unless faults can be put into the instrument."""
        if not self.case.instrument:
            raise Skip("has no instrument")
        if self.control is None:
            raise Skip("faults cannot be put into a real instrument")

    def named(self, error: BaseException) -> None:
        """Check that an error names device and address.

        Raises:
            CheckFailed: it does not.
        """
        text = str(error)
        where = self.address.partition("://")[2].partition("/")[0] or self.address
        missing = [what for what in (self.case.name, where) if what and what not in text]
        if missing:
            raise CheckFailed(f"{type(error).__name__} does not name {' and '.join(missing)}: {text!r}")


def _like(part: Any, value: float) -> float | int:
    datatype = getattr(part, "datatype", None)
    return round(value) if datatype is int else value
