"""Driver of a furnace: a process controller with Eurotherm's register map and a timer, over Modbus TCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd_async.core import SignalR, StandardReadableFormat

from sdl.devices._furnace_hold import EndType, Hold, TimerRegister, TimerState, judge
from sdl.devices._limits import check_limits
from sdl.devices._signal import link_signal_r
from sdl.devices._stop import modbus_stop
from sdl.devices.modbus_heater import SCALE, ModbusHeater, Register
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault
from sdl.model.units import parse_quantity
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt, Verdict

__all__ = ["EndType", "Furnace", "TimerRegister"]


class Furnace(ModbusHeater):
    """A furnace: a heater (`bps.mv(furnace, 400)`) that also holds a temperature for a time:
    `bps.mv(furnace.hold.temperature, 400)`, then `bps.mv(furnace.hold, 600)`.

    The controller's own timer counts a hold, and at its end the controller goes to the `rest` temperature by itself, so
    that a film is annealed as long as it should be, whatever becomes of whoever asked for it. A hold that lost its
    driver is taken up again by the next.

    Args:
        address: `tcp://host:port/unit`; unit 1 when left out.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds to connect, and for one exchange.
        rest: setpoint after a hold, degC; the temperature stays when left out.
        hold_temperature: what to hold, degC, until `hold.temperature` is set; by default what the furnace is set to.
        low: lowest setpoint, degC.
        high: highest setpoint, degC.
        options: as of `ModbusHeater`: tolerance, dwell, ramp, settle_time, safe_temperature, heartbeat.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        **ModbusHeater.effects,
        "hold": Acts(Effect.NON_REPEATABLE, arms=True, continues=True),
        "hold.temperature": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        rest: str | float | None = None,
        hold_temperature: str | float | None = None,
        low: str | float = 0.0,
        high: str | float = 600.0,
        **options: Any,
    ) -> None:
        self.rest = None if rest is None else parse_quantity(rest, "degC")
        """degC; None for no change after a hold."""
        to_hold = None if hold_temperature is None else parse_quantity(hold_temperature, "degC")
        self.hold = Hold(self, to_hold)
        """Holds the temperature for a time, s."""
        super().__init__(address, name=name, clock=clock, timeout=timeout, low=low, high=high, **options)
        for label, value in (("rest", self.rest), ("hold_temperature", to_hold)):
            if value is not None:
                check_limits(label, value, "degC", self.low, self.high)
        source = f"modbus://{self.link.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.UNCACHED_SIGNAL):
            self.held: SignalR[float] = link_signal_r(
                float, f"{source}/{TimerRegister.ELAPSED}", self._get_elapsed, unit="s", precision=0
            )
            """How long the timer has counted, s."""
        self.set_name(name)

    async def begin(self) -> None:
        """Check that the controller answers with a sound sensor; write ramp and what follows a hold if they differ."""
        await super().begin()
        wanted = {TimerRegister.END_TYPE: int(EndType.DWELL if self.rest is None else EndType.SETPOINT_2)}
        if self.rest is not None:
            wanted[TimerRegister.SETPOINT_2] = round(self.rest * SCALE)
        for register, value in wanted.items():
            if (await self.link.read(register))[0] != value:
                await self.link.write(register, value)

    async def timer(self) -> TimerState:
        """What the timer says. Raises `Fault` when the sensor is broken, too."""
        await self._get_temperature()
        (status,) = await self.link.read(TimerRegister.STATUS)
        duration, elapsed, remaining = await self.link.read(TimerRegister.DURATION, 3)
        (manual,) = await self.link.read(Register.MANUAL)
        return TimerState(status, duration, elapsed, remaining, bool(manual))

    async def receipt(self, action: ActionRecord) -> Receipt:
        """What became of a hold, from the controller's timer."""
        if action.path != "hold":
            return Receipt(Verdict.UNKNOWN, f"the timer tells of holds, not of {action.path or action.verb}")
        try:
            return judge(action.evidence, await self.timer())
        except Fault as error:
            return Receipt(Verdict.UNKNOWN, str(error))

    def begin_wait(self) -> None:
        """Forget that an earlier wait was stopped."""
        self._stopped = None

    def stopped(self) -> bool:
        """Whether the wait under way was stopped."""
        return self._stopped is not None

    async def _get_elapsed(self) -> float:
        return float((await self.link.read(TimerRegister.ELAPSED))[0])

    async def _switch_off(self) -> None:
        await super()._switch_off()
        if (await self.link.read(TimerRegister.STATUS))[0] == TimerState.RUNNING:
            await self.link.write(TimerRegister.STATUS, TimerState.HELD)

    def stop_exchanges(self) -> list[StopExchange]:
        """What switches the heating off and holds the timer, for `sdl stop`; the heating is read back."""
        target = round(self.safe_temperature * SCALE)
        return modbus_stop(
            self.link.address,
            [
                (Register.MANUAL, 1),
                (Register.OUTPUT, 0),
                (Register.TARGET, target),
                (TimerRegister.STATUS, TimerState.HELD),
            ],
            [(Register.MANUAL, [1]), (Register.TARGET, [target, 0])],
        )
