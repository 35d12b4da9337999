"""Interlocks and the emergency stop, for a campaign that runs: checked before a step, and all the time beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sdl.campaign.trial import PauseNeeded
from sdl.lab.interlocks import Trip, interlocks_of
from sdl.lab.labfile import Lab
from sdl.lab.opening import OpenLab
from sdl.lab.watchdog import Watchdog
from sdl.virtual import on_virtual_time

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator

__all__ = ["Safety"]

_ADVICE = "find out why and put it right; then run the campaign again"
_GRACE = 1.5
"""Wall seconds without a reading after which an instrument counts as silent; it is told of within 2 s."""
_FIRST = 5.0
"""Wall seconds in which the watchdog has had its first look."""


class Safety:
    """Watches over the stations of one lab while a campaign runs on them.

    Args:
        lab: its file declares the interlocks.
        opened: where the devices answer.
        stopped: gives the reason when somebody has called `sdl stop`; empty while nobody has.
    """

    def __init__(self, lab: Lab, opened: OpenLab, stopped: Callable[[], str]) -> None:
        self._lab, self._opened = lab, opened
        here = {device for station in opened.stations for device in lab.spec.stations[station].devices}
        self.interlocks = tuple(item for item in interlocks_of(lab.spec, lab.file) if item.device in here)
        self.stopped = stopped
        self._watchdog: Watchdog | None = None
        self._campaigns: tuple[Coordinator, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def interlocked(self) -> bool:
        """Whether the lab has interlocks."""
        return bool(self.interlocks)

    def keep_card(self) -> None:
        """A device did not confirm its safe state: `sdl stop` still has to find it when the campaign has ended."""
        self._opened.keep_card()

    async def bind(self) -> None:
        """Find the signals of the interlocks.

        Raises:
            InputError: some are not there, or have another kind of unit.
        """
        for station in self._opened.stations.values():
            await station.bind([item for item in self.interlocks if item.device in station.devices])

    def watch(self, *campaigns: Coordinator) -> Self:
        """Begin to watch for the campaigns that run on the lab; a context manager that ends it. Called in their loop.

        On virtual time there is no watchdog: interlocks are read before each step, and nobody can be hurt.
        """
        self._campaigns = campaigns
        loop = asyncio.get_running_loop()
        if on_virtual_time():
            return self

        def on_trip(trips: list[Trip]) -> None:
            loop.call_soon_threadsafe(self._tripped, list(trips))

        self._watchdog = Watchdog(
            self._lab,
            self._opened.addresses,
            self._opened.clock,
            on_trip,
            stopped=lambda: self.stopped() or None,
            interlocks=self.interlocks,
            grace=_GRACE,
        )
        self._watchdog.start()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()

    async def check(self, station: str, campaign: Coordinator) -> None:
        """Read what the station's interlocks are about, before a step of a campaign begins there.

        Raises:
            PauseNeeded: one is violated, or cannot be read.
        """
        if not self.interlocks:
            return
        if self._watchdog is not None and not self._watchdog.ready.is_set():
            await asyncio.to_thread(self._watchdog.ready.wait, _FIRST)
        trips = await self._trips(station)
        if trips:
            await campaign.record_all([trip.entry(station) for trip in trips])
            raise PauseNeeded(f"the step did not begin: {'; '.join(trip.text for trip in trips)}", _ADVICE)

    async def _trips(self, station: str) -> list[Trip]:
        """What stands in the way of a step at a station: by the watchdog, else by its own devices."""
        trips = () if self._watchdog is None else self._watchdog.trips
        standing = [trip for trip in trips if station in (trip.stations or (station,))]
        host = self._opened.stations.get(station)
        if standing or host is None:
            return standing
        return await host.check(
            [item for item in self.interlocks if item.device in host.devices and station in item.stations]
        )

    async def settled(self) -> None:
        """Wait until what has tripped has been dealt with."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _tripped(self, trips: list[Trip]) -> None:
        task = asyncio.ensure_future(self._stop(trips))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self, trips: list[Trip]) -> None:
        """Stop the stations at once, make them safe, and pause the campaigns that use them."""
        asked = [trip for trip in trips if trip.kind == "stopped"]
        if asked:
            for campaign in self._campaigns:
                campaign.control.abort(asked[0].text)
            return
        stations = [name for name in self._opened.stations if any(name in (trip.stations or (name,)) for trip in trips)]
        text = "; ".join(trip.text for trip in trips)
        concerned = [c for c in self._campaigns if not c.concluded and any(name in c.stations for name in stations)]
        for campaign in concerned:
            campaign.need_pause(f"interlock: {text}", _ADVICE)
            for name in stations:
                campaign.tripped[name] = text
            campaign.settling.pulse()
        hosts = {name: self._opened.stations[name] for name in stations}
        await asyncio.gather(*(host.abort(text) for host in hosts.values()))
        for campaign in concerned:
            here = [name for name in stations if name in campaign.stations]
            await campaign.record_all([trip.entry(name) for name in here for trip in trips])
            with contextlib.suppress(Exception):  # the campaign makes its stations safe once more, and tells complaints
                await campaign.make_safe("interlock", [hosts[name] for name in here])
            campaign.look()
