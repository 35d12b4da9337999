"""ZeroMQ sockets with the limits and keys of the wire, and their orderly end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import zmq
from zmq.auth.thread import ThreadAuthenticator

from sdl.wire._address import Address
from sdl.wire._codec import MAX_BYTES, WireError
from sdl.wire._frames import BEAT, BYE, ENTRY, HEADROOM, REPLY_BYTES, REQUEST_BYTES
from sdl.wire.keys import ClientKeys, ServerKeys

_HANDSHAKE_BYTES = 4096  # largest command a peer sends while it connects, CURVE included, with room
_LINGER_MS = 500
_FEED, _HISTORY = b"sdl-feed", b"sdl-history"  # domains of RFC 27
_Socket = TypeVar("_Socket", bound="zmq.Socket[bytes]")


class _AllowList:
    """The credentials provider that pyzmq's authenticator asks."""

    def __init__(self, clients: frozenset[bytes]) -> None:
        self._clients = clients

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the client with this public key (Z85) may connect."""
        return key in self._clients


@dataclass
class ServerSockets:
    """A publisher's sockets, bound."""

    context: zmq.Context[zmq.Socket[bytes]]
    feed: zmq.Socket[bytes]
    history: zmq.Socket[bytes]
    address: Address
    authenticator: ThreadAuthenticator | None

    def close(self) -> None:
        """Close all, giving what was sent half a second to leave."""
        self.feed.close(_LINGER_MS)
        self.history.close(_LINGER_MS)
        if self.authenticator is not None:
            self.authenticator.stop()
        self.context.term()


def bind_pair(address: Address, keys: ServerKeys | None, high_water: int) -> ServerSockets:
    """Bind the live feed (XPUB) and the history desk (ROUTER).

    Raises:
        WireError: reachable from outside without keys, or the address cannot be bound.
    """
    if keys is None and not address.loopback:
        raise WireError(
            f"{address} can be reached from other machines, and without CURVE keys anybody there could read "
            "the campaign. Make keys with `sdl keys new` and give them, or publish on tcp://127.0.0.1:0"
        )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator = None
    try:
        authenticator = _authenticate(context, keys)
        feed = _server_socket(context, zmq.XPUB, address, keys, _HANDSHAKE_BYTES, _FEED)
        feed.setsockopt(zmq.SNDHWM, high_water)
        history = _server_socket(context, zmq.ROUTER, address, keys, max(REQUEST_BYTES, _HANDSHAKE_BYTES), _HISTORY)
        # a watcher has one request under way; one that asks and never reads must not pile up pages here
        history.setsockopt(zmq.SNDHWM, 4)
        bound = replace(address, feed=_bind(feed, address.feed_url), history=_bind(history, address.history_url))
    except BaseException:
        if authenticator is not None:
            authenticator.stop()
        context.destroy(linger=0)
        raise
    return ServerSockets(context, feed, history, bound, authenticator)


def _authenticate(context: zmq.Context[zmq.Socket[bytes]], keys: ServerKeys | None) -> ThreadAuthenticator | None:
    if keys is None or keys.clients is None:
        return None
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    # What is published goes to every subscriber of a topic alike, so only operators may connect to the feed at all.
    # At the desk each request comes with its key.
    everyone = keys.clients | keys.roles.keys()
    for domain, clients in ((_FEED, keys.clients), (_HISTORY, everyone)):
        authenticator.configure_curve_callback(domain.decode(), credentials_provider=_AllowList(clients))
    return authenticator


def _server_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    address: Address,
    keys: ServerKeys | None,
    limit: int,
    domain: bytes = b"",
) -> zmq.Socket[bytes]:
    """A socket that listens; `domain`: what the authenticator is asked about."""
    socket = context.socket(kind)
    if keys is not None and keys.clients is not None and domain:
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.MAXMSGSIZE, limit)
    socket.setsockopt(zmq.IPV6, int(address.ipv6))
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    return socket


def _bind(socket: zmq.Socket[bytes], url: str) -> int:
    try:
        socket.bind(url)
    except zmq.ZMQError as error:
        raise WireError(
            f"cannot publish on {url}: {error.strerror}. Choose another port, or port 0 for a free one"
        ) from error
    endpoint: bytes = socket.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
    return int(endpoint.decode().rstrip("\0").rpartition(":")[2])


def connect_pair(
    address: Address, keys: ClientKeys | None, high_water: int
) -> tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes], zmq.Socket[bytes]]:
    """A context, a subscribed SUB and a DEALER, both connecting in the background.

    Raises:
        WireError: ZeroMQ refuses the address.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        feed = _client_socket(context, zmq.SUB, address, keys, MAX_BYTES + HEADROOM)
        feed.setsockopt(zmq.RCVHWM, high_water)
        for kind in (ENTRY, BEAT, BYE):
            feed.setsockopt(zmq.SUBSCRIBE, kind)
        feed.connect(address.feed_url)
        history = _client_socket(context, zmq.DEALER, address, keys, REPLY_BYTES)
        history.setsockopt(zmq.SNDHWM, 4)
        history.connect(address.history_url)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise WireError(f"cannot watch {address}: {error.strerror}") from error
    return context, feed, history


def _client_socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, address: Address, keys: ClientKeys | None, limit: int
) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.MAXMSGSIZE, limit)
    socket.setsockopt(zmq.IPV6, int(address.ipv6))
    socket.setsockopt(zmq.LINGER, 0)
    # a connection whose other end vanished without closing it is dropped and made again
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    return socket
