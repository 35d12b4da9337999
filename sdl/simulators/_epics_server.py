"""A Channel Access server on loopback, made of caproto's, that can fail on purpose and lives in virtual time too.

What differs from `caproto.asyncio.server.Context.run`: it listens on one explicit port of 127.0.0.1, answers searches
there and sends no beacons; a get that comes while a put is under way is answered at once instead of after a
millisecond, which in virtual time might never pass; and it can be stopped.

Protocol: Channel Access Protocol Specification 4.13, https://docs.epics-controls.org (CA protocol).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

import caproto as ca
from caproto.asyncio.server import Context, Event, VirtualCircuit
from caproto.asyncio.utils import _TransportWrapper

from sdl.simulators._faults import FaultKind, Probe

__all__ = ["CaServer"]

_JUNK = b"\xff\x00\x15~garbage~\x7f\x00\r\n\x03" * 4
_ASKING = (ca.ReadNotifyRequest, ca.ReadRequest, ca.WriteNotifyRequest, ca.WriteRequest)
_PUTS = (ca.WriteNotifyRequest, ca.WriteRequest)


class _Written(Event):  # type: ignore[misc]
    """Whether no put is under way. Nobody waits for that; a put that has come before begins first."""

    async def wait(self, timeout: float | None = None) -> bool:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return bool(self.is_set())


class _Circuit(VirtualCircuit):  # type: ignore[misc]
    """One client's connection."""

    context: _Context

    def __init__(self, circuit: Any, client: Any, context: Any) -> None:
        super().__init__(circuit, client, context)
        self.write_event = _Written()
        self._lost: set[int] = set()
        """Numbers of requests whose answers get lost."""

    async def get_from_sub_queue(self, timeout: float | None = None) -> Any:
        """Of updates those that are there; more are waited for only when there is no hurry."""
        if timeout is None:
            return await self.subscription_queue.get()
        with contextlib.suppress(asyncio.QueueEmpty):
            return self.subscription_queue.get_nowait()
        return None

    async def _process_command(self, command: Any) -> Any:
        fault = self.context.probe.faults.strike() if isinstance(command, _ASKING) else None
        match fault:
            case FaultKind.HANG:
                return []
            case FaultKind.CUT:
                self.context.cut_all()
                return []
            case FaultKind.GARBAGE:
                await self.client.send(_JUNK)
                return []
            case FaultKind.REFUSE:
                return [self._refusal(command)]
            case FaultKind.LOSE:
                self._lost.add(command.ioid)
        return await super()._process_command(command)

    def _refusal(self, command: Any) -> Any:
        put = isinstance(command, _PUTS)
        return ca.ErrorResponse(
            command,
            self.circuit.channels_sid[command.sid].cid,
            status=ca.CAStatus.ECA_PUTFAIL if put else ca.CAStatus.ECA_GETFAIL,
            error_message="refused",
        )

    async def send(self, *commands: Any) -> None:
        kept = []
        for command in commands:
            if isinstance(command, ca.ReadNotifyResponse | ca.WriteNotifyResponse) and command.ioid in self._lost:
                self._lost.discard(command.ioid)
            else:
                kept.append(command)
        await super().send(*kept)


class _Context(Context):  # type: ignore[misc]
    """What the clients have in common."""

    CircuitClass = _Circuit

    def __init__(self, fields: Mapping[str, Any], probe: Probe, port: int) -> None:
        super().__init__(dict(fields), ["127.0.0.1"])
        self.probe = probe
        self.port = self.ca_server_port = port

    def cut_all(self) -> None:
        """Close every connection at once, without a word."""
        for circuit in list(self.circuits):
            circuit.client.writer.transport.abort()


class CaServer:
    """Serves process variables.

    Args:
        probe: faults and log. `refuse` answers gets and puts with the protocol's error, `hang` takes them and does
            nothing, `lose` does what is asked and keeps silent, `garbage` answers with bytes that are no message, and
            `cut` closes every connection, and new ones at once, as an IOC that has gone. What `stuck` means is the
            record's business. Connecting and monitoring are not hit, apart from `cut`.
        port: 0 lets the system choose, once.
    """

    def __init__(self, probe: Probe, *, port: int = 0) -> None:
        self._probe, self._port = probe, port
        self._listening: socket.socket | None = None
        self._context: _Context | None = None
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._serving: set[asyncio.Task[Any]] = set()

    def listen(self) -> int:
        """Take a port of 127.0.0.1, for connections and searches, and return it."""
        # asyncio sends small messages at once only on sockets that say that they are TCP.
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        return self._port

    async def serve(self, fields: Mapping[str, Any]) -> None:
        """Begin to answer.

        Args:
            fields: name → field.
        """
        self._context = context = _Context(fields, self._probe, self._port)
        self._server = await asyncio.start_server(self._serve, sock=self._listening)
        await context._create_broadcaster_transport("127.0.0.1")
        loops = (context.broadcaster_receive_loop, context.broadcaster_queue_loop, context.subscription_queue_loop)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def stop(self) -> None:
        """Close the port and every connection. Harmless when not started."""
        server, self._server = self._server, None
        if server is None or self._context is None:
            return
        server.close()
        for circuit in list(self._context.circuits):
            circuit.client.close()
        for transport in self._context.udp_socks.values():
            transport.close()
        for task in self._serving:
            task.cancel()
        ending = [*self._tasks, *self._serving]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._context is not None
        if self._probe.faults.unreachable:
            writer.transport.abort()
            return
        transport = _TransportWrapper(reader, writer)
        circuit = _Circuit(ca.VirtualCircuit(ca.SERVER, transport.getpeername(), None), transport, self._context)
        self._serving.add(task)
        self._context.circuits.add(circuit)
        try:
            await circuit.run()
            with contextlib.suppress(Exception):  # whatever a client sends, the others are served
                while True:
                    await circuit.recv()
        except asyncio.CancelledError:
            pass
        finally:
            await self._end(circuit)
            writer.transport.abort()
            self._serving.discard(task)

    async def _end(self, circuit: _Circuit) -> None:
        assert self._context is not None
        self._context.circuits.discard(circuit)
        left = list(circuit.tasks.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await circuit._on_disconnect()
