"""Channel Access through aioca: every request is bounded in wall time, holds virtual time, and fails in words.

The library answers from threads of its own. While one is waited for, virtual time stands still; so the bound on the
wait is kept by wall time in either kind of loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from aioca import CANothing, _catools, caget, caput
from aioca import connect as ca_connect
from epicscorelibs.ca import cadef  # type: ignore[import-untyped]
from ophyd_async.core import Device, NotConnectedError, Signal, SignalConnector, SignalR
from ophyd_async.epics.core._aioca import CaSignalBackend

from sdl.devices._epics_names import belongs, names
from sdl.model import Fault, InputError, Refusal
from sdl.virtual import outside, wall_timeout

__all__ = ["CaAddress", "CaLink", "parse_ca"]

T = TypeVar("T")
_REFUSED = {19 << 3, 20 << 3, 46 << 3, 47 << 3}
"""ECA_GETFAIL, ECA_PUTFAIL, ECA_NORDACCESS, ECA_NOWTACCESS of `caerr.h`."""
_SEARCH = 5.0
"""Wall seconds for requests until one was answered, at least: variables are looked for again and again, with pauses."""


_hush = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda text, arguments: 0)
"""Takes what the library would print when a server ends or sends nonsense: whoever waits is told by a `Fault`."""


class CaAddress(NamedTuple):
    """Where a record is served."""

    host: str
    port: int
    prefix: str
    """Name of the record, with which the names of all its variables begin."""

    def __str__(self) -> str:
        return f"ca://{self.host}:{self.port}/{self.prefix}"


def parse_ca(text: str) -> CaAddress:
    """Read `ca://host:port/PREFIX`.

    Raises:
        InputError: it is not such an address.
    """
    match = re.fullmatch(r"ca://([^/:\s]+):(\d{1,5})/([^\s.]+)", text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise InputError(
            f"{text!r} is not the address of an EPICS record; write ca://host:port/PREFIX, such as "
            "ca://ioc.example.org:5064/BL1:STAGE"
        )
    return CaAddress(match[1], int(match[2]), match[3])


class CaLink:
    """One driver's way to the variables of a record, from any event loop.

    Args:
        address: `ca://host:port/PREFIX`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one request; until one was answered they have time to connect besides.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.address = parse_ca(address)
        self.owner, self.timeout = owner, timeout
        self._answered = False

    def fault(self, message: str) -> Fault:
        """A `Fault` of the device that names its address."""
        return Fault(self.owner(), f"{self.address}: {message}")

    def name_of(self, field: str) -> str:
        """Full name of `.RBV`, or `:EJECTED`."""
        return self.address.prefix + field

    async def open(self) -> None:
        """Find out that somebody listens at the address, and let the library know of it.

        Raises:
            Fault: nobody does, or there is no such host.
        """
        host, port, prefix = self.address
        try:
            async with wall_timeout(self.timeout):
                with outside():
                    found = await asyncio.get_running_loop().getaddrinfo(
                        host, port, family=socket.AF_INET, type=socket.SOCK_STREAM
                    )
                    address = str(found[0][4][0])
                    _, writer = await asyncio.open_connection(address, port)
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except TimeoutError:
            raise self.fault(f"no connection within {self.timeout:g} s; is the IOC running?") from None
        except OSError as error:
            number = error.errno or 0
            reason = os.strerror(number) if number > 0 else error.strerror or error
            raise self.fault(f"{reason}; is the IOC running?") from error
        directory = names()
        directory.announce(prefix, address, port)
        with directory.environment():
            await ca_connect(self.name_of(".DMOV"), wait=False)
        cadef.libca.ca_replace_printf_handler(_hush)
        cadef.libca.eltc(0)  # nor on the console, where a display of progress may be

    async def ask(self, what: str, request: Callable[[], Awaitable[T]], *, again: bool = False) -> T:
        """Wait for a request, and turn whatever goes wrong into a `Fault`.

        Args:
            what: such as `get STAGE.RBV`.
            request: begins it.
            again: whether it is begun once more when the connection turns out to have ended, as that of an IOC that
                was started again. Not for what acts.
        """
        self._renew()
        limit = self.timeout if self._answered else max(self.timeout, _SEARCH)
        try:
            async with wall_timeout(limit):
                with outside():
                    result = await request()
            self._answered = True
            return result
        except (TimeoutError, NotConnectedError) as error:
            ended = any(not channel.connected() for name, channel in self._channels().items() if name in self._up)
            self.drop()
            if not (again and ended):
                raise self.fault(f"no answer to {what} within {limit:g} s; is the IOC running?") from error
            await self.open()
        except (CANothing, cadef.CAException, cadef.Disconnected) as error:
            status = getattr(error, "errorcode", getattr(error, "status", cadef.ECA_DISCONN))
            if not (again and status == cadef.ECA_DISCONN):
                raise self._failed(what, status) from error
        self.drop()
        return await self.ask(what, request)

    def _failed(self, what: str, status: int) -> Fault:
        if status in (cadef.ECA_TIMEOUT, cadef.ECA_DISCONN):
            self.drop()
            return self.fault(f"the connection ended during {what}; is the IOC running?")
        said = cadef.ca_message(status)
        kind = Refusal if status in _REFUSED else Fault
        return kind(self.owner(), f"{self.address}: {what} failed: {said}")

    async def get(self, *fields: str) -> list[Any]:
        """Values of fields such as `.RBV`, asked for together."""
        pvs = [self.name_of(field) for field in fields]
        return list(await self.ask(f"get {', '.join(pvs)}", lambda: _get_all(pvs), again=True))

    async def send(self, field: str, value: Any) -> None:
        """Put a value without waiting for an answer; requests that follow come after it."""
        pv = self.name_of(field)
        await self.ask(f"put {value!r} to {pv}", lambda: caput(pv, value, wait=False, timeout=None))

    def signal(self, datatype: type[Any], field: str) -> SignalR[Any]:
        """A signal of ophyd-async that is read through this link."""
        pv = self.name_of(field)
        backend = _LinkedBackend(datatype, pv, pv)
        backend.link = self
        return SignalR(backend, timeout=None)

    def adopt(self, signals: Mapping[str, Device], patient: tuple[str, ...] = ()) -> None:
        """Let signals of ophyd-async go through this link.

        Args:
            signals: by name.
            patient: those whose puts take as long as the record does: neither bounded nor holding virtual time.
        """
        for name, signal in signals.items():
            assert isinstance(signal, Signal)
            old = signal._connector.backend
            assert isinstance(old, CaSignalBackend)
            backend = _LinkedBackend(old.datatype, old.read_pv, old.write_pv, old.options)
            backend.link, backend.patient = self, name in patient
            signal._connector = SignalConnector(backend)

    # ── channels: aioca keeps them by name and event loop, and has no public way to let go of one ──

    def _renew(self) -> None:
        """Let go of channels that were cut: the library would wait 10 s before it looks for them again."""
        gone = [name for name, channel in self._channels().items() if name in self._up and not channel.connected()]
        for name in gone:
            self._let_go(name)
        self._up.update(name for name, channel in self._channels().items() if channel.connected())

    @property
    def _up(self) -> set[str]:
        """Names that were connected in the running loop."""
        return _were_up.setdefault((id(asyncio.get_running_loop()), str(self.address)), set())

    def _channels(self) -> dict[str, Any]:
        cache = _catools._Context._channel_caches.get(asyncio.get_running_loop())
        if cache is None:
            return {}
        channels: dict[str, Any] = cache._ChannelCache__channels
        return {n: c for n, c in channels.items() if belongs(n, self.address.prefix)}

    def _let_go(self, name: str) -> None:
        cache = _catools._Context._channel_caches[asyncio.get_running_loop()]
        cache._ChannelCache__channels.pop(name)._purge()
        self._up.discard(name)

    def drop(self) -> None:
        """Let go of every channel of the record in the running loop; the next request makes them anew."""
        caches = _catools._Context._channel_caches
        for name in self._channels():
            self._let_go(name)
        loop = asyncio.get_running_loop()
        _were_up.pop((id(loop), str(self.address)), None)
        if loop in caches and not caches[loop].get_channels():
            del caches[loop]


async def _get_all(pvs: list[str]) -> list[Any]:
    """Values, asked for together; when one fails the others are no longer waited for, as aioca's own lists are."""
    tasks = [asyncio.ensure_future(caget(pv, timeout=None)) for pv in pvs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_were_up: dict[tuple[int, str], set[str]] = {}


class _LinkedBackend(CaSignalBackend[Any]):
    """A signal of ophyd-async over Channel Access, by way of a `CaLink`."""

    link: CaLink
    patient = False

    async def connect(self, timeout: float) -> None:
        connect = super().connect
        try:
            await self.link.ask(f"connecting {self.read_pv}", lambda: connect(timeout))
        except Fault as error:  # of this one ophyd-async tells once for all signals
            raise NotConnectedError(str(error)) from error

    async def _caget(self, pv: str, format: Any) -> Any:
        get = super()._caget
        return await self.link.ask(f"get {pv}", lambda: get(pv, format), again=True)

    async def put(self, value: Any) -> None:
        put = super().put
        if self.patient:
            try:
                await put(value)
            except CANothing as error:
                raise self.link._failed(f"put {value!r} to {self.write_pv}", error.errorcode) from error
        else:
            await self.link.ask(f"put {value!r} to {self.write_pv}", lambda: put(value))
