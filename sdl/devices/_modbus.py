"""One Modbus TCP device: registers as signed integers, and every failure a clear `Fault`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from sdl.devices._link import parse_address
from sdl.model import Fault, Refusal

__all__ = ["ModbusLink"]

_REASONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    6: "device busy",
    10: "gateway path unavailable",
    11: "the device behind the gateway does not answer",
}
_NOT_EXECUTED = frozenset({1, 2, 3, 6, 10})
"""Exceptions after which a write is known not to have happened (Modbus Application Protocol 1.1b3, section 7); after 4
the device failed while it wrote, after 11 it is not known what became of the request."""


class ModbusLink:
    """Connection to one unit. Connects at the first request, and again after any failure.

    A request is sent once; repeating it is for the caller to decide.

    Args:
        address: `tcp://host:port/unit`; unit 1 when left out.
        owner: gives the name of the device, for errors.
        timeout: wall seconds to connect, and to answer.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.address = parse_address(address)
        self.timeout = timeout
        self.asked_at = 0.0
        """When something was last sent, or was tried to be: as `time.monotonic()` tells it."""
        self._unit = 1 if self.address.unit is None else self.address.unit
        self._owner = owner
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: AsyncModbusTcpClient | None = None
        self._lost = asyncio.Event()
        self._function = 0
        self._received = b""

    def fault(self, message: str) -> Fault:
        """A `Fault` of the owner that names the address."""
        return Fault(self._owner(), f"{self.address}: {message}")

    async def read(self, register: int, count: int = 1) -> list[int]:
        """Values of `count` holding registers, signed (function 3).

        Raises:
            Fault: no connection, no answer in time, an answer that makes no sense, or a refusal.
        """

        def request(client: AsyncModbusTcpClient) -> Awaitable[ModbusPDU]:
            return client.read_holding_registers(register, count=count, device_id=self._unit)

        reply = await self._exchange(f"reading register {register}", request)
        values = list(reply.registers)
        if len(values) != count:
            self._drop()
            raise self.fault(f"reading register {register}: {len(values)} values came instead of {count}")
        return [value - 0x10000 if value >= 0x8000 else value for value in values]

    async def write(self, register: int, value: int) -> None:
        """Write one holding register (function 6).

        Raises:
            Refusal: the device answered that it does not write this.
            Fault: as for `read`.
        """

        def request(client: AsyncModbusTcpClient) -> Awaitable[ModbusPDU]:
            return client.write_register(register, value & 0xFFFF, device_id=self._unit)

        await self._exchange(f"writing {value} to register {register}", request, writes=True)

    async def close(self) -> None:
        """Close the connection; the next request opens it again, also in another event loop."""
        self._drop()
        self._loop = None

    async def _exchange(
        self, what: str, request: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]], *, writes: bool = False
    ) -> ModbusPDU:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise self.fault("connected in another event loop; close it there and connect it here")
        self._loop = loop
        async with self._lock:
            self.asked_at = time.monotonic()
            try:
                reply = await self._first(request(await self._ready(what)), what)
            except ModbusException as error:
                self._drop()
                raise self.fault(f"{what}: no valid reply within {self.timeout:g} s ({error})") from error
            except BaseException:
                self._drop()
                raise
        if reply.isError():
            code = reply.exception_code
            fault = self.fault(f"{what}: refused with exception {code}, {_REASONS.get(code, 'unknown')}")
            raise Refusal(*fault.__reduce__()[1]) if writes and code in _NOT_EXECUTED else fault
        return reply

    async def _first(self, reply: Awaitable[ModbusPDU], what: str) -> ModbusPDU:
        """The reply, or a fault as soon as the connection is gone: pymodbus itself would wait on."""
        self._received = b""
        answer = asyncio.ensure_future(reply)
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({answer, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                came = self._received.hex(" ")
                raise self.fault(
                    f"{what}: the reply makes no sense; received {came}"
                    if came
                    else f"{what}: connection closed by the instrument"
                )
            return answer.result()
        finally:
            answer.cancel()
            lost.cancel()
            await asyncio.gather(answer, lost, return_exceptions=True)

    async def _ready(self, what: str) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            self._drop()
            self._lost = asyncio.Event()
            self._client = AsyncModbusTcpClient(
                self.address.host,
                port=self.address.port,
                timeout=self.timeout,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._noticed,
                trace_packet=self._inspect,
            )
            if not await self._client.connect():
                raise self.fault(
                    f"{what}: cannot connect within {self.timeout:g} s; check its power, cable and address"
                )
        return self._client

    def _noticed(self, connected: bool) -> None:
        if not connected:
            self._lost.set()

    def _inspect(self, sending: bool, data: bytes) -> bytes:
        # Junk makes pymodbus raise inside the transport, so it is kept away: the frame's protocol number is 0, and
        # its function that of the request, with the top bit set in a refusal.
        if sending:
            self._function = data[7]
            return data
        self._received = data
        if len(data) >= 8 and (data[2:4] != b"\0\0" or data[7] & 0x7F != self._function):
            self._lost.set()
            return b""
        return data

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
