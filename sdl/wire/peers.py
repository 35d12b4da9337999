"""Requests and replies between two processes: a ROUTER that answers, DEALERs that ask, one msgpack frame a message.

CURVE keys where it goes beyond this machine. What goes wrong while a connection is made is known only to ZeroMQ; its
monitors tell, and `Monitor` says it in words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import parse_monitor_message

from sdl.wire._address import Address
from sdl.wire._codec import WireError, pack, unpack
from sdl.wire._codec import _check_json as check_json
from sdl.wire._sockets import _bind, _client_socket, _server_socket
from sdl.wire.keys import ClientKeys, ServerKeys

__all__ = ["Answerer", "Asker", "Monitor", "bind_answerer", "check_json", "connect_asker", "pack", "unpack"]

_log = logging.getLogger(__name__)

_HANDSHAKE_MS: Final = 2000
_HIGH_WATER: Final = 1000
_EVENTS: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_CONNECT_RETRIED
)
_FAILURES: Final = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "protocol",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshake",
    zmq.EVENT_CONNECT_RETRIED: "nobody",
}


class Monitor:
    """What ZeroMQ says about the connections of one socket."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._of = socket
        self.socket: zmq.Socket[bytes] = socket.get_monitor_socket(_EVENTS)
        """Readable when there is news."""

    def news(self) -> Iterator[str]:
        """What has happened since the last call.

        Yields:
            `connected`; `key`: the answering side does not know the asker's key; `protocol`: the two sides do not speak
            the same, as when one has keys and the other has none, or the asker has the key of another answerer;
            `handshake`: the other side broke off; `nobody`: no connection.
        """
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = int(parse_monitor_message(frames)["event"])
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                yield "connected"
            elif event in _FAILURES:
                yield _FAILURES[zmq.Event(event)]

    def close(self) -> None:
        """Stop listening; before the socket itself is closed. Twice is once."""
        if not self.socket.closed:
            self._of.disable_monitor()
            self.socket.close(0)


@dataclass
class Answerer:
    """A ROUTER, bound."""

    context: zmq.Context[zmq.Socket[bytes]]
    socket: zmq.Socket[bytes]
    monitor: Monitor
    address: str
    """`tcp://HOST:PORT` as askers need it."""
    authenticator: ThreadAuthenticator | None

    def close(self) -> None:
        """Close it, giving what was sent half a second to leave."""
        self.monitor.close()
        self.socket.close(500)
        if self.authenticator is not None:
            self.authenticator.stop()
        self.context.term()


@dataclass
class Asker:
    """A DEALER, connecting in the background."""

    context: zmq.Context[zmq.Socket[bytes]]
    socket: zmq.Socket[bytes]
    monitor: Monitor

    def close(self) -> None:
        """Drop the connection and what waits for it."""
        self.monitor.close()
        self.socket.close(0)
        self.context.term()


class _AllowList:
    """The credentials provider that pyzmq's authenticator asks, in its own thread."""

    def __init__(self, clients: frozenset[bytes], on_stranger: Callable[[str], None]) -> None:
        self._clients, self._on_stranger = clients, on_stranger

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the client with this public key (Z85) may connect."""
        if key in self._clients:
            return True
        self._on_stranger(key.decode("ascii", "replace"))
        return False


def bind_answerer(
    address: str, keys: ServerKeys | None, limit: int, on_stranger: Callable[[str], None] = lambda key: None
) -> Answerer:
    """Bind a ROUTER.

    Args:
        address: `tcp://HOST:PORT`; port 0 takes a free one.
        keys: CURVE keys; without them only this machine may connect.
        limit: of a message, bytes.
        on_stranger: called with the public key (Z85) of whoever was refused; in a thread of its own.

    Raises:
        WireError: the address is malformed, taken, or reachable from outside without keys.
    """
    where = _parsed(address)
    if keys is None and not where.loopback:
        raise WireError(
            f"{address} can be reached from other machines, and without CURVE keys anybody there could give orders to "
            "the instruments. Make keys with `sdl keys new` and give them with --key and --clients, or listen on "
            "tcp://127.0.0.1:PORT"
        )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator: ThreadAuthenticator | None = None
    try:
        if keys is not None and keys.clients is not None:
            authenticator = ThreadAuthenticator(context)
            authenticator.start()
            provider = _AllowList(keys.clients, on_stranger)
            authenticator.configure_curve_callback(domain="*", credentials_provider=provider)
        socket = _server_socket(context, zmq.ROUTER, where, keys, limit)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5000)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        monitor = Monitor(socket)
        port = _bind(socket, where.feed_url)
    except BaseException:
        if authenticator is not None:
            authenticator.stop()
        context.destroy(linger=0)
        raise
    return Answerer(context, socket, monitor, f"tcp://{where.reachable().host}:{port}", authenticator)


def connect_asker(address: str, keys: ClientKeys | None, limit: int) -> Asker:
    """Connect a DEALER.

    Args:
        address: `tcp://HOST:PORT`.
        keys: CURVE keys, where the other side has some.
        limit: of a message, bytes.

    Raises:
        WireError: the address is malformed.
    """
    where = _parsed(address)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = _client_socket(context, zmq.DEALER, where, keys, limit)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        monitor = Monitor(socket)
        socket.connect(where.feed_url)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise WireError(f"cannot connect to {address}: {error.strerror}") from error
    return Asker(context, socket, monitor)


def _parsed(address: str) -> Address:
    if "," in address:
        raise WireError(f"{address!r} has two ports; write tcp://HOST:PORT, such as tcp://127.0.0.1:5600")
    try:
        return Address.parse(address)
    except WireError as error:
        raise WireError(f"{address!r} cannot be used; write tcp://HOST:PORT, such as tcp://127.0.0.1:5600") from error
