"""One NE-1000 pump on its line: sends commands, checks replies, turns errors and alarms into faults."""

from __future__ import annotations

from collections.abc import Callable

from sdl.devices._link import Reply, TcpLink
from sdl.devices._ne1000_protocol import (
    ALARMS,
    ERRORS,
    PumpReply,
    basic_packet,
    parse_reply,
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
        self._owner = owner
        self._safe = True
        self._alarm: Fault | None = None

    def fault(self, message: str) -> Fault:
        """A `Fault` that names device, host, port and pump."""
        return self.link.fault(f"pump {self.unit:02d}: {message}")

    async def open(self, watchdog: int) -> None:
        """Find out in which mode the pump listens, acknowledge alarms, and switch the mode.

        Args:
            watchdog: seconds without a packet after which the pump stops by itself (`SAF`, §10.2.3); 0 for
                basic mode, which has neither watchdog nor CRC.
        """
        await self._probe()
        for _ in ALARMS:
            if not (await self.raw("")).alarm:
                break
        self._alarm = None
        if watchdog or self._safe:
            await self.raw(f"SAF{watchdog}")
            self._safe = watchdog > 0
            await self.command("")

    async def _probe(self) -> None:
        # A safe-mode packet and a carriage return: in safe mode the latter is noise between packets, in basic
        # mode it ends a command that is not recognised. Either way the pump answers in the framing it uses.
        request = safe_packet(f"{self.unit:02d}") + b"\r"
        self._safe, _ = await self.link.exchange(request, self._read)

    async def raw(self, command: str) -> PumpReply:
        """Send a command, an empty one to ask for the status; the reply may hold an error or an alarm."""
        text = f"{self.unit:02d}{command}"
        request = safe_packet(text) if self._safe else basic_packet(text)
        _, reply = await self.link.exchange(request, self._read)
        return reply

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

    async def command(self, command: str, *, idle: bool = False) -> PumpReply:
        """Send a command that the pump has to accept.

        Args:
            idle: the pump was meant to stand still, so that an alarm of the watchdog has no consequence: it is
                acknowledged and the command sent again. A pump in alarm executes nothing (§10.3).

        Raises:
            Fault: refused, in alarm, or no valid answer.
        """
        if self._alarm is not None:
            alarm, self._alarm = self._alarm, None
            raise alarm
        reply = await self.raw(command)
        if idle and reply.alarm == "T":
            reply = await self.raw(command)
        if reply.alarm:
            raise self.fault(f"alarm: {ALARMS[reply.alarm]}; {command or 'status query'} was not executed")
        if reply.error is not None:
            reason = ERRORS.get(reply.error, reply.error)
            raise self.fault(f"refused {command or 'status query'}: ?{reply.error}, {reason}")
        return reply

    async def number(self, command: str, *, idle: bool = False) -> tuple[float, str]:
        """The number and unit that a query answers."""
        data = (await self.command(command, idle=idle)).data
        text = data.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        try:
            return float(text), data[len(text) :]
        except ValueError:
            raise self.fault(f"answered {data!r} to {command}, which is no number") from None

    async def heartbeat(self) -> bool:
        """Feed the watchdog of a running pump; an alarm is kept for the next command. False when in trouble."""
        try:
            reply = await self.raw("")
        except Fault:
            return False
        if reply.alarm:
            self._alarm = self.fault(f"alarm: {ALARMS[reply.alarm]}; the pump has stopped")
        return reply.moving

    async def halt(self, attempts: int = 6) -> None:
        """Stop and confirm, whatever state the pump is in.

        The first `STP` pauses, the second ends the program; a pump in alarm only reports it, and one that
        stands still answers that the command is not applicable.

        Raises:
            UnsafeState: no confirmation.
        """
        self._alarm = None
        last = "no answer"
        failures = 0
        for _ in range(attempts):
            try:
                await self.raw("STP")
                reply = await self.raw("")
            except Fault as error:
                last = str(error)
                failures += 1
                if failures == 2:
                    break
                continue
            if reply.status == "S":
                return
            last = f"it reports status {reply.status}{reply.alarm}"
        raise UnsafeState(
            self._owner(),
            f"{self.link.address}: pump {self.unit:02d} did not confirm that it stopped ({last}); "
            "go and stop it at its keypad",
        )
