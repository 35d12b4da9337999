"""Optical thickness gauge as a device of classic ophyd, which knows nothing of asyncio.

It is written as a lab would write it that has used ophyd for years, and takes part in sdl all the same: whatever
satisfies `bluesky.protocols` does. Nothing of sdl is needed; a `Fault` instead of some other exception says in the
journal which device failed.

Protocol: one line a request, one line a reply, each ended by a line feed. `*IDN?` gives four fields (IEEE 488.2-1992,
section 10.14), `MEAS:THIC?` a thickness in nm or 9.91E+37 for not a number (SCPI-1999, volume 1, section 7.2.1.5),
`MEAS:CRAC?` 1 where the film is cracked and 0 where it is not, and anything refused `ERR <number>,"<message>"`.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ophyd import Component, Device, DeviceStatus, Signal

from sdl.model import Fault, InputError

__all__ = ["ThicknessGauge"]

_NOT_A_NUMBER = 9.91e37


class _Quantity(Signal):  # type: ignore[misc]
    """A value that a measurement has left, with its unit."""

    def __init__(self, *, units: str, **given: Any) -> None:
        self._units = units
        super().__init__(**given)

    def describe(self) -> dict[str, Any]:
        """As any signal's, with the unit."""
        described: dict[str, Any] = super().describe()
        described[self.name]["units"] = self._units
        return described


class ThicknessGauge(Device):  # type: ignore[misc]
    """Measures the film under it when triggered: `thickness` in nm, and `cracked`, 1 or 0.

    Args:
        prefix: `tcp://host:port`; ophyd calls an address so.
        name: name of the device.
        timeout: wall seconds to connect, and for a reply, measuring included.
    """

    # Setting a value changes what the driver remembers, and nothing of the instrument.
    effects: ClassVar[Mapping[str, str]] = {"trigger": "read", "thickness": "absolute", "cracked": "absolute"}

    identity = ""
    """Maker, model, serial number and firmware, once it is connected."""

    thickness = Component(_Quantity, value=0.0, units="nm", kind="hinted")
    cracked = Component(_Quantity, value=0, units="1", kind="normal")

    def __init__(self, prefix: str, *, name: str, timeout: float = 10.0, **given: Any) -> None:
        parts = urlsplit(prefix)
        if parts.scheme != "tcp" or not parts.hostname or not parts.port:
            raise InputError(f"{prefix!r} is not the address of a gauge; write tcp://host:port")
        self._where, self._limit = (parts.hostname, parts.port), timeout
        self._one_at_a_time = threading.Lock()
        super().__init__(prefix, name=name, **given)

    def wait_for_connection(self, all_signals: bool = False, timeout: float = 2.0) -> None:
        """Check that a gauge answers.

        Raises:
            Fault: nobody does, or it is something else.
        """
        super().wait_for_connection(all_signals=all_signals, timeout=timeout)
        (identity,) = self._ask("*IDN?", limit=min(timeout, self._limit))
        self.identity = identity
        if identity.count(",") != 3 or "gauge" not in identity.lower():
            raise self._fault(f"*IDN? gave {identity!r}; is this a thickness gauge?")

    def trigger(self) -> DeviceStatus:
        """Measure; the signals are set when the status is done."""
        status = DeviceStatus(self)
        threading.Thread(target=self._measure, args=(status,), name=f"{self.name}-measures", daemon=True).start()
        return status

    def _measure(self, status: DeviceStatus) -> None:
        try:
            with self._one_at_a_time:
                first, second = self._ask("MEAS:THIC?", "MEAS:CRAC?")
                thickness, cracked = self._number("MEAS:THIC?", first), self._number("MEAS:CRAC?", second)
                if thickness >= _NOT_A_NUMBER:
                    raise self._fault("sees no film; was it put under the gauge?")
                self.thickness.put(thickness)
                self.cracked.put(int(cracked))
        except Exception as error:
            status.set_exception(error)
        else:
            status.set_finished()

    def _ask(self, *requests: str, limit: float | None = None) -> list[str]:
        """Replies to requests, over a connection of their own."""
        seconds, request = self._limit if limit is None else limit, "connecting"
        replies = []
        try:
            with socket.create_connection(self._where, seconds) as line, line.makefile("rb") as received:
                for request in requests:
                    line.sendall(request.encode() + b"\n")
                    replies.append(self._checked(request, received.readline(4096)))
        except TimeoutError:
            raise self._fault(f"no answer to {request} within {seconds:g} s") from None
        except OSError as error:
            raise self._fault(f"{request} failed: {error.strerror or error}") from error
        return replies

    def _checked(self, request: str, reply: bytes) -> str:
        if not reply.endswith(b"\n"):
            raise self._fault(f"the connection ended in the answer to {request}; {reply!r} had come")
        text = reply.decode("ascii", errors="replace").strip()
        if text.startswith("ERR "):
            raise self._fault(f"refused {request}: {text[4:]}")
        return text

    def _number(self, request: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise self._fault(f"answered {text!r} to {request}, which is no number") from None
        if not math.isfinite(value):
            raise self._fault(f"answered {text!r} to {request}")
        return value

    def _fault(self, message: str) -> Fault:
        return Fault(self.name, f"{self.prefix}: {message}")
