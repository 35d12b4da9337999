"""The simulated pump against the manual, byte by byte, without our driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sdl.lab.clock import LabClock
from sdl.simulators._faults import Probe
from sdl.simulators.ne1000 import Ne1000Server, SimulatedPump


class Terminal:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r")
        reply = await self.reader.readuntil(b"\x03")
        assert reply[:1] == b"\x02"
        return reply[1:-1].decode()


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    """A terminal on a pump whose reset alarm was seen."""
    clock = LabClock(100.0)
    server = Ne1000Server({0: SimulatedPump(Probe("pump"), clock), 42: SimulatedPump(Probe("other"), clock)})
    host, port = (await server.start()).removeprefix("tcp://").split(":")
    terminal = Terminal(*await asyncio.open_connection(host, int(port)))
    assert await terminal.ask("") == "00A?R"
    yield terminal
    terminal.writer.close()
    await terminal.writer.wait_closed()
    await server.stop()


async def test_a_session_in_basic_mode(terminal: Terminal) -> None:
    """Queries answer status and value; two stops end a run; small letters and blanks are taken."""
    script = {
        "": "00S",
        "ver": "00SNE1000V3.923",
        "DIA 10.00": "00S",
        "DIA": "00S10.00",
        "VOL": "00S0.000UL",
        "RAT 25.5 UM": "00S",
        "00 RAT": "00S25.50UM",
        "DIR WDR": "00S",
        "DIR": "00SWDR",
        "RUN": "00W",
        "RAT 30": "00W",
        "RUN ": "00W?NA",
        "STP": "00P",
        "STP ": "00S",
        "CLD WDR": "00S",
        "DIS": "00SI0.000W0.000UL",
    }
    for command, reply in script.items():
        assert await terminal.ask(command) == reply, command


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("HELLO", "?"),
        ("RAT 12345", "?"),
        ("RAT -1", "?"),
        ("RAT 9999 MH", "?OOR"),
        ("DIA 51", "?OOR"),
        ("DIR UP", "?OOR"),
        ("STP", "?NA"),
        ("SAF 256", "?OOR"),
    ],
)
async def test_errors(terminal: Terminal, command: str, error: str) -> None:
    """Each error of the manual where it belongs, and the pump stays as it was."""
    assert await terminal.ask(command) == f"00S{error}"


@pytest.mark.parametrize("command", ["RAT 1 MM", "DIA 5", "VOL 10", "CLD INF"])
async def test_what_a_running_pump_refuses(terminal: Terminal, command: str) -> None:
    """Units, syringe, volume and counters cannot be changed on the run."""
    await terminal.ask("RUN")
    assert await terminal.ask(command) == "00I?NA"


async def test_pumps_answer_to_their_own_address(terminal: Terminal) -> None:
    """Each pump of the chain has its own alarm and settings."""
    assert await terminal.ask("42") == "42A?R"
    assert await terminal.ask("42RAT5.000UM") == "42S"
    assert await terminal.ask("0RAT") == "00S10.00UM"


async def test_safe_mode_and_back(terminal: Terminal) -> None:
    """`SAF` changes the framing; a wrong CRC is answered ?COM; the manual's packet leads back to basic mode."""
    terminal.writer.write(b"00SAF20\r")
    head = await terminal.reader.readexactly(2)
    assert head == b"\x02\x07"
    assert (await terminal.reader.readexactly(6))[:3] == b"00S"
    terminal.writer.write(b"\x02\x08SAF0\x55\x44\x03")
    assert (await terminal.reader.readexactly(12))[2:9] == b"00S?COM"
    terminal.writer.write(b"\x02\x08SAF0\x55\x43\x03")
    assert await terminal.reader.readexactly(5) == b"\x0200S\x03"
    assert await terminal.ask("SAF") == "00S0"
