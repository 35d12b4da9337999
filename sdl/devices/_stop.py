"""The bytes that bring instruments to their safe state, for stop cards (`sdl.lab.stopcards`).

Sources: those of the protocols: `sdl.devices._ne1000_protocol`; Modbus Application Protocol 1.1b3, sections 6.3 (read
holding registers), 6.6 (write single register) and 7 (exceptions), with the header of Modbus Messaging on TCP/IP 1.0b,
section 3.1.3; IEEE 488.2-1992 and SCPI-1999.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdl.devices._link import Address
from sdl.devices._ne1000_protocol import basic_packet, safe_packet
from sdl.lab.stopcards import StopExchange

__all__ = ["modbus_stop", "pump_stop", "scpi_stop"]

PATIENCE = 0.5
"""Wall seconds to wait for a reply."""
_READ, _WRITE = 3, 6


def _where(address: Address) -> str:
    return str(address._replace(unit=None))


def _exact(data: bytes) -> str:
    return re.escape(data.decode("latin-1"))


def pump_stop(address: Address, unit: int, *, safe: bool) -> list[StopExchange]:
    """What stops an NE-1000: the first `STP` pauses, the second ends the program, then it is asked for its status.

    A pump in alarm reports that instead of executing a command, once, so each of the two is sent once more. The pump
    may be in the other mode than its driver puts it into, when that one ended before it did; so that is tried second.

    Args:
        address: of the line.
        unit: the pump's network address, 0 to 99.
        safe: whether the driver works in safe mode (§10.2.3), else in basic mode (§10.2.2).
    """
    return [
        *_pump_stop(_where(address), unit, safe=safe, fallback=False),
        *_pump_stop(_where(address), unit, safe=not safe, fallback=True),
    ]


def _pump_stop(where: str, unit: int, *, safe: bool, fallback: bool) -> list[StopExchange]:
    stop, ask, stopped = f"{unit:02d}STP", f"{unit:02d}", f"{unit:02d}S"
    if safe:
        # A carriage return between packets is noise to a pump in safe mode, and ends what one in basic mode waits for.
        requests = safe_packet(stop) + b"\r", safe_packet(ask) + b"\r"
        confirms = _exact(safe_packet(stopped))
        # Replies have 3 to 8 characters; the length byte counts itself, two of CRC and ETX as well.
        forms = "|".join(f"{_exact(bytes([n + 4]))}.{{{n + 2}}}" for n in range(3, 9))
        complete = f"\\x02(?:{forms})\\x03|\\x02\\d[^\\x03]*\\x03"
    else:
        requests = basic_packet(stop), basic_packet(ask)
        confirms, complete = f"\\x02{stopped}\\x03", "\\x02[^\\x03]*\\x03"
    return [
        StopExchange(where, requests[0], complete=complete, timeout=PATIENCE, repeat=3, fallback=fallback),
        StopExchange(where, requests[1], confirms, complete, PATIENCE, repeat=2, fallback=fallback),
    ]


def modbus_stop(
    address: Address, writes: Sequence[tuple[int, int]], reads: Sequence[tuple[int, Sequence[int]]]
) -> list[StopExchange]:
    """Write registers and confirm what they hold.

    Args:
        address: of the instrument; unit 1 where it names none.
        writes: register and signed value, in order.
        reads: first register and the signed values that confirm the safe state.
    """
    where, unit = _where(address), 1 if address.unit is None else address.unit
    exchanges: list[StopExchange] = []
    for register, value in writes:
        head = _header(len(exchanges) + 1, 6, unit)
        request = head + bytes([_WRITE]) + _words([register, value])
        exchanges.append(StopExchange(where, request, complete=_reply(request, _WRITE, 4), timeout=PATIENCE))
    for register, values in reads:
        number, size = len(exchanges) + 1, 2 * len(values)
        request = _header(number, 6, unit) + bytes([_READ]) + _words([register, len(values)])
        answer = _header(number, 3 + size, unit) + bytes([_READ, size]) + _words(values)
        complete = _reply(request, _READ, 1 + size)
        exchanges.append(StopExchange(where, request, _exact(answer), complete, PATIENCE))
    return exchanges


def _header(transaction: int, length: int, unit: int) -> bytes:
    """Transaction, protocol 0, bytes that follow with the unit among them, unit."""
    return _words([transaction, 0, length]) + bytes([unit])


def _words(values: Sequence[int]) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def _reply(request: bytes, function: int, rest: int) -> str:
    """Pattern of any reply to the request: `rest` bytes after the function, or an exception with one."""
    head, unit = _exact(request[:4]), _exact(request[6:7])
    good, refused = _exact(bytes([function])), _exact(bytes([function | 0x80]))
    return f"{head}..{unit}(?:{good}.{{{rest}}}|{refused}.)"


def scpi_stop(address: Address, commands: str, confirms: str) -> list[StopExchange]:
    """Commands and queries in one message.

    Args:
        address: of the instrument.
        commands: program message units, joined by `;`, each a full header; with at least one query.
        confirms: pattern of the replies in the safe state, joined by `;`.
    """
    # The instrument may be in the middle of a reply to somebody else's query, so the pattern begins on a line.
    pattern = f"(?:^|\\n){confirms}\\s*\\n"
    return [StopExchange(_where(address), f"{commands}\n".encode(), pattern, "\\n", PATIENCE, repeat=2)]


IDLE = r"\+?(?:\d|1[0-5])"
"""Operation status condition with neither measuring (bit 4) nor waiting for a trigger or arm (bits 5 and 6)
(SCPI-1999, volume 1, section 9.3)."""
