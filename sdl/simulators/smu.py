"""A simulated source-measure unit with the command subset of a Keithley 2400, behind a four-point probe.

Commands, data elements, status word and the error +803 as in Keithley, Series 2400 SourceMeter User's Manual,
2400S-900-01, sections 15 and 18 and appendix B. It sources current and measures voltage, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import numpy as np

from sdl.protocols import Clock
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import Handler, ScpiRefusal, ScpiServer, number, text

__all__ = ["ProbePlant", "Resistor", "SourceMeterServer"]

MAX_CURRENT, MAX_VOLTAGE = 1.05, 210.0
_NOT_MEASURED = 9.91e37
_COMPLIANCE, _VOLTAGE_MEASURED, _CURRENT_SOURCED, _FOUR_WIRES = 1 << 3, 1 << 11, 1 << 15, 1 << 22
_ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT")
_LONG = {"VOLTAGE": "VOLT", "CURRENT": "CURR", "RESISTANCE": "RES", "STATUS": "STAT"}
_SWITCH = {"ON": True, "1": True, "OFF": False, "0": False}


class ProbePlant(Protocol):
    """What the probe's four points stand on."""

    def resistance(self, position_mm: float | None) -> float | None:
        """Voltage between the inner points over the current through the outer ones, ohm.

        Args:
            position_mm: of the stage under the probe; None where there is none.

        Returns:
            None for an open circuit: no film, or one that is not connected through.
        """
        ...


class Resistor:
    """The same everywhere.

    Args:
        ohms: None for an open circuit.
    """

    def __init__(self, ohms: float | None = 100.0) -> None:
        self.ohms = ohms

    def resistance(self, position_mm: float | None) -> float | None:
        """ohm"""
        return self.ohms


