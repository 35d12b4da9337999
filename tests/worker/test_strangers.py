"""Peers that may not, and messages that are none."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from support import wait_until
from support.mutations import mutated_bytes

from sdl.wire import ClientKeys, WireError, generate_keys
from sdl.wire.peers import bind_answerer
from sdl.worker import WorkerLost
from sdl.worker import _messages as m
from worker.rig import Coordinator, Worker, check_run

Start = Callable[..., Worker]
Make = Callable[..., Coordinator]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Keys of a worker, and of three clients; the folder `allowed` has two of them."""
    folder = tmp_path / "keys"
    for name in ("bench", "alice", "bob", "mallory", "other"):
        generate_keys(folder, name)
    (folder / "allowed").mkdir()
    for name in ("alice", "bob"):
        shutil.copy(folder / f"{name}.key", folder / "allowed")
    return folder


def client(keys: Path, name: str, server: str = "bench") -> ClientKeys:
    """Keys of a client."""
    return ClientKeys.load(keys / f"{name}.key_secret", keys / f"{server}.key")


async def test_only_those_on_the_list(workers: Start, coordinators: Make, lab: Path, keys: Path) -> None:
    """Clients on the list give orders; a stranger, a wrong worker's key and no key at all are refused on both sides."""
    worker = workers(lab, "--key", str(keys / "bench.key_secret"), "--clients", str(keys / "allowed"))
    for epoch, name in enumerate(("alice", "bob"), 1):
        coordinator = coordinators(lab, epoch=epoch)
        station = await coordinator.station(worker.address, client(keys, name))
        await coordinator.run(station, trial=epoch)
        await station.close()
    with pytest.raises(WorkerLost, match=r"refuses this coordinator's key: put the public \.key file into"):
        await coordinators(lab, epoch=5).station(worker.address, client(keys, "mallory"))
    mallory = client(keys, "mallory").public.decode()
    said = wait_until(lambda: [line for line in worker.process.err.splitlines() if mallory in line], 5, "the refusal")
    assert "is not among those allowed" in said[0]
    assert len(said) == 1
    with pytest.raises(WorkerLost, match="not the public key of the worker that listens there"):
        await coordinators(lab, epoch=5).station(worker.address, client(keys, "alice", "other"))
    with pytest.raises(WorkerLost, match="one side has CURVE keys and the other has none"):
        await coordinators(lab, epoch=5).station(worker.address)
    wait_until(lambda: "a client could not connect: it has no CURVE keys" in worker.process.err, 5, "the complaint")
    assert "epoch 5" not in worker.process.err
    coordinator = coordinators(lab, epoch=6)
    await coordinator.run(await coordinator.station(worker.address, client(keys, "alice")), trial=9)


async def test_keys_for_a_worker_without(workers: Start, coordinators: Make, lab: Path, keys: Path) -> None:
    """A coordinator with keys does not talk to a worker without any."""
    worker = workers(lab)
    with pytest.raises(WorkerLost, match=r"one side has CURVE keys and the other has none|only one side has keys"):
        await coordinators(lab).station(worker.address, client(keys, "alice"))


def test_without_keys_only_this_machine() -> None:
    """An address that others can reach is refused without keys, with what to do."""
    for address in ("tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0"):
        with pytest.raises(WireError, match=r"anybody there could give orders.*sdl keys.*--key and --clients"):
            bind_answerer(address, None, 1000)
    with pytest.raises(WireError, match="two ports"):
        bind_answerer("tcp://127.0.0.1:1,2", None, 1000)


