"""A lab whose one instrument answers from a table of experiments, over SCPI on a TCP socket.

Its own headers: `TABLe:INPut "name",value` and `TABLe:INPut? "name"` (value a number or a string),
`TABLe:OUTCome? "name"`, `TABLe:CATalog? INPut|OUTCome`. Error 101 says that the table has no such experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdl.lab.clock import LabClock
from sdl.lab.tables import ColumnSpec, Table, column_specs, read_table
from sdl.model import FileFault, InputError, Scalar
from sdl.model.units import parse_quantity
from sdl.protocols import Clock
from sdl.simulators._control import ControlServer
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import Handler, ScpiRefusal, ScpiServer, number, quoted, text

__all__ = ["NO_SUCH_EXPERIMENT", "TabulatedServer", "TabulatedSimulation"]

NO_SUCH_EXPERIMENT = 101
"""The instrument's own error: no row of the table has the inputs that were set."""


class TabulatedServer(ScpiServer):
    """Serves one table.

    A measurement answers with one of the measured rows that have the inputs set, unchanged. The replicates of a
    setting come in a random order of their own, each once before any comes twice.

    Args:
        table: rows that were measured.
        probe: faults and log.
        clock: lab time.
        seed: of the order of replicates.
        duration: of a measurement, lab s.
        latency: wall seconds before each reply.
    """

    def __init__(
        self,
        table: Table,
        probe: Probe,
        clock: Clock,
        *,
        seed: int,
        duration: float = 0.0,
        latency: float = 0.0,
    ) -> None:
        self._table, self._clock, self._seed, self._duration = table, clock, seed, duration
        self._position = {key: i for i, key in enumerate(table.groups)}
        self._visits = dict.fromkeys(table.groups, 0)
        self._set: dict[str, Scalar] = {}
        self._measured: dict[str, float] = {}
        super().__init__(
            probe, identity="sdl,table of experiments,0,1.0", commands=self._own_commands(), latency=latency
        )

    async def reset(self) -> None:
        """No input set, nothing measured."""
        await super().reset()
        self._set, self._measured = {}, {}

    def draw(self, key: tuple[Scalar, ...]) -> dict[str, float]:
        """Outcomes of the next replicate of a setting, as they were measured."""
        rows, visit = self._table.groups[key], self._visits[key]
        self._visits[key] += 1
        cycle, place = divmod(visit, len(rows))
        order = np.random.default_rng([self._seed, self._position[key], cycle]).permutation(len(rows))
        row = rows[order[place]]
        return {name: column[row] for name, column in self._table.outcomes.items()}

    def _own_commands(self) -> dict[str, Handler]:
        return {
            "TABLe:INPut": self._set_input,
            "TABLe:INPut?": self._get_input,
            "TABLe:OUTCome?": self._get_outcome,
            "TABLe:CATalog?": self._catalog,
            "INITiate[:IMMediate]": self._initiate,
        }

    async def _set_input(self, parameters: list[str]) -> None:
        if len(parameters) != 2:
            raise ScpiRefusal(-109 if len(parameters) < 2 else -108)
        name = self._known(parameters[0], self._table.inputs)
        value = text(parameters[1]) if parameters[1].startswith('"') else number(parameters[1])
        if isinstance(value, str) != isinstance(self._table.inputs[name][0], str):
            kind = "text" if isinstance(value, str) else "a number"
            raise ScpiRefusal(-224, f"{name} cannot be {kind}")
        if not self.probe.faults.stuck:
            self._set[name] = value
            self.probe.record("set", input=name, value=value)

    async def _get_input(self, parameters: list[str]) -> bytes:
        name = self._known(parameters[0] if parameters else "", self._table.inputs)
        if name not in self._set:
            raise ScpiRefusal(-230, f"{name} is not set")
        return _encode(self._set[name])

    async def _get_outcome(self, parameters: list[str]) -> bytes:
        name = self._known(parameters[0] if parameters else "", self._table.outcomes)
        if name not in self._measured or self.measuring:
            raise ScpiRefusal(-230, "nothing measured yet")
        return _encode(self._measured[name])

    async def _catalog(self, parameters: list[str]) -> bytes:
        kind = parameters[0].upper() if len(parameters) == 1 else ""
        if kind not in ("INP", "INPUT", "OUTC", "OUTCOME"):
            raise ScpiRefusal(-224, kind)
        names = self._table.inputs if kind.startswith("INP") else self._table.outcomes
        return b",".join(quoted(name) for name in names)

    async def _initiate(self, _: list[str]) -> None:
        unset = [name for name in self._table.inputs if name not in self._set]
        if unset:
            raise ScpiRefusal(-200, f"not set: {', '.join(unset)}")
        key = self._table.find(self._set)
        if key is None:
            nearest = zip(self._table.inputs, self._table.nearest(self._set), strict=True)
            row = ", ".join(f"{name} = {_shown(value)}" for name, value in nearest)
            raise ScpiRefusal(NO_SUCH_EXPERIMENT, f"no such experiment in the table; nearest: {row}")

        async def measure() -> None:
            await self._clock.sleep(self._duration)
            self._measured = self.draw(key)
            self.probe.record("measured", inputs=dict(self._set), outcomes=self._measured)

        self.begin(measure)

    @staticmethod
    def _known(parameter: str, names: Mapping[str, object]) -> str:
        name = text(parameter)
        if name not in names:
            raise ScpiRefusal(-224, f"no {name!r}, only {', '.join(names)}")
        return name


