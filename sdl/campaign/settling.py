"""Actions in doubt: ask the instruments, wait for a person, and let only what they touch wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdl.campaign.asking import Said
from sdl.campaign.corrections import REQUEST, asked_entries
from sdl.campaign.doubts import RESOLVE, resolution
from sdl.campaign.telling import REQUEST as TELL
from sdl.campaign.telling import asked_trials
from sdl.journal import Entry, Request, Writer, kinds
from sdl.journal.actions import ActionState
from sdl.journal.state import CampaignState
from sdl.model import InputError
from sdl.protocols import Receipt, Verdict

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["JournalRecorder", "Settling", "advice_on"]


def advice_on(doubts: list[ActionState]) -> tuple[str, str]:
    """Message and advice of a pause for actions in doubt."""
    what = "; ".join(f"trial {doubt.trial}: {doubt.in_words()}" for doubt in doubts)
    many = "it is" if len(doubts) == 1 else "they are"
    return (
        f"not known whether {many} done: {what}",
        "look at the sample and the instrument; `sdl doubts` shows the evidence and `sdl resolve` settles it; "
        "then run the same command again",
    )


class JournalRecorder:
    """What a station in this process records goes into the campaign's journal, and into the coordinator's state."""

    def __init__(self, writer: Writer, note: Callable[[Entry], None]) -> None:
        """Args:
        writer: of the campaign.
        note: takes an entry in any thread, in order, and hands it to the coordinator.
        """
        self._writer = writer
        self._note = note

    async def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Return once it is on the disk. A session whose campaign was taken over is refused here, before it acts."""
        self._note(await self._writer.aappend(kind, body))

    def post(self, kind: str, body: Mapping[str, Any]) -> str:
        """Hand it over; on the disk within a second."""
        text = self._writer.post(kind, body)
        # Its place in the chain is not known yet, and the fold does not need it.
        self._note(Entry(self._writer.campaign, 0, time.time_ns(), kind, dict(body), "", ""))
        return text


class Settling:
    """Settles doubts of one campaign."""

    def __init__(self, campaign: Coordinator) -> None:
        self._campaign = campaign
        self._asked: dict[str, Receipt] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.waiting = 0
        """Trials that wait for somebody to settle a doubt."""

    def block(self) -> None:
        """Let nothing act on devices with open doubts."""
        for doubt in self._campaign.state.doubts():
            if doubt.station in self._campaign.stations:
                self._campaign.stations[doubt.station].block(doubt)

    async def settle(self, number: int) -> bool:
        """Ask the instruments about the trial's doubts, then wait for a person. False when the campaign stops first."""
        for doubt in self._campaign.state.trials[number].doubts():
            await self._ask(doubt)
        return await self._settled(lambda: not self._campaign.state.trials[number].doubts())

    async def clear(self, station: str, devices: tuple[str, ...]) -> bool:
        """Wait until no doubt blocks one of the devices. False when the campaign stops first."""
        host = self._campaign.stations[station]
        while (doubt := host.blocked(devices)) is not None:
            if not self._open(doubt):
                host.unblock(doubt.id)  # settled meanwhile, or its trial has ended
            elif not await self._settled(lambda: host.blocked(devices) is None):
                return False
        return True

    def _open(self, doubt: ActionState) -> bool:
        """Whether a doubt that blocks a device is still one, by the record of the campaign whose action it is."""
        # An action's id begins with that of its campaign; several may share the station.
        owner = next((m for m in self._campaign.mates if doubt.id.startswith(f"{m.state.id}/")), self._campaign)
        trial = owner.state.trials.get(doubt.trial)
        return trial is not None and trial.actions.get(doubt.id) in trial.doubts()

    async def _ask(self, doubt: ActionState) -> None:
        host = self._campaign.stations.get(doubt.station)
        if host is None or doubt.id in self._asked:
            return
        receipt = self._asked[doubt.id] = await host.receipt(doubt.as_record())
        verdict = receipt.verdict
        if verdict is Verdict.UNKNOWN or (verdict is Verdict.PARTIAL and not doubt.continues):
            if receipt.text in doubt.message:
                return
            message = "; ".join(part for part in (doubt.message, receipt.text) if part)
            body = {"cause": "asked", "message": message, "evidence": dict(receipt.evidence)}
            await self._record(doubt, kinds.ACTION_DOUBTFUL, body)
            return
        said = {"verdict": verdict.value, "note": receipt.text, "evidence": dict(receipt.evidence)}
        await self._record(doubt, kinds.ACTION_RESOLVED, {**said, "by": f"instrument:{doubt.device}"})
        self._settle_at_stations(doubt.id)

    async def _record(self, doubt: ActionState, kind: str, body: Mapping[str, Any]) -> None:
        await self._campaign.record(kind, {"trial": doubt.trial, "action": doubt.id, **body})

    async def answer_requests(self) -> None:
        """Carry out what people decided and said while the campaign runs."""
        campaign = self._campaign
        for request in await asyncio.to_thread(campaign.store.requests, campaign.state.id):
            if request.kind == TELL and campaign.proposing.locked():
                continue
            if request.kind in (RESOLVE, REQUEST, TELL) and not await self._take(request):
                continue
            if request.kind == RESOLVE:
                answer = await self._answer(request.body)
            elif request.kind == REQUEST:
                answer = await self._put_on_record(asked_entries, request.body)
            elif request.kind == TELL:
                async with campaign.proposing:
                    answer = await self._put_on_record(asked_trials, request.body)
                campaign.look()
            else:
                continue
            await asyncio.to_thread(campaign.store.answer, request.id, answer)

    async def _take(self, request: Request) -> bool:
        """Begin with a request; False when it is none any more: given up, or taken by a session that has ended."""
        store = self._campaign.store
        if await asyncio.to_thread(store.take, request.id):
            return True
        if request.taken_at is not None and request.kind == RESOLVE:
            return True  # what is settled is not settled again
        if request.taken_at is not None:
            await asyncio.to_thread(
                store.answer,
                request.id,
                "a session that has ended began with it, and it may be on record: look, and say it again if it is not",
            )
        return False

    async def _put_on_record(
        self, entries_of: Callable[[CampaignState, Mapping[str, Any]], Sequence[Said]], body: Mapping[str, Any]
    ) -> str:
        """Put on record what a person asks for; the answer is why not, or that it is."""
        try:
            entries = entries_of(self._campaign.state, body)
        except InputError as error:
            return str(error)
        await self._campaign.record_all(entries)
        return "recorded"

    async def _answer(self, body: Mapping[str, Any]) -> str:
        campaign = self._campaign
        action, verdict, by, note = (str(body.get(key, "")) for key in ("action", "verdict", "by", "note"))
        try:
            entries = resolution(campaign.state, action, verdict, by, note, alone=False)
        except InputError as error:
            return str(error)
        await campaign.record_all(entries)
        self._settle_at_stations(action)
        return f"recorded: {verdict}"

    def _settle_at_stations(self, action: str) -> None:
        self._asked.pop(action, None)
        for station in self._campaign.stations.values():
            station.unblock(action)
        for mate in self._campaign.mates:
            mate.settling.pulse()

    def pulse(self) -> None:
        """Something has changed that trials may wait for."""
        self._campaign.turns.look()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _settled(self, settled: Callable[[], bool]) -> bool:
        self.waiting += 1
        try:
            return await self.until(settled)
        finally:
            self.waiting -= 1

    async def until(self, settled: Callable[[], bool]) -> bool:
        """Wait until something holds; False when the campaign stops first."""
        while not settled():
            if self._campaign.stopping:
                return False
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._campaign.look()
            await turn
        return True
