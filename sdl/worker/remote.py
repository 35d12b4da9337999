"""A station whose RunEngine runs in a worker's process: what the coordinator has in its place."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from sdl.journal import kinds
from sdl.journal.actions import ActionState, apply
from sdl.lab.effects import InDoubt
from sdl.lab.guard import StepOrder
from sdl.lab.hold import Hold
from sdl.lab.host import OnDocument, PlanRefused
from sdl.lab.procedure import BoundStep
from sdl.lab.station import Aborted
from sdl.model import Fault, FileFault, Infeasible, Refusal, Scalar, UnsafeState
from sdl.protocols import ActionRecord, Receipt, Verdict
from sdl.wire import ClientKeys
from sdl.worker import _messages as m
from sdl.worker._link import Hooks, Link
from sdl.worker._past import OWN_KINDS, STEP_ANSWERED
from sdl.worker.errors import StepInterrupted, WorkerError, WorkerLost

__all__ = ["RemoteStation", "Sink"]

Sink = Callable[[str, dict[str, Any]], None]
"""Called with kind and body of each entry, in order, each once."""

_FAULTS: Mapping[str, type[Fault]] = {kind.__name__: kind for kind in (Fault, Refusal, UnsafeState)}


class RemoteStation:
    """A `StationHost` at the other end of a line.

    A thread keeps the line. It calls `sink` with everything that the worker's spool has for the campaign: documents,
    actions, what became of runs, the station's safe states and interlocks. Each body has an `origin`, `{station, seq}`;
    whoever knows the `seq` of the last one it kept gives it as `after`, also in another process, and gets what follows.
    When `sink` raises, nothing more is taken, and whoever waits for a step gets that exception.
    """

    def __init__(
        self,
        name: str,
        address: str,
        keys: ClientKeys | None,
        lab_sha256: str,
        campaign: str,
        epoch: int,
        sink: Sink,
        after: int = 0,
        *,
        procedure: str,
        lab_file: str = "",
        on_lost: Callable[[str], None] = lambda message: None,
        on_found: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is sent before `open`.

        Args:
            name: of the station in the lab file.
            address: of its worker, `tcp://HOST:PORT`.
            keys: CURVE keys, where the worker has some.
            lab_sha256: of the coordinator's lab file; the worker's must be the same.
            campaign: id.
            epoch: of the lease on the campaign; the worker refuses older ones than it has seen.
            sink: where entries go; called in the line's thread.
            after: `seq` of the last origin that is known; 0 for none.
            procedure: name of the campaign's procedure.
            lab_file: for people.
            on_lost: called with a sentence when the worker does not answer for 1.5 s, or takes no orders; in the
                line's thread.
            on_found: called when it does again; in the line's thread.
        """
        self.name, self.address = name, address
        self.busy = Hold()
        """Held by the trial that has the station."""
        self.devices: tuple[str, ...] = ()
        """Names of its devices, once it is open."""
        self.addresses: Mapping[str, str] = {}
        """Device → address, once it is open."""
        self.simulated: tuple[str, ...] = ()
        """Devices whose instruments are simulated, once it is open."""
        self._campaign, self._epoch, self._procedure, self._sink = campaign, epoch, procedure, sink
        self._on_lost, self._on_found = on_lost, on_found
        self._fixed = {
            "station": name,
            "campaign": campaign,
            "holder": f"{socket.gethostname()}:{os.getpid()}",
            "epoch": epoch,
            "lab_file": lab_file or "its lab file",
            "lab_sha256": lab_sha256,
        }
        self._doubts: dict[str, ActionState] = {}
        """Device → action that blocks it."""
        self._actions: Mapping[str, ActionState] = {}
        self._opened: Future[None] = Future()
        hooks = Hooks(self._on_entry, self._lost, self._found, self._welcome)
        self._link = Link(address, keys, self._hello, after, hooks)

    @property
    def remote(self) -> bool:
        """True: the worker goes on with a step when this process ends."""
        return True

    @property
    def after(self) -> int:
        """`seq` of the last entry that was taken."""
        return self._link.after

    @property
    def lost(self) -> str:
        """Why the worker cannot be reached; empty while it answers."""
        return self._complaint(self._link.lost) if self._link.lost else ""

    async def open(self) -> None:
        """Connect.

        Raises:
            WorkerLost: the worker does not answer within 1.5 s.
            WorkerRefused: it has another lab file, another campaign, or a newer coordinator.
        """
        self._link.start()
        await asyncio.wrap_future(self._opened)

    async def run_step(
        self,
        step: BoundStep,
        parameters: Mapping[str, Scalar],
        order: StepOrder,
        on_document: OnDocument,
        metadata: Mapping[str, Any],
    ) -> tuple[str, ...]:
        """Have the worker execute a step, or join it where it is under way or over already.

        Waits through cuts of any length; the worker goes on meanwhile. Every entry of the step has gone to the sink
        when this returns or raises. Cancelling it leaves the worker as it is. `on_document` is not called: documents
        of a worker come through the sink, also those of a step that another process ordered.

        Raises:
            PlanRefused: the plan asks for something that it may not do.
            InDoubt: whether an action happened is not known.
            Fault: the equipment failed, or the time limit passed.
            Infeasible: the trial cannot give a material.
            Aborted: `abort` was called, or an interlock stopped the step.
            StepInterrupted: the worker ended during the step.
            WorkerRefused: the worker did not take the order; nothing has happened.
        """
        self._actions = {**self._actions, **order.actions}
        message = m.RunStep(
            id=0, session="", campaign=self._campaign, epoch=self._epoch, trial=order.trial, step=step.name,
            attempt=order.attempt, procedure=self._procedure, parameters=dict(parameters), handover=dict(step.handover),
            metadata=dict(metadata),
            actions=[m.action_json(action) for action in order.actions.values()],
        )  # fmt: skip
        done = self._link.order(message)
        try:
            answer = await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            self._link.forget(message)
            raise
        return self._outcome(answer)

    def _outcome(self, answer: m.Answer) -> tuple[str, ...]:
        match answer.outcome:
            case "done":
                return tuple(answer.runs)
            case "infeasible":
                raise Infeasible(answer.message)
            case "aborted":
                raise Aborted(answer.message)
            case "doubt":
                raise InDoubt(answer.action, answer.message)
            case "refused":
                raise PlanRefused([FileFault(*given) for given in answer.faults])  # type: ignore[arg-type]
            case "interrupted" if answer.action:
                raise InDoubt(answer.action, f"station {self.name}: {answer.message}")
            case "interrupted":
                raise StepInterrupted(f"station {self.name}: {answer.message}")
        raise _FAULTS.get(answer.error, Fault)(answer.device, answer.message)

    async def receipt(self, action: ActionRecord) -> Receipt:
        """Ask the action's device what became of it; UNKNOWN with the reason when it cannot be asked."""
        try:
            reply = await self._ask(m.AskReceipt(id=0, session="", action=m.record_json(action)))
        except WorkerError as error:
            return Receipt(Verdict.UNKNOWN, self._complaint(str(error)))
        assert isinstance(reply, m.ReceiptGiven)
        return m.receipt_of(reply)

    async def identities(self) -> dict[str, dict[str, str]]:
        """What the station's instruments say of themselves, by device; nothing where the worker cannot be asked."""
        try:
            reply = await self._ask(m.AskIdentities(id=0, session=""))
        except WorkerError:
            return {}
        assert isinstance(reply, m.Identities)
        return {device: fields for device, fields in reply.devices.items() if device in self.devices}

    def block(self, action: ActionState) -> None:
        """Let nothing act on the action's device until it is settled."""
        self._doubts[action.device] = action
        self._link.ask(m.Block(id=0, session="", action=m.action_json(action)), lasting=True)

    def unblock(self, action: str) -> None:
        """An action (id) is settled."""
        for device in [name for name, doubt in self._doubts.items() if doubt.id == action]:
            del self._doubts[device]
        self._link.ask(m.Unblock(id=0, session="", action=action), lasting=True)

    def blocked(self, devices: tuple[str, ...]) -> ActionState | None:
        """The action in doubt that blocks one of the devices, if any."""
        return next((self._doubts[name] for name in devices if name in self._doubts), None)

    async def abort(self, reason: str) -> None:
        """Stop the running plan now; returns when it has stopped.

        Raises:
            WorkerError: the worker does not answer, so somebody has to go and look.
        """
        try:
            await self._ask(m.Abort(id=0, session="", reason=reason[:1000]))
        except WorkerLost as error:
            raise WorkerLost(self._complaint(str(error))) from error

    async def make_safe(self) -> dict[str, str]:
        """Drive the devices to their safe states; return device → `safe` or what went wrong."""
        try:
            reply = await self._ask(m.MakeSafe(id=0, session=""))
        except WorkerError as error:
            return {self.name: self._complaint(str(error))}
        assert isinstance(reply, m.SafeStates)
        return dict(reply.devices)

    async def close(self) -> None:
        """Let the station go."""
        await asyncio.to_thread(self._link.close)

    async def _ask(self, message: m.Request) -> m.Reply:
        return await asyncio.wrap_future(self._link.ask(message))

    def _complaint(self, text: str) -> str:
        return f"{self.name}: {text}; go and look"

    # ── in the line's thread ──

    def _hello(self) -> dict[str, Any]:
        return {**self._fixed, "doubts": [m.action_json(action) for action in list(self._doubts.values())]}

    def _welcome(self, welcome: m.Welcome) -> None:
        self.devices, self.addresses = tuple(welcome.devices), dict(welcome.addresses)
        self.simulated = tuple(welcome.simulated)
        if not self._opened.done():
            self._opened.set_result(None)

    def _lost(self, message: str) -> None:
        if not self._opened.done():
            refusal = self._link.refusal
            self._opened.set_exception(refusal or WorkerLost(self._complaint(message)))
        self._on_lost(self._complaint(message))

    def _found(self) -> None:
        self._on_found()

    def _on_entry(self, number: int, kind: str, body: dict[str, Any]) -> None:
        if kind == STEP_ANSWERED:
            self._link.answered(m.Answer.model_validate(body), number)
        if kind in OWN_KINDS:
            return
        if kind.startswith("action."):
            self._actions = apply(self._actions, kind, body, 0)
            action = self._actions.get(body["action"])
            if kind == kinds.ACTION_DOUBTFUL and action is not None:
                self._doubts[action.device] = action
        self._sink(kind, {**body, "origin": {"station": self.name, "seq": number}})
