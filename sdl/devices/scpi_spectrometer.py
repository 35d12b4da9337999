"""UV-Vis spectrometer that speaks SCPI over a TCP socket.

Sources: SCPI-1999 volume 2 (INITiate, ABORt, STATus, FORMat, SENSe:AVERage, OUTPut, TRACe) and IEEE 488.2-1992 (block
data). `SENSe:INTegration:TIME` and the traces ABSorbance and WAVelength belong to the instrument.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from bluesky.protocols import Triggerable
from event_model import DataKey
from ophyd_async.core import Array1D, AsyncStatus, SignalR, make_datakey
from ophyd_async.core import StandardReadableFormat as Format

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._limits import check_limits
from sdl.devices._scpi import ScpiLink
from sdl.devices._signal import LinkSignalBackend, link_signal_rw
from sdl.devices._stop import IDLE, scpi_stop
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.model.units import parse_quantity
from sdl.protocols import Acts, Clock, Effect

__all__ = ["ScpiSpectrometer"]

Spectrum = Array1D[np.float64]
Array = npt.NDArray[np.float64]
MEASURING = 16
"""Bit 4 of the operation status condition register (SCPI-1999, volume 1, section 9.3)."""
LIMITS_MS = (1.0, 150.0)
MOST_AVERAGES = 1000


class _TraceBackend(LinkSignalBackend[Spectrum]):
    """An array whose length is known before it was measured."""

    def __init__(
        self, source: str, getter: Callable[[], Awaitable[Array]], *, unit: str, points: Callable[[], int]
    ) -> None:
        super().__init__(Spectrum, source, getter, unit=unit)
        self._points = points

    async def get_datakey(self, source: str) -> DataKey:
        return make_datakey(Spectrum, np.zeros(self._points()), source, {"units": self._unit})


class ScpiSpectrometer(InstrumentDevice, Triggerable):
    """Absorbance spectra on a fixed axis of wavelengths.

    `trigger` opens the lamp's shutter, takes one spectrum and waits until it is there; `spectrum` is then read.

    Args:
        address: `tcp://host:port`.
        name: name in the lab file.
        clock: lab time; an acquisition takes its time on it.
        timeout: wall seconds for one exchange, and how much longer than its exposures an acquisition may take.
        integration_time: of one exposure, 1 to 150 ms.
        averages: exposures averaged into one spectrum, 1 to 1000.
        heartbeat: wall seconds of silence after which the instrument is asked for its condition, so that one with a
            communications time-out does not take its driver for dead; none by default.

    Raises:
        LimitError: integration time or averages outside their limits.
        ValueError: not a quantity of time.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "trigger": Effect.READ,
        "integration_time": Effect.ABSOLUTE,
        "averages": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        integration_time: str | float = "100 ms",
        averages: int = 4,
        heartbeat: str | float | None = None,
    ) -> None:
        self._link = ScpiLink(address, lambda: self.name, timeout)
        self._timeout = timeout
        self._axis: Array = np.zeros(0)
        label = name or "spectrometer"
        self._milliseconds = check_limits(
            f"{label} integration_time", parse_quantity(integration_time, "ms"), "ms", *LIMITS_MS
        )
        self._averages = int(check_limits(f"{label} averages", averages, "exposures", 1, MOST_AVERAGES))
        source = f"scpi://{address.removeprefix('tcp://')}"
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.spectrum: SignalR[Spectrum] = SignalR(
                _TraceBackend(f"{source}/TRAC:ABS", self._read_spectrum, unit="1", points=self._points)
            )
            """Absorbance, `1`, shape (n,)."""
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.wavelength: SignalR[Spectrum] = SignalR(
                _TraceBackend(f"{source}/TRAC:WAV", self._read_axis, unit="nm", points=self._points)
            )
            """nm, shape (n,)."""
            self.integration_time = link_signal_rw(
                float,
                f"{source}/SENS:INT:TIME",
                self._read_integration,
                self._write_integration,
                check=self._check_integration,
                unit="ms",
            )
            """Of one exposure, ms."""
            self.averages = link_signal_rw(
                int,
                f"{source}/SENS:AVER:COUN",
                self._read_averages,
                self._write_averages,
                check=self._check_averages,
                unit="1",
            )
            """Exposures averaged into one spectrum."""
        super().__init__(name, clock, Heartbeat(heartbeat, self._link.keep_alive, lambda: self._link.tcp.asked_at))

    async def begin(self) -> None:
        """Clear old errors, write the settings, read the axis of wavelengths."""
        identity = await self._link.query("*CLS;*IDN?")
        if identity.count(",") != 3:
            raise self._link.fault(f"*IDN? gave {identity!r}; is this a SCPI instrument?")
        await self._link.command("FORM:DATA REAL,64;:FORM:BORD NORM")
        await self._write_integration(self._milliseconds)
        await self._write_averages(self._averages)
        await self.greet()

    async def identity(self) -> str:
        """Maker, model, serial number and firmware, as the instrument tells them (`*IDN?`). Raises `Fault`."""
        return await self._link.query("*IDN?")

    async def greet(self) -> None:
        """Read the axis of wavelengths."""
        axis = await self._link.query_array("TRAC:DATA? WAV")
        if axis.size < 2 or not np.all(np.diff(axis) > 0) or not np.isfinite(axis).all():
            raise self._link.fault(f"its {axis.size} wavelengths do not ascend")
        self._axis = axis

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Take one spectrum.

        Raises:
            Fault: refused, no answer, or still measuring `timeout` seconds after the exposures should be over.
        """
        await self._link.command("OUTP ON;:INIT")
        exposure = self._milliseconds * 1e-3 * self._averages
        patience = exposure / self.clock.speed + self._timeout
        deadline = time.monotonic() + patience
        await self.clock.sleep(exposure)
        while await self._condition() & MEASURING:
            if time.monotonic() > deadline:
                await self._link.command("ABOR")
                raise self._link.fault(
                    f"still measuring {patience:.1f} s after the start of {self._averages} exposures of "
                    f"{self._milliseconds:g} ms; check its lamp and shutter"
                )
            await self.poll_pause(exposure / 4)
        if not await self._shutter_open():
            raise self._link.fault("the lamp's shutter is closed although it was told to open")

    async def safe_state(self) -> None:
        """Abort the acquisition and close the lamp's shutter, and confirm both.

        Raises:
            UnsafeState: the instrument does not answer, goes on measuring, or its shutter stays open.
        """
        try:
            await self._link.command("ABOR;:OUTP OFF")
            measuring = await self._condition() & MEASURING
            is_open = await self._shutter_open()
        except Fault as error:
            raise UnsafeState(self.name, f"safe state not confirmed: {error}") from error
        if measuring or is_open:
            what = "is still measuring" if measuring else "its lamp's shutter stays open"
            raise UnsafeState(self.name, f"{self._link.address}: {what}; close it by hand")

    async def leave(self) -> None:
        """Close the connection."""
        await self._link.close()

    def _points(self) -> int:
        return int(self._axis.size)

    async def _condition(self) -> int:
        return int(await self._link.query_number("STAT:OPER:COND?"))

    async def _shutter_open(self) -> bool:
        return await self._link.query_number("OUTP?") != 0

    async def _read_axis(self) -> Array:
        return self._axis

    async def _read_spectrum(self) -> Array:
        spectrum = await self._link.query_array("TRAC:DATA? ABS")
        if spectrum.size != self._axis.size:
            raise self._link.fault(f"spectrum of {spectrum.size} points on {self._axis.size} wavelengths")
        bad = int(np.count_nonzero(~np.isfinite(spectrum)))
        if bad:
            raise self._link.fault(f"{bad} of {spectrum.size} points of the spectrum are not finite")
        return spectrum

    async def _read_integration(self) -> float:
        return 1e3 * await self._link.query_number("SENS:INT:TIME?")

    def _check_integration(self, milliseconds: float) -> None:
        check_limits(f"{self.name} integration_time", milliseconds, "ms", *LIMITS_MS)

    async def _write_integration(self, milliseconds: float) -> None:
        await self._link.command(f"SENS:INT:TIME {milliseconds:.6g} MS")
        self._milliseconds = milliseconds

    async def _read_averages(self) -> int:
        return int(await self._link.query_number("SENS:AVER:COUN?"))

    def _check_averages(self, averages: int) -> None:
        check_limits(f"{self.name} averages", averages, "exposures", 1, MOST_AVERAGES)

    async def _write_averages(self, averages: int) -> None:
        await self._link.command(f"SENS:AVER:COUN {averages}")
        self._averages = averages

    def stop_exchanges(self) -> list[StopExchange]:
        """What ends the acquisition and closes the shutter, for `sdl stop`."""
        commands = "ABOR;:OUTP OFF;:STAT:OPER:COND?;:OUTP?"
        return scpi_stop(self._link.tcp.address, commands, rf"{IDLE};\+?0")
