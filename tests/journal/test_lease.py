"""One writer per campaign."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.postgres import execute

from sdl.journal import JournalError, LeaseHeld, LeaseLost, Store
from sdl.journal._process import ProcessId, is_running, this_process

_HOLD = """
import sys
from sdl.journal import LeaseHeld, Store
with Store.open(sys.argv[1]) as store:
    sys.stdin.readline()
    try:
        writer = store.writer("c1", holder="child")
    except LeaseHeld:
        print("held", flush=True)
        sys.exit()
    writer.append("x", {"pid": 1})
    print("mine", flush=True)
    sys.stdin.readline()
    writer.close()
"""


def _child(path: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _say(child: subprocess.Popen[str]) -> None:
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    return child.stdout.readline().strip()


def test_a_second_writer_is_refused_and_names_the_holder(store: Store) -> None:
    """While a writer lives a second is refused, also in the same process; the error says who, where and since when."""
    with store.writer("c1", holder="ana@bench", address="tcp://127.0.0.1:5555") as writer:
        lease = store.lease("c1")
        assert lease is not None
        assert (lease.holder, lease.pid, lease.epoch, lease.alive) == ("ana@bench", os.getpid(), 1, True)
        assert lease.address == "tcp://127.0.0.1:5555"
        with pytest.raises(LeaseHeld, match=rf"ana@bench \(host .+, pid {os.getpid()}\) since 20.+ UTC") as caught:
            store.writer("c1")
        assert caught.value.lease.holder == "ana@bench"
        writer.set_address("tcp://127.0.0.1:6666")
        lease = store.lease("c1")
        assert lease is not None
        assert lease.address == "tcp://127.0.0.1:6666"
    assert store.lease("c1") is None
    with store.writer("c1") as writer:
        assert writer.epoch == 2


def test_campaigns_are_independent(store: Store) -> None:
    """Two campaigns of one store are written at once, each with its own chain."""
    store.create("c2", "gold")
    with store.writer("c1") as one, store.writer("c2") as two:
        for i in range(20):
            one.append("x", {"i": i})
            two.append("x", {"i": i})
    assert store.verify() == []
    assert [c.seq for c in store.campaigns()] == [20, 20]


def test_unknown_campaign(store: Store) -> None:
    """There is no lease on what is not there."""
    with pytest.raises(JournalError, match="no campaign 'c9'"):
        store.writer("c9")


def test_two_processes_race(store: Store) -> None:
    """Of two processes that take one campaign at the same moment, one gets it and the other is refused, every time."""
    for round_ in range(2):
        children = [_child(store.location) for _ in range(2)]
        try:
            for child in children:
                _say(child)
            assert sorted(map(_hear, children)) == ["held", "mine"]
            for child in children:
                if child.poll() is None:
                    with contextlib.suppress(BrokenPipeError):
                        _say(child)
        finally:
            for child in children:
                child.communicate()
        assert len(list(store.entries("c1"))) == round_ + 1
    assert store.verify() == []


def test_takeover_after_kill(store: Store) -> None:
    """A campaign whose holder was killed with SIGKILL is taken over at once, even while the dead is not yet reaped."""
    child = _child(store.location)
    try:
        _say(child)
        assert _hear(child) == "mine"
        with pytest.raises(LeaseHeld, match=f"child .*pid {child.pid}"):
            store.writer("c1")
        child.kill()
        deadline = time.monotonic() + 5
        while (lease := store.lease("c1")) and lease.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease is not None
        assert not lease.alive
        with store.writer("c1") as writer:
            assert writer.epoch == 2
            assert writer.append("x", {}).seq == 2
    finally:
        child.communicate()
    assert store.verify() == []


@pytest.mark.parametrize(
    ("silent_s", "free"), [(14, False), (16, True), (-14, False), (-3600, True)]
)  # a heartbeat from the future is a clock that was set back
def test_a_holder_elsewhere_counts_by_its_heartbeat(store: Store, silent_s: float, free: bool) -> None:
    """On another host a holder cannot be looked up: its lease is over 15 s after its last heartbeat, not before."""
    beat = time.time_ns() - int(silent_s * 1e9)
    execute(store.location, f"UPDATE leases SET holder='far', host='far', machine='m', pid=1, heartbeat={beat}")
    lease = store.lease("c1")
    assert lease is not None
    assert lease.alive is not free
    if free:
        store.writer("c1").close()
    else:
        with pytest.raises(LeaseHeld):
            store.writer("c1")


def test_heartbeat_of_an_idle_writer(store: Store) -> None:
    """A writer with nothing to write renews its lease every two seconds."""
    with store.writer("c1"):
        before = store.lease("c1")
        time.sleep(2.6)
        after = store.lease("c1")
    assert before is not None
    assert after is not None
    assert 1.5e9 < after.heartbeat - before.heartbeat < 3e9


def test_a_fenced_writer_writes_nothing(store: Store) -> None:
    """A writer whose lease was taken is told on its next entry, which is not written; the taker is not disturbed."""
    old = store.writer("c1")
    old.append("x", {"by": "old"})
    execute(store.location, "UPDATE leases SET machine='m', heartbeat=0")
    with store.writer("c1", holder="taker") as taker:
        assert taker.epoch == old.epoch + 1
        with pytest.raises(LeaseLost, match=r"taken the campaign over .*epoch 1"):
            old.append("x", {"by": "old"})
        old.close()
        lease = store.lease("c1")
        assert lease is not None
        assert lease.holder == "taker"
        taker.append("x", {"by": "taker"})
    assert [e.body["by"] for e in store.entries("c1")] == ["old", "taker"]
    assert store.verify() == []


def test_an_idle_fenced_writer_notices(store: Store) -> None:
    """A writer whose lease was taken finds out by its heartbeat, without an entry."""
    with store.writer("c1") as old:
        execute(store.location, "UPDATE leases SET epoch = epoch + 1")
        deadline = time.monotonic() + 5
        while old.failure is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert isinstance(old.failure, LeaseLost)
        with pytest.raises(LeaseLost):
            old.append("x", {})


def test_process_identity() -> None:
    """A process is told from a dead one, from a later one with its number, and from one elsewhere."""
    me = this_process()
    assert is_running(me) is True
    assert is_running(me._replace(started="1")) is False
    assert is_running(me._replace(machine="elsewhere")) is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    it = ProcessId(me.host, me.machine, child.pid, stat.rsplit(") ", 1)[1].split()[19])
    assert is_running(it) is True
    child.kill()
    child.communicate()
    assert is_running(it) is False
