"""Peers that are not ours: Bluesky's own dispatcher, and rogues that send garbage."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import event_model
import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdl.wire import Publisher, Watcher, load_document
from sdl.wire._frames import DOCUMENT_NAMES

Publish = Callable[..., Publisher]
Watch = Callable[..., Watcher]


def test_document_names_are_those_of_event_model() -> None:
    """Every document name Bluesky knows is published, and none that would end its dispatcher."""
    assert {name.name for name in event_model.DocumentNames} == DOCUMENT_NAMES


def test_bluesky_remote_dispatcher(ledger: Any, publish: Publish, watch: Watch) -> None:
    """Bluesky's RemoteDispatcher, strict, gets each document equal and in order, entries and beats not hurting it."""
    from bluesky.callbacks.zmq import RemoteDispatcher

    publisher = publish()
    watch(publisher.address)
    documents = [
        ("start", {"uid": "a b  c", "time": 1.5}),
        ("event", {"data": {"x": [32, 32, 8224]}, "seq_num": 1}),
    ]
    documents += [("stop", {"uid": " ", "exit_status": "success"})]
    loop = asyncio.new_event_loop()
    dispatcher = RemoteDispatcher(
        ("127.0.0.1", publisher.feed_port),
        prefix=b"document",
        deserializer=load_document,
        strict=True,
        loop=loop,
    )
    received: list[tuple[str, dict[str, Any]]] = []

    def receive(name: str, document: dict[str, Any]) -> None:
        received.append((name, document))
        if len(received) == len(documents):
            loop.call_later(1.2, dispatcher._task.cancel)  # long enough for a beat to pass

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            dispatcher.start()

    dispatcher.subscribe(receive)
    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 5
    while not (publisher._feed.documents and publisher._feed.entries) and time.monotonic() < until:
        time.sleep(0.01)
    for name, document in documents:
        publisher.publish(ledger.append("document", trial=1, step="mix", attempt=1, name=name, doc=document))
        publisher.publish(ledger.append("step.done", trial=1))
    publisher.publish(ledger.append("document", trial=1, name="no such name", doc={}))
    thread.join(10)
    assert not thread.is_alive()
    assert received == documents


class Rogue:
    """A publisher of whatever it is told, and a desk that answers whatever it is told."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.feed = self.context.socket(zmq.XPUB)
        self.desk = self.context.socket(zmq.ROUTER)
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in (self.feed, self.desk)]
        self.address = f"tcp://127.0.0.1:{ports[0]},{ports[1]}"

    def close(self) -> None:
        """Stop."""
        self.context.destroy(linger=0)


@pytest.fixture
def rogue(nothing_left: None) -> Iterator[Rogue]:
    """A rogue publisher."""
    made = Rogue()
    yield made
    made.close()


_payloads = st.binary(max_size=60) | st.lists(
    st.none() | st.booleans() | st.integers(2, 2**63) | st.text(max_size=5) | st.lists(st.binary(max_size=9)),
    max_size=9,
).map(msgpack.packb)
_frames = st.tuples(st.sampled_from([b"entry ", b"beat ", b"bye ", b"entry 1 ", b"beat 9 ", b"bye 7 "]), _payloads)


def test_a_rogue_publisher_does_not_break_a_watcher(rogue: Rogue, watch: Watch) -> None:
    """Garbage on the feed and as replies is counted and left out; the watcher goes on."""
    watcher = watch(rogue.address)
    watcher.poll(0.1)
    for _ in range(3):
        assert rogue.feed.poll(3000)
        rogue.feed.recv()
    assert rogue.desk.poll(3000)
    peer, _request = rogue.desk.recv_multipart()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_frames, _payloads)
    def send(frame: tuple[bytes, bytes], reply: bytes) -> None:
        rogue.feed.send(b"".join(frame))
        rogue.desk.send_multipart([peer, reply])
        assert watcher.poll(0) == []

    send()
    assert watcher.poll(0.5) == []
    assert watcher.discarded > 50
    assert not watcher.ended


def test_a_boast_does_not_make_a_watcher_spin(rogue: Rogue, watch: Watch) -> None:
    """A publisher that announces entries it does not have is asked about once a beat, not without end."""
    watcher = watch(rogue.address, patience=9)
    watcher.poll(0.1)
    for _ in range(3):
        assert rogue.feed.poll(3000)
        rogue.feed.recv()
    asked = 0
    rogue.feed.send(b"beat 99 " + msgpack.packb([1, "c", "e", 99]))
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        watcher.poll(0.01)
        while rogue.desk.poll(0):
            peer, request = rogue.desk.recv_multipart()
            asked += 1
            number = msgpack.unpackb(request)[1]
            rogue.desk.send_multipart([peer, msgpack.packb([1, number, "c", "", True, []])])
    assert 1 <= asked <= 4


def test_a_rogue_client_does_not_break_the_publisher(ledger: Any, publish: Publish, watch: Watch, collect: Any) -> None:
    """Garbage requests, subscriptions and raw bytes leave the publisher serving those who speak properly."""
    ledger.extend(5)
    publisher = publish()
    feed, history = publisher.address.removeprefix("tcp://127.0.0.1:").split(",")
    context: zmq.Context[Any] = zmq.Context()
    try:
        asker, subscriber = context.socket(zmq.DEALER), context.socket(zmq.XSUB)
        asker.connect(f"tcp://127.0.0.1:{history}")
        subscriber.connect(f"tcp://127.0.0.1:{feed}")

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(_payloads, min_size=1, max_size=3), st.binary(max_size=40))
        def send(request: list[bytes], subscription: bytes) -> None:
            asker.send_multipart(request)
            for first in (b"", b"\x00", b"\x01"):
                subscriber.send(first + subscription)

        send()
        asker.send(b"x" * 100_000)  # above the limit for requests: the connection is dropped
        for port in (feed, history):
            with socket.create_connection(("127.0.0.1", int(port))) as raw:
                raw.sendall(b"GET / HTTP/1.0\r\n\r\n" + bytes(range(256)) * 10)
        watcher = watch(publisher.address)
        assert collect(watcher, 5) == [1, 2, 3, 4, 5]
        publisher.publish(ledger.append())
        assert collect(watcher, 1) == [6]
    finally:
        context.destroy(linger=0)
