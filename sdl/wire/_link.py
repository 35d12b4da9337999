"""A watcher's connection: raw frames in, history requests out, waiting with or without asyncio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import zmq

from sdl.wire._address import Address
from sdl.wire._frames import Request, request_frame
from sdl.wire._sockets import connect_pair
from sdl.wire.keys import ClientKeys

_BATCH = 1_000


class Link:
    """The two sockets of a watcher. Nothing here blocks but `wait`."""

    def __init__(self, address: Address, keys: ClientKeys | None, high_water: int) -> None:
        self._context, self._feed, self._history = connect_pair(address, keys, high_water)
        self._poller = zmq.Poller()
        self._poller.register(self._feed, zmq.POLLIN)
        self._poller.register(self._history, zmq.POLLIN)

    def live(self) -> Iterator[bytes]:
        """Frames of the live feed that have come in, at most a batch."""
        if self._feed.closed:
            return
        for _ in range(_BATCH):
            try:
                frames = self._feed.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield b"".join(frames)

    def replies(self) -> Iterator[bytes]:
        """History replies that have come in."""
        while True:
            try:
                frames = self._history.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield b"".join(frames)

    def ask(self, request: Request) -> None:
        """Send a history request; one that cannot leave is dropped, since the asker repeats it."""
        try:
            self._history.send(request_frame(request), zmq.NOBLOCK)
        except zmq.Again:
            return

    def leave_feed(self) -> None:
        """Stop trying to subscribe: the publisher answers here alone."""
        self._poller.unregister(self._feed)
        self._feed.close(0)

    def wait(self, seconds: float) -> None:
        """Until something has come in, or `seconds` have passed."""
        self._poller.poll(max(0, math.ceil(seconds * 1000)))

    async def wait_async(self, seconds: float) -> None:
        """The same without blocking the event loop."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        sockets = [socket for socket in (self._feed, self._history) if not socket.closed]
        descriptors = [int(socket.getsockopt(zmq.FD)) for socket in sockets]
        for descriptor in descriptors:
            loop.add_reader(descriptor, arrived.set)
        try:
            # ZeroMQ's descriptor tells of changes only: what came before has to be asked for
            if any(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN for socket in sockets):
                await asyncio.sleep(0)
                return
            async with asyncio.timeout(max(0.0, seconds)):
                await arrived.wait()
        except TimeoutError:
            return
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def close(self) -> None:
        """Drop the connections."""
        self._feed.close(0)
        self._history.close(0)
        self._context.term()
