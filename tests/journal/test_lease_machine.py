"""The lease and the writer as a state machine: whoever takes, beats, writes, closes, dies or is taken over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.writers import Nest, OtherProcess, Writers

import sdl.journal._writer
from sdl.journal import Store

_EXAMPLES = 400 if os.environ.get("SDL_CHAOS") == "full" else 12
_PROCESSES = 3
"""This one and two others."""


_REFUSALS = {
    "fenced": {"LeaseLost"},
    "closed": {"JournalError"},
    "fenced and closed": {"LeaseLost", "JournalError"},
}
"""State of a writer → what it may answer to an order; by the end of a fenced one it may have noticed or not."""


class _Machine(RuleBasedStateMachine):
    """A model of the lease beside a real store, real writers and real processes."""

    nest: Nest
    make: Callable[[], str | Path]
    remove: Callable[[Any], object]

    @initialize()
    def begin(self) -> None:
        self.place = self.make()
        self.store = Store.open(self.place)
        self.store.create("c1", "silver")
        self.processes: list[Writers | OtherProcess] = [Writers(self.place)]
        self.processes += [self.nest.start(self.place) for _ in range(_PROCESSES - 1)]
        self.owner: dict[int, int] = {}
        """Writer → its process."""
        self.state: dict[int, str] = {}
        """Writer → holds | fenced | closed | fenced and closed | dead | dead holder."""
        self.epoch = 0
        self.elsewhere = False
        """The holder cannot be looked up; its lease goes by its heartbeat."""
        self.count = 0
        self.acknowledged: dict[int, int] = {}
        """Number in the body → seq."""
        self.waiting: dict[int, int] = {}
        """Number in the body → its writer; posted by the holder, not yet acknowledged."""
        self.refused: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for process in self.processes:
                process.end()
            self.store.close()
            self.remove(self.place)

    # ── what the model says ──

    @property
    def holder(self) -> int | None:
        """The writer that the lease names, dead or alive."""
        return next((w for w, state in self.state.items() if state in ("holds", "dead holder")), None)

    def free(self) -> bool:
        """Whether the lease may be taken."""
        holder = self.holder
        if holder is None:
            return True
        return self.heartbeat() == 0 if self.elsewhere else self.state[holder] == "dead holder"

    def heartbeat(self) -> int:
        with self.store._read() as connection:
            return int(connection.exec_driver_sql("SELECT heartbeat FROM leases").scalar_one())

    def ask(self, what: str, writer: int, n: int = 0) -> Any:
        return self.processes[self.owner[writer]].ask(what, writer, n)

    def expect(self, told: Any, writer: int) -> bool:
        """Check the answer to an order by the writer's state; whether it was carried out."""
        state = self.state[writer]
        if state == "holds":
            assert "error" not in told, (told, writer)
            return True
        assert told.get("error") in _REFUSALS[state], (told, writer, state)
        return False

    def living(self) -> list[int]:
        return [w for w, state in self.state.items() if not state.startswith("dead")]

    # ── what may happen ──

    @rule(process=st.integers(0, _PROCESSES - 1))
    def take(self, process: int) -> None:
        """Anybody tries to become the writer."""
        writer = len(self.owner)
        self.owner[writer] = process
        free = self.free()
        told = self.ask("take", writer)
        if not free:
            assert told == {"error": "LeaseHeld"}
            del self.owner[writer]
            return
        before = self.holder
        if before is not None:
            self.state[before] = "fenced" if self.state[before] == "holds" else "dead"
        self.epoch += 1
        assert told == {"epoch": self.epoch}
        self.state[writer], self.elsewhere = "holds", False

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        """A writer of any age writes and waits."""
        writer = data.draw(st.sampled_from(self.living()))
        self.count += 1
        told = self.ask("append", writer, self.count)
        if self.expect(told, writer):
            self.acknowledged[self.count] = told["seq"]
        else:
            self.refused.add(self.count)

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def post(self, data: st.DataObject) -> None:
        """A writer of any age writes and does not wait; a fenced one may not know it yet."""
        writer = data.draw(st.sampled_from(self.living()))
        self.count += 1
        told = self.ask("post", writer, self.count)
        if self.state[writer] == "holds":
            assert told == {}
            self.waiting[self.count] = writer
        else:
            assert told.get("error", "LeaseLost") in _REFUSALS[self.state[writer]]
            self.refused.add(self.count)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), what=st.sampled_from(["flush", "beat", "close"]))
    def order(self, data: st.DataObject, what: str) -> None:
        """A writer of any age waits for what it posted, renews its lease, or ends."""
        writer = data.draw(st.sampled_from(self.living()))
        told = self.ask(what, writer)
        if what == "close":
            # A fenced one tells what it could not record, unless it has told before.
            assert told == {} or (self.state[writer].startswith("fenced") and told == {"error": "LeaseLost"})
            self.settle(writer)
            self.state[writer] = "fenced and closed" if self.state[writer].startswith("fenced") else "closed"
        elif what == "flush" and self.state[writer] == "fenced":
            assert told in ({}, {"error": "LeaseLost"})  # with nothing to put on the disk it need not notice
        elif self.expect(told, writer) and what == "flush":
            self.settle(writer)

    def settle(self, writer: int) -> None:
        """What a holder posted is acknowledged."""
        if self.state[writer] == "holds":
            there = {e.body["n"]: e.seq for e in self.store.entries("c1")}
            for n in [n for n, of in self.waiting.items() if of == writer]:
                self.acknowledged[n] = there[n]
                del self.waiting[n]

    @precondition(lambda self: self.holder is not None)
    @rule()
    def lose_sight(self) -> None:
        """The holder is on a machine that cannot be looked into, and its last heartbeat was long ago."""
        with self.store._write() as connection:
            connection.exec_driver_sql("UPDATE leases SET machine='another', heartbeat=0")
        self.elsewhere = True

    @rule(process=st.integers(1, _PROCESSES - 1))
    def kill(self, process: int) -> None:
        """One of the other processes is killed, and a new one comes."""
        victim = self.processes[process]
        assert isinstance(victim, OtherProcess)
        victim.kill()
        for writer in [w for w, owner in self.owner.items() if owner == process]:
            self.state[writer] = "dead holder" if self.state[writer] in ("holds", "dead holder") else "dead"
        self.processes[process] = self.nest.start(self.place)

    # ── what always holds ──

    @invariant()
    def the_chain_is_sound(self) -> None:
        """Nothing acknowledged is lost, nothing refused is there, all is in order; the epoch is the last taker's."""
        if not hasattr(self, "store"):
            return
        entries = list(self.store.entries("c1"))
        assert self.store.verify() == []
        there = [entry.body["n"] for entry in entries]
        assert there == sorted(set(there))
        assert {n: seq for n, seq in self.acknowledged.items() if entries[seq - 1].body["n"] != n} == {}
        assert self.refused.isdisjoint(there)
        assert set(there) <= set(self.acknowledged) | set(self.waiting)
        with self.store._read() as connection:
            epochs = connection.exec_driver_sql("SELECT l.epoch, h.epoch FROM leases l JOIN heads h USING (campaign)")
            assert tuple(epochs.one()) == (self.epoch, self.epoch)
        lease = self.store.lease("c1")
        assert (lease.holder if lease else None) == (None if self.holder is None else f"writer {self.holder}")
        assert (lease is None or not lease.alive) is self.free()


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nest]:
    nest = Nest(tmp_path_factory.mktemp("nest"))
    yield nest
    nest.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_lease(
    nest: Nest, kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever several processes do, one writes at a time, epochs rise, and no acknowledged entry is ever lost."""
    for name in ("BEAT_S", "_SYNC_S"):
        monkeypatch.setattr(sdl.journal._writer, name, 1e6)

    class Machine(_Machine):
        pass

    Machine.nest = nest
    if kind == "postgresql":
        running = request.getfixturevalue("postgres")
        Machine.make, Machine.remove = staticmethod(running.create), staticmethod(running.drop)
    else:
        Machine.make = staticmethod(lambda: Path(mkdtemp(dir=tmp_path), "sdl.db"))
        Machine.remove = staticmethod(lambda place: shutil.rmtree(place.parent))
    examples = _EXAMPLES if kind == "sqlite" else _EXAMPLES // 3
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
