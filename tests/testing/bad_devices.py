"""Drivers with one flaw each, for which the kit has to find just that."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, ClassVar

from ophyd_async.core import AsyncStatus

from sdl.devices.modbus_heater import ModbusHeater, Register
from sdl.devices.ne1000 import Ne1000Pump
from sdl.devices.soft import SoftDetector
from sdl.devices.tabulated import TabulatedInstrument
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.protocols import ActionRecord, Effect, Receipt, Verdict
from sdl.virtual import VirtualLoop

SOCKETS: list[socket.socket] = []


class Undeclared(SoftDetector):
    """Does not say what setting its value does."""

    effects: ClassVar[Any] = {"trigger": Effect.READ}


class Sleeper(SoftDetector):
    """Waits in real time; on virtual time, where that is the flaw, for long."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        time.sleep(1.0 if isinstance(asyncio.get_running_loop(), VirtualLoop) else 0.05)


class SocketLeak(SoftDetector):
    """Opens a socket at each connection and keeps it."""

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        await super().connect(*args, **kwargs)
        SOCKETS.append(socket.socket())


class TaskLeak(SoftDetector):
    """Begins a task and forgets it."""

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        await super().connect(*args, **kwargs)
        self._forgotten = asyncio.create_task(asyncio.Event().wait())


class Unclosable(SoftDetector):
    """Can be closed once."""

    _closed = False

    async def close(self) -> None:
        if self._closed:
            raise RuntimeError("closed already")
        self._closed = True


class Reshaped(SoftDetector):
    """Reads another type of value than it describes."""

    async def read(self) -> Any:
        return {key: {**reading, "value": [reading["value"]] * 2} for key, reading in (await super().read()).items()}


class Informal(SoftDetector):
    """Describes a type that event-model does not know."""

    async def describe(self) -> Any:
        return {key: {**value, "dtype": "float"} for key, value in (await super().describe()).items()}


class Promising(SoftDetector):
    """Describes more than it reads."""

    async def describe(self) -> Any:
        keys = await super().describe()
        return {**keys, f"{self.name}-more": next(iter(keys.values()))}


class Unsafe(SoftDetector):
    """Confirms its safe state once."""

    _asked = 0

    async def safe_state(self) -> None:
        self._asked += 1
        if self._asked > 1:
            raise UnsafeState(self.name, "not again")


class Boundless(ModbusHeater):
    """Knows its limits, and sends whatever it is set to."""

    @AsyncStatus.wrap
    async def set(self, value: float, timeout: float | None = None) -> None:
        await self.link.write(Register.TARGET, round(10 * value))


class Patient(ModbusHeater):
    """Waits for the output for ever when the instrument keeps silent."""

    async def _get_output(self) -> float:
        try:
            return await super()._get_output()
        except Fault as error:
            if "no valid reply" in str(error):
                await asyncio.Event().wait()
            raise


class Sulking(ModbusHeater):
    """Works no more once a connection was cut."""

    _cut = False

    async def _get_temperature(self) -> float:
        if self._cut:
            raise self.link.fault("the connection is gone")
        try:
            return await super()._get_temperature()
        except Fault as error:
            self._cut = "closed" in str(error)
            raise


class Nameless(ModbusHeater):
    """Does not say where it failed."""

    async def _get_temperature(self) -> float:
        try:
            return await super()._get_temperature()
        except Fault as error:
            raise Fault(self.name, "something is wrong") from error


class Optimist(ModbusHeater):
    """Says that it is safe though nobody confirmed it."""

    async def safe_state(self) -> None:
        with contextlib.suppress(UnsafeState):
            await super().safe_state()


class Meddler(ModbusHeater):
    """Writes when it is attached."""

    async def attach(self) -> None:
        await super().attach()
        await self.link.write(Register.RATE, 10)


class Quitter(ModbusHeater):
    """Turns the heating off when it is told to stop after success."""

    async def stop(self, success: bool = True) -> None:
        await self.safe_state()


class Mumbling(ModbusHeater):
    """The reply that is to confirm its stop never comes."""

    def stop_exchanges(self) -> list[StopExchange]:
        return [exchange._replace(confirms=exchange.confirms and "NEVER") for exchange in super().stop_exchanges()]


class Braggart(Ne1000Pump):
    """Says that everything was done."""

    async def receipt(self, action: ActionRecord) -> Receipt:
        return Receipt(Verdict.DONE, "of course")


class Forgetful(Ne1000Pump):
    """Says that nothing was done."""

    async def receipt(self, action: ActionRecord) -> Receipt:
        return Receipt(Verdict.NOT_DONE, "not that I knew")


class Unarmed(Ne1000Pump):
    """Declares that it arms, and acts before it does."""

    async def armed(self, delivery: Any) -> Any:
        evidence = await super().armed(delivery)
        self._begun = await super().start(delivery)
        return evidence

    async def start(self, delivery: Any) -> Any:
        return self._begun


class Repeating(TabulatedInstrument):
    """Declares that the instrument remembers its actions, and does not tell it their ids."""

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        await self._link.command("INIT")
        await self._ended()