def _encode(value: Scalar) -> bytes:
    return quoted(value) if isinstance(value, str) else repr(float(value)).encode()


def _shown(value: Scalar) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


class TabulatedSimulation:
    """The simulated instrument of a tabulated lab.

    Args:
        instruments: the one device's name → settings (none so far).
        seed: of the order of replicates.
        speed: lab seconds a wall second.
        table: path of the CSV file.
        inputs: name → `{column, unit, text}`; what was set.
        outcomes: name → `{column, unit}`; what was measured.
        duration: lab time of a measurement, as in `2 min`.

    Raises:
        InputError: the options or the table cannot be used; every fault.
    """

    def __init__(
        self,
        instruments: Mapping[str, Mapping[str, Any]],
        *,
        seed: int,
        speed: float,
        table: str | Path,
        inputs: Mapping[str, Any],
        outcomes: Mapping[str, Any],
        duration: str | float = 0.0,
    ) -> None:
        faults = _faults_of(instruments)
        specs: list[dict[str, ColumnSpec]] = []
        for columns in (inputs, outcomes):
            try:
                specs.append(column_specs(columns))
            except InputError as error:
                faults.extend(error.faults)
        if faults:
            raise InputError(faults)
        (self._name,) = instruments
        clock = LabClock(speed)
        probe = Probe(self._name, clock.now)
        self._server = TabulatedServer(
            read_table(table, *specs), probe, clock, seed=seed, duration=parse_quantity(duration, "s")
        )
        self._control = ControlServer([probe])
        self._control_address = ""

    async def start(self) -> Mapping[str, str]:
        """Start the server and the control channel."""
        self._control_address = await self._control.start()
        return {self._name: await self._server.start()}

    @property
    def control(self) -> str:
        """Address of the channel over which tests inject faults; empty before the start."""
        return self._control_address

    async def stop(self) -> None:
        """Stop the servers."""
        await self._server.stop()
        await self._control.stop()


def _faults_of(instruments: Mapping[str, Mapping[str, Any]]) -> list[FileFault]:
    faults = []
    if len(instruments) != 1:
        faults.append(FileFault(f"a tabulated lab has one instrument, not {len(instruments)}", path="instruments"))
    for name, settings in instruments.items():
        stray = sorted(set(settings) - {"role"})
        faults += [FileFault("unknown setting", path=f"instruments.{name}.{key}") for key in stray]
    return faults
