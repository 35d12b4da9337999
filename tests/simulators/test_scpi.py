"""SCPI on the wire: what the simulated instruments answer, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdl.devices._scpi import parse_block
from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators._scpi import ScpiRefusal, block, number, text
from sdl.simulators.spectrometer import SpectrometerServer


class Sample:
    """A sample whose absorbance is a hundredth of the wavelength's index."""

    wavelength = np.arange(320.0, 801.0)

    def spectrum(self, integration_ms: float, averages: int) -> np.ndarray:
        return np.arange(481) / 100.0


@pytest.fixture
async def server() -> AsyncIterator[SpectrometerServer]:
    """A spectrometer on loopback."""
    server = SpectrometerServer(Sample(), Probe("spectrometer"), LabClock(100.0))
    yield server
    await server.stop()


async def _talk(server: SpectrometerServer, *messages: str) -> list[bytes]:
    address = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    replies = []
    try:
        for message in messages:
            writer.write(message.encode() + b"\n")
            if "?" in message:
                replies.append((await asyncio.wait_for(reader.readline(), 2)).rstrip(b"\n"))
    finally:
        writer.close()
        await writer.wait_closed()
    return replies


async def test_common_commands(server: SpectrometerServer) -> None:
    """*IDN?, *OPC?, *ESR?, *CLS and *RST work as IEEE 488.2 has them."""
    replies = await _talk(server, "*IDN?", "*OPC?", "NONSENSE", "*ESR?", "*ESR?", "*CLS;SYST:ERR?", "*RST;:OUTP?")
    assert replies[0].count(b",") == 3
    assert replies[1:] == [b"1", b"32", b"0", b'0,"No error"', b"0"]


async def test_headers_have_long_and_short_forms(server: SpectrometerServer) -> None:
    """Headers are taken in long and short form, in any case, optional nodes left out or not; nothing between."""
    replies = await _talk(
        server,
        "sense:average:count 7;:SENS:AVER:COUN?",
        "SENS:INT:TIME 20 ms;:sens:int:time?",
        "OUTPUT:STATE ON;OUTP?",
        "SENSE:AVERA:COUN?;:SYST:ERR?",
    )
    assert replies == [b"7", b"0.02", b"1", b'-113,"Undefined header;SENSE:AVERA:COUN?"']


async def test_errors_queue_up(server: SpectrometerServer) -> None:
    """Errors are kept in order until they are read; too many end in a queue overflow."""
    replies = await _talk(
        server,
        "SENS:INT:TIME 9;:SENS:AVER:COUN;:OUTP MAYBE;:SENS:AVER:COUN x;:TRAC? ABS;:SYST:ERR?",
        *["SYST:ERR?"] * 5,
        *["BAD"] * 25,
        *["SYSTem:ERRor:NEXT?"] * 21,
    )
    codes = [int(reply.split(b",")[0]) for reply in replies]
    assert codes[:6] == [-222, -109, -224, -121, -230, 0]
    assert codes[6:] == [-113] * 19 + [-350, 0]
    assert b"9000 ms" in replies[0]


async def test_acquisition_takes_its_time_and_can_be_aborted(server: SpectrometerServer) -> None:
    """INIT measures until the exposures are over; a second INIT is ignored with an error; ABORt ends it."""
    replies = await _talk(
        server,
        "SENS:INT:TIME 0.15;AVER:COUN 1",
        "SENS:AVER:COUN 1000;:INIT;:STAT:OPER:COND?",
        "INIT;*CLS;ABOR;:STAT:OPER:COND?",
        "SENS:AVER:COUN 1;:OUTP ON;:INIT;*OPC?",
        "TRAC? ABS",
    )
    assert replies[:3] == [b"16", b"0", b"1"]
    assert [float(v) for v in replies[3].split(b",")] == pytest.approx(list(np.arange(481) / 100))


async def test_closed_shutter_gives_no_spectrum(server: SpectrometerServer) -> None:
    """With the shutter closed the spectrum is flat."""
    (done, spectrum) = await _talk(server, "INIT;*OPC?", "TRAC? ABS")
    assert done == b"1"
    assert set(spectrum.split(b",")) == {b"0"}


@pytest.mark.parametrize("dtype", [">f8", "<f8", ">f4", "<f4"])
@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False), max_size=300))
def test_blocks_round_trip(dtype: str, values: list[float]) -> None:
    """What is packed into a definite-length block comes out of it, in every format."""
    array = np.array(values, dtype=float)
    np.testing.assert_array_equal(parse_block(block(array, dtype), dtype), array)


@given(data=st.binary(max_size=60))
def test_other_bytes_are_no_block(data: bytes) -> None:
    """Any bytes are either a block whose length fits, or refused with ValueError."""
    for candidate in (data, b"#" + data, b"#1" + data):
        try:
            values = parse_block(candidate)
        except ValueError:
            continue
        assert len(candidate) == 2 + int(candidate[1:2]) + 8 * values.size


@given(value=st.text(st.characters(blacklist_characters='\n"', codec="utf-8")))
def test_strings_come_out_of_their_quotes(value: str) -> None:
    """A string parameter is what stands between the quotes; doubled quotes are one."""
    assert text(f'"{value}"') == value
    assert text(f'"{value}""x"') == f'{value}"x'
    with pytest.raises(ScpiRefusal, match="Invalid string"):
        text(value)


def test_numbers_take_suffixes() -> None:
    """Numbers may carry a suffix that the command knows."""
    assert number("12 MS", {"MS": 1e-3}) == pytest.approx(0.012)
    for wrong in ("12 KG", "1e", "", "twelve"):
        with pytest.raises(ScpiRefusal, match="Invalid character"):
            number(wrong)
