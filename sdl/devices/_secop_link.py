"""Exchanges with a SECoP node: one request, the reply that belongs to it, and every failure a clear `Fault`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sdl.devices._link import Reply, TcpLink
from sdl.devices._secop_protocol import NOT_DONE, Message, Scalar, Status, read_message
from sdl.model import Fault

__all__ = ["SecopError", "SecopLink"]

_LONGEST = 1 << 24
_NEWS = frozenset({"update", "error_update", "logging"})
"""Messages that nobody asked for, and that may come at any time."""
_REPLIES = {"read": "reply", "change": "changed", "do": "done", "describe": "describing", "ping": "pong"}


class SecopError(Fault):
    """The node answered with an error.

    Args:
        device: name in the lab file.
        message: for people.
        kind: error class, as RangeError.
        acting: whether it came as the answer to `change` or `do`.
    """

    def __init__(self, device: str, message: str, kind: str, acting: bool = False) -> None:
        super().__init__(device, message)
        self.kind = kind
        """Error class."""
        self.clean = acting and kind in NOT_DONE
        """Whether what was asked for is known not to have happened."""
        self._acting = acting

    def __reduce__(self) -> Any:
        return type(self), (self.device, self._message, self.kind, self._acting)


class SecopLink:
    """Exchanges with one node.

    Args:
        address: `tcp://host:port`.
        owner: gives the name of the device, for errors.
        timeout: wall seconds for one exchange.
    """

    def __init__(self, address: str, owner: Callable[[], str], timeout: float) -> None:
        self.tcp = TcpLink(address, owner, timeout)
        self._owner = owner

    def fault(self, message: str) -> Fault:
        """A `Fault` that names the device and its address."""
        return self.tcp.fault(message)

    async def identify(self) -> str:
        """What the node says of itself, checked to be SECoP.

        Raises:
            Fault: no connection, no answer, or another protocol.
        """

        async def line(reply: Reply) -> str:
            return (await reply.until(b"\n", limit=_LONGEST)).decode("ascii").strip()

        identity = await self.tcp.exchange(b"*IDN?\n", line)
        fields = identity.split(",")
        if len(fields) != 4 or fields[1].strip() != "SECoP":
            raise self.fault(f"*IDN? gave {identity!r}; is this a SECoP node?")
        return identity

    async def describe(self) -> Mapping[str, Any]:
        """The structure report: modules, their parameters and commands."""
        report = (await self._exchange("describe", "")).data
        if not isinstance(report, Mapping) or not isinstance(report.get("modules"), Mapping):
            raise self.fault("its description has no modules; is this a SECoP node?")
        return report

    async def read(self, module: str, parameter: str) -> Any:
        """Value of a parameter, as JSON has it."""
        return await self._value("read", f"{module}:{parameter}")

    async def status(self, module: str) -> Status:
        """State of a module."""
        value = await self.read(module, "status")
        try:
            return Status.read(value)
        except ValueError as error:
            raise self.fault(f"answered to 'read {module}:status' what makes no sense: {error}") from None

    async def change(self, module: str, parameter: str, value: Scalar) -> Any:
        """Set a parameter, and return what it was set to.

        Raises:
            SecopError: refused, or it went wrong; `clean` tells which.
            Fault: no connection, no answer, or no SECoP.
        """
        return await self._value("change", f"{module}:{parameter}", value)

    async def do(self, module: str, command: str, argument: Scalar | None = None) -> None:
        """Have a command executed.

        Raises:
            SecopError: refused, or it went wrong; `clean` tells which.
            Fault: no connection, no answer, or no SECoP.
        """
        await self._value("do", f"{module}:{command}", argument)

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._exchange("ping", "sdl")

    async def close(self) -> None:
        """Close the connection."""
        await self.tcp.close()

    async def _value(self, action: str, specifier: str, value: Scalar | None = None) -> Any:
        message = await self._exchange(action, specifier, value)
        if not isinstance(message.data, list) or not message.data:
            raise self.fault(f"answered {message.data!r} to {action} {specifier}, which is no data report")
        return message.data[0]

    async def _exchange(self, action: str, specifier: str, value: Scalar | None = None) -> Message:
        text = f"{action} {specifier}".rstrip()
        if value is not None:
            text += f" {json.dumps(value)}"

        async def answer(reply: Reply) -> Message:
            while True:
                message = read_message(await reply.until(b"\n", limit=_LONGEST))
                if message.action not in _NEWS:
                    return message

        message = await self.tcp.exchange(f"{text}\n".encode(), answer)
        if message.action.startswith("error_"):
            raise self._error(text, action, message)
        # Which specifier a description has is of no meaning.
        if message.action != _REPLIES[action] or (action != "describe" and message.specifier != specifier):
            raise self.fault(f"answered '{message.action} {message.specifier}' to {text!r}, which makes no sense")
        return message

    def _error(self, text: str, action: str, message: Message) -> Fault:
        report = message.data
        if not isinstance(report, list) or len(report) < 2:
            return self.fault(f"answered {message.action} {report!r} to {text!r}, which is no error report")
        said = f"{self.tcp.address}: refused {text!r}: {report[0]}, {report[1]}"
        return SecopError(self._owner(), said, str(report[0]), action in ("change", "do"))
