"""One action, from its record on the disk to its end, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from bluesky import Msg

from sdl.journal import kinds
from sdl.journal.actions import ActionState, ActionStatus, apply, in_words
from sdl.lab.effects import Action, InDoubt, Target, _current
from sdl.lab.receipts import ask
from sdl.protocols import Acts, Effect, Receipt, Verdict
from sdl.virtual import held_for

if TYPE_CHECKING:
    from sdl.lab.guard import StepOrder

__all__ = ["Performance", "Surroundings"]

_LOOK = 0.02
"""Wall seconds between two looks at a paused engine."""


@dataclass(frozen=True)
class Surroundings:
    """What an action has to know of its station."""

    device: Any
    actions: MutableMapping[str, ActionState]
    """Of the trial, by id."""
    paused: Callable[[], bool]
    """Whether the plan is paused or suspended."""
    over: Callable[[], bool]
    """Whether the plan is being ended."""
    doubts: MutableMapping[str, ActionState]
    """Device → action that blocks it."""


class _Following(Enum):
    RAISE = auto()
    AGAIN = auto()
    DONE = auto()


def _again(yes: bool) -> _Following:
    return _Following.AGAIN if yes else _Following.RAISE


class Performance:
    """Carries out one action under the rules of its effect class."""

    def __init__(self, order: StepOrder, id_: str, target: Target, msg: Msg, acts: Acts, around: Surroundings) -> None:
        self.id = id_
        self.device = target.device
        """Its name."""
        self.held = asyncio.Event()
        """Set while nothing moves: what became of it is on record, and it waits for the plan to go on."""
        self._order, self._target, self._acts, self._around = order, target, acts, around
        self._verb = msg.command
        kwargs = {key: value for key, value in msg.kwargs.items() if key != "group"}
        self._arguments = {"args": [_plain(value) for value in msg.args], "kwargs": _plain(kwargs)}

    @property
    def _state(self) -> ActionState | None:
        return self._around.actions.get(self.id)

    async def run(self, call: Callable[[], Any]) -> None:
        """Carry the action out, unless it has happened.

        Args:
            call: calls the verb of the device and returns its status.

        Raises:
            InDoubt: whether it happened is not known.
            SdlError: it failed, as the driver says.
        """
        if await self._done_before():
            return
        while True:
            await self._until_running()
            try:
                await self._once(lambda: _finished(call()))
            except Exception as error:  # a driver is anybody's code
                following = await self._after(error)
                if following is _Following.RAISE:
                    raise
                if following is _Following.DONE:
                    return
            else:
                if not await self._repeats():
                    return

    async def at_once(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The same for a verb that answers at once; returns its answer."""
        return await self._once(call)

    async def _once(self, call: Callable[[], Awaitable[Any]]) -> Any:
        old = self._state
        tries = 1 + (old.tries if old is not None else 0)
        carried = dict(old.carried) if old is not None else {}
        await self._record(kinds.ACTION_DISPATCHED, self._dispatched(tries))
        action = Action(self.id, carried, self._arm, self._acknowledge)
        token = _current.set(action)
        try:
            answer = await call()
        finally:
            _current.reset(token)
        if self._acts.effect is Effect.ABSOLUTE:
            self._post(kinds.ACTION_DONE, {"evidence": {}})
        else:
            await self._record(kinds.ACTION_DONE, {"evidence": {}})
        return answer

    async def _done_before(self) -> bool:
        """Whether the record says that it need not, or must not, be done.

        Raises:
            InDoubt: it is not known, or the plan wants something else in its place.
        """
        state = self._state
        if state is None or self._acts.effect is Effect.ABSOLUTE:
            return False
        same = (state.device, state.path, state.verb, dict(state.arguments)) == (
            self._target.device, self._target.path, self._verb, self._arguments,
        )  # fmt: skip
        if not same and (state.status.happened or state.unsettled or state.carried):
            raise InDoubt(
                self.id,
                f"the plan asks for {self.in_words()} where an earlier attempt did {state.in_words()}; the plan has "
                "changed since, or adapts to readings: give the trial up, or put the plan back",
            )
        if state.status.happened:
            self._post(kinds.ACTION_SKIPPED, {"attempt": self._order.attempt})
            return True
        if state.unsettled:
            raise InDoubt(self.id, f"it is not known whether {state.in_words()} happened")
        if state.status is ActionStatus.QUARANTINED:
            raise InDoubt(self.id, f"the sample is in quarantine since {state.in_words()}")
        return False

    async def _after(self, error: Exception) -> _Following:
        """Put a failure on record, and say how it goes on."""
        message = str(error) or type(error).__name__
        paused = self._around.paused() and not self._around.over()
        state = self._state
        if state is None or not state.status.under_way:  # it was not even dispatched
            return _Following.RAISE
        if self._acts.effect is not Effect.NON_REPEATABLE or getattr(error, "clean", False) or not self._may_have():
            self._post(kinds.ACTION_FAILED, {"message": message})
            return _again(paused and not getattr(error, "clean", False))
        receipt = await ask(self._around.device, state.as_record())
        return await self._settled(receipt, error, paused)

    async def _settled(self, receipt: Receipt, error: Exception, paused: bool) -> _Following:
        said = {"message": f"{error}; {receipt.text}", "evidence": dict(receipt.evidence)}
        match receipt.verdict:
            case Verdict.DONE:
                await self._record(kinds.ACTION_DONE, said)
                return _Following.DONE
            case Verdict.NOT_DONE:
                await self._record(kinds.ACTION_FAILED, said)
                return _again(paused)
            case Verdict.PARTIAL if self._acts.continues:
                await self._record(kinds.ACTION_ABORTED, said)
                return _again(paused)
        await self._record(kinds.ACTION_DOUBTFUL, {"cause": "fault", **said})
        assert self._state is not None
        self._around.doubts[self._target.device] = self._state
        raise InDoubt(
            self.id, f"it is not known whether {self.in_words()} happened: {error}; {receipt.text}"
        ) from error

    def _may_have(self) -> bool:
        state = self._state
        return not self._acts.arms or (state is not None and state.armed)

    async def _repeats(self) -> bool:
        """Whether something that leads to a state has to be done again, since a pause may have undone it."""
        if self._acts.effect is not Effect.ABSOLUTE or not self._around.paused() or self._around.over():
            return False
        await self._until_running()
        return not self._around.over()

    async def _until_running(self) -> None:
        while self._around.paused() and not self._around.over():
            self.held.set()
            await asyncio.sleep(_LOOK)
        self.held.clear()

    def _dispatched(self, tries: int) -> dict[str, Any]:
        order = self._order
        return {
            "step": order.step,
            "attempt": order.attempt,
            "try": tries,
            "station": order.station,
            "device": self._target.device,
            "path": self._target.path,
            "verb": self._verb,
            "arguments": self._arguments,
            "effect": self._acts.effect.value,
            "arms": self._acts.arms,
            "continues": self._acts.continues,
            "epoch": order.epoch,
        }

    async def _arm(self, evidence: Mapping[str, Any]) -> None:
        await self._record(kinds.ACTION_ARMED, {"evidence": dict(evidence)})

    def _acknowledge(self, evidence: Mapping[str, Any]) -> None:
        self._post(kinds.ACTION_ACKED, {"evidence": dict(evidence)})

    async def _record(self, kind: str, body: Mapping[str, Any]) -> None:
        full = {"trial": self._order.trial, "action": self.id, **body}
        await self._order.recorder.record(kind, full)
        self._apply(kind, full)

    def _post(self, kind: str, body: Mapping[str, Any]) -> None:
        full = {"trial": self._order.trial, "action": self.id, **body}
        self._order.recorder.post(kind, full)
        self._apply(kind, full)

    def _apply(self, kind: str, body: Mapping[str, Any]) -> None:
        self._around.actions.update(apply(self._around.actions, kind, body, 0))

    def in_words(self) -> str:
        """`dispense of silver_pump (100)`: what the plan asks for."""
        return in_words(self._target.device, self._target.path, self._verb, self._arguments)


async def _finished(status: Any) -> None:
    """Wait for a status of ophyd-async or of classic ophyd; `stage` of the latter returns a list."""
    if hasattr(status, "__await__"):
        await status
    elif hasattr(status, "add_callback"):
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        held_for(status)
        status.add_callback(lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        error = status.exception(timeout=0)
        if error is not None:
            raise error


def _plain(value: Any) -> Any:
    """A value as the journal can hold it."""
    if isinstance(value, str | int | float | bool | type(None)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    item = getattr(value, "item", None)  # a number of numpy
    return item() if callable(item) and getattr(value, "ndim", 1) == 0 else str(value)
