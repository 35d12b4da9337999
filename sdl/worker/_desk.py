"""The worker's desk: who may give orders, and what becomes of each message that comes in."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from sdl.journal import JournalError
from sdl.lab.opening import OpenLab
from sdl.wire import WireError
from sdl.worker import _messages as m
from sdl.worker._bench import Bench
from sdl.worker._past import EPOCH_RAISED, Known, StepKey
from sdl.worker._spool import Chain, Spool
from sdl.worker.errors import WorkerRefused

__all__ = ["Desk", "Send"]

_log = logging.getLogger("sdl.worker")

Send = Callable[[bytes, m.Reply], Coroutine[Any, Any, None]]
"""Sends a reply to a peer."""

_GOODBYE_S: Final = 1.0
_SILENT_S: Final = 1.6
"""Wall seconds without a word after which a coordinator's silence is told."""


@dataclass
class Session:
    """A coordinator that gives orders."""

    token: str
    campaign: str
    epoch: int
    holder: str
    heard: float
    """Monotonic seconds."""
    after: int = 0
    """Number of the last entry that it has."""
    missed: bool = False
    """Its silence has been told."""

    @property
    def alive(self) -> bool:
        """Whether its messages are still taken."""
        return time.monotonic() - self.heard < m.SESSION_S


class Desk:
    """Answers requests, one at a time but for those that take long. Lives in the worker's event loop."""

    def __init__(
        self,
        spool: Spool,
        bench: Bench,
        opened: OpenLab,
        lab: tuple[str, str],
        dead_man: float,
        send: Send,
        complain: Callable[[str], None],
    ) -> None:
        """Nobody has said hello yet.

        Args:
            spool: where everything goes first.
            bench: the station.
            opened: addresses of its devices.
            lab: the worker's lab file and its sha256.
            dead_man: wall seconds for which a campaign keeps the station without a word.
            send: sends a reply.
            complain: told why somebody was refused.
        """
        self.chain: Chain | None = None
        self.heard = time.monotonic()
        """When a coordinator was last heard."""
        self._spool, self._bench, self._opened, self._lab = spool, bench, opened, lab
        self._dead_man, self._send, self._complain = dead_man, send, complain
        self._session: Session | None = None
        self._waiting: dict[bytes, tuple[m.Entries, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.news = asyncio.Event()
        """There are more entries."""
        self.quiet = asyncio.Lock()
        """Held by whoever needs that no step begins meanwhile."""

    @property
    def name(self) -> str:
        """Of the station."""
        return self._bench.station.name

    # ── messages ──

    async def take(self, peer: bytes, request: m.Request) -> None:
        """Deal with a request and see that it is answered."""
        match request:
            case m.RunStep() | m.Abort() | m.MakeSafe() | m.AskReceipt() | m.AskIdentities():
                task = asyncio.ensure_future(self._answer(peer, request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                await self._answer(peer, request)

    async def _answer(self, peer: bytes, request: m.Request) -> None:
        reply: m.Reply | None
        try:
            reply = await self._reply(peer, request)
        except WorkerRefused as refused:
            reply = m.Refused(id=request.id, code=refused.code, message=str(refused))
        except WireError as error:
            reply = m.Refused(id=request.id, code="malformed", message=str(error))
        except JournalError as error:
            reply = m.Refused(id=request.id, code="spool", message=self._bench.cannot_record(str(error)))
        except Exception as error:
            _log.exception("a request %r of station %s", request.kind, self.name)
            reply = m.Refused(id=request.id, code="error", message=f"{type(error).__name__}: {error}")
        if reply is not None:
            if isinstance(reply, m.Refused) and reply.code != "session":
                self._complain(f"refused: {reply.message}")
            await self._send(peer, reply)

    async def _reply(self, peer: bytes, request: m.Request) -> m.Reply | None:
        if isinstance(request, m.Hello):
            return await self._hello(request)
        session, chain = self._known(request.session)
        match request:
            case m.RunStep():
                return await self._run_step(request, session, chain)
            case m.Entries():
                session.after = max(session.after, request.after)
                self._waiting[peer] = (request, time.monotonic() + request.wait)
                await self.give_entries()
                return None
            case m.AskReceipt():
                return await self._receipt(request)
            case m.AskIdentities():
                return m.Identities(id=request.id, devices=await self._bench.identities())
            case m.MakeSafe():
                return m.SafeStates(id=request.id, devices=await self._bench.make_safe(None, "asked"))
        return await self._simple(request, chain)

    async def _simple(self, request: m.Request, chain: Chain) -> m.Reply:
        station = self._bench.station
        match request:
            case m.Ping():
                trouble = self._bench.stopped or (chain.trouble and self._bench.cannot_record(chain.trouble))
                return m.Pong(id=request.id, last=chain.last, running=self._bench.running, trouble=trouble)
            case m.Bye():
                _log.info("campaign %s: its coordinator lets station %s go", chain.campaign, self.name)
                self._session = None
            case m.AskStep():
                return self._known_step(request, chain)
            case m.Abort():
                async with self.quiet:  # after an order that came before
                    if await self._bench.abort(request.reason):
                        _log.info("the step was aborted: %s", request.reason)
            case m.Block():
                station.block(m.action_of(request.action))
            case m.Unblock():
                station.unblock(request.action)
        return m.Done(id=request.id)

    def _known(self, token: str) -> tuple[Session, Chain]:
        session = self._session
        if session is None or not session.alive or session.token != token or self.chain is None:
            raise WorkerRefused("session", "say hello first")
        session.heard = self.heard = time.monotonic()
        if session.missed:
            session.missed = False
            _log.info("campaign %s: its coordinator is back", session.campaign)
        return session, self.chain

    def miss(self) -> None:
        """Say so when the coordinator that gives the orders has fallen silent."""
        session = self._session
        if session is None or session.missed or time.monotonic() - session.heard < _SILENT_S:
            return
        session.missed = True
        goes_on = "the step goes on, and " if self._bench.running is not None else ""
        _log.warning(
            "campaign %s: no word from its coordinator %s; %swhat is recorded waits in the spool",
            session.campaign, session.holder, goes_on,
        )  # fmt: skip

    # ── who gives orders ──

    async def _hello(self, hello: m.Hello) -> m.Welcome:
        self._check_place(hello)
        self._check_held(hello)
        chain = await self._chain_of(hello)
        if hello.epoch < chain.past.epoch:
            raise WorkerRefused(
                "epoch",
                f"station {self.name!r}: campaign {hello.campaign} has been taken over by another coordinator (epoch "
                f"{chain.past.epoch}, this one has {hello.epoch}); this one must stop. See who runs it with `sdl list`",
            )
        if hello.epoch > chain.past.epoch:
            await chain.record(EPOCH_RAISED, {"epoch": hello.epoch, "holder": hello.holder})
        if self._session is None or self._session.holder != hello.holder:
            _log.info("campaign %s: %s gives the orders (epoch %d)", hello.campaign, hello.holder, hello.epoch)
        elif self._session.missed:
            _log.info("campaign %s: its coordinator is back", hello.campaign)
        now = time.monotonic()
        token = secrets.token_hex(8)
        self._session = Session(token, hello.campaign, hello.epoch, hello.holder, now, hello.after)
        self.heard = now
        self._waiting.clear()
        self._take_doubts(hello, chain)
        station = self._bench.station
        return m.Welcome(
            id=hello.id, session=token, spool=self._spool.id, holder=self._spool.holder, last=chain.last,
            devices=list(station.devices), addresses=dict(self._opened.addresses),
            simulated=list(self._opened.simulated), running=self._bench.running,
        )  # fmt: skip

    def _check_place(self, hello: m.Hello) -> None:
        if hello.station != self.name:
            raise WorkerRefused(
                "station",
                f"this worker has station {self.name!r}, not {hello.station!r}; mend the address in the lab file",
            )
        file, digest = self._lab
        if hello.lab_sha256 != digest:
            raise WorkerRefused(
                "lab",
                f"station {self.name!r}: its worker's lab file {file} (sha256 {digest[:12]}…) is not the coordinator's "
                f"{hello.lab_file} (sha256 {hello.lab_sha256[:12]}…); copy the right one to both places, then start "
                "the worker again",
            )

    def _check_held(self, hello: m.Hello) -> None:
        running, session = self._bench.running, self._session
        if running is not None and running.campaign != hello.campaign:
            raise WorkerRefused(
                "campaign",
                f"station {self.name!r} is executing step {running.step!r} of trial {running.trial} of campaign "
                f"{running.campaign}; wait until that campaign is over, or stop it",
            )
        held = session is not None and time.monotonic() - session.heard < self._dead_man
        if session is not None and held and session.campaign != hello.campaign:
            raise WorkerRefused(
                "campaign",
                f"station {self.name!r} belongs to campaign {session.campaign} ({session.holder}) until that lets it "
                f"go, or is silent for {self._dead_man:g} s; wait, or stop it",
            )

    async def _chain_of(self, hello: m.Hello) -> Chain:
        """The chain of a campaign; the one before is let go."""
        chain = self.chain
        if chain is None or chain.campaign != hello.campaign or chain.trouble:
            there = await asyncio.to_thread(self._spool.campaigns)
            if hello.after and hello.campaign not in there:
                raise self._other_spool(hello)
            if chain is not None:
                if chain.trouble:
                    raise WorkerRefused("spool", self._bench.cannot_record(chain.trouble))
                self.chain = None
                await asyncio.to_thread(chain.close)
            chain = self.chain = await asyncio.to_thread(self._spool.chain, hello.campaign, self._told)
        if hello.spool not in ("", self._spool.id) or chain.past.next_seq(hello.after) is None:
            raise self._other_spool(hello)
        return chain

    def _other_spool(self, hello: m.Hello) -> WorkerRefused:
        return WorkerRefused(
            "spool",
            f"station {self.name!r}: its worker's spool {self._spool.path} does not have what campaign "
            f"{hello.campaign} has already from this station, so it is another file or an older copy; put the right "
            "one back and start the worker again. Without it nobody knows what the station did last",
        )

    def _take_doubts(self, hello: m.Hello, chain: Chain) -> None:
        """Block what the coordinator knows to be in doubt, and what it has not heard of yet; nothing else."""
        station = self._bench.station
        wanted = {action.id: action for action in map(m.action_of, hello.doubts)}
        wanted |= {action.id: action for action in chain.past.doubts(after=hello.after)}
        for doubt in list(station.guard.doubts.values()):
            if doubt.id not in wanted:
                station.unblock(doubt.id)
        for action in wanted.values():
            station.block(action)

    # ── orders ──

    async def _run_step(self, order: m.RunStep, session: Session, chain: Chain) -> m.Reply:
        if (order.campaign, order.epoch) != (session.campaign, session.epoch):
            raise WorkerRefused("epoch", f"the order is of campaign {order.campaign}, epoch {order.epoch}")
        async with self.quiet:
            known = self._known_step(order, chain)
            if known.state != "unknown":
                return known
            if self._bench.running is not None and self._has_ended(self._bench.running, chain):
                # Whoever reads the spool may know of the end before the task that wrote it has gone on.
                await self._bench.over()
            running = self._bench.running
            if running is not None:
                raise WorkerRefused(
                    "busy",
                    f"station {self.name!r} is executing step {running.step!r} of trial {running.trial} (attempt "
                    f"{running.attempt})",
                )
            await self._bench.begin(order, chain)
        return m.StepKnown(id=order.id, state="running")

    def _has_ended(self, running: m.Running, chain: Chain) -> bool:
        """Whether the end of the step under way is on record already."""
        known = chain.past.orders.get(StepKey(running.trial, running.step, running.attempt))
        return running.campaign == chain.campaign and known is not None and known.answer is not None

    def _known_step(self, request: m.RunStep | m.AskStep, chain: Chain) -> m.StepKnown:
        key = Bench.key(request)
        known: Known | None = chain.past.orders.get(key)
        running = self._bench.running
        if known is not None and known.answer is not None:
            answer = m.Answer.model_validate(known.answer)
            number = chain.past.number(known.answer_seq)
            return m.StepKnown(id=request.id, state="answered", answer=answer, number=number)
        here = running is not None and (running.trial, running.step, running.attempt) == tuple(key)
        if known is not None and not here:
            raise WorkerRefused("spool", self._bench.stopped or chain.trouble or "the end of the step is not on record")
        return m.StepKnown(id=request.id, state="running" if here else "unknown")

    async def _receipt(self, request: m.AskReceipt) -> m.Reply:
        action = m.record_of(request.action)
        if action.device not in self._bench.station.devices:
            raise WorkerRefused("step", f"station {self.name!r} has no device {action.device!r}")
        receipt = await self._bench.station.receipt(action)
        return m.ReceiptGiven(
            id=request.id, verdict=receipt.verdict.value, text=receipt.text, evidence=dict(receipt.evidence)
        )

    # ── entries ──

    def _told(self) -> None:
        """There are more entries; called in any thread."""
        if not self.news.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.news.set)

    async def give_entries(self) -> None:
        """Answer those who wait for entries: with some, or with none when they have waited long enough."""
        chain, now = self.chain, time.monotonic()
        for peer, (request, until) in list(self._waiting.items()):
            seq = chain.past.next_seq(request.after) if chain is not None else None
            if chain is None or seq is None:
                self._waiting.pop(peer, None)
            elif (seq <= chain.past.seq or now >= until) and self._waiting.pop(peer, None) is not None:
                await self._send(peer, m.Batch(id=request.id, entries=await chain.rows(seq)))

    async def goodbye(self) -> None:
        """Wait until the coordinator has every entry, for a second at most; then let the chain go."""
        until = time.monotonic() + _GOODBYE_S
        while self._session is not None and self._session.alive and self.chain is not None:
            if self._session.after >= self.chain.last or time.monotonic() > until:
                break
            await self.give_entries()
            await asyncio.sleep(0.01)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.chain is not None:
            chain, self.chain = self.chain, None
            try:
                await asyncio.to_thread(chain.close)
            except JournalError as error:
                _log.error("the spool: %s", error)
