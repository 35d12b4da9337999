"""Driver of a sample stage on an EPICS motor record, with an ejector at one end of its travel.

The record is that of the EPICS motor module, https://epics-modules.github.io/motor; its signals are those of
`ophyd_async.epics.motor.Motor`, over Channel Access. The IOC has four variables besides: `PREFIX:EJECT`, where the
ejector is (mm), `PREFIX:HOME`, where the stage goes from there by itself (mm; DMOV is 0 until it is there),
`PREFIX:EJECTED`, how often it has ejected since the IOC was started, and `PREFIX:BOOTED`, when that was (Unix seconds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from bluesky.protocols import Location
from ophyd_async.core import DEFAULT_TIMEOUT, AsyncStatus, DeviceMock, NotConnectedError, StandardReadable
from ophyd_async.core import StandardReadableFormat as Format
from ophyd_async.epics.motor import Motor

from sdl.devices._device import InstrumentDevice
from sdl.devices._epics_ca import CaLink
from sdl.devices._epics_eject import CLEAR, Eject, receipt_of
from sdl.devices._epics_move import Mover
from sdl.devices._limits import check_limits
from sdl.lab.clock import LabClock
from sdl.model import Fault, UnsafeState
from sdl.model.units import parse_quantity
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt

__all__ = ["EpicsStage"]


class EpicsStage(InstrumentDevice):
    """A stage: movable (`bps.mv(stage, 30)`), readable (`position`, mm).

    A move is done when the record says that the motor stands still (DMOV), the put to VAL is answered, and the
    readback is within `tolerance` of what was asked for. `bps.trigger(stage.eject)` moves to the ejector, where what
    lies on the stage falls into the tray, and back home; a plain move never does.

    Where the IOC is comes with the address, so no environment variable has to be set; see `sdl.devices._epics_names`.
    There are no stop exchanges: in Channel Access a request needs the numbers that the server gave to an open
    channel, so no bytes are known beforehand. `sdl stop` makes the stage safe through this driver.

    Args:
        address: `ca://host:port/PREFIX`; the port is that of the IOC's connections, 5064 for most.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds for one request, and to connect.
        low: lowest position that may be asked for, mm; that of the record by default.
        high: highest position that may be asked for, mm; that of the record by default. Both keep clear of the
            ejector by 1 mm.
        tolerance: between the position asked for and the readback, mm.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "set": Effect.ABSOLUTE,
        "eject": Acts(Effect.NON_REPEATABLE, arms=True),
        # The record itself, for whom `set` is not enough: its variables take values, and its moves go to positions.
        "motor": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        low: str | float | None = None,
        high: str | float | None = None,
        tolerance: str | float = 0.01,
    ) -> None:
        clock = clock or LabClock()
        self.link = CaLink(address, lambda: self.name, timeout)
        self._given = (_millimetres(low, -math.inf), _millimetres(high, math.inf))
        self.low, self.high = self._given
        """Lowest and highest position that may be asked for, mm; those of the record count once it is connected."""
        precision = check_limits("tolerance", parse_quantity(tolerance, "mm"), "mm", 1e-6, 10)
        self.motor = Motor(f"ca://{self.link.address.prefix}")
        """The record."""
        self.link.adopt(dict(self.motor.children()), patient=("user_setpoint",))
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.position = self.link.signal(float, ".RBV")
            """Where it is, mm."""
        self.add_readables([self.motor.velocity], Format.CONFIG_SIGNAL)
        self.ejected = self.link.signal(int, ":EJECTED")
        """How often it has ejected since the IOC was started."""
        self._mover = Mover(self.motor, self.link, clock, precision)
        self.eject = Eject(self.link, self._mover, self._nearest)
        """Moves to the ejector and home: trigger it and wait."""
        self._ejector = math.inf
        super().__init__(name, clock)

    async def connect(
        self,
        mock: bool | DeviceMock[StandardReadable] = False,
        timeout: float = DEFAULT_TIMEOUT,
        force_reconnect: bool = False,
    ) -> None:
        """Find the IOC, connect to the record and read its limits; nothing is written.

        Raises:
            Fault: the IOC does not answer, or its record is none of a stage.
        """
        if not mock:
            await self.link.open()
        try:
            await super().connect(mock=mock, timeout=timeout, force_reconnect=force_reconnect)
        except NotConnectedError as error:
            raise self.link.fault(f"cannot be connected: {' '.join(str(error).split())[:300]}") from error

    async def attach(self) -> None:
        """As `connect`, which writes nothing either."""
        await self.connect()

    async def begin(self) -> None:
        """Read unit, limits, and where the ejector is.

        Raises:
            Fault: its unit is not mm, or no position is left between the limits.
        """
        unit = await self.motor.motor_egu.get_value()
        if unit != "mm":
            raise self.link.fault(f"its unit (EGU) is {unit!r}; this driver needs 'mm'")
        low, high, ejector = (float(value) for value in await self.link.get(".LLM", ".HLM", ":EJECT"))
        if low == high == 0:  # what the record has for no limits
            low, high = -math.inf, math.inf
        low, high = max(low, self._given[0]), min(high, self._given[1])
        if abs(ejector - high) <= abs(ejector - low):
            high = min(high, ejector - CLEAR)
        else:
            low = max(low, ejector + CLEAR)
        if not low < high:
            raise self.link.fault(f"no position is left: limits {low:g} to {high:g} mm, ejector at {ejector:g} mm")
        self.low, self.high, self._ejector = low, high, ejector

    def _nearest(self) -> float:
        """The position nearest to the ejector that is none, mm."""
        return self.high if self._ejector > self.high else self.low

    async def identity(self) -> str:
        """What the record is said to be, and the version of its code. Raises `Fault`."""
        words, version = await self.link.get(".DESC", ".VERS")
        return f"{words}, motor record {float(version):.4g} {self.link.address.prefix}"

    async def leave(self) -> None:
        """Let go of the connection; a motor that moves goes on to where it was sent."""
        self.link.drop()

    def check_value(self, value: float) -> None:
        """Raise `LimitError` when `value` (mm) is outside the limits; nothing is sent."""
        check_limits(self.name or "position", value, "mm", self.low, self.high)

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        """Go to `value` mm.

        Raises:
            LimitError: out of limits; nothing was sent.
            Refusal: the record does not take it.
            Fault: the IOC or the motor failed, or it was stopped on its way.
        """
        self.check_value(value)
        await self._mover.go(float(value))

    async def stop(self, success: bool = True) -> None:
        """Stop a move under way; Bluesky calls this also after one that is done, and then nothing happens."""
        if self._mover.under_way:
            await self._mover.halt()

    async def locate(self) -> Location[float]:
        """Setpoint and readback, mm."""
        setpoint, readback = await self.link.get(".VAL", ".RBV")
        return {"setpoint": float(setpoint), "readback": float(readback)}

    async def safe_state(self) -> None:
        """Stop the motor, whoever drives it, and confirm that it stands still.

        Raises:
            UnsafeState: the IOC or the motor did not confirm.
        """
        last: Fault | None = None
        for _ in range(2):
            try:
                await self.link.open()
                return await self._mover.halt()
            except UnsafeState:
                raise
            except Fault as error:
                last = error
        raise UnsafeState(self.name, f"safe state not confirmed: {last}; stop the stage by hand") from last

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of an eject, from the counter of the IOC. Waits for a stage that moves.

        Raises:
            Fault: the IOC does not answer.
        """
        return await receipt_of(self.link, self.clock, action)


def _millimetres(given: Any, default: float) -> float:
    return default if given is None else parse_quantity(given, "mm")
