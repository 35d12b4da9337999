"""An instrument that answers from a table of experiments, over SCPI on a TCP socket.

Its protocol is described in `sdl.simulators.tabulated`; framing and errors follow IEEE 488.2-1992 and SCPI-1999.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bluesky.protocols import Triggerable
from event_model import DataKey
from ophyd_async.core import AsyncStatus, DeviceMap, SignalR, SignalRW, make_datakey
from ophyd_async.core import StandardReadableFormat as Format

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._scpi import ScpiError, ScpiLink, quote
from sdl.devices._signal import LinkSignalBackend
from sdl.devices._stop import IDLE, scpi_stop
from sdl.lab.effects import current_action
from sdl.lab.stopcards import StopExchange
from sdl.lab.tables import ColumnSpec, column_specs
from sdl.model import Fault, Infeasible, InputError, UnsafeState
from sdl.plugins import suggest
from sdl.protocols import ActionRecord, Acts, Clock, Effect, Receipt, Verdict

__all__ = ["TabulatedInstrument"]

NO_SUCH_EXPERIMENT = 101
"""Error of the instrument: its table has no such experiment."""
MEASURING = 16
"""Bit 4 of the operation status condition register (SCPI-1999, volume 1, section 9.3)."""
UNDEFINED_HEADER = -113
"""Error of an instrument that does not know a command (SCPI-1999, volume 2, section 21.8.9)."""
_NAMES = re.compile(r'"((?:[^"]|"")*)"')

AnySignal = SignalRW[float] | SignalRW[str]


class _NumberBackend(LinkSignalBackend[float]):
    """A number that can be described before there is one."""

    async def get_datakey(self, source: str) -> DataKey:
        return make_datakey(float, 0.0, source, {"units": self._unit})


class _TextBackend(LinkSignalBackend[str]):
    """A text that can be described before there is one."""

    async def get_datakey(self, source: str) -> DataKey:
        return make_datakey(str, "", source, {})


class TabulatedInstrument(InstrumentDevice, Triggerable):
    """Set `inputs[name]`, trigger, read `outcomes[name]`.

    An instrument that remembers action ids (`TABLe:INITiate`, `TABLe:RECord?`) measures once for each id, however
    often it is sent. Repeating a measurement of one that does not is another measurement.

    Args:
        address: `tcp://host:port`.
        name: name in the lab file.
        clock: lab time.
        timeout: wall seconds for one exchange, and for a measurement to come to its end after `duration`.
        inputs: name → unit, or `{unit, text}`; `text: true` for named levels. Other keys of the simulated
            instrument's `{column, unit, text}` are allowed, so that a lab file can give both the same block.
        outcomes: name → unit, or `{unit}`.
        duration: longest lab time of a measurement, s.
        heartbeat: wall seconds of silence after which the instrument is asked for its condition, so that one with a
            communications time-out does not take its driver for dead; none by default.

    Raises:
        InputError: `inputs` or `outcomes` cannot be understood.
    """

    effects: Mapping[str, Effect | Acts] = {"inputs": Effect.ABSOLUTE, "trigger": Effect.DEDUP}
    """On connecting, `trigger` of an instrument that does not remember action ids becomes non-repeatable."""

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        inputs: Mapping[str, Any],
        outcomes: Mapping[str, Any],
        duration: float = 0.0,
        heartbeat: str | float | None = None,
    ) -> None:
        self._link = ScpiLink(address, lambda: self.name, timeout)
        self._timeout, self._duration = timeout, duration
        self._source = f"scpi://{address.removeprefix('tcp://')}/TABL"
        known, measured = _specs(inputs), _specs(outcomes)
        signals: dict[str, AnySignal] = {n: self._input_signal(n, spec) for n, spec in known.items()}
        self.inputs: DeviceMap[AnySignal] = DeviceMap(signals)
        """What is set before a measurement, by name: a number in its unit, or text."""
        self.outcomes: DeviceMap[SignalR[float]] = DeviceMap(
            {n: self._outcome_signal(n, spec) for n, spec in measured.items()}
        )
        """What the last measurement gave, by name, in its unit."""
        self.add_readables(list(self.inputs.values()), Format.UNCACHED_SIGNAL)
        self.add_readables(list(self.outcomes.values()), Format.HINTED_UNCACHED_SIGNAL)
        self._remembers = False
        super().__init__(name, clock, Heartbeat(heartbeat, self._link.keep_alive, lambda: self._link.tcp.asked_at))

    async def begin(self) -> None:
        """Check that the table has the inputs and outcomes that the lab file names."""
        identity = await self._link.query("*CLS;*IDN?")
        if identity.count(",") != 3:
            raise self._link.fault(f"*IDN? gave {identity!r}; is this a SCPI instrument?")
        faults = []
        for kind, wanted in (("INP", self.inputs), ("OUTC", self.outcomes)):
            reply = await self._link.query(f"TABL:CAT? {kind}")
            there = [found.replace('""', '"') for found in _NAMES.findall(reply)]
            label = "input" if kind == "INP" else "outcome"
            faults += [f"it has no {label} {n!r}{suggest(n, there)}" for n in wanted if n not in there]
            if kind == "INP":
                faults += [f"its input {n!r} is not in the lab file" for n in there if n not in wanted]
        if faults:
            raise self._link.fault("; ".join(faults))
        await self._find_memory()

    async def _find_memory(self) -> None:
        try:
            await self._has_record("sdl")
        except ScpiError as error:
            if error.code != UNDEFINED_HEADER:
                raise
            self._remembers = False
            self.effects = {**type(self).effects, "trigger": Effect.NON_REPEATABLE}
        else:
            self._remembers, self.effects = True, type(self).effects

    async def _has_record(self, id_: str) -> bool:
        return await self._link.query_number(f"TABL:REC? {quote(id_)}") != 0

    async def receipt(self, action: ActionRecord) -> Receipt:
        """Whether the instrument has measured for an action; waits for a measurement under way.

        Raises:
            Fault: the instrument does not answer.
        """
        if action.path or action.verb != "trigger" or not self._remembers:
            return Receipt(Verdict.UNKNOWN, f"{self.name} keeps no record of {action.path or action.verb}")
        id_ = _short(action.id)
        if not await self._has_record(id_):
            return Receipt(Verdict.NOT_DONE, f"the instrument knows no measurement {id_}")
        if not await self._ended():
            return Receipt(Verdict.UNKNOWN, f"still measuring {id_} after {self._patience:.1f} s")
        if not await self._has_record(id_):
            return Receipt(Verdict.NOT_DONE, f"the measurement {id_} ended without a result")
        return Receipt(Verdict.DONE, f"the instrument has a record of measurement {id_}")

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Measure at the inputs that are set; once for an action of a campaign, if the instrument remembers ids.

        Raises:
            Infeasible: the table has no such experiment; the message names the nearest.
            Fault: refused, no answer, or no end of the measurement in time.
        """
        action = current_action()
        once = action is not None and self._remembers
        try:
            await self._link.command(f"TABL:INIT {quote(_short(action.id))}" if action and once else "INIT")
        except ScpiError as error:
            if error.code != NO_SUCH_EXPERIMENT:
                raise
            raise Infeasible(
                f"{self.name}: {error.detail}. A campaign with `pool:` keeps to the rows of the table"
            ) from error
        if not await self._ended():
            await self._link.command("ABOR")
            raise self._link.fault(f"still measuring after {self._patience:.1f} s")

    @property
    def _patience(self) -> float:
        """Wall seconds that a measurement may take."""
        return self._duration / self.clock.speed + self._timeout

    async def _ended(self) -> bool:
        """Wait for the end of a measurement; False when it takes too long."""
        deadline = time.monotonic() + self._patience
        while int(await self._link.query_number("STAT:OPER:COND?")) & MEASURING:
            if time.monotonic() > deadline:
                return False
            await self.poll_pause()
        return True

    async def safe_state(self) -> None:
        """Abort the measurement, and confirm it.

        Raises:
            UnsafeState: the instrument does not answer, or goes on measuring.
        """
        try:
            await self._link.command("ABOR")
            measuring = int(await self._link.query_number("STAT:OPER:COND?")) & MEASURING
        except Fault as error:
            raise UnsafeState(self.name, f"safe state not confirmed: {error}") from error
        if measuring:
            raise UnsafeState(self.name, f"{self._link.address}: goes on measuring after ABORt")

    async def identity(self) -> str:
        """Maker, model, serial number and firmware, as the instrument tells them (`*IDN?`). Raises `Fault`."""
        return await self._link.query("*IDN?")

    async def leave(self) -> None:
        """Close the connection."""
        await self._link.close()

    def _input_signal(self, name: str, spec: ColumnSpec) -> AnySignal:
        source, where = f"{self._source}:INP/{name}", f"TABL:INP? {quote(name)}"

        async def get_text() -> str:
            return _unquoted(await self._link.query(where))

        async def get_number() -> float:
            return await self._link.query_number(where)

        if spec.text:
            return SignalRW(_TextBackend(str, source, get_text, self._setter(name, get_text, quote)))
        setter = self._setter(name, get_number, lambda value: repr(float(value)))
        return SignalRW(_NumberBackend(float, source, get_number, setter, unit=spec.unit))

    def _setter(
        self, name: str, getter: Callable[[], Awaitable[Any]], encode: Callable[[Any], str]
    ) -> Callable[[Any], Awaitable[None]]:
        async def put(value: Any) -> None:
            await self._link.command(f"TABL:INP {quote(name)},{encode(value)}")
            there = await getter()
            if there != value:
                raise self._link.fault(f"input {name} was set to {value!r} and reads {there!r}")

        return put

    def _outcome_signal(self, name: str, spec: ColumnSpec) -> SignalR[float]:
        async def get() -> float:
            return await self._link.query_number(f"TABL:OUTC? {quote(name)}")

        return SignalR(_NumberBackend(float, f"{self._source}:OUTC/{name}", get, unit=spec.unit))

    def stop_exchanges(self) -> list[StopExchange]:
        """What ends the measurement, for `sdl stop`."""
        return scpi_stop(self._link.tcp.address, "ABOR;:STAT:OPER:COND?", IDLE)


def _specs(given: Mapping[str, Any]) -> dict[str, ColumnSpec]:
    """`name: unit` or `name: {unit, text}` as column specifications."""
    if not given:
        raise InputError("give at least one name: {toughness: J} or {toughness: {unit: J}}")
    return column_specs({name: {"unit": value} if isinstance(value, str) else value for name, value in given.items()})


def _short(id_: str) -> str:
    """An action's id in 32 characters."""
    return hashlib.blake2b(id_.encode(), digest_size=16).hexdigest()


def _unquoted(reply: str) -> str:
    return reply[1:-1].replace('""', '"') if reply[:1] == reply[-1:] == '"' else reply