class SourceMeterServer(ScpiServer):
    """Serves one source-measure unit.

    Args:
        plant: what the probe stands on.
        probe: faults and log: each `output` that switches, each `reading`.
        clock: lab time; readings take their integration time on it.
        seed: of the noise.
        position: tells where the stage is, mm; None where there is none.
        offset: voltage that is there without a current, V: thermoelectric, mostly.
        noise: standard deviation of a voltage that was integrated over one cycle of the power line, V.
        contacts: resistance of each contact with its lead, ohm; measured as well without remote sensing.
        line_frequency: of the power line, Hz.
        latency: wall seconds before each reply.
        deadman: wall seconds of silence after which it aborts and switches its output off; None for never.
    """

    def __init__(
        self,
        plant: ProbePlant,
        probe: Probe,
        clock: Clock,
        *,
        seed: int = 0,
        position: Callable[[], float | None] = lambda: None,
        offset: float = 20e-6,
        noise: float = 1e-6,
        contacts: float = 10.0,
        line_frequency: float = 50.0,
        latency: float = 0.0,
        deadman: float | None = None,
    ) -> None:
        self._plant, self._clock, self._position = plant, clock, position
        self._rng = np.random.default_rng(seed)
        self._offset, self._noise, self._contacts, self._line = offset, noise, contacts, line_frequency
        super().__init__(
            probe,
            identity="KEITHLEY INSTRUMENTS INC.,MODEL 2400,0000000,C34 sdl",
            commands={**self._source_commands(), **self._sense_commands()},
            latency=latency,
            deadman=deadman,
        )
        self._began = clock.now()
        self.output = False
        """Whether the output is on."""
        self._defaults()

    def _defaults(self) -> None:
        self._sources_current, self._level = False, 0.0
        self._limit, self._cycles, self._four_wires = 21.0, 1.0, False
        self._elements: tuple[str, ...] = _ELEMENTS
        self._tripped = False
        self._result: bytes | None = None

    async def reset(self) -> None:
        """Output off; a voltage source of 0 V, which this one cannot read with; two wires; all five elements."""
        await super().reset()
        self._switch(False)
        self._defaults()

    async def make_safe(self) -> None:
        """Abort the reading and switch the output off."""
        await self.abort()
        self._switch(False)

    def _switch(self, on: bool) -> None:
        if self.output != on and not self.probe.faults.stuck:
            self.output = on
            self.probe.record("output", on=on)

    def _source_commands(self) -> dict[str, Handler]:
        return {
            "SOURce[1]:FUNCtion[:MODE]": self._set_function,
            "SOURce[1]:FUNCtion[:MODE]?": _told(lambda: "CURR" if self._sources_current else "VOLT"),
            "SOURce[1]:CURRent[:LEVel][:IMMediate][:AMPLitude]": self._set_current,
            "SOURce[1]:CURRent[:LEVel][:IMMediate][:AMPLitude]?": _told(lambda: f"{self._level:.6E}"),
            "OUTPut[1][:STATe]": self._set_output,
            "OUTPut[1][:STATe]?": _told(lambda: str(int(self.output))),
        }

    def _sense_commands(self) -> dict[str, Handler]:
        return {
            "SENSe[1]:FUNCtion[:ON]": self._set_sense,
            "SENSe[1]:FUNCtion[:ON]?": _told(lambda: '"VOLT:DC"'),
            "SENSe[1]:VOLTage[:DC]:PROTection[:LEVel]": self._set_limit,
            "SENSe[1]:VOLTage[:DC]:PROTection[:LEVel]?": _told(lambda: f"{self._limit:.6E}"),
            "SENSe[1]:VOLTage[:DC]:PROTection:TRIPped?": _told(lambda: str(int(self._tripped))),
            "SENSe[1]:VOLTage[:DC]:NPLCycles": self._set_cycles,
            "SENSe[1]:VOLTage[:DC]:NPLCycles?": _told(lambda: f"{self._cycles:.2f}"),
            "SYSTem:RSENse": self._set_wires,
            "SYSTem:RSENse?": _told(lambda: str(int(self._four_wires))),
            "SYSTem:LFRequency?": _told(lambda: f"{self._line:g}"),
            "FORMat:ELEMents[:SENSe[1]]": self._set_elements,
            "FORMat:ELEMents[:SENSe[1]]?": _told(lambda: ",".join(self._elements)),
            "READ?": self._read,
            "FETCh?": self._fetch,
        }

    async def _set_function(self, parameters: list[str]) -> None:
        known = {"CURR": True, "CURRENT": True, "VOLT": False, "VOLTAGE": False}
        self._sources_current = _choice(parameters, known)

    async def _set_current(self, parameters: list[str]) -> None:
        self._level = _number(parameters, -MAX_CURRENT, MAX_CURRENT, "A")

    async def _set_output(self, parameters: list[str]) -> None:
        self._switch(_choice(parameters, _SWITCH))

    async def _set_sense(self, parameters: list[str]) -> None:
        if text(_single(parameters)).upper() not in ("VOLT", "VOLTAGE", "VOLT:DC", "VOLTAGE:DC"):
            raise ScpiRefusal(-224, parameters[0])

    async def _set_limit(self, parameters: list[str]) -> None:
        self._limit = _number(parameters, 2e-4, MAX_VOLTAGE, "V")

    async def _set_cycles(self, parameters: list[str]) -> None:
        self._cycles = _number(parameters, 0.01, 10.0, "cycles")

    async def _set_wires(self, parameters: list[str]) -> None:
        self._four_wires = _choice(parameters, _SWITCH)

    async def _set_elements(self, parameters: list[str]) -> None:
        asked = {_LONG.get(parameter.upper(), parameter.upper()) for parameter in parameters}
        if not asked:
            raise ScpiRefusal(-109)
        if unknown := asked.difference(_ELEMENTS):
            raise ScpiRefusal(-224, ", ".join(sorted(unknown)))
        # They come in this order, whatever the order they are asked for in.
        self._elements = tuple(element for element in _ELEMENTS if element in asked)

    async def _read(self, _: list[str]) -> bytes:
        if not self.output:
            raise ScpiRefusal(803, "Not permitted with OUTPUT off")
        if not self._sources_current:
            raise ScpiRefusal(-221, "Settings conflict;this one reads as a current source only")
        self._result = None
        self.begin(self._integrate)
        assert self._acquisition is not None
        await asyncio.wait([self._acquisition])
        return self._latest("the reading was aborted")

    async def _fetch(self, _: list[str]) -> bytes:
        return self._latest("no reading yet")

    def _latest(self, otherwise: str) -> bytes:
        if self._result is None:
            raise ScpiRefusal(-230, otherwise)
        return self._result

    async def _integrate(self) -> None:
        await self._clock.sleep(self._cycles / self._line)
        position = self._position()
        ohms = self._plant.resistance(position)
        if ohms is not None and not self._four_wires:
            ohms += 2 * self._contacts
        driven = 0.0 if not self._level else np.copysign(np.inf, self._level) if ohms is None else self._level * ohms
        clean = driven + self._offset
        self._tripped = bool(abs(clean) >= self._limit)
        noise = self._rng.normal(0.0, self._noise / np.sqrt(self._cycles))
        voltage = float(np.clip(clean, -self._limit, self._limit) + noise)
        status = _VOLTAGE_MEASURED | _CURRENT_SOURCED | _FOUR_WIRES * self._four_wires | _COMPLIANCE * self._tripped
        values = {
            "VOLT": voltage,
            "CURR": self._level,
            "RES": _NOT_MEASURED,
            "TIME": (self._clock.now() - self._began) % 99_999.999,
            "STAT": float(status),
        }
        self._result = ",".join(f"{values[element]:+.6E}" for element in self._elements).encode()
        self.probe.record("reading", current=self._level, voltage=voltage, compliance=self._tripped, position=position)


def _told(get: Callable[[], str]) -> Handler:
    async def answer(_: list[str]) -> bytes:
        return get().encode()

    return answer


def _single(parameters: list[str]) -> str:
    if len(parameters) != 1:
        raise ScpiRefusal(-109 if not parameters else -108)
    return parameters[0]


def _choice(parameters: list[str], known: dict[str, bool]) -> bool:
    parameter = _single(parameters)
    if parameter.upper() not in known:
        raise ScpiRefusal(-224, parameter)
    return known[parameter.upper()]


def _number(parameters: list[str], low: float, high: float, unit: str) -> float:
    value = number(_single(parameters))
    if not low <= value <= high:
        raise ScpiRefusal(-222, f"{value:g} {unit}, limits {low:g} to {high:g} {unit}")
    return value
