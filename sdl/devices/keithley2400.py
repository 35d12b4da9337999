"""Source-measure unit of the Keithley 2400 series, as the instrument behind a four-point probe: SCPI over a TCP socket.

Source: Keithley, Series 2400 SourceMeter User's Manual, 2400S-900-01, section 18 (SCPI command reference) with the data
elements and status word of `:FORMat:ELEMents`. A 2400 has RS-232 and GPIB; a serial or GPIB server stands in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from bluesky.protocols import Triggerable
from ophyd_async.core import AsyncStatus
from ophyd_async.core import StandardReadableFormat as Format

from sdl.devices._device import InstrumentDevice
from sdl.devices._heartbeat import Heartbeat
from sdl.devices._keithley_reading import ELEMENTS, Measurement, Sample, combine
from sdl.devices._limits import check_limits
from sdl.devices._scpi import ScpiLink
from sdl.devices._signal import checked_soft_signal, link_signal_r, link_signal_rw
from sdl.devices._stop import scpi_stop
from sdl.lab.stopcards import StopExchange
from sdl.model import Fault, UnsafeState
from sdl.model.units import parse_quantity
from sdl.protocols import Acts, Clock, Effect

__all__ = ["THIN_SHEET", "Keithley2400"]

THIN_SHEET = math.pi / math.log(2)
"""Sheet resistance over V/I for four equidistant points in a line on a sheet that is thin and wide against their
distance: F. M. Smits, Bell System Technical Journal 37 (1958) 711; L. J. van der Pauw, Philips Research Reports 13
(1958) 1."""
_CURRENTS = (1e-9, 1.05)
_VOLTAGES = (2e-4, 210.0)
_NPLC = (0.01, 10.0)


class Keithley2400(InstrumentDevice, Triggerable):
    """Sources a current and measures the voltage with four wires: resistance and sheet resistance.

    `trigger` switches the output on, reads with the current in both directions and switches it off again. Where the
    voltage reaches its limit `compliance` is true and `resistance` is the least that it can be: there is no film, or it
    is not connected through. That is a reading and no fault; an analysis says what it means.

    Args:
        address: `tcp://host:port`.
        name: name in the lab file.
        clock: lab time.
        timeout: wall seconds for one exchange, the reading included.
        current: to source, 1 nA to 1.05 A.
        compliance: limit of the voltage, 0.2 mV to 210 V.
        nplc: integration time in cycles of the power line, 0.01 to 10.
        delta: read with both directions of the current, so that offset voltages cancel.
        sheet_factor: sheet resistance over V/I; π/ln 2 of `THIN_SHEET` for a large thin sheet.
        heartbeat: wall seconds of silence after which the instrument is asked for its condition, so that one with a
            communications time-out does not take its driver for dead; none by default.

    Raises:
        LimitError: a setting outside its limits.
        ValueError: not a quantity of the unit.
    """

    effects: ClassVar[Mapping[str, Effect | Acts]] = {
        "trigger": Effect.READ,
        "source_current": Effect.ABSOLUTE,
        "voltage_limit": Effect.ABSOLUTE,
        "nplc": Effect.ABSOLUTE,
    }

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        clock: Clock | None = None,
        timeout: float = 2.0,
        current: str | float = "1 mA",
        compliance: str | float = "2 V",
        nplc: float = 1.0,
        delta: bool = True,
        sheet_factor: float = THIN_SHEET,
        heartbeat: str | float | None = None,
    ) -> None:
        self._link = ScpiLink(address, lambda: self.name, timeout)
        label = name or "smu"
        amperes = check_limits(f"{label} current", parse_quantity(current, "A"), "A", *_CURRENTS)
        self._limit = check_limits(f"{label} compliance", parse_quantity(compliance, "V"), "V", *_VOLTAGES)
        self._cycles = check_limits(f"{label} nplc", nplc, "cycles", *_NPLC)
        self._factor = check_limits(f"{label} sheet_factor", sheet_factor, "", 1e-6, 1e6)
        self._delta = delta
        self._measured: Measurement | None = None
        self._beside = True
        self._add_readings(f"scpi://{address.removeprefix('tcp://')}")
        self._add_settings(f"scpi://{address.removeprefix('tcp://')}", amperes)
        super().__init__(name, clock, Heartbeat(heartbeat, self._link.keep_alive, lambda: self._link.tcp.asked_at))

    def _add_readings(self, source: str) -> None:
        with self.add_children_as_readables(Format.HINTED_UNCACHED_SIGNAL):
            self.resistance = link_signal_r(float, f"{source}/READ", self._get_resistance, unit="ohm")
            """Voltage over current; where `compliance` is true, the least that it can be."""
            self.sheet_resistance = link_signal_r(float, f"{source}/READ", self._get_sheet, unit="ohm")
            """`resistance` times the sheet factor, ohm (per square)."""
        with self.add_children_as_readables(Format.UNCACHED_SIGNAL):
            self.voltage = link_signal_r(float, f"{source}/READ:VOLT", self._get_voltage, unit="V")
            """Between the inner contacts, without the offset."""
            self.current = link_signal_r(float, f"{source}/READ:CURR", self._get_current, unit="A")
            """Through the outer contacts."""
            self.offset = link_signal_r(float, f"{source}/READ:VOLT", self._get_offset, unit="V")
            """What does not change sign with the current; 0 with one direction only."""
            self.compliance = link_signal_r(bool, f"{source}/READ:STAT", self._get_compliance)
            """Whether the voltage was limited: an open circuit, or too much resistance for the current."""

    def _add_settings(self, source: str, amperes: float) -> None:
        with self.add_children_as_readables(Format.CONFIG_SIGNAL):
            self.source_current = checked_soft_signal(amperes, self._check_current, unit="A")
            """To source; written with each reading."""
            self.voltage_limit = link_signal_rw(
                float, f"{source}/SENS:VOLT:PROT", self._get_limit, self._put_limit, check=self._check_limit, unit="V"
            )
            """Limit of the voltage."""
            self.nplc = link_signal_rw(
                float, f"{source}/SENS:VOLT:NPLC", self._get_nplc, self._put_nplc, check=self._check_nplc, unit="1"
            )
            """Integration time in cycles of the power line."""

    async def begin(self) -> None:
        """Check that a 2400 answers, bring it to its defaults with the output off, and write the settings."""
        self._beside = False
        identity = await self._link.query("*CLS;*IDN?")
        maker, _, rest = identity.upper().partition(",")
        if not (maker.startswith("KEITHLEY") and rest.strip().startswith("MODEL 24")):
            raise self._link.fault(f"*IDN? gave {identity!r}; is this a Keithley 2400?")
        await self._link.command('*RST;:SOUR:FUNC CURR;:SENS:FUNC "VOLT";:SYST:RSEN ON')
        await self._link.command(f"FORM:ELEM {ELEMENTS}")
        await self._put_limit(self._limit)
        await self._put_nplc(self._cycles)

    async def identity(self) -> str:
        """Maker, model, serial number and firmware, as the instrument tells them (`*IDN?`). Raises `Fault`."""
        return await self._link.query("*IDN?")

    async def leave(self) -> None:
        """Close the connection."""
        await self._link.close()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Measure the resistance; the output is off afterwards, also when it fails.

        Raises:
            Fault: refused, no answer, or one that makes no sense.
        """
        self._measured = None
        amperes = await self.source_current.get_value()
        try:
            samples = [await self._sample(sign * amperes) for sign in ((1, -1) if self._delta else (1,))]
        except BaseException as error:
            await self._off_after(error)
            raise
        await self._off()
        try:
            measured = combine(samples)
        except ValueError as error:
            raise self._link.fault(f"readings with {amperes:g} A make no sense: {error}") from None
        self._measured = measured

    async def _sample(self, amperes: float) -> Sample:
        request = f"SOUR:CURR {amperes:.6g};:OUTP ON;:READ?"
        reply = await self._link.query(request)
        try:
            return Sample.parse(reply)
        except ValueError as error:
            raise self._link.fault(f"reply to {request!r} makes no sense ({error}): {reply[:80]!r}") from None

    async def _off(self) -> None:
        # Two messages: the second has to show what the first has done.
        await self._link.command("ABOR;:OUTP OFF")
        if await self._link.query_number("OUTP?") != 0:
            raise self._link.fault("its output stays on; switch it off by hand")

    async def _off_after(self, failure: BaseException) -> None:
        """Switch off after a failure, which is what the caller gets to know; that this failed too is added to it."""
        try:
            await self._off()
        except Fault as error:
            failure.add_note(f"and its output may be on: {error}")

    async def safe_state(self) -> None:
        """Output off, read back to confirm.

        Raises:
            UnsafeState: the instrument did not confirm.
        """
        last: Fault | None = None
        for _ in range(2):
            try:
                return await self._off()
            except Fault as error:
                last = error
        raise UnsafeState(
            self.name, f"{self._link.address}: output off was not confirmed ({last}); switch it off by hand"
        ) from last

    async def _last(self) -> Measurement:
        if self._beside:
            return await self._fetched()
        if self._measured is None:
            raise self._link.fault("nothing was measured yet: trigger it before it is read")
        return self._measured

    async def _fetched(self) -> Measurement:
        """The latest reading that anybody took, for a driver that is attached: of one direction of the current only."""
        reply = await self._link.query("FETC?")
        try:
            return combine([Sample.parse(reply)])
        except ValueError as error:
            raise self._link.fault(f"reply to 'FETC?' makes no sense ({error}): {reply[:80]!r}") from None

    async def _get_resistance(self) -> float:
        return (await self._last()).resistance

    async def _get_sheet(self) -> float:
        return self._factor * (await self._last()).resistance

    async def _get_voltage(self) -> float:
        return (await self._last()).voltage

    async def _get_current(self) -> float:
        return (await self._last()).current

    async def _get_offset(self) -> float:
        return (await self._last()).offset

    async def _get_compliance(self) -> bool:
        return (await self._last()).compliance

    def _check_current(self, amperes: float) -> None:
        check_limits(f"{self.name} current", amperes, "A", *_CURRENTS)

    async def _get_limit(self) -> float:
        return await self._link.query_number("SENS:VOLT:PROT?")

    def _check_limit(self, volts: float) -> None:
        check_limits(f"{self.name} compliance", volts, "V", *_VOLTAGES)

    async def _put_limit(self, volts: float) -> None:
        await self._link.command(f"SENS:VOLT:PROT {volts:.6g}")

    async def _get_nplc(self) -> float:
        return await self._link.query_number("SENS:VOLT:NPLC?")

    def _check_nplc(self, cycles: float) -> None:
        check_limits(f"{self.name} nplc", cycles, "cycles", *_NPLC)

    async def _put_nplc(self, cycles: float) -> None:
        await self._link.command(f"SENS:VOLT:NPLC {cycles:.6g}")

    def stop_exchanges(self) -> list[StopExchange]:
        """What switches the output off, for `sdl stop`."""
        return scpi_stop(self._link.tcp.address, "ABOR;:OUTP OFF;:OUTP?", r"\+?0")
