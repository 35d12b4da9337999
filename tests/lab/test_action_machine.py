"""State machines under random orders: actions of a step through faults, crashes and decisions; trials in the fold."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_rw

from sdl.campaign.recovery import interrupted_entries
from sdl.campaign.settling import JournalRecorder
from sdl.journal import Store, kinds
from sdl.journal.actions import ActionState, ActionStatus
from sdl.lab.clock import LabClock
from sdl.lab.effects import InDoubt
from sdl.lab.guard import StepOrder
from sdl.lab.station import Station
from sdl.model import Fault
from sdl.protocols import ActionRecord, Acts, Effect, Receipt, Verdict

VOLUMES = (1.0, 2.0, 3.0)


class Crash(BaseException):
    """The process ends here."""


class Doser(StandardReadable):
    """Doses what it is set to. What it did outlives the process; what it answers, and whether it knows, varies."""

    effects = {"set": Acts(Effect.NON_REPEATABLE)}

    def __init__(self, truth: list[float]) -> None:
        self.truth = truth
        self.behaviour = "works"
        self.at = -1
        self.turn = 0
        with self.add_children_as_readables(StandardReadableFormat.HINTED_UNCACHED_SIGNAL):
            self.level = soft_signal_rw(float, 0.0, units="mL")
        super().__init__(name="doser")

    @AsyncStatus.wrap
    async def set(self, value: float) -> None:
        self.turn += 1
        what = self.behaviour if self.turn == self.at else "works"
        if what == "refuses":
            raise _Clean("doser", "refused")
        if what == "fails before":
            raise Fault("doser", "no answer")
        self.truth.append(value)
        if what == "fails after":
            raise Fault("doser", "no answer")


class _Clean(Fault):
    clean = True


class Knowing(Doser):
    """It also says what it did."""

    async def receipt(self, action: ActionRecord) -> Receipt:
        (value,) = action.arguments["args"]
        done = value in self.truth
        return Receipt(Verdict.DONE if done else Verdict.NOT_DONE, f"its log has {self.truth}")


class Actions(RuleBasedStateMachine):
    """One step of three doses, tried again and again, with whatever goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "lab.db"
        self.truth: list[float] = []
        self.attempt = 0
        self.done = False

    @initialize(knows=st.booleans())
    def begin(self, knows: bool) -> None:
        self.knows = knows
        with Store.open(self.path) as store:
            store.create("c", "dosing")
            with store.writer("c") as writer:
                body = {"trial": 1, "parameters": {}, "reason": {}, "planner": {}, "seed": 0, "known_seq": 0}
                writer.append(kinds.TRIAL_PROPOSED, body)

    def teardown(self) -> None:
        self.folder.cleanup()

    def actions(self) -> dict[str, ActionState]:
        with Store.open(self.path) as store:
            return dict(store.state("c").trials[1].actions)

    @rule(
        behaviour=st.sampled_from(["works", "refuses", "fails before", "fails after"]),
        at=st.integers(1, 3),
        lose=st.sampled_from([None, None, "action.dispatched", "action.done", "action.failed", "action.doubtful"]),
        count=st.integers(1, 3),
    )
    def attempt_it(self, behaviour: str, at: int, lose: str | None, count: int) -> None:
        """Try the step; the process may end right before or after one of its entries is written."""
        doser = (Knowing if self.knows else Doser)(self.truth)
        doser.behaviour, doser.at = behaviour, at
        self.attempt += 1
        try:
            asyncio.run(self._run(doser, lose, count))
            self.done = True
        except (Fault, InDoubt, Crash):
            pass

    async def _run(self, doser: Doser, lose: str | None, count: int) -> None:
        with Store.open(self.path) as store, store.writer("c") as writer:
            state = store.state("c")
            for kind, body in interrupted_entries(state):
                writer.append(kind, body)
            state = store.state("c")
            recorder = _Ending(JournalRecorder(writer, lambda entry: None), lose, count)
            order = StepOrder("c", 1, "dose", self.attempt, "s", writer.epoch, recorder, state.trials[1].actions)
            station = Station("s", {"doser": doser}, LabClock())
            try:
                await station.open()
                for doubt in state.doubts():
                    receipt = await station.receipt(doubt.as_record())
                    if receipt.verdict in (Verdict.DONE, Verdict.NOT_DONE):
                        said = {"verdict": receipt.verdict.value, "by": "instrument:doser", "note": receipt.text}
                        writer.append(kinds.ACTION_RESOLVED, {"trial": 1, "action": doubt.id, **said, "evidence": {}})
                        order = _with(order, store.state("c").trials[1].actions)
                    else:
                        station.block(doubt)
                await station.run(_dose(doser), lambda name, doc: None, {}, None, order)
            except Exception as error:
                if recorder.ended:
                    raise Crash from error
                raise
            finally:
                await station.close()

    @rule(quarantine=st.booleans())
    def decide(self, quarantine: bool) -> None:
        """A person who looked settles each doubt truthfully, or gives the sample up."""
        with Store.open(self.path) as store, store.writer("c") as writer:
            for doubt in store.state("c").doubts():
                (value,) = doubt.arguments["args"]
                verdict = "done" if value in self.truth else "not_done"
                said = {"verdict": "quarantine" if quarantine and self.attempt > 6 else verdict, "by": "person:ann"}
                about = {"trial": 1, "action": doubt.id, "note": "looked", "evidence": {}}
                writer.append(kinds.ACTION_RESOLVED, {**about, **said})

    @invariant()
    def never_repeated(self) -> None:
        """No dose is ever given twice, and they come in order."""
        assert self.truth == list(VOLUMES[: len(self.truth)])

    @invariant()
    def never_lost(self) -> None:
        """A step that came to its end has given every dose, and whatever is on record as done was done."""
        if self.done:
            assert self.truth == list(VOLUMES)
        for action in self.actions().values() if self.attempt else ():
            (value,) = action.arguments["args"]
            if action.status.happened:
                assert value in self.truth
            if action.status in (ActionStatus.FAILED_CLEAN, ActionStatus.RESOLVED_NOT_DONE):
                assert value not in self.truth


def _with(order: StepOrder, actions: Any) -> StepOrder:
    from dataclasses import replace

    return replace(order, actions=actions)


def _dose(doser: Doser) -> Iterator[Any]:
    for volume in VOLUMES:
        yield from bps.mv(doser, volume)


class _Ending:
    """A recorder whose process ends at the n-th entry of a kind: that entry and all that follow are not written."""

    def __init__(self, inner: JournalRecorder, kind: str | None, count: int) -> None:
        self._inner, self._kind, self._count = inner, kind, count
        self.ended = False

    def _end(self, kind: str) -> None:
        if kind == self._kind:
            self._count -= 1
        self.ended = self.ended or (kind == self._kind and self._count == 0)
        if self.ended:
            raise Fault("", "the process has ended")

    async def record(self, kind: str, body: Any) -> None:
        self._end(kind)
        await self._inner.record(kind, body)

    def post(self, kind: str, body: Any) -> str:
        self._end(kind)
        return self._inner.post(kind, body)


TestActions = Actions.TestCase
TestActions.settings = settings(
    max_examples=25 if os.environ.get("SDL_CHAOS") == "full" else 12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
