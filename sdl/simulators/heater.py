"""Simulated process controller with Eurotherm's register map: pymodbus' server behind a port with faults."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from enum import IntEnum

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from sdl.devices.modbus_heater import SCALE, Register
from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._heater_loop import FirstOrderPlant, ThermalPlant, loop_for
from sdl.simulators._server import InstrumentServer

__all__ = ["FirstOrderPlant", "HeaterServer", "ThermalPlant"]

_HEADER = 7
_BUSY = 6


class HeaterServer(InstrumentServer):
    """One controller. Requests pass through to pymodbus' server unless a fault hits them.

    Args:
        probe: faults and log; `stuck` means that the power does not reach the plant.
        clock: lab time.
        plant: what is heated; a `FirstOrderPlant` by default, around which the controller is worked out when it is
            asked, while it is run every lab second around a plant of another kind.
        low: lowest setpoint that the controller takes, degC; a write outside is refused with exception 3.
        high: highest, degC.
        max_ramp: the working setpoint never moves faster, degC/min, whatever the rate register says; 0 for no limit.
        safe_temperature: setpoint of the safe state, degC; the nearest there is within the limits.
        unit: Modbus unit that answers.
        port: 0 lets the system choose.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which it turns its heating off; None for never.
        closed: time constant wanted of the closed loop, s; that of the loop by default.
    """

    registers: type[IntEnum] = Register
    """Those that the controller has."""

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        plant: ThermalPlant | None = None,
        *,
        low: float = 0.0,
        high: float = 300.0,
        max_ramp: float = 0.0,
        safe_temperature: float = 20.0,
        unit: int = 1,
        port: int = 0,
        latency: float = 0.0,
        deadman: float | None = None,
        closed: float | None = None,
    ) -> None:
        super().__init__(probe, port=port, latency=latency, deadman=deadman)
        self.loop = loop_for(plant or FirstOrderPlant(clock), clock, closed=closed, max_rate=max_ramp)
        self.sensor_break = False
        """Set it to break the sensor."""
        self._clock, self._low, self._high, self._unit = clock, low, high, unit
        self._safe_temperature = min(max(safe_temperature, low), high)
        self._modbus: ModbusTcpServer | None = None
        self._upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        probe.faults.on_change.append(self._tick)

    async def start(self) -> str:
        """Start the control loop, pymodbus' server and the port; return `tcp://127.0.0.1:port/unit`."""
        registers = [SimData(register, datatype=DataType.REGISTERS) for register in self.registers]
        self._modbus = ModbusTcpServer(
            SimDevice(self._unit, registers, action=self._on_access), address=("127.0.0.1", 0)
        )
        await self._modbus.serve_forever(background=True)
        listening = self._modbus.transport
        assert isinstance(listening, asyncio.Server)
        inner = listening.sockets[0].getsockname()[1]
        self._upstream = await asyncio.open_connection("127.0.0.1", inner)
        if self.loop.ticks:
            self._ticking = asyncio.create_task(self._regulate())
        return f"{await super().start()}/{self._unit}"

    async def stop(self) -> None:
        """Close everything. Harmless when not started."""
        await super().stop()
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            self._ticking = None
        if self._upstream is not None:
            writer = self._upstream[1]
            self._upstream = None
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        if self._modbus is not None:
            await self._modbus.shutdown()  # type: ignore[no-untyped-call]
            self._modbus = None

    async def make_safe(self) -> None:
        """Manual mode, no output, and a setpoint that does not heat once somebody switches to automatic."""
        self._tick()
        for register, value in (
            (Register.MANUAL, 1),
            (Register.OUTPUT, 0),
            (Register.TARGET, round(self._safe_temperature * SCALE)),
        ):
            self._write(register, value)

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        return await _frame(reader)

    async def answer(self, request: bytes) -> bytes | None:
        if self._upstream is None or request[6] != self._unit:
            return None
        self.renew(request)
        reader, writer = self._upstream
        async with self._lock:
            writer.write(request)
            await writer.drain()
            return await _frame(reader)

    def refusal(self, request: bytes) -> bytes:
        """Exception 6, device busy, with the header of the request."""
        return request[:4] + b"\x00\x03" + request[6:7] + bytes([request[7] | 0x80, _BUSY])

    def garbage(self, request: bytes) -> bytes:
        """The right header, and a function that was not asked for."""
        return request[:4] + b"\x00\x05" + request[6:7] + b"\x7e\x7e\x7e\x7e"

    async def _on_access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        self._tick()
        if values is None:
            for register, value in self._held().items():
                current[register - start] = value & 0xFFFF
            return None
        signed = {address + i: value - 0x10000 if value >= 0x8000 else value for i, value in enumerate(values)}
        # All are looked at before the first is written: what is refused changes nothing.
        refused = next((fault for fault in itertools.starmap(self._refuses, signed.items()) if fault), None)
        if refused is None:
            for written in signed.items():
                self._write(*written)
        return refused

    def _held(self) -> Mapping[int, int]:
        """What the registers hold, signed."""
        loop = self.loop
        return {
            Register.PV: round(loop.plant.temperature() * SCALE),
            Register.TARGET: round(loop.target * SCALE),
            Register.OUTPUT: round(loop.output * 100 * SCALE),
            Register.WORKING: round(loop.working * SCALE),
            Register.RATE: round(loop.rate * SCALE),
            Register.STATUS: (1 << 5 if self.sensor_break else 0) | (1 << 4 if loop.manual else 0),
            Register.MANUAL: int(loop.manual),
        }

    def _refuses(self, register: int, value: int) -> ExcCodes | None:
        allowed = self._allowed(value)
        if register not in allowed:
            return ExcCodes.ILLEGAL_ADDRESS
        return None if allowed[register] else ExcCodes.ILLEGAL_VALUE

    def _allowed(self, value: int) -> Mapping[int, bool]:
        """Registers that can be written, and whether with this value."""
        return {
            Register.TARGET: self._low <= value / SCALE <= self._high,
            Register.OUTPUT: self.loop.manual and 0 <= value <= 100 * SCALE,
            Register.RATE: value >= 0,
            Register.MANUAL: value in (0, 1),
        }

    def _write(self, register: int, value: int) -> None:
        self._take(register, value)
        self.probe.record("write", register=self.registers(register).name.lower(), value=value)
        self._tick()

    def _take(self, register: int, value: int) -> None:
        """Do what writing a register does."""
        loop = self.loop
        if register == Register.TARGET:
            loop.retarget(value / SCALE)
        elif register == Register.OUTPUT:
            loop.output = value / (100 * SCALE)
        elif register == Register.RATE:
            loop.rate = value / SCALE
        else:
            loop.manual = bool(value)

    def _tick(self) -> None:
        self.loop.step(heating=not self.probe.faults.stuck)

    async def _regulate(self) -> None:
        while True:
            await asyncio.sleep(max(1.0 / self._clock.speed, 0.01))
            self._tick()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One Modbus TCP frame: seven bytes of header, whose fifth and sixth count what follows them."""
    header = await reader.readexactly(_HEADER)
    length = int.from_bytes(header[4:6], "big") - 1
    if length < 1:  # no frame: the connection is closed, as when it ends amid one
        raise asyncio.IncompleteReadError(header, None)
    return header + await reader.readexactly(length)
