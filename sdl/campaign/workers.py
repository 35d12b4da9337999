"""The stations of a campaign that workers have: their entries come in, and their silence is heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sdl.campaign.files import LoadedCampaign
from sdl.journal import kinds
from sdl.model import FileFault, InputError, SdlError
from sdl.wire import ClientKeys, WireError

if TYPE_CHECKING:
    from sdl.campaign.coordinator import Coordinator
    from sdl.worker import RemoteStation

__all__ = ["StationLost", "Workers"]

T = TypeVar("T")

PATIENCE = 10.0
"""Wall seconds for which the campaign waits for a worker that does not answer before it pauses."""


class StationLost(SdlError):
    """A worker does not answer; what it does meanwhile is in its spool."""


class Workers:
    """Remote stations by name, from the lab file's `worker:` addresses.

    Args:
        loaded: the campaign and its lab.
        names: stations that the procedure uses.
        secret: file with the coordinator's own secret key, for workers that ask for one.

    Raises:
        InputError: a worker's key is given and the coordinator's is not, or one cannot be read.
    """

    def __init__(self, loaded: LoadedCampaign, names: list[str], secret: Path | None) -> None:
        self._loaded = loaded
        specs = loaded.lab.spec.stations
        self.names = [name for name in names if specs[name].worker is not None]
        self._keys = {name: self._keys_of(name, secret) for name in self.names}
        self.stations: dict[str, RemoteStation] = {}
        self._campaign: Coordinator | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self._gone: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def _keys_of(self, name: str, secret: Path | None) -> ClientKeys | None:
        lab = self._loaded.lab
        public = lab.spec.stations[name].worker_key
        if public is None:
            return None
        at = ("stations", name, "worker_key")
        if secret is None:
            raise InputError(
                [lab.file.fault(at, "its worker asks for a key: run with --key FILE, your own secret key")]
            )
        try:
            return ClientKeys.load(secret, lab.folder / public)
        except WireError as error:
            raise InputError([FileFault(str(error), lab.file.name)]) from None

    def build(self, campaign: str, epoch: int, origins: Mapping[str, int]) -> Mapping[str, RemoteStation]:
        """Make the stations; nothing is sent yet.

        Args:
            campaign: id.
            epoch: of the lease.
            origins: station → number of the last entry of its spool that the journal has.
        """
        from sdl.worker import RemoteStation

        lab = self._loaded.lab
        for name in self.names:
            address = lab.spec.stations[name].worker
            assert address is not None
            self.stations[name] = RemoteStation(
                name, address, self._keys[name], lab.as_json()["sha256"], campaign, epoch, self._sink,
                origins.get(name, 0), procedure=self._loaded.procedure.name, lab_file=lab.file.name,
                on_lost=self._hears(self._on_lost, name), on_found=self._hears(self._on_found, name),
            )  # fmt: skip
        return self.stations

    async def open(self, campaign: Coordinator) -> None:
        """Connect to every worker.

        Raises:
            WorkerError: one does not answer, or refuses.
        """
        self._campaign, self._loop = campaign, asyncio.get_running_loop()
        self._gone = {name: self._loop.create_future() for name in self.names}
        await asyncio.gather(*(station.open() for station in self.stations.values()))

    async def close(self) -> None:
        """Let the stations go; their workers make them safe when they hear no more."""
        for _, timer in self._lost.values():
            timer.cancel()
        await asyncio.gather(*(station.close() for station in self.stations.values()))
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def unless_lost(self, name: str, work: Awaitable[T]) -> T:
        """Wait for something of a station, but not for ever once its worker does not answer.

        Raises:
            StationLost: it did not for `PATIENCE`; the worker goes on with what it has.
        """
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self._gone[name]}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SdlError):
            await task
        raise StationLost(self._lost[name][0] if name in self._lost else f"{name} was lost")

    def addresses(self) -> dict[str, str]:
        """Device → address, of all remote stations."""
        return {device: place for station in self.stations.values() for device, place in station.addresses.items()}

    def simulated(self) -> list[str]:
        """Devices whose instruments are simulated by workers."""
        return [device for station in self.stations.values() for device in station.simulated]

    # ── in the threads of the lines ──

    def _sink(self, kind: str, body: dict[str, Any]) -> None:
        assert self._campaign is not None
        self._campaign.take(kind, body)

    def _hears(self, what: Callable[..., None], name: str) -> Callable[..., None]:
        def tell(*args: Any) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(what, name, *args)

        return tell

    # ── in the coordinator's loop ──

    def _on_lost(self, name: str, message: str) -> None:
        if name in self._lost or self._loop is None:
            return
        self._lost[name] = message, self._loop.call_later(PATIENCE, self._give_up, name)
        self._record(name, message)

    def _on_found(self, name: str) -> None:
        if name in self._lost:
            self._lost.pop(name)[1].cancel()
            self._record(name, "")

    def _record(self, name: str, message: str) -> None:
        assert self._campaign is not None
        entry = self._campaign.record(kinds.STATION_LOST, {"station": name, "message": message})
        task = asyncio.ensure_future(entry)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self, name: str) -> None:
        assert self._campaign is not None
        message = self._lost[name][0]
        self._campaign.need_pause(
            message,
            f"see to the machine and the network of station {name}, start `sdl worker` there again if it has ended, "
            "then run the same command again; nothing is lost meanwhile",
        )
        if not self._gone[name].done():
            self._gone[name].set_result(None)
        self._campaign.settling.pulse()
        self._campaign.look()
