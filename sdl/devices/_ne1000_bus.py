"""One NE-1000 pump on its line: sends commands, checks replies, turns errors and alarms into faults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sdl.devices._link import Reply, TcpLink
from sdl.devices._ne1000_memory import MARK, PumpMemory, memory_of
from sdl.devices._ne1000_protocol import (
    ALARMS,
    ERRORS,
    PumpReply,
    basic_packet,
    crc16,
    parse_reply,
    parse_volumes,
    safe_packet,
    unpack_safe,
)
from sdl.model import Fault, InputError, UnsafeState

__all__ = ["PumpLine"]


class PumpLine:
    """Commands to the pump at one address.

    Args:
        address: `tcp://host:port/unit`; the unit is the pump's network address, 0 to 99, 0 when left out.
        owner: gives the device's name.
        timeout: wall seconds an exchange may take.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.link = TcpLink(address, owner, timeout)
        self.unit = self.link.address.unit or 0
        if not 0 <= self.unit <= 99:
            raise InputError(f"{address}: a pump's network address is 0 to 99")
        self.memory: PumpMemory = memory_of(self.link.address.host, self.link.address.port, self.unit)
        """What this process knows of the pump."""
        self._owner = owner
        self._heard = self.memory.count
        """How many of the pump's alarms the user of this line has been told."""
        self._attached = False
        self._lost = False
        """Whether an attached line has to find out the framing again."""

    def fault(self, message: str) -> Fault:
        """A `Fault` that names device, host, port and pump."""
        return self.link.fault(f"pump {self.unit:02d}: {message}")

    async def open(self, watchdog: int) -> None:
        """Find out in which mode the pump listens, acknowledge alarms, and switch the mode.

        Args:
            watchdog: seconds without a packet after which the pump stops by itself (`SAF`, §10.2.3); 0 for
                basic mode, which has neither watchdog nor CRC.
        """
        self._attached = False
        await self._probe(safe_packet(f"{self.unit:02d}"))
        for _ in ALARMS:
            if not (await self.raw("")).alarm:
                break
        await self.mark()
        self._heard = self.memory.count
        if watchdog or self.memory.safe:
            await self.raw(f"SAF{watchdog}")
            self.memory.safe = watchdog > 0
            await self.command("")

    async def attach(self) -> None:
        """Find out in which mode the pump listens; commands other than queries are not for this line.

        The packet sent has a wrong CRC. In safe mode it is answered with `?COM` and neither executed nor taken for a
        sign of life, so a pending alarm stays pending. A pump in basic mode takes it for a command that it does not
        know, and with an alarm pending it may tell that instead. The first query that follows is told a pending alarm
        in any case; the driver that holds the pump in this process hears of it at its next command.
        """
        self._attached = True
        self._heard = self.memory.count
        await self._probe(_spoilt(safe_packet(f"{self.unit:02d}")))
        self._lost = False

    async def _probe(self, packet: bytes) -> None:
        # A safe-mode packet and a carriage return: in safe mode the latter is noise between packets, in basic
        # mode it ends a command that is not recognised. Either way the pump answers in the framing it uses.
        self.memory.safe, reply = await self.link.exchange(packet + b"\r", self._read)
        self._note(reply)

    async def raw(self, command: str) -> PumpReply:
        """Send a command, an empty one to ask for the status; the reply may hold an error or an alarm."""
        if self._lost:
            await self.attach()
        text = f"{self.unit:02d}{command}"
        request = safe_packet(text) if self.memory.safe else basic_packet(text)
        try:
            _, reply = await self.link.exchange(request, self._read)
        except Fault:
            self._lost = self._attached  # whoever holds the pump may have switched its mode
            raise
        self._note(reply)
        if reply.alarm == "R":
            with contextlib.suppress(Fault):
                await self.mark()
        return reply

    def _note(self, reply: PumpReply) -> None:
        if reply.alarm:
            self.memory.told(reply.alarm)

    async def mark(self) -> None:
        """Leave a mark in a pump whose power was interrupted, for whoever asks later what became of a delivery.

        An alarm is told once, and a counter at zero after an interruption of power looks like one that never began to
        count. So the volume to deliver, which the pump keeps without power, is changed to the smallest there is;
        started at its keypad, the pump stops after it.
        """
        if self.memory.unmarked and not self._attached:
            self.memory.unmarked = False
            try:
                await self.raw(f"VOL{MARK:g}")
            except Fault:
                self.memory.unmarked = True
                raise

    async def _read(self, reply: Reply) -> tuple[bool, PumpReply]:
        head = await reply.exactly(2)
        if head[:1] != b"\x02":
            raise ValueError("the reply does not start with STX")
        # The second byte is a digit of the address in basic mode, a length below 0x30 in safe mode.
        safe = not head[1:].isdigit()
        if safe:
            text = unpack_safe(await reply.exactly(max(head[1] - 1, 3)))
        else:
            text = (head[1:] + await reply.until(b"\x03", limit=250))[:-1].decode("ascii")
        parsed = parse_reply(text)
        if parsed.address != self.unit:
            raise ValueError(f"pump {parsed.address:02d} answered for pump {self.unit:02d}")
        return safe, parsed

    async def command(self, command: str, *, idle: bool = False, acting: bool = False) -> PumpReply:
        """Send a command that the pump has to accept.

        Args:
            command: as the manual writes it.
            idle: the pump was meant to stand still, so that an alarm of the watchdog has no consequence: it is
                acknowledged and the command sent again. A pump in alarm executes nothing (§10.3).
            acting: an answer that the pump does not execute it, while it stands still, is a `Refusal`.

        Raises:
            Refusal: it acts, and has not happened.
            Fault: refused, in alarm, or no valid answer.
        """
        what = command or "status query"
        if self._heard != self.memory.count and not self._attached:
            self._heard = self.memory.count
            alarm = self.memory.alarms[-1:]
            if alarm and not (idle and alarm == "T"):
                raise self._refused(f"alarm: {ALARMS[alarm]}; {what} was not sent", acting)
        reply = await self.raw(command)
        if idle and reply.alarm == "T":
            self._heard += 1
            reply = await self.raw(command)
        if reply.alarm:
            self._heard += 1
            raise self._refused(f"alarm: {ALARMS[reply.alarm]}; {what} was not executed", acting)
        if reply.error is not None:
            reason = ERRORS.get(reply.error, reply.error)
            text = f"refused {what}: ?{reply.error}, {reason}"
            # A pump that runs all the same may run for this very command.
            raise self._refused(text, acting and not reply.moving)
        return reply

    def _refused(self, message: str, clean: bool) -> Fault:
        text = f"pump {self.unit:02d}: {message}"
        return self.link.refusal(text) if clean else self.link.fault(text)

    async def ask(self, query: str) -> PumpReply:
        """Send a query, again when it was answered with an alarm; alarms are in `memory` afterwards.

        Raises:
            Fault: refused, no end of alarms, or no valid answer.
        """
        for _ in range(len(ALARMS) + 1):
            reply = await self.raw(query)
            if not reply.alarm:
                break
        self._heard = self.memory.count
        if reply.alarm:
            raise self.fault(f"alarm: {ALARMS[reply.alarm]}; it does not go away")
        if reply.error is not None:
            raise self.fault(f"refused {query or 'status query'}: ?{reply.error}")
        return reply

    async def number(self, command: str, *, idle: bool = False) -> tuple[float, str]:
        """The number and unit that a query answers."""
        return self.parse_number(command, (await self.command(command, idle=idle)).data)

    def parse_number(self, query: str, data: str) -> tuple[float, str]:
        """Number and unit, as in `10.00UM`, that a query was answered with."""
        text = data.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        try:
            return float(text), data[len(text) :]
        except ValueError:
            raise self.fault(f"answered {data!r} to {query}, which is no number") from None

    def parse_volumes(self, data: str) -> tuple[float, float, float]:
        """Volume infused, volume withdrawn and the size of the pump's unit, uL, that `DIS` was answered with."""
        try:
            return parse_volumes(data)
        except ValueError:
            raise self.fault(f"answered {data!r} to DIS, which is no pair of volumes") from None

    async def heartbeat(self) -> bool:
        """Feed the watchdog of a running pump; an alarm is told at the next command. False when in trouble."""
        try:
            return (await self.raw("")).moving
        except Fault:
            return False

    async def halt(self, attempts: int = 6) -> None:
        """Stop and confirm, whatever state the pump is in.

        The first `STP` pauses, the second ends the program; a pump in alarm only reports it, and one that
        stands still answers that the command is not applicable.

        Raises:
            UnsafeState: no confirmation.
        """
        last = "no answer"
        failures = 0
        for _ in range(attempts):
            try:
                await self.raw("STP")
                reply = await self.raw("")
                self._heard = self.memory.count
            except Fault as error:
                last = str(error)
                failures += 1
                if failures == 2:
                    break
                continue
            if reply.status == "S":
                with contextlib.suppress(Fault):
                    await self.mark()
                return
            last = f"it reports status {reply.status}{reply.alarm}"
        raise UnsafeState(
            self._owner(),
            f"{self.link.address}: pump {self.unit:02d} did not confirm that it stopped ({last}); "
            "go and stop it at its keypad",
        )


def _spoilt(packet: bytes) -> bytes:
    """A safe-mode packet with a CRC that is wrong, and without a carriage return, which ends a basic-mode command."""
    body = packet[2:-3]
    for error in (0x0101, 0x0202):
        crc = (crc16(body) ^ error).to_bytes(2, "big")
        if b"\r" not in crc:
            break
    return packet[:2] + body + crc + packet[-1:]
