"""The RS-232 protocol of New Era's NE-1000 syringe pumps: packets, replies, numbers, units, limits.

Source: New Era Pump Systems, NE-1000 user manual, publication 1200-01: §10.2.2 (basic mode), §10.2.3 (safe mode),
§10.2.4 (common syntax), §10.3 (errors and alarms). The same strings travel over a serial server's TCP port.
"""

from __future__ import annotations

import binascii
import math
import re
from dataclasses import dataclass

__all__ = [
    "ALARMS",
    "ERRORS",
    "RATE_UNITS",
    "VOLUME_UNITS",
    "PumpReply",
    "basic_packet",
    "crc16",
    "format_number",
    "format_rate",
    "parse_reply",
    "parse_volumes",
    "rate_limits",
    "safe_packet",
    "step",
    "unpack_safe",
]

STX, ETX = b"\x02", b"\x03"

RATE_UNITS = {"UM": 1.0, "UH": 1 / 60, "MM": 1000.0, "MH": 1000 / 60}
"""uL/min in one of the pump's units of rate."""
VOLUME_UNITS = {"UL": 1.0, "ML": 1000.0}
"""uL in one of the pump's units of volume."""

ALARMS = {
    "R": "the pump was reset (its power was interrupted)",
    "S": "the pump motor has stalled; free the plunger, look for a blocked line",
    "T": "the pump heard nothing for the time of its watchdog and stopped",
    "E": "error in the pumping program",
    "O": "the phase of the pumping program is out of range",
}
ERRORS = {
    "": "the command is not recognised",
    "NA": "the command is not applicable at present",
    "OOR": "the value is out of range",
    "COM": "the pump received an invalid packet",
    "IGN": "the command was ignored because a phase starts at this moment",
}
_REPLY = re.compile(r"(\d\d)(?:A\?([RSTEO])|([IWSPTUX]))(.*)", re.DOTALL)

# Travel of the pusher, NE-1000 user manual, appendix of specifications.
_FASTEST_CM_PER_MIN = 5.1005
_SLOWEST_CM_PER_H = 0.004205


@dataclass(frozen=True)
class PumpReply:
    """What a pump said."""

    address: int
    status: str
    """I infusing, W withdrawing, S stopped, P paused, T pause phase, U waiting for trigger, X purging, A alarm."""
    alarm: str = ""
    """Letter of the alarm; empty without one."""
    error: str | None = None
    """Error without its question mark; None when the command was accepted."""
    data: str = ""

    @property
    def moving(self) -> bool:
        """Whether the plunger is being driven."""
        return self.status in ("I", "W", "X")


def crc16(data: bytes) -> int:
    """CRC-16/CCITT, polynomial 0x1021, start value 0: gives the packet printed in §10.2.2 for `SAF0`."""
    return binascii.crc_hqx(data, 0)


def basic_packet(command: str) -> bytes:
    """A command in basic mode: text and carriage return."""
    return command.encode("ascii") + b"\r"


def safe_packet(data: str) -> bytes:
    """Command or reply in safe mode: STX, length, data, CRC (high byte first), ETX.

    The length counts the bytes that remain in the packet, itself included.
    """
    body = data.encode("ascii")
    if len(body) > 250:
        raise ValueError(f"{len(body)} characters do not fit in one packet")
    return STX + bytes([len(body) + 4]) + body + crc16(body).to_bytes(2, "big") + ETX


def unpack_safe(rest: bytes) -> str:
    """The data of a safe-mode packet from what follows its length byte.

    Raises:
        ValueError: ETX is missing or the CRC is wrong.
    """
    body, crc, end = rest[:-3], rest[-3:-1], rest[-1:]
    if end != ETX:
        raise ValueError("the packet does not end with ETX")
    if crc16(body) != int.from_bytes(crc, "big"):
        raise ValueError(f"CRC {crc.hex()} instead of {crc16(body):04x}")
    return body.decode("ascii")


def parse_reply(text: str) -> PumpReply:
    """Read `<address><status>[data]`.

    Raises:
        ValueError: it is not of that form.
    """
    match = _REPLY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an address and a status")
    address, alarm, status, data = match.groups()
    if alarm:
        return PumpReply(int(address), "A", alarm=alarm)
    if data.startswith("?"):
        return PumpReply(int(address), status, error=data[1:])
    return PumpReply(int(address), status, data=data)


def parse_volumes(data: str) -> tuple[float, float, float]:
    """Volume infused, volume withdrawn and the pump's unit, uL, from the answer to `DIS`: `I10.00W0.000UL`.

    Raises:
        ValueError: it is no such pair.
    """
    infused, _, rest = data.removeprefix("I").partition("W")
    unit = rest[-2:]
    if unit not in VOLUME_UNITS:
        raise ValueError(data)
    size = VOLUME_UNITS[unit]
    return float(infused) * size, float(rest[:-2]) * size, size


def format_number(value: float) -> str:
    """A number as the pump takes it: at most four digits, three of them decimals.

    Raises:
        ValueError: it is negative or above 9999.
    """
    if value >= 0:
        for decimals in (3, 2, 1, 0):
            text = f"{value:.{decimals}f}"
            if len(text.replace(".", "")) <= 4:
                return text
    raise ValueError(f"{value:g} cannot be written in the pump's four digits")


def step(value: float) -> float:
    """What the last of the pump's four digits is worth in a number: 0.01 in 37.20."""
    return 10.0 ** -len(format_number(min(value, 9999.0)).partition(".")[2])


def format_rate(rate: float) -> tuple[str, str]:
    """Number and unit of a rate in uL/min: uL/min when four digits hold it, else the most exact unit.

    Raises:
        ValueError: no unit can write it.
    """
    best: tuple[float, str, str] | None = None
    for unit, size in RATE_UNITS.items():
        try:
            number = format_number(rate / size)
        except ValueError:
            continue
        error = abs(float(number) * size - rate)
        if error <= 5e-4 * rate and float(number) > 0:
            return number, unit
        if float(number) > 0 and (best is None or error < best[0]):
            best = (error, number, unit)
    if best is None:
        raise ValueError(f"{rate:g} uL/min cannot be written in the pump's four digits")
    return best[1], best[2]


def rate_limits(diameter: float) -> tuple[float, float]:
    """Slowest and fastest rate (uL/min) with a syringe of this inner diameter (mm)."""
    area = math.pi / 4 * (diameter / 10) ** 2
    return area * _SLOWEST_CM_PER_H / 60 * 1000, area * _FASTEST_CM_PER_MIN * 1000
