"""The coordinator's end of the line to one worker: a thread that keeps the connection, through cuts of any length.

It says hello, sends requests, pings, fetches what the worker's spool has, and notices when nobody answers. A
connection that is silent is dropped and made anew, so nothing of an old one can be taken for something new.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from sdl.wire import ClientKeys, WireError
from sdl.worker import _messages as m
from sdl.worker._inflow import Inflow
from sdl.worker._line import Line
from sdl.worker._past import StepKey
from sdl.worker._pending import Asked, Order, copy_outcome, key_of
from sdl.worker.errors import WorkerLost, WorkerRefused

__all__ = ["PING_S", "SILENCE_S", "Hooks", "Link"]

_log = logging.getLogger("sdl.worker")

PING_S: Final = 0.4
"""Wall seconds between two signs of life."""
SILENCE_S: Final = 1.5
"""Wall seconds without an answer after which a worker is lost."""
_POLL_S: Final = 1.0
"""Wall seconds for which a worker may keep a request for entries waiting."""
_TURN_S: Final = 0.1
_GOODBYE_S: Final = 0.5
_BATCH_S: Final = 3.0
"""Wall seconds in which it answers a request for entries, at the latest."""
_ACK_S: Final = 10.0
"""Wall seconds in which it confirms an order; it looks at its interlocks first."""
_ASK_S: Final = 30.0
"""Wall seconds in which it answers anything else; driving a device to its safe state may take ten."""


@dataclass(frozen=True)
class Hooks:
    """What a link tells, always in its own thread."""

    on_entry: Callable[[int, str, dict[str, Any]], None]
    """Number, kind and body of each entry, in order, once."""
    on_lost: Callable[[str], None]
    on_found: Callable[[], None]
    on_welcome: Callable[[m.Welcome], None]


class Link:
    """The connection to one worker. Safe to use from any thread."""

    def __init__(
        self,
        address: str,
        keys: ClientKeys | None,
        hello: Callable[[], Mapping[str, Any]],
        after: int,
        hooks: Hooks,
    ) -> None:
        """Nothing is sent before `start`.

        Args:
            address: of the worker.
            keys: CURVE keys, where it has some.
            hello: what a hello says beside `id`, `after` and `spool`.
            after: number of the last entry that is known.
            hooks: whom to tell.
        """
        self.address = address
        self.lost = "it has not answered yet"
        """Why the worker cannot be reached; empty while it answers."""
        self.failure: Exception | None = None
        """Why nothing of the worker's is taken any more."""
        self.refusal: WorkerRefused | None = None
        """Why the worker does not take this coordinator's orders."""
        self._hello, self._hooks = hello, hooks
        self._line = Line(address, keys)
        self._inflow = Inflow(str(hello()["campaign"]), after)
        self._session = self._spool = ""
        self._greeting = 0
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._inbox: deque[Asked | Order] = deque()
        self._asked: dict[int, Asked] = {}
        self._orders: dict[StepKey, Order] = {}
        self._order_ids: dict[int, StepKey] = {}
        self._polling, self._polled = 0, 0.0
        self._heard = self._pinged = self._made = self._poll_at = 0.0
        self._told_lost = self._away = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"worker {address}", daemon=True)

    # ── in the callers' threads ──

    @property
    def after(self) -> int:
        """Number of the last entry that was handed on."""
        return self._inflow.after

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def order(self, message: m.RunStep) -> Future[m.Answer]:
        """Have a step executed, or join it; the future ends when every entry before its end has been handed on."""
        order = Order(message, Future())
        order.done.set_running_or_notify_cancel()
        self._put(order)
        return order.done

    def forget(self, message: m.RunStep) -> None:
        """Wait no longer for a step; the worker goes on with it."""
        with self._lock:
            self._orders.pop(key_of(message), None)

    def ask(self, message: m.Request, *, lasting: bool = False) -> Future[m.Reply]:
        """Send a request.

        Args:
            message: its `id` and `session` are filled in.
            lasting: sent again after a cut, as long as it takes; otherwise a loss ends it with `WorkerLost`.
        """
        asked = Asked(message, Future(), lasting)
        asked.done.set_running_or_notify_cancel()
        self._put(asked)
        return asked.done

    def _put(self, item: Asked | Order) -> None:
        with self._lock:
            if not self._closing:
                self._inbox.append(item)
                self._line.wake()
                return
        item.done.set_exception(WorkerLost(f"the line to the worker at {self.address} is closed"))

    def close(self) -> None:
        """Say goodbye and end the thread. Twice is once."""
        with self._lock:
            closed, self._closing = self._closing, True
        if closed:
            return
        self._line.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._line.close()

    # ── in the link's thread ──

    def _run(self) -> None:
        try:
            self._connect()
            while not self._closing:
                self._turn()
            self._say_goodbye()
        except Exception as error:
            if not isinstance(error, WireError):
                _log.exception("the line to the worker at %s", self.address)
            self._fail(error)
            self._tell_lost(f"cannot be reached: {error}")
        finally:
            with self._lock:
                self._closing = True
            self._line.disconnect()
            self._end_all(WorkerLost(f"the line to the worker at {self.address} is closed"))

    def _turn(self) -> None:
        if self._line.wait(_TURN_S) and self._session:
            self._greet()
        for reply in self._line.replies():
            self._take(reply)
        self._take_inbox()
        now = time.monotonic()
        if self._session and now - self._pinged >= PING_S:
            self._pinged = now
            self._line.send(m.Ping(id=next(self._ids), session=self._session))
        if self._session and not self._polling and self.failure is None and now >= self._poll_at:
            self._polling, self._polled = next(self._ids), now
            self._line.send(m.Entries(id=self._polling, session=self._session, after=self.after, wait=_POLL_S))
        if now - max(self._heard, self._made) >= SILENCE_S:
            self._silence()
        elif self._overdue(now):
            self._connect()

    def _overdue(self, now: float) -> bool:
        """Whether something that was sent must have been lost, though the worker lives."""
        if not self._session:
            return False
        sent = [(self._polled if self._polling else 0.0, _BATCH_S)]
        sent += [(order.sent, _ACK_S) for order in list(self._orders.values())]
        sent += [(asked.sent, _ASK_S) for asked in self._asked.values()]
        return any(at and now - at >= limit for at, limit in sent)

    def _connect(self) -> None:
        """Drop the connection and make a new one; say hello on it."""
        self._line.connect()
        self._made = time.monotonic()
        self._greet()

    def _greet(self) -> None:
        self._session, self._polling = "", 0
        self._greeting = next(self._ids)
        self._line.send(m.Hello(id=self._greeting, after=self.after, spool=self._spool, **self._hello()))

    def _silence(self) -> None:
        if self._away:  # it does answer, and may have changed its mind
            self._away = False
            self._connect()
            return
        advice = self._line.advice()
        self._end_asked(self._tell_lost(f"does not answer{f'; {advice}' if advice else ''}"))
        self._connect()

    def _tell_lost(self, why: str) -> str:
        """Say that no orders are taken; returns the sentence."""
        new = f"its worker at {self.address} {why}"
        if new != self.lost or not self._told_lost:
            _log.warning("%s", new)
        self.lost = new
        if not self._told_lost:
            self._told_lost = True
            self._call(lambda: self._hooks.on_lost(new))
        return new

    def _end_asked(self, why: str) -> None:
        """End the requests that do not outlast a cut."""
        waiting = [asked for asked in self._asked.values() if not asked.lasting]
        self._asked = {id_: asked for id_, asked in self._asked.items() if asked.lasting}
        for asked in waiting:
            asked.done.set_exception(WorkerLost(why))

    def _call(self, hook: Callable[[], None]) -> None:
        try:
            hook()
        except Exception:
            _log.exception("nobody took what was told about the worker at %s", self.address)

    def _take_inbox(self) -> None:
        while True:
            with self._lock:
                item = self._inbox.popleft() if self._inbox else None
            if item is None:
                return
            if self.failure is not None:
                item.done.set_exception(self.failure)
            elif isinstance(item, Order):
                self._take_order(item)
            elif self.lost and not self._session and not item.lasting:
                item.done.set_exception(WorkerLost(self.lost))
            else:
                self._send_asked(item)

    def _take_order(self, order: Order) -> None:
        with self._lock:
            same = self._orders.setdefault(key_of(order.message), order)
        if same is order:
            self._send_order(order)
        else:
            same.done.add_done_callback(lambda done: copy_outcome(done, order.done))

    def _send_order(self, order: Order) -> None:
        if self._session:
            id_, order.sent = next(self._ids), time.monotonic()
            self._order_ids[id_] = key_of(order.message)
            self._try(order.done, order.message.model_copy(update={"id": id_, "session": self._session}))

    def _send_asked(self, asked: Asked) -> None:
        id_, asked.sent = next(self._ids), 0.0
        self._asked[id_] = asked
        if self._session:
            asked.sent = time.monotonic()
            self._try(asked.done, asked.message.model_copy(update={"id": id_, "session": self._session}))

    def _try(self, done: Future[Any], message: m.Request) -> None:
        try:
            self._line.send(message)
        except WireError as error:
            self._orders = {key: order for key, order in self._orders.items() if order.done is not done}
            self._asked = {id_: asked for id_, asked in self._asked.items() if asked.done is not done}
            done.set_exception(WorkerRefused("malformed", f"it cannot be sent to the worker: {error}"))

    # ── replies ──

    def _take(self, reply: m.Reply) -> None:
        if isinstance(reply, m.Welcome):
            if reply.id == self._greeting:
                self._welcome(reply)
            return
        if isinstance(reply, m.Refused) and reply.id == self._greeting:
            self._turned_away(reply)
            return
        if not self._session:
            return
        if isinstance(reply, m.Refused) and reply.code == "session":
            self._greet()  # the worker was started again, or has not heard from here for long
            return
        self._heard = time.monotonic()
        if reply.id in self._order_ids:
            self._about_order(self._order_ids.pop(reply.id), reply)
        elif reply.id == self._polling:
            self._polling = 0
            if isinstance(reply, m.Batch):
                self._take_entries(reply)
            elif isinstance(reply, m.Refused):
                _log.warning("the worker at %s gives no entries: %s", self.address, reply.message)
                self._poll_at = time.monotonic() + _POLL_S
        elif isinstance(reply, m.Pong):
            self._pong(reply)
        elif (asked := self._asked.pop(reply.id, None)) is not None:
            if isinstance(reply, m.Refused):
                asked.done.set_exception(WorkerRefused(reply.code, reply.message))
            else:
                asked.done.set_result(reply)

    def _welcome(self, welcome: m.Welcome) -> None:
        self._session, self._spool = welcome.session, welcome.spool
        self._heard, self._pinged = time.monotonic(), 0.0
        self.refusal, self.lost = None, ""
        self._hooks.on_welcome(welcome)
        self._found()
        self._order_ids.clear()
        asked, self._asked = list(self._asked.values()), {}
        for item in asked:
            if item.lasting:  # what is blocked comes before orders, and an abort after them
                self._send_asked(item)
        for order in list(self._orders.values()):
            if order.answer is None:
                self._send_order(order)
        for item in asked:
            if not item.lasting:
                self._send_asked(item)

    def _found(self) -> None:
        self.lost = ""
        if self._told_lost:
            self._told_lost = False
            _log.warning("the worker at %s answers again", self.address)
            self._call(self._hooks.on_found)

    def _pong(self, pong: m.Pong) -> None:
        if pong.trouble:
            self._tell_lost(f"takes no orders: {pong.trouble}")
        else:
            self._found()

    def _turned_away(self, refused: m.Refused) -> None:
        self._made, self._heard = time.monotonic(), 0.0
        self._away = True
        self.refusal = WorkerRefused(refused.code, refused.message)
        if refused.code != "campaign":
            for order in self._take_orders():
                order.done.set_exception(self.refusal)
        self._end_asked(self._tell_lost(f"refuses this coordinator: {refused.message}"))

    def _take_orders(self) -> list[Order]:
        with self._lock:
            orders, self._orders = list(self._orders.values()), {}
        return orders

    def _about_order(self, key: StepKey, reply: m.Reply) -> None:
        order = self._orders.get(key)
        if order is None:
            return
        order.sent = 0.0
        if isinstance(reply, m.Refused):
            with self._lock:
                self._orders.pop(key, None)
            order.done.set_exception(WorkerRefused(reply.code, reply.message))
        elif isinstance(reply, m.StepKnown) and reply.answer is not None:
            order.answer, order.number = reply.answer, reply.number
            self._settle(key)

    def _take_entries(self, batch: m.Batch) -> None:
        for row in batch.entries:
            try:
                taken = self._inflow.read(row)
            except ValueError as error:
                _log.warning("the worker at %s: %s; it is fetched again", self.address, error)
                self._poll_at = time.monotonic() + _POLL_S
                return
            if taken is None:
                continue
            try:
                self._hooks.on_entry(taken.number, taken.kind, taken.body)
            except Exception as error:
                self._fail(error)
                return
            self._inflow.took(taken)
            for key in list(self._orders):
                self._settle(key)

    def answered(self, answer: m.Answer, number: int) -> None:
        """The end of a step has come by; called by the hook that takes entries."""
        order = self._orders.get(StepKey(answer.trial, answer.step, answer.attempt))
        if order is not None:
            order.answer, order.number = answer, number

    def _settle(self, key: StepKey) -> None:
        order = self._orders.get(key)
        if order is not None and order.answer is not None and order.number <= self.after:
            with self._lock:
                self._orders.pop(key, None)
            order.done.set_result(order.answer)

    # ── ends ──

    def _fail(self, error: Exception) -> None:
        """Take nothing more: what came could not be handed on, and nothing must be left out."""
        self.failure = error
        self._end_all(error)

    def _end_all(self, error: Exception) -> None:
        with self._lock:
            items: list[Asked | Order] = [*self._inbox, *self._asked.values(), *self._orders.values()]
            self._inbox.clear()
            self._asked, self._orders = {}, {}
        for item in items:
            if not item.done.done():
                item.done.set_exception(error)

    def _say_goodbye(self) -> None:
        if not self._session or self.lost:
            return
        self._take_inbox()
        id_, until = next(self._ids), time.monotonic() + _GOODBYE_S
        self._line.send(m.Bye(id=id_, session=self._session))
        while time.monotonic() < until and all(reply.id != id_ for reply in self._line.replies()):
            self._line.wait(0.05)
