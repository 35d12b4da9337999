"""Publisher and watchers over real sockets on loopback."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import pytest

from sdl.journal import Entry
from sdl.wire import Publisher, Watcher, WireError, follow

Publish = Callable[..., Publisher]
Watch = Callable[..., Watcher]
Collect = Callable[..., list[int]]


def _range(count: int, start: int = 1) -> list[int]:
    return list(range(start, start + count))


def test_late_join_sees_everything_in_order(ledger: Any, publish: Publish, watch: Watch, collect: Collect) -> None:
    """A watcher that joins late gets all pages of history, then what happens live, equal to what was recorded."""
    ledger.extend(30)
    publisher = publish(page=7)
    watcher = watch(publisher.address)
    found = watcher.poll(5)
    for entry in ledger.extend(20):
        publisher.publish(entry)
    seqs = [entry.seq for entry in found] + collect(watcher, 50 - len(found))
    assert seqs == _range(50)
    assert found == ledger.entries[: len(found)]
    assert (watcher.status, watcher.campaign) == ("live", ledger.campaign)


def test_after(ledger: Any, publish: Publish, watch: Watch, collect: Collect) -> None:
    """A watcher that has entries up to 25 gets 26 and on."""
    ledger.extend(30)
    assert collect(watch(publish().address, after=25), 5) == [26, 27, 28, 29, 30]


def test_two_watchers_while_the_campaign_runs(ledger: Any, publish: Publish, watch: Watch, collect: Collect) -> None:
    """Two watchers, one joining in the middle, both get every entry once."""
    publisher = publish()
    first = watch(publisher.address)
    for entry in ledger.extend(300):
        publisher.publish(entry)
    second = watch(publisher.address)
    for entry in ledger.extend(300):
        publisher.publish(entry)
    assert collect(first, 600) == _range(600)
    assert collect(second, 600) == _range(600)


def test_lost_messages_are_filled_from_history(ledger: Any, publish: Publish, watch: Watch, collect: Collect) -> None:
    """With room for next to no live message most are lost, and the watcher still gets each entry once, in order."""
    asked: list[int] = []

    def history(after: int) -> Iterable[Entry]:
        asked.append(after)
        return ledger.history(after)

    ledger.extend(1)
    publisher = publish(high_water=1, backlog=5, history=history)
    watcher = watch(publisher.address, high_water=1)
    assert collect(watcher, 1) == [1]
    asked.clear()
    for entry in ledger.extend(3000):
        publisher.publish(entry)
    assert collect(watcher, 3000) == _range(3000, 2)
    assert asked


def test_a_lost_last_message_is_noticed_by_the_next_beat(
    ledger: Any, publish: Publish, watch: Watch, collect: Collect
) -> None:
    """When nothing follows a lost message, the beat tells of it."""
    ledger.extend(1)
    publisher = publish()
    watcher = watch(publisher.address)
    assert collect(watcher, 1) == [1]
    ledger.extend(1)
    publisher._last = 2  # as `publish` leaves it when the entry is then dropped on its way
    assert collect(watcher, 1, 3) == [2]


def test_goodbye_ends_the_watcher(ledger: Any, publish: Publish, watch: Watch) -> None:
    """A publisher that closes says so: iteration ends, complete, with status `closed`."""
    publisher = publish()
    watcher = watch(publisher.address)
    watcher.poll(1)
    for entry in ledger.extend(50):
        publisher.publish(entry)
    publisher.close()
    assert [entry.seq for entry in watcher] == _range(50)
    assert (watcher.status, watcher.missing) == ("closed", 0)
    publisher.publish(ledger.append())  # after the end: left out, no error


def test_a_watcher_that_slept_through_the_goodbye_knows_what_it_lacks(
    ledger: Any, publish: Publish, watch: Watch
) -> None:
    """When the publisher is gone before history could be asked for, `missing` says how many entries are lacking."""
    publisher = publish()
    watcher = watch(publisher.address)
    watcher.poll(1)
    ledger.extend(7)
    publisher._last = 7  # as when all seven were dropped on their way
    publisher.close()
    assert list(watcher) == []
    assert (watcher.status, watcher.missing) == ("closed", 7)


async def test_asyncio(ledger: Any, publish: Publish, watch: Watch) -> None:
    """`async for` gives the same, and the event loop stays free meanwhile."""
    ledger.extend(10)
    publisher = publish()
    watcher = watch(publisher.address)
    seqs: list[int] = []

    async def consume() -> None:
        async for entry in watcher:
            seqs.append(entry.seq)

    task = asyncio.create_task(consume())
    for _ in range(20):
        await asyncio.sleep(0.02)
        publisher.publish(ledger.append())
    await asyncio.to_thread(publisher.close)
    await asyncio.wait_for(task, 10)
    assert seqs == _range(30)
    assert watcher.status == "closed"


def test_breaking_off_loses_nothing(ledger: Any, publish: Publish, watch: Watch) -> None:
    """A loop left in the middle goes on with the next entry."""
    ledger.extend(10)
    watcher = watch(publish().address)
    assert [entry.seq for entry in islice(watcher, 4)] == [1, 2, 3, 4]
    assert [entry.seq for entry in islice(watcher, 6)] == [5, 6, 7, 8, 9, 10]


def test_follow_reads_the_store_itself(ledger: Any, publish: Publish) -> None:
    """With the store at hand history does not pass over the wire, and live entries still come."""

    def refuse(after: int) -> Iterable[Entry]:
        raise AssertionError("history was asked for over the wire")

    ledger.extend(1200)
    publisher = publish(history=refuse)
    with follow(ledger.history, publisher.address) as watcher:
        seqs: list[int] = []
        while len(seqs) < 1200:
            seqs += [entry.seq for entry in watcher.poll(1)]
        watcher.poll(1.1)
        publisher.publish(ledger.append())
        seqs += [entry.seq for entry in watcher.poll(3)]
        publisher.close()
        seqs += [entry.seq for entry in watcher]
        assert seqs == _range(1201)
        assert watcher.status == "closed"


def test_follow_without_a_publisher_gives_the_store_and_ends(ledger: Any, publish: Publish) -> None:
    """When nobody publishes, what the store has comes first, then `lost`."""
    publisher = publish()
    publisher.close()
    ledger.extend(5)
    with follow(ledger.history, publisher.address, patience=0.4) as watcher:
        assert [entry.seq for entry in watcher] == _range(5)
        assert watcher.status == "lost"


def test_unreadable_history_is_an_error_of_the_watcher_only(
    ledger: Any, publish: Publish, watch: Watch, collect: Collect
) -> None:
    """When the store cannot be read, the watcher says why; the publisher lives on and serves when it can."""
    broken = [True]

    def history(after: int) -> Iterable[Entry]:
        if broken[0]:
            raise OSError("disk is gone")
        return ledger.history(after)

    ledger.extend(3)
    publisher = publish(history=history)
    watcher = watch(publisher.address)
    with pytest.raises(WireError, match="history after entry 0 cannot be read: disk is gone"):
        watcher.poll(5)
    broken[0] = False
    assert collect(watcher, 3) == [1, 2, 3]


_CHILD = """
import sys, time
from sdl.journal import Entry
from sdl.wire import Publisher
entries = [Entry("c", n, n, "k", {}, str(n - 1), str(n)) for n in range(1, 6)]
publisher = Publisher("c", lambda after: entries[after:], address=sys.argv[1])
publisher.publish(entries[-1])
print(publisher.address, flush=True)
time.sleep(60)
"""


def _start_child(address: str) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, address], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def _kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_a_killed_publisher_is_noticed_and_its_return_too(watch: Watch, collect: Collect) -> None:
    """SIGKILL: `lost` within about 3 s; a watcher that stays is live again once the publisher is back."""
    child, address = _start_child("tcp://127.0.0.1:0")
    try:
        ends, stays = watch(address), watch(address, stay=True, patience=2.0)
        assert collect(ends, 5) == collect(stays, 5) == _range(5)
        ends.poll(1.5)
        stays.poll()
        assert ends.status == stays.status == "live"
    finally:
        _kill(child)
    began = time.monotonic()
    assert list(ends) == []
    assert ends.status == "lost"
    assert time.monotonic() - began < 6
    stays.poll(2.5)  # silence counts from the last beat it took in
    assert stays.status == "lost"
    child, _ = _start_child(address)
    try:
        until = time.monotonic() + 10
        while stays.status != "live" and time.monotonic() < until:
            assert stays.poll(0.2) == []
        assert stays.status == "live"
    finally:
        _kill(child)


def test_another_campaign_on_the_address_is_refused(ledger: Any, publish: Publish, watch: Watch) -> None:
    """Entries of another campaign are not published; a watcher told of another campaign says so."""
    publisher = publish()
    watcher = watch(publisher.address)
    watcher._sequence.campaign = "gold-1"
    with pytest.raises(WireError, match=r"serves campaign 'silver-7f3a'; this watcher follows 'gold-1'"):
        watcher.poll(3)
    other = ledger.append()._replace(campaign="gold-1")
    publisher.publish(other)
    assert publisher._last == 0


def test_publishing_without_subscribers_serialises_nothing(ledger: Any, publish: Publish) -> None:
    """Without a subscriber an entry is not even handed over."""
    publisher = publish()
    publisher.publish(ledger.append())
    assert not publisher._backlog


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:5", "tcp://127.0.0.1", "tcp://h:1,2,3", "ipc:///x", "tcp://h:70000"]
)
def test_bad_addresses(address: str) -> None:
    """An address of another form, or a port out of range, is refused by both sides with the text in the error."""
    with pytest.raises(WireError, match="tcp://"):
        Watcher(address)
    with pytest.raises(WireError, match="tcp://"):
        Publisher("c", lambda after: [], address=address)


def test_a_taken_port_is_named(publish: Publish) -> None:
    """Two publishers on one port: the second is refused and nothing is left behind."""
    taken = publish().address
    with pytest.raises(WireError, match=r"cannot publish on tcp://127.0.0.1:\d+: Address already in use"):
        publish(address=taken)


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.0.2.1", "[::]", "some-host"])
def test_an_open_door_needs_keys(host: str) -> None:
    """Binding beyond loopback without keys is refused, and the error says what to do."""
    with pytest.raises(WireError, match=r"without CURVE keys.*sdl keys"):
        Publisher("c", lambda after: [], address=f"tcp://{host}:0")
