"""What stops a device: bytes to send, and the reply that confirms. Standard library only."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["DeviceStop", "HasStopExchanges", "StopCard", "StopExchange"]


class StopExchange(NamedTuple):
    """One request on the way to a device's safe state.

    Regular expressions are searched in the reply, read as Latin-1, with the dot matching every byte.
    """

    address: str
    """`tcp://host:port`."""
    request: bytes
    confirms: str = ""
    """Pattern of the reply that confirms the safe state; empty when this one confirms nothing. A device is safe when
    each of its exchanges that can confirm has done so."""
    complete: str = ""
    """Pattern of any complete reply, so that one that confirms nothing is not waited for. With neither pattern no
    reply is waited for."""
    timeout: float = 0.5
    """Wall seconds to wait for the reply."""
    repeat: int = 1
    """How often it is sent; one that confirms is not sent again once it has."""
    fallback: bool = False
    """Sent only when the exchanges that are no fallback have not confirmed the safe state: for an instrument that
    may have been left in another mode than the one its driver works in."""


@runtime_checkable
class HasStopExchanges(Protocol):
    """A device that can say beforehand which bytes stop it."""

    def stop_exchanges(self) -> list[StopExchange]:
        """What to send, in order; empty when there is nothing to stop. Sends nothing itself.

        Must work on a device that is not connected, in whatever state the instrument may be, and twice in a row.
        """
        ...


class DeviceStop(NamedTuple):
    """How one device of a lab is made safe."""

    name: str
    address: str
    """As in the lab file, for people and drivers."""
    exchanges: tuple[StopExchange, ...] = ()
    slow: bool = False
    """Whether only its driver can make it safe."""
    simulated: bool = False
    """Whether its instrument is a simulated one that ends with the process that wrote the card."""
    note: str = ""
    """Why nothing is sent, where that needs a word."""

    @property
    def real(self) -> bool:
        """Whether something that outlives the process has to be stopped."""
        return not self.simulated and (self.slow or bool(self.exchanges))


class StopCard(NamedTuple):
    """One lab that some process opened."""

    key: str
    """See `lab_key`."""
    lab: str
    """Name of the lab."""
    file: str
    """Absolute path of the lab file."""
    inputs: dict[str, str]
    """Input of the lab → path, for the drivers."""
    devices: tuple[DeviceStop, ...]
    host: str = ""
    """Where the process that wrote it runs."""
    pid: int = 0
    at: int = 0
    """When it was written, nanoseconds since 1970."""
    path: str = ""
    """The card's own file."""
    alive: bool = True
    """Whether the process that wrote it still runs, be it stopped or busy."""
    damage: str = ""
    """Why the card cannot be read; empty for a good one."""
