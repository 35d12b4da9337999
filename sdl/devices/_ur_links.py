"""The two connections to a robot: its dashboard, and the program that carries; every failure a clear `Fault`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sdl.devices._link import Address, Reply, TcpLink
from sdl.devices._ur_protocol import GREETING, Carried, Count, State
from sdl.model import Fault, UnsafeState

__all__ = ["Dashboard", "ProgramChannel"]

T = TypeVar("T")
_LONGEST = 4096


async def _line(reply: Reply) -> str:
    return (await reply.until(b"\n", limit=_LONGEST)).decode("ascii").rstrip("\r\n")


async def _after_greeting(reply: Reply) -> str:
    line = await _line(reply)
    # The greeting is the first line of every connection, and this link may have been connected anew.
    return await _line(reply) if line == GREETING else line


class Dashboard:
    """The Dashboard Server of one robot.

    Args:
        address: host and port.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
    """

    def __init__(self, address: Address, owner: Callable[[], str], timeout: float) -> None:
        self.link = TcpLink(str(address), owner, timeout)
        self._owner = owner

    async def ask(self, command: str) -> str:
        """The reply to a command.

        Raises:
            Fault: no connection, no answer, or no text.
        """
        return await self.link.exchange(f"{command}\n".encode("ascii"), _after_greeting)

    async def value(self, query: str, label: str) -> str:
        """What follows a label in the reply to a query, as in `Robotmode: RUNNING`."""
        reply = await self.ask(query)
        if not reply.startswith(label):
            raise self.link.fault(f"answered {reply!r} to {query!r}; is this the Dashboard Server of a robot?")
        return reply.removeprefix(label).strip()

    async def mode(self) -> str:
        """Robot mode, as `RUNNING`."""
        return await self.value("robotmode", "Robotmode:")

    async def safety(self) -> str:
        """Safety status, as `NORMAL`."""
        return await self.value("safetystatus", "Safetystatus:")

    async def program_state(self) -> str:
        """STOPPED, PLAYING or PAUSED."""
        reply = await self.ask("programState")
        state = reply.partition(" ")[0]
        if state not in ("STOPPED", "PLAYING", "PAUSED"):
            raise self.link.fault(f"answered {reply!r} to 'programState', which is no state of a program")
        return state

    async def loaded(self) -> str:
        """File name of the program that is loaded; empty without one."""
        reply = await self.ask("get loaded program")
        if reply == "No program loaded":
            return ""
        if not reply.startswith("Loaded program:"):
            raise self.link.fault(f"answered {reply!r} to 'get loaded program'")
        return reply.partition(":")[2].strip().rpartition("/")[2]

    async def order(self, command: str, accepted: str, advice: str = "") -> None:
        """Give a command that has to be answered with certain words.

        Raises:
            Refusal: it was answered with others, and has not happened.
            Fault: no answer.
        """
        reply = await self.ask(command)
        if not reply.startswith(accepted):
            raise self.link.refusal(f"refused {command!r}: {reply!r}" + (f"; {advice}" if advice else ""))

    async def halt(self) -> None:
        """Stop the program, and with it the arm, and confirm; the gripper stays as it is.

        Raises:
            UnsafeState: no confirmation.
        """
        last = "no answer"
        for _ in range(2):
            try:
                # A program that is stopped already cannot be stopped: what counts is the state.
                await self.ask("stop")
                state = await self.program_state()
            except Fault as error:
                last = str(error)
                continue
            if state == "STOPPED":
                return
            last = f"its program is {state}"
        raise UnsafeState(
            self._owner(), f"{self.link.address}: it did not confirm that it stopped ({last}); press its emergency stop"
        )


class ProgramChannel:
    """The line to the program that carries.

    Args:
        address: host and port.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
    """

    def __init__(self, address: Address, owner: Callable[[], str], timeout: float) -> None:
        self.link = TcpLink(str(address), owner, timeout)

    async def ask(self, command: str) -> str:
        """The reply to a query or a command.

        Raises:
            Refusal: the program answered that it does not do it.
            Fault: no connection, no answer, or no text.
        """
        reply = await self.link.exchange(f"{command}\n".encode("ascii"), _line)
        if reply.startswith("ERR "):
            raise self.link.refusal(f"the program refused {command!r}: {reply.removeprefix('ERR ')}")
        return reply

    async def words(self, query: str, label: str) -> list[str]:
        """Words behind a label in the reply to a query."""
        first, *rest = (await self.ask(query)).split()
        if first != label:
            raise self._strange(query, first)
        return rest

    async def state(self) -> State:
        """What it does."""
        return await self._read("STATE?", State.read)

    async def count(self) -> Count:
        """How many carries it has taken."""
        return await self._read("COUNT?", Count.read)

    async def carry(self, tag: str) -> Carried | None:
        """The carry with a tag, from its record."""
        return await self._read(f"CARRY? {tag}", Carried.read)

    async def last(self) -> Carried | None:
        """The last carry."""
        return await self._read("LAST?", Carried.read)

    async def holding(self) -> bool:
        """Whether the gripper's sensor finds something between the fingers."""
        reply = await self.ask("GRIP?")
        if reply not in ("GRIP HELD", "GRIP EMPTY"):
            raise self._strange("GRIP?", reply)
        return reply == "GRIP HELD"

    async def start(self, tag: str, source: str, target: str) -> int:
        """Have something carried, and return the number of the carry. This acts.

        Raises:
            Refusal: the program answered that it does not; nothing has moved.
        """
        command = f"CARRY {tag} {source} {target}"
        label, _, number = (await self.ask(command)).rpartition(" ")
        if label != "OK CARRY" or not number.isdigit():
            raise self._strange(command, f"{label} {number}")
        return int(number)

    async def _read(self, query: str, parse: Callable[[str], T]) -> T:
        reply = await self.ask(query)
        try:
            return parse(reply)
        except ValueError:
            raise self._strange(query, reply) from None

    def _strange(self, command: str, reply: str) -> Fault:
        return self.link.fault(f"answered {reply!r} to {command!r}, which makes no sense; is this the program channel?")