class Stranger:
    """Somebody who talks to a worker without the coordinator's care."""

    def __init__(self, address: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(address)

    def send(self, *frames: bytes) -> None:
        """Send frames as one message."""
        self._socket.send_multipart(list(frames))

    def reply(self, seconds: float = 5.0) -> m.Reply:
        """The next reply."""
        assert self._socket.poll(int(seconds * 1000)), "no reply"
        return m.decode_reply(self._socket.recv())

    def replies(self) -> list[m.Reply]:
        """What has come in."""
        found = []
        while self._socket.poll(100):
            found.append(m.decode_reply(self._socket.recv()))
        return found

    def close(self) -> None:
        """Leave."""
        self._socket.close(0)
        self._context.term()


def requests(digest: str) -> list[m.Request]:
    """One of each kind."""
    session: dict[str, Any] = {"id": 7, "session": "0123456789abcdef"}
    return [
        m.Hello(
            id=7, station="bench", campaign="camp", holder="x", epoch=1, lab_file="lab.yaml", lab_sha256=digest,
            after=0, spool="", doubts=[],
        ),
        m.Ping(**session),
        m.Bye(**session),
        m.RunStep(
            **session, campaign="camp", epoch=1, trial=99, step="quick", attempt=1, procedure="press",
            parameters={"x": 5.0}, metadata={"a": [1, {"b": None}]}, actions=[],
        ),
        m.AskStep(**session, trial=1, step="quick", attempt=1),
        m.Abort(**session, reason="x"),
        m.MakeSafe(**session),
        m.AskReceipt(**session, action={"id": "a"}),
        m.AskIdentities(**session),
        m.Block(**session, action={"id": "a"}),
        m.Unblock(**session, action="a"),
        m.Entries(**session, after=0, wait=0.0),
    ]  # fmt: skip


async def test_mutated_messages(workers: Start, coordinators: Make, lab: Path) -> None:
    """400 damaged messages: each is refused in words or dropped, and the coordinator notices nothing of it."""
    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    step = asyncio.ensure_future(coordinator.run(station, "long"))
    rng = random.Random(11)
    digest = coordinator.lab.as_json()["sha256"]
    # Of a station that is not there, so that a mutant which says hello does not take the orders over.
    whole = [
        m.encode(r.model_copy(update={"station": "b"} if r.kind == "hello" else {}), m.REQUEST_BYTES)
        for r in requests(digest)
    ]
    stranger = Stranger(worker.address)
    try:
        for number in range(400):
            stranger.send(mutated_bytes(whole[number % len(whole)], rng))
            if number % 20 == 0:
                await asyncio.sleep(0.01)
        stranger.send(b"", b"")
        stranger.send(b"a", b"b", b"c")
        replies = await asyncio.to_thread(stranger.replies)
    finally:
        stranger.close()
    assert len(replies) > 350
    assert {type(reply) for reply in replies} == {m.Refused}
    assert all(reply.message for reply in replies if isinstance(reply, m.Refused))
    assert {reply.code for reply in replies if isinstance(reply, m.Refused)} <= {
        "malformed",
        "session",
        "station",
        "lab",
    }
    await asyncio.wait_for(step, 20)
    check_run(coordinator, 60)
    assert worker.ledger == ["press 5", "pressed 5"]
    assert coordinator.lost == []
    assert worker.process.err.count("a message was refused") <= 60


async def test_no_orders_without_a_session(workers: Start, lab: Path, coordinators: Make) -> None:
    """Whatever asks for something without a hello, or with an old session, is told so, and nothing happens."""
    worker, coordinator = workers(lab), coordinators(lab)
    digest = coordinator.lab.as_json()["sha256"]
    stranger = Stranger(worker.address)
    try:
        for request in requests(digest)[1:]:
            stranger.send(m.encode(request, m.REQUEST_BYTES))
            reply = await asyncio.to_thread(stranger.reply)
            assert isinstance(reply, m.Refused)
            assert (reply.id, reply.code) == (7, "session")
        hello = m.encode(requests(digest)[0], m.REQUEST_BYTES)
        stranger.send(hello)
        first = await asyncio.to_thread(stranger.reply)
        stranger.send(hello)
        second = await asyncio.to_thread(stranger.reply)
        assert isinstance(first, m.Welcome)
        assert isinstance(second, m.Welcome)
        order = requests(digest)[3]
        stranger.send(m.encode(order.model_copy(update={"session": first.session}), m.REQUEST_BYTES))
        reply = await asyncio.to_thread(stranger.reply)
        assert isinstance(reply, m.Refused)
        assert reply.code == "session"
        await asyncio.sleep(m.SESSION_S + 0.2)  # an order that was held up for long is not taken either
        stranger.send(m.encode(order.model_copy(update={"session": second.session}), m.REQUEST_BYTES))
        reply = await asyncio.to_thread(stranger.reply)
        assert isinstance(reply, m.Refused)
        assert reply.code == "session"
    finally:
        stranger.close()
    assert worker.ledger == []


async def test_messages_that_are_too_large(workers: Start, coordinators: Make, lab: Path) -> None:
    """A request above 1 MiB ends its connection and nothing else; an order that large is refused before it is sent."""
    from sdl.worker import WorkerRefused

    worker, coordinator = workers(lab), coordinators(lab)
    station = await coordinator.station(worker.address)
    stranger = Stranger(worker.address)
    try:
        stranger.send(b"x" * (m.REQUEST_BYTES + 1))
        assert await asyncio.to_thread(stranger.replies) == []
    finally:
        stranger.close()
    with pytest.raises(WorkerRefused, match="the limit is 1048576 bytes"):
        await coordinator.run(station, metadata={"text": "x" * m.REQUEST_BYTES})
    await coordinator.run(station)


def test_replies_are_checked_too() -> None:
    """500 damaged replies: the coordinator's end takes each for a reply or refuses it in words."""
    rng = random.Random(5)
    answer = m.Answer(trial=1, step="s", attempt=1, outcome="done", runs=["a"])
    whole = [
        m.encode(reply, m.REPLY_BYTES)
        for reply in (
            m.Pong(id=1, last=5, running=m.Running(campaign="c", trial=1, step="s", attempt=1), trouble=""),
            m.StepKnown(id=2, state="answered", answer=answer, number=7),
            m.Batch(id=3, entries=[[1000000001, 1, 5, "document", "{}", "0" * 64, "1" * 64]]),
            m.SafeStates(id=4, devices={"a": "safe"}),
            m.Identities(id=5, devices={"a": {"said": "ACME,S,1,2", "serial": "1"}}),
        )
    ]
    refused = 0
    for number in range(500):
        try:
            m.decode_reply(mutated_bytes(whole[number % len(whole)], rng))
        except WireError as error:
            refused += bool(str(error))
    assert refused > 250
