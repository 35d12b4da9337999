"""Driver of a heater behind a process controller with Eurotherm's register map, over Modbus TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

from bluesky.protocols import Location
from ophyd_async.core import AsyncStatus, StandardReadableFormat

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._heater_options import HeaterOptions
from sdl.devices._heater_pace import LONGEST, SHORTEST, Pace
from sdl.devices._limits import check_limits
from sdl.devices._modbus import ModbusLink
from sdl.devices._signal import link_signal_r, link_signal_rw
from sdl.devices._stop import modbus_stop
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.protocols import Acts, Clock, Effect

__all__ = ["ModbusHeater", "Register"]

SCALE = 10
"""Integers on the wire are tenths: the controller is set to one decimal."""
_SENSOR_BREAK, _LOOP_BREAK = 1 << 5, 1 << 6


class Register(IntEnum):
    """Modbus addresses, Eurotherm Series 2000 Communications Handbook, HA026230, chapter 5."""

    PV = 1
    """Process variable, 0.1 degC."""
    TARGET = 2
    """Target setpoint, 0.1 degC."""
    OUTPUT = 3
    """Output level, 0.1 %; can be written in manual mode."""
    WORKING = 5
    """Working setpoint, 0.1 degC: what the ramp has reached."""
    RATE = 35
    """Setpoint rate limit, 0.1 degC/min; 0 for none."""
    STATUS = 75
    """Summary of status: bit 5 sensor break, bit 6 loop break."""
    MANUAL = 273
    """0 automatic, 1 manual."""


class ModbusHeater(InstrumentDevice):
    """A heater: movable (`bps.mv(heater, 80)`), readable (`temperature`, `setpoint`, degC).

    A move is done when the temperature has stayed within `tolerance` of the setpoint for `dwell` of lab time. It is
    looked at when it may have arrived by its ramp and speed, once in 1 s to 60 s of lab time.
    `stop()` ends the waiting and leaves the controller at its setpoint, since Bluesky calls it after success
    too; `safe_state()` turns the heating off.

    Args:
        address: `tcp://host:port/unit`; unit 1 when left out.
        name: name of the device.
        clock: lab time.
        timeout: wall seconds to connect, and for one exchange.
        low: lowest setpoint, degC.
        high: highest setpoint, degC.
        tolerance: degC either side of the setpoint.
        dwell: lab seconds within the tolerance.
        ramp: of the setpoint, degC/min; 0 for none.
        settle_time: lab seconds a move may take after its ramp has ended.
        safe_temperature: setpoint of the safe state, degC.
        heartbeat: wall seconds of silence after which the controller is asked for its status, so that one with a
            communications time-out does not take its driver for dead; none by default.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "set": Effect.ABSOLUTE,
        "setpoint": Effect.ABSOLUTE,
        "ramp": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        low: str | float = 0.0,
        high: str | float = 150.0,
        tolerance: str | float = 0.5,
        dwell: str | float = 30.0,
        ramp: str | float = 0.0,
        settle_time: str | float = 1800.0,
        safe_temperature: str | float = 20.0,
        heartbeat: str | float | None = None,
    ) -> None:
        given = HeaterOptions.read(low, high, safe_temperature, tolerance, dwell, settle_time, ramp)
        self.low, self.high, self.safe_temperature = given.low, given.high, given.safe_temperature
        self.tolerance, self.dwell = given.tolerance, given.dwell
        """degC either side of the setpoint; lab seconds."""
        self._settle_time, self._ramp = given.settle_time, given.ramp
        self.link = ModbusLink(address, lambda: self.name, timeout)
        self._stopped: bool | None = None
        self._woken: asyncio.Event | None = None
        self._add_signals()
        super().__init__(
            name, clock, Heartbeat(heartbeat, lambda: self.link.read(Register.STATUS), lambda: self.link.asked_at)
        )

    def _add_signals(self) -> None:
        source = f"modbus://{self.link.address}".replace("tcp://", "")
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.temperature = link_signal_r(
                float, f"{source}/{Register.PV}", self._get_temperature, unit="degC", precision=1
            )
            """Process variable, degC; asking raises a fault when the sensor is broken."""
        with self.add_children_as_readables(StandardReadableFormat.UNCACHED_SIGNAL):
            self.setpoint = link_signal_rw(
                float,
                f"{source}/{Register.TARGET}",
                self._get_setpoint,
                self.write_setpoint,
                check=self.check_value,
                unit="degC",
                precision=1,
            )
            """Target setpoint, degC; setting it does not wait."""
        with self.add_children_as_readables(StandardReadableFormat.CONFIG_SIGNAL):
            self.ramp = link_signal_rw(
                float,
                f"{source}/{Register.RATE}",
                self._get_ramp,
                self._put_ramp,
                check=self._check_ramp,
                unit="K/min",
            )
            """Setpoint rate limit, degC/min; 0 for none."""
        self.output = link_signal_r(float, f"{source}/{Register.OUTPUT}", self._get_output, unit="percent")
        """Output level, percent of full power."""

    async def begin(self) -> None:
        """Check that the controller answers with a sound sensor, and write the ramp if it differs."""
        await self._get_temperature()
        if await self._get_ramp() != self._ramp:
            await self._put_ramp(self._ramp)

    async def leave(self) -> None:
        """Close the connection; the controller goes on by itself."""
        await self.link.close()

    def check_value(self, value: float) -> None:
        """Raise `LimitError` when `value` (degC) is outside the limits; nothing is sent."""
        check_limits(self.name or "temperature", value, "degC", self.low, self.high)

    @AsyncStatus.wrap
    async def set(self, value: float, timeout: float | None = None) -> None:
        """Go to `value` degC; done when it is there and has stayed.

        Args:
            value: degC.
            timeout: lab seconds; by default twice the ramp, the dwell and `settle_time`.

        Raises:
            LimitError: out of limits; nothing was sent.
            Fault: the controller failed, or the temperature did not get there.
        """
        await self.go_to(value, timeout)

    async def go_to(self, value: float, timeout: float | None = None) -> None:
        """What `set` does, as a coroutine."""
        self.check_value(value)
        self._stopped = None
        start = await self._get_temperature()
        ramp = await self._get_ramp()
        await self.write_setpoint(value)
        travel = 2 * 60 * abs(value - start) / ramp if ramp else 0.0
        limit = travel + self.dwell + self._settle_time if timeout is None else timeout
        await self._settle(value, limit, ramp)

    async def stop(self, success: bool = True) -> None:
        """End a wait under way; the controller holds its setpoint and goes on heating."""
        self._end_wait(success)

    def _end_wait(self, success: bool) -> None:
        self._stopped = success
        if self._woken is not None:
            self._woken.set()

    async def pause_unless_stopped(self, seconds: float) -> None:
        """Wait for `seconds` of lab time, or until `stop` or `safe_state` ends it."""
        self._woken = asyncio.Event()
        waits = [asyncio.ensure_future(wait) for wait in (self.poll_pause(seconds), self._woken.wait())]
        try:
            if self._stopped is None:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._woken = None
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def locate(self) -> Location[float]:
        """Setpoint and temperature, degC."""
        return {"setpoint": await self._get_setpoint(), "readback": await self._get_temperature()}

    async def safe_state(self) -> None:
        """Output off in manual mode, setpoint at `safe_temperature`; read back to confirm.

        Raises:
            UnsafeState: the controller did not confirm.
        """
        self._end_wait(False)
        last: Fault | None = None
        for _ in range(2):
            try:
                return await self._switch_off()
            except Fault as error:
                last = error
        raise UnsafeState(
            self.name,
            f"{self.link.address}: heating off was not confirmed ({last}); switch the heater off by hand",
        ) from last

    async def _switch_off(self) -> None:
        await self.link.write(Register.MANUAL, 1)
        await self.link.write(Register.OUTPUT, 0)
        await self.link.write(Register.TARGET, round(self.safe_temperature * SCALE))
        (manual,) = await self.link.read(Register.MANUAL)
        target, output = await self.link.read(Register.TARGET, 2)
        if (manual, target, output) != (1, round(self.safe_temperature * SCALE), 0):
            raise self.link.fault(
                f"it reports manual mode {manual}, setpoint {target / SCALE:g} degC, output {output / SCALE:g} %"
            )

    async def write_setpoint(self, value: float) -> None:
        """Write the target setpoint (degC), switch to automatic, and read both back."""
        self.check_value(value)
        wanted = round(value * SCALE)
        await self.link.write(Register.TARGET, wanted)
        await self.link.write(Register.MANUAL, 0)
        (target,), (manual,) = await self.link.read(Register.TARGET), await self.link.read(Register.MANUAL)
        if (target, manual) != (wanted, 0):
            raise self.link.fault(
                f"did not take the setpoint {value:g} degC: it reports {target / SCALE:g} degC, "
                f"manual mode {manual}; check the limits set in the controller"
            )

    async def _settle(self, value: float, limit: float, ramp: float) -> None:
        start = self.clock.now()
        # Two wall seconds more, for a busy computer.
        end = start + limit + 2 * self.clock.speed
        pace = Pace(self.tolerance, ramp, start)
        inside: float | None = None
        while True:
            temperature = await self._get_temperature()
            now = self.clock.now()
            if self._stopped is not None:
                if self._stopped:
                    return
                raise self.link.fault(
                    f"was stopped at {temperature:g} degC on the way to {value:g} degC; "
                    "the controller keeps its setpoint"
                )
            inside = (now if inside is None else inside) if abs(temperature - value) <= self.tolerance else None
            if inside is not None and now - inside >= self.dwell:
                return
            if now > end:
                raise self.link.fault(
                    f"did not stay within {self.tolerance:g} degC of {value:g} degC for {self.dwell:g} s: it is at "
                    f"{temperature:g} degC after {limit:g} s; check heater, sensor and ramp"
                )
            left = pace.pause(now, abs(temperature - value)) if inside is None else inside + self.dwell - now
            await self.pause_unless_stopped(max(SHORTEST, min(left, LONGEST, end - now)))

    async def _get_temperature(self) -> float:
        (status,) = await self.link.read(Register.STATUS)
        if status & (_SENSOR_BREAK | _LOOP_BREAK):
            part = "its sensor" if status & _SENSOR_BREAK else "its heater or loop"
            raise self.link.fault(f"the controller reports that {part} is broken (status {status:#06x})")
        return await self._read(Register.PV)

    async def _get_setpoint(self) -> float:
        return await self._read(Register.TARGET)

    async def _get_output(self) -> float:
        return await self._read(Register.OUTPUT)

    async def _get_ramp(self) -> float:
        return await self._read(Register.RATE)

    def _check_ramp(self, value: float) -> None:
        check_limits(self.ramp.name or "ramp", value, "degC/min", 0, 3000)

    async def _put_ramp(self, value: float) -> None:
        await self.link.write(Register.RATE, round(value * SCALE))

    async def _read(self, register: Register) -> float:
        return (await self.link.read(register))[0] / SCALE

    def stop_exchanges(self) -> list[StopExchange]:
        """What switches the heating off, for `sdl stop`: as `safe_state`, and read back."""
        target = round(self.safe_temperature * SCALE)
        return modbus_stop(
            self.link.address,
            [(Register.MANUAL, 1), (Register.OUTPUT, 0), (Register.TARGET, target)],
            [(Register.MANUAL, [1]), (Register.TARGET, [target, 0])],
        )
