"""Clients that are no operators of the lab: what the allow-list says of them, and what they get over real sockets."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq

from sdl.model import SdlError
from sdl.wire import ClientKeys, Page, Publisher, ServerKeys, Watcher, WireError, decode_entry, generate_keys
from sdl.wire._frames import Request, read_reply, request_frame
from sdl.wire.peers import bind_answerer

Publish = Callable[..., Publisher]
Watch = Callable[..., Watcher]

ROLES = "# who only looks\nhana: shared:Hana\ndisplay: public\n"


@pytest.fixture
def server(tmp_path: Path) -> ServerKeys:
    """A server that knows an operator, `alice`, and two others."""
    _, secret = generate_keys(tmp_path, "lab")
    folder = tmp_path / "allowed"
    folder.mkdir()
    for name in ("alice", "hana", "display"):
        shutil.copy(generate_keys(tmp_path, name)[0], folder)
    (folder / "roles.yaml").write_text(ROLES)
    return ServerKeys.load(secret, folder)


def _client(folder: Path, name: str) -> ClientKeys:
    return ClientKeys.load(folder / f"{name}.key_secret", folder / "lab.key")


def _socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, keys: ClientKeys) -> zmq.Socket[bytes]:
    """A socket that is not ours, with a key."""
    socket = context.socket(kind)
    socket.linger = 0
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = keys.public, keys.secret, keys.server
    return socket


class Odd:
    """Shows every second entry, numbered anew, without its body; `hush` makes it refuse."""

    def __init__(self, ledger: Any, role: str) -> None:
        self.ledger, self.role = ledger, role
        self.hush = self.part = ""
        self.asked: list[int] = []

    def page(self, after: int, limit: int) -> Page:
        """The entries."""
        self.asked.append(after)
        if self.hush:
            raise SdlError(self.hush)
        odd = [entry._replace(body={}, hash="", prev_hash="") for entry in self.ledger.entries[::2]]
        found = [entry._replace(seq=number) for number, entry in enumerate(odd, 1)][after:]
        return Page(found[:limit], len(found) > limit, self.part or "metadata")


@pytest.fixture
def views(ledger: Any) -> dict[str, Odd]:
    """What each role sees."""
    return {role: Odd(ledger, role) for role in ("shared:Hana", "public")}


@pytest.fixture
def publisher(publish: Publish, server: ServerKeys, views: dict[str, Odd]) -> Publisher:
    """Serves the ledger to operators and `views` to others."""
    return publish(keys=server, views=views.__getitem__, page=7)


# ── the allow-list ──


def test_a_folder_without_roles_is_all_operators(server: ServerKeys, tmp_path: Path) -> None:
    """Without `roles.yaml` whoever is on the list is an operator; with it those that it names are not."""
    assert len(server.clients or ()) == 1
    assert sorted(server.roles.values()) == ["public", "shared:Hana"]
    (tmp_path / "allowed" / "roles.yaml").unlink()
    keys = ServerKeys.load(tmp_path / "lab.key_secret", tmp_path / "allowed")
    assert (len(keys.clients or ()), keys.roles) == (3, {})


def test_a_line_for_the_rest(server: ServerKeys, tmp_path: Path) -> None:
    """`*` is for every key that has no line; a key that is there twice has the role that sees less."""
    folder = tmp_path / "allowed"
    (folder / "roles.yaml").write_text('"*": public\nalice: operator\n')
    keys = ServerKeys.load(tmp_path / "lab.key_secret", folder)
    assert keys.clients == server.clients
    assert set(keys.roles.values()) == {"public"}
    (folder / "roles.yaml").write_text("again: public\n")
    shutil.copy(folder / "alice.key", folder / "again.key")
    twice = ServerKeys.load(tmp_path / "lab.key_secret", folder)
    assert list(twice.roles) == list(server.clients or ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hanna: public\n", "there is no hanna.key .*; did you mean 'hana'"),
        ("hana: publik\n", "hana: 'publik' is no role; write operator, public or shared:NAME"),
        ("hana: 'shared:'\n", "is no role"),
        ("hana: 7\n", "is no role"),
        ("- hana\n", "has no lines such as"),
        ("hana: [\n", "cannot be read"),
        ("hana: public\nhana: operator\n", "cannot be read"),
    ],
)
def test_a_slip_makes_nobody_an_operator(server: ServerKeys, tmp_path: Path, text: str, says: str) -> None:
    """A name without a key, a role that there is not, and what cannot be read are refused."""
    (tmp_path / "allowed" / "roles.yaml").write_text(text)
    with pytest.raises(WireError, match=says):
        ServerKeys.load(tmp_path / "lab.key_secret", tmp_path / "allowed")


def test_roles_need_something_that_says_what_they_see(ledger: Any, server: ServerKeys) -> None:
    """A publisher that is not told what its roles may see does not start; roles without a list of operators neither."""
    with pytest.raises(WireError, match=r"public, shared:Hana.*nothing says what they may see"):
        Publisher(ledger.campaign, ledger.history, keys=server)
    with pytest.raises(WireError, match="operators have to be listed"):
        ServerKeys(server.public, server.secret, None, server.roles)


def test_a_worker_takes_no_orders_from_them(server: ServerKeys, tmp_path: Path) -> None:
    """A key with a role may follow a feed and nothing else: a socket that takes orders refuses it."""
    strangers: list[str] = []
    answerer = bind_answerer("tcp://127.0.0.1:0", server, 1000, strangers.append)
    context: zmq.Context[Any] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []
    try:
        for name in ("hana", "alice"):
            sockets.append(_socket(context, zmq.DEALER, _client(tmp_path, name)))
            sockets[-1].connect(answerer.address)
            sockets[-1].send(name.encode())
        assert answerer.socket.poll(5000)
        assert answerer.socket.recv_multipart()[1] == b"alice"
        until = time.monotonic() + 5
        while not strangers and time.monotonic() < until:
            time.sleep(0.01)
        assert strangers[0] == _client(tmp_path, "hana").public.decode()
        assert not answerer.socket.poll(100)
    finally:
        context.destroy(linger=0)
        answerer.close()


# ── following ──


def test_each_gets_its_own(
    ledger: Any, publisher: Publisher, views: dict[str, Odd], watch: Watch, collect: Any, tmp_path: Path
) -> None:
    """An operator gets every entry, others what their role sees, page by page and then live, until the goodbye."""
    ledger.extend(30)
    views["public"].part = "data"
    watchers = {name: watch(publisher.address, keys=_client(tmp_path, name)) for name in ("alice", "hana", "display")}
    assert collect(watchers["alice"], 30) == list(range(1, 31))
    for name in ("hana", "display"):
        assert collect(watchers[name], 15) == list(range(1, 16))
        assert watchers[name].poll(0.1) == []
    assert [(w.role, w.part) for w in watchers.values()] == [("", ""), ("shared:Hana", "metadata"), ("public", "data")]
    for entry in ledger.extend(3):
        publisher.publish(entry)
    assert collect(watchers["hana"], 2) == [16, 17]
    assert collect(watchers["alice"], 3) == [31, 32, 33]
    for entry in ledger.extend(2):
        publisher.publish(entry)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(publisher.close)
        seen = list(watchers["hana"])
        closing.result()
    assert [(entry.seq, entry.body, entry.hash) for entry in seen] == [(18, {}, "")]
    assert (watchers["hana"].status, watchers["hana"].missing) == ("closed", 0)
    assert [entry.seq for entry in watchers["alice"]] == [34, 35]


def test_who_waits_is_held_until_the_beat(
    ledger: Any, publisher: Publisher, views: dict[str, Odd], watch: Watch, collect: Any, tmp_path: Path
) -> None:
    """Where nothing is new a request waits at the desk: a follower asks about once a second and stays live."""
    ledger.extend(2)
    watcher = watch(publisher.address, keys=_client(tmp_path, "display"))
    assert collect(watcher, 1) == [1]
    views["public"].asked.clear()
    assert watcher.poll(2.5) == []
    assert watcher.status == "live"
    assert 2 <= len(views["public"].asked) <= 8


def test_a_refusal_is_told(
    ledger: Any, publisher: Publisher, views: dict[str, Odd], watch: Watch, collect: Any, tmp_path: Path
) -> None:
    """Whoever may see nothing, or something else than before, is told so; what breaks inside is not."""
    ledger.extend(4)
    views["public"].hush = "public may not know of this campaign: metadata are closed"
    with pytest.raises(WireError, match=r"127\.0\.0\.1:\d+,\d+: public may not know of this campaign") as refused:
        watch(publisher.address, keys=_client(tmp_path, "display")).poll(5)
    assert ledger.campaign not in str(refused.value)
    watcher = watch(publisher.address, keys=_client(tmp_path, "hana"))
    assert collect(watcher, 2) == [1, 2]
    views["shared:Hana"].part = "data"
    with pytest.raises(WireError, match=r"what shared:Hana may see .* has changed; watch it again"):
        watcher.poll(5)
    views["shared:Hana"].ledger = None
    with pytest.raises(WireError, match="cannot be read at the moment") as broken:
        watch(publisher.address, keys=_client(tmp_path, "hana")).poll(5)
    assert "NoneType" not in str(broken.value)


# ── who asks for more ──


@pytest.fixture
def raw(nothing_left: None, tmp_path: Path) -> Iterator[Callable[..., zmq.Socket[bytes]]]:
    """Sockets of a client that is not ours, with somebody's key."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []  # held, so that they are closed here and not by the collector

    def connect(kind: int, url: str, name: str) -> zmq.Socket[bytes]:
        sockets.append(socket := _socket(context, kind, _client(tmp_path, name)))
        if kind == zmq.SUB:
            for topic in (b"", b"entry ", b"document ", b"beat ", b"bye "):
                socket.setsockopt(zmq.SUBSCRIBE, topic)
        socket.connect(url)
        return socket

    yield connect
    context.destroy(linger=0)


