"""A worker: one station of a lab in a process of its own, serving a coordinator over ZeroMQ."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.asyncio

from sdl.lab.interlocks import Trip, interlocks_of
from sdl.lab.labfile import Lab
from sdl.lab.opening import OpenLab, connect_lab
from sdl.model import InputError
from sdl.plugins import suggest
from sdl.wire import ServerKeys, WireError
from sdl.wire.peers import Answerer, bind_answerer
from sdl.worker import _messages as m
from sdl.worker._bench import Bench
from sdl.worker._complaints import Complaints
from sdl.worker._desk import Desk
from sdl.worker._recovery import close_interrupted
from sdl.worker._spool import Spool
from sdl.worker._watch import own_interlocks, watching

__all__ = ["DEAD_MAN", "Serving", "serve_station"]

_log = logging.getLogger("sdl.worker")

DEAD_MAN: Final = 30.0
"""Wall seconds without a coordinator after which an idle station is made safe."""
_LOOK_S: Final = 0.25
_ENDED, _ABORTED = 0, 4


@dataclass(frozen=True)
class Serving:
    """What a worker serves, and where."""

    lab: Lab
    station: str
    listen: str
    """`tcp://HOST:PORT`; port 0 takes a free one."""
    spool: Path
    keys: ServerKeys | None = None
    """CURVE keys and the clients that may connect; without them only this machine may."""
    dead_man: float = DEAD_MAN
    """Wall seconds without a coordinator after which an idle station is made safe."""


async def serve_station(serving: Serving, ready: Callable[[str], None], stop: asyncio.Future[str]) -> int:
    """Serve a station until `stop` has a result, which says why.

    A step that is running then is given up, and the station made safe. What an earlier worker left open in the spool is
    closed first, and the station is made safe before the first order is taken.

    Args:
        serving: what and where.
        ready: called with the address once orders are taken.
        stop: its result is the reason.

    Returns:
        Exit status: 0, or 4 when a step was given up or a device did not confirm its safe state.

    Raises:
        InputError: the lab has no such station.
        WireError: the address cannot be used.
        WorkerError: the spool is in use, or another station's.
        JournalError: the spool cannot be used.
        SdlError: the station's devices cannot be connected.
    """
    stations = serving.lab.spec.stations
    if serving.station not in stations:
        hint = suggest(serving.station, list(stations))
        raise InputError(f"{serving.lab.file.name} has no station {serving.station!r}{hint}")
    async with contextlib.AsyncExitStack() as stack:
        complaints = Complaints()

        def refused(key: str) -> None:
            complaints.say(
                f"refused a client whose public key {key} is not among those allowed; if it may give orders to station "
                f"{serving.station!r}, put its .key file into the folder of --clients and start the worker again"
            )

        gate = bind_answerer(serving.listen, serving.keys, m.REQUEST_BYTES, refused)
        stack.callback(gate.close)
        holder = f"{socket.gethostname()}:{os.getpid()}"
        spool = await asyncio.to_thread(Spool, serving.spool, serving.station, holder)
        stack.callback(spool.close)
        found = await close_interrupted(spool)
        for sentence in found:
            _log.warning("%s: an earlier worker ended in the middle", sentence)
        opened = await stack.enter_async_context(connect_lab(serving.lab, [serving.station]))
        worker = _Worker(serving, spool, opened, gate, complaints)
        own = own_interlocks(serving.lab, serving.station)
        await worker.bench.bind(interlocks_of(own.spec, own.file))
        with watching(serving.lab, opened, serving.station, worker.on_trip) as tripped:
            worker.bench.tripped = tripped
            return await worker.serve(ready, stop)


class _Worker:
    """What runs while a worker serves."""

    def __init__(self, serving: Serving, spool: Spool, opened: OpenLab, gate: Answerer, complaints: Complaints) -> None:
        self._serving, self._gate, self._complaints = serving, gate, complaints
        self._loop = asyncio.get_running_loop()
        station = opened.stations[serving.station]
        self.bench = Bench(serving.lab, station, self._step_ended)
        self._socket: Any = zmq.asyncio.Socket.from_socket(gate.socket)
        digest = hashlib.sha256(serving.lab.file.text.encode()).hexdigest()
        lab = (str(serving.lab.file.path), digest)
        self._desk = Desk(spool, self.bench, opened, lab, serving.dead_man, self._send, complaints.say)
        self._trips: set[asyncio.Task[None]] = set()
        self._safe_at = 0.0
        """When the station was last made safe since nobody was heard; monotonic seconds."""

    async def serve(self, ready: Callable[[str], None], stop: asyncio.Future[str]) -> int:
        """Take orders until `stop`; return the exit status."""
        await self.bench.make_safe(None, "restart")
        tasks: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(work) for work in (self._receive(), self._tell(), self._look())
        ]
        try:
            ready(self._gate.address)
            await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return await self._end(stop.result())
        except BaseException:
            await self.bench.abort("the worker cannot go on", "interrupted", "its worker failed; look at what it wrote")
            await self.bench.make_safe(self._desk.chain, "aborted")
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._trips, return_exceptions=True)
            self._gate.monitor.close()
            self._socket.close(500)

    async def _end(self, reason: str) -> int:
        self.bench.stopped = f"the worker of station {self._serving.station!r} is ending ({reason})"
        step = self.bench.running
        async with self._desk.quiet:
            message = f"its worker was stopped during this step ({reason})"
            aborted = await self.bench.abort(reason, "interrupted", message)
        if aborted and step is not None:
            _log.warning("gave up step %r of trial %d: %s", step.step, step.trial, reason)
        states = await self.bench.make_safe(self._desk.chain, "ended")
        await self._desk.goodbye()
        return _ABORTED if aborted or any(said != "safe" for said in states.values()) else _ENDED

    # ── messages ──

    async def _receive(self) -> None:
        while True:
            frames = await self._socket.recv_multipart()
            if len(frames) != 2:
                continue
            peer, data = frames
            try:
                request = m.decode_request(data)
            except WireError as error:
                self._complaints.say(f"a message was refused: {error}")
                await self._send(peer, m.Refused(id=m.request_id(data), code="malformed", message=str(error)))
                continue
            await self._desk.take(peer, request)

    async def _send(self, peer: bytes, reply: m.Reply) -> None:
        try:
            data = m.encode(reply, m.REPLY_BYTES)
        except WireError as error:
            data = m.encode(m.Refused(id=reply.id, code="error", message=str(error)), m.REPLY_BYTES)
        # A peer that does not read loses the reply, and asks again when it is back.
        with contextlib.suppress(zmq.ZMQError):
            await self._socket.send_multipart([peer, data])

    async def _tell(self) -> None:
        """Hand out new entries as they come."""
        while True:
            await self._desk.news.wait()
            self._desk.news.clear()
            await self._desk.give_entries()

    def _step_ended(self) -> None:
        self._desk.news.set()

    # ── looking after the station ──

    async def _look(self) -> None:
        """Every now and then: who tried to connect, who waits for nothing, and whether anybody is still there."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for news in self._gate.monitor.news():
                if news in ("protocol", "handshake"):
                    self._complaints.say(
                        "a client could not connect: it has no CURVE keys where this worker has some (or the other way "
                        "about), or it has the public key of another worker; give it this worker's .key file"
                    )
            await self._desk.give_entries()
            self._desk.miss()
            await self._dead_man()

    async def _dead_man(self) -> None:
        silent = time.monotonic() - self._desk.heard
        if self._safe_at > self._desk.heard or silent < self._serving.dead_man or self.bench.running is not None:
            return
        async with self._desk.quiet:
            if self.bench.running is None:
                self._safe_at = time.monotonic()
                if self._desk.chain is not None:
                    _log.warning("no word from a coordinator for %.0f s: the station is made safe", silent)
                    await self.bench.make_safe(self._desk.chain, "deadman")

    def on_trip(self, trips: list[Trip]) -> None:
        """Interlocks are violated; called in the watchdog's thread."""
        self._loop.call_soon_threadsafe(self._tripped, trips)

    def _tripped(self, trips: list[Trip]) -> None:
        task = asyncio.ensure_future(self._stop_for(trips))
        self._trips.add(task)
        task.add_done_callback(self._trips.discard)

    async def _stop_for(self, trips: list[Trip]) -> None:
        text = "; ".join(trip.text for trip in trips)
        self.bench.note_trips(self._desk.chain, trips)
        await self.bench.abort(text, "aborted", text)
        await self.bench.make_safe(self._desk.chain, "interlock")
