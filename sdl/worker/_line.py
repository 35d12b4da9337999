"""One connection to a worker, made anew whenever it is in doubt: messages out, replies in, and why there are none."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import zmq

from sdl.wire import ClientKeys, WireError
from sdl.wire.peers import Asker, connect_asker
from sdl.worker import _messages as m

__all__ = ["Line"]

_log = logging.getLogger("sdl.worker")

_BATCH: Final = 100
_REFUSED: Final = ("key", "protocol", "handshake")
_ADVICE: Final = {
    "key": "it refuses this coordinator's key: put the public .key file into the worker's --clients folder and start "
    "the worker again",
    "protocol": "one side has CURVE keys and the other has none: give the station a `worker_key` in the lab file, and "
    "the worker --key and --clients, or neither",
    "handshake": "it breaks off while the connection is made: `worker_key` is not the public key of the worker that "
    "listens there, or only one side has keys",
    "nobody": "nobody listens there: is the worker running, and the network up?",
}


class Line:
    """Belongs to one thread, but for `wake`."""

    def __init__(self, address: str, keys: ClientKeys | None) -> None:
        """Nothing is connected yet.

        Args:
            address: of the worker.
            keys: CURVE keys, where it has some.
        """
        self.address = address
        self._keys = keys
        self._asker: Asker | None = None
        self._hint = ""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def connect(self) -> None:
        """Drop the connection and make a new one, in the background.

        Raises:
            WireError: the address is malformed.
        """
        self.disconnect()
        self._asker = connect_asker(self.address, self._keys, m.REPLY_BYTES)

    def disconnect(self) -> None:
        """Drop the connection."""
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def close(self) -> None:
        """Drop the connection and what wakes its thread."""
        self.disconnect()
        os.close(self._read)
        os.close(self._write)

    def wake(self) -> None:
        """End a `wait`; from any thread."""
        with suppress(BlockingIOError):
            os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait until something has come in, or somebody wakes this thread.

        Returns:
            Whether the connection has just been made; what was under way on an earlier one is lost.
        """
        assert self._asker is not None
        poller = zmq.Poller()
        for source in (self._read, self._asker.socket, self._asker.monitor.socket):
            poller.register(source, zmq.POLLIN)
        poller.poll(math.ceil(1000 * seconds))
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
        connected = False
        for news in self._asker.monitor.news():
            if news == "connected":
                connected, self._hint = True, ""
            elif news != "nobody" or self._hint not in _REFUSED:
                self._hint = news
        return connected

    def send(self, message: m.Request) -> None:
        """Send a request; what cannot leave is dropped, since it is sent again on the next connection.

        Raises:
            WireError: it is too long, or holds what msgpack cannot.
        """
        assert self._asker is not None
        data = m.encode(message, m.REQUEST_BYTES)
        with suppress(zmq.Again):
            self._asker.socket.send(data, zmq.NOBLOCK)

    def replies(self) -> Iterator[m.Reply]:
        """Replies that have come in on this connection; what is none is dropped with a warning."""
        asker = self._asker
        for _ in range(_BATCH):
            if asker is None or asker is not self._asker:
                return
            try:
                frames = asker.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                yield m.decode_reply(b"".join(frames))
            except WireError as error:
                _log.warning("the worker at %s: %s", self.address, error)

    def advice(self) -> str:
        """Why there may be no answer, and what to do; empty when nothing is known."""
        hint = "protocol" if self._hint == "handshake" and self._keys is None else self._hint
        return _ADVICE.get(hint, "")