def test_no_topic_gives_them_more(ledger: Any, publisher: Publisher, raw: Any) -> None:
    """A client with a role that subscribes to everything gets no byte of the feed, while an operator does."""
    where = publisher._sockets.address.feed_url
    theirs, operators = raw(zmq.SUB, where, "hana"), raw(zmq.SUB, where, "alice")
    assert operators.poll(5000)  # a beat
    for number in range(20):
        publisher.publish(ledger.append("document", name="event", doc={"secret": number}))
    until = time.monotonic() + 5
    while b"secret" not in operators.recv() and time.monotonic() < until:
        pass
    assert not theirs.poll(1500)


@pytest.mark.parametrize("name", ["hana", "display"])
def test_no_request_gives_them_more(ledger: Any, publisher: Publisher, raw: Any, name: str) -> None:
    """Whatever a client with a role asks for at the desk, it gets its own view: the key decides, not the request."""
    ledger.extend(9)
    asker = raw(zmq.DEALER, publisher._sockets.address.history_url, name)
    for after, limit in ((0, 500), (0, 2**31), (2, 1), (4, 0)):
        asker.send(request_frame(Request(after, after, limit)))
        assert asker.poll(5000)
        reply = read_reply(asker.recv())
        assert reply.role == {"hana": "shared:Hana", "display": "public"}[name]
        assert all(decode_entry(entry).body == {} for entry in reply.entries)
        assert len(reply.entries) <= 5
    asker.send_multipart([b"", request_frame(Request(1, 0, 500))])
    asker.send(request_frame(Request(1, 0, 500)) + b"\x00")
    assert not asker.poll(300)
