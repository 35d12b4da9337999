"""A lab whose one instrument answers from a table of experiments, over SCPI on a TCP socket.

Its own headers: `TABLe:INPut "name",value` and `TABLe:INPut? "name"` (value a number or a string),
`TABLe:OUTCome? "name"`, `TABLe:CATalog? INPut|OUTCome`. Error 101 says that the table has no such experiment.

Remembered actions. `TABLe:INITiate "action-id"` starts a measurement at the inputs that are set, as `INITiate` does,
unless the instrument knows the id (1 to 200 characters; another text is refused with error -224):

* it was carried out: nothing is drawn again, whatever inputs are set, and `TABLe:OUTCome?` answers with the result of
  that id;
* it is being carried out: it goes on, and nothing else happens.

While another measurement is under way, `TABLe:INITiate` is refused with error -213. `TABLe:RECord? "action-id"`
answers 1 when the id was carried out or is being carried out, and 0 when not: it was never started, was refused, or was
ended by `ABORt`, `*RST` or the dead-man lease before it had a result, and then the same id may be sent again. The last
1000 ids are remembered, over `*RST` and between connections, and as long as the instrument runs.

Which replicate an action id gets depends on the seed, the setting and the id alone, so an id that is sent to an
instrument that was switched off in between draws the same one. `INITiate` without an id takes the replicates of a
setting in a random order of their own, each once before any comes twice; ids do not take part in that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdl.lab.clock import LabClock
from sdl.lab.tables import ColumnSpec, column_specs, read_table
from sdl.model import FileFault, InputError
from sdl.model.units import parse_quantity
from sdl.protocols import Clock
from sdl.simulators._control import ControlServer
from sdl.simulators._faults import Probe
from sdl.simulators._settings import InstrumentSettings, deadman_of, faults_of
from sdl.simulators._tabulated import NO_SUCH_EXPERIMENT, REMEMBERED, TabulatedServer

__all__ = ["NO_SUCH_EXPERIMENT", "REMEMBERED", "TabulatedServer", "TabulatedSimulation"]


class TabulatedSimulation:
    """The simulated instrument of a tabulated lab.

    Args:
        instruments: the one device's name → `{deadman}`.
        seed: of the order of replicates.
        speed: lab seconds a wall second.
        table: path of the CSV file.
        inputs: name → `{column, unit, text}`; what was set.
        outcomes: name → `{column, unit}`; what was measured.
        duration: lab time of a measurement, as in `2 min`.
        deadman: dead-man lease as in `30 s`, wall time; the instrument's own setting comes first.
        clock: lab time, when it is not that of `speed`.

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
        deadman: str | float | None = None,
        clock: Clock | None = None,
    ) -> None:
        faults: list[FileFault] = []
        settings = _checked(instruments, faults)
        specs: list[dict[str, ColumnSpec]] = []
        for columns in (inputs, outcomes):
            try:
                specs.append(column_specs(columns))
            except InputError as error:
                faults.extend(error.faults)
        seconds = _duration(duration, faults)
        lease = deadman_of(deadman, "options.deadman", faults)
        if len(specs) == 2:
            try:
                rows = read_table(table, *specs)
            except InputError as error:
                faults.extend(error.faults)
        if faults:
            raise InputError(faults)
        ((self._name, setting),) = settings.items()
        clock = clock or LabClock(speed)
        self._probe = Probe(self._name, clock.now)
        self._server = TabulatedServer(
            rows, self._probe, clock, seed=seed, duration=seconds, deadman=setting.lease(lease)
        )
        self._control = ControlServer([self._probe])
        self._control_address = ""

    async def start(self) -> Mapping[str, str]:
        """Start the server and the control channel."""
        self._control_address = await self._control.start()
        return {self._name: await self._server.start()}

    @property
    def control(self) -> str:
        """Address of the channel over which tests inject faults; empty before the start."""
        return self._control_address

    @property
    def probes(self) -> list[Probe]:
        """Faults and log of the instrument."""
        return [self._probe]

    async def stop(self) -> None:
        """Stop the servers."""
        await self._server.stop()
        await self._control.stop()


class _Tabulated(InstrumentSettings):
    role: str = ""
    """Nothing depends on it."""


def _checked(instruments: Mapping[str, Mapping[str, Any]], faults: list[FileFault]) -> dict[str, InstrumentSettings]:
    if len(instruments) != 1:
        faults.append(FileFault(f"a tabulated lab has one instrument, not {len(instruments)}", path="instruments"))
    settings: dict[str, InstrumentSettings] = {}
    for name, given in instruments.items():
        try:
            settings[name] = _Tabulated.model_validate(dict(given))
        except ValidationError as error:
            faults += faults_of(error, f"instruments.{name}", known=list(_Tabulated.model_fields))
    return settings


def _duration(given: str | float, faults: list[FileFault]) -> float:
    try:
        seconds = parse_quantity(given, "s")
    except ValueError as error:
        faults.append(FileFault(str(error), path="options.duration"))
        return 0.0
    if seconds < 0:
        faults.append(FileFault(f"{seconds:g} s must not be below 0 s", path="options.duration"))
    return seconds
