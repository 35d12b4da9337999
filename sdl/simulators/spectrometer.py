"""A simulated UV-Vis spectrometer that speaks SCPI over a TCP socket.

Standard headers as in SCPI-1999: `INITiate`, `ABORt`, `STATus:OPERation:CONDition?` (bit 4 while measuring),
`FORMat[:DATA]`, `FORMat:BORDer`, `SENSe:AVERage:COUNt`, `OUTPut[:STATe]` (the lamp's shutter), `TRACe[:DATA]?`.
The instrument's own are `SENSe:INTegration:TIME` and the trace names ABSorbance and WAVelength.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import Handler, ScpiRefusal, ScpiServer, block, number

__all__ = ["SpectralSample", "SpectrometerServer"]

T = TypeVar("T")
Array = npt.NDArray[np.float64]
_TIME = {"S": 1.0, "MS": 1e-3, "US": 1e-6}


class SpectralSample(Protocol):
    """What the spectrometer looks at."""

    wavelength: Array
    """nm, shape (n,)."""

    def spectrum(self, integration_ms: float, averages: int) -> Array:
        """Absorbance as measured now, shape (n,)."""
        ...


class SpectrometerServer(ScpiServer):
    """Serves one spectrometer.

    Args:
        sample: what it looks at.
        probe: faults and log.
        clock: lab time; exposures take their time on it.
        latency: wall seconds before each reply.
        min_integration: shortest exposure, s; a setting outside the limits is refused with error -222.
        max_integration: longest exposure, s.
        max_averages: most exposures to one spectrum.
        deadman: wall seconds of silence after which it aborts and shuts the lamp off; None for never.
    """

    def __init__(
        self,
        sample: SpectralSample,
        probe: Probe,
        clock: Clock,
        *,
        latency: float = 0.0,
        min_integration: float = 1e-3,
        max_integration: float = 0.15,
        max_averages: int = 1000,
        deadman: float | None = None,
    ) -> None:
        self._sample, self._clock = sample, clock
        self._shortest, self._longest, self._most = min_integration, max_integration, max_averages
        super().__init__(
            probe,
            identity="sdl,UV-Vis simulator,0,1.0",
            commands=self._own_commands(),
            latency=latency,
            deadman=deadman,
        )
        self._open = False
        self._defaults()

    def _defaults(self) -> None:
        self._integration, self._averages = min(max(0.1, self._shortest), self._longest), 1
        self._format, self._length, self._swapped = "ASC", 64, False
        self._spectrum: Array | None = None

    async def reset(self) -> None:
        """Shutter closed, 100 ms or the nearest there is, one exposure, text format, no spectrum."""
        await super().reset()
        self._shutter(False)
        self._defaults()

    async def make_safe(self) -> None:
        """Abort the acquisition and close the lamp's shutter."""
        await self.abort()
        self._shutter(False)

    def _shutter(self, opened: bool) -> None:
        if self._open != opened and not self.probe.faults.stuck:
            self._open = opened
            self.probe.record("shutter", open=opened)

    async def _acquire(self) -> None:
        await self._clock.sleep(self._integration * self._averages)
        dark = not self._open
        spectrum = self._sample.spectrum(self._integration * 1e3, self._averages)
        self._spectrum = np.zeros_like(spectrum) if dark else spectrum
        self.probe.record("spectrum", shutter_open=self._open, averages=self._averages)

    def _own_commands(self) -> dict[str, Handler]:
        return {
            "INITiate[:IMMediate]": self._initiate,
            "SENSe:INTegration:TIME": self._set_integration,
            "SENSe:INTegration:TIME?": self._value(lambda: f"{self._integration:.6g}"),
            "SENSe:AVERage:COUNt": self._set_averages,
            "SENSe:AVERage:COUNt?": self._value(lambda: str(self._averages)),
            "OUTPut[:STATe]": self._set_output,
            "OUTPut[:STATe]?": self._value(lambda: "1" if self._open else "0"),
            "FORMat[:DATA]": self._set_format,
            "FORMat[:DATA]?": self._value(lambda: "ASC" if self._format == "ASC" else f"REAL,{self._length}"),
            "FORMat:BORDer": self._set_border,
            "FORMat:BORDer?": self._value(lambda: "SWAP" if self._swapped else "NORM"),
            "TRACe[:DATA]?": self._trace,
            "TRACe:POINts?": self._value(lambda: str(len(self._sample.wavelength))),
        }

    @staticmethod
    def _value(get: Callable[[], str]) -> Handler:
        async def answer(_: list[str]) -> bytes:
            return get().encode()

        return answer

    async def _initiate(self, _: list[str]) -> None:
        self.begin(self._acquire)
        self.probe.record("init", integration=self._integration, averages=self._averages, shutter_open=self._open)

    async def _set_integration(self, parameters: list[str]) -> None:
        seconds = number(_single(parameters), _TIME)
        if not self._shortest <= seconds <= self._longest:
            limits = f"{self._shortest * 1e3:g} to {self._longest * 1e3:g} ms"
            raise ScpiRefusal(-222, f"integration time {seconds * 1e3:g} ms, limits {limits}")
        self._integration = seconds

    async def _set_averages(self, parameters: list[str]) -> None:
        count = number(_single(parameters))
        if not 1 <= count <= self._most:
            raise ScpiRefusal(-222, f"{count:g} averages, limits 1 to {self._most}")
        self._averages = round(count)

    async def _set_output(self, parameters: list[str]) -> None:
        self._shutter(_choice(_single(parameters), {"ON": True, "1": True, "OFF": False, "0": False}))

    async def _set_format(self, parameters: list[str]) -> None:
        kind = _choice(parameters[0] if parameters else "", {"ASC": "ASC", "ASCII": "ASC", "REAL": "REAL"})
        length = int(number(parameters[1])) if len(parameters) > 1 else 64
        if kind == "REAL" and length not in (32, 64):
            raise ScpiRefusal(-224, f"REAL,{length}")
        self._format, self._length = kind, length

    async def _set_border(self, parameters: list[str]) -> None:
        names = {"NORM": False, "NORMAL": False, "SWAP": True, "SWAPPED": True}
        self._swapped = _choice(_single(parameters), names)

    async def _trace(self, parameters: list[str]) -> bytes:
        names = {"WAV": True, "WAVELENGTH": True, "ABS": False, "ABSORBANCE": False}
        if _choice(_single(parameters), names):
            return self._encode(self._sample.wavelength)
        if self._spectrum is None or self.measuring:
            raise ScpiRefusal(-230, "no spectrum yet")
        return self._encode(self._spectrum)

    def _encode(self, values: Array) -> bytes:
        if self._format == "ASC":
            return ",".join(f"{value:.9g}" for value in values).encode()
        return block(values, f"{'<' if self._swapped else '>'}f{self._length // 8}")


def _single(parameters: list[str]) -> str:
    if len(parameters) != 1:
        raise ScpiRefusal(-109 if not parameters else -108)
    return parameters[0]


def _choice(parameter: str, known: dict[str, T]) -> T:
    if parameter.upper() not in known:
        raise ScpiRefusal(-224, parameter)
    return known[parameter.upper()]
