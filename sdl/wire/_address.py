"""Addresses of a publisher: one host, a port for the live feed and one for history, in one string."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from sdl.wire._codec import WireError

_FORM = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.*-]+):(?P<feed>\d{1,5})(?:,(?P<history>\d{1,5}))?")


@dataclass(frozen=True)
class Address:
    """`tcp://HOST:FEED,HISTORY`; with one port given, history is on the next one."""

    host: str
    feed: int
    """Port of the live feed; 0 for any free one."""
    history: int
    """Port for history requests; 0 for any free one."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in `text`.

        Raises:
            WireError: not of that form, or a port above 65535.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise WireError(
                f"{text!r} is no address of a live feed; write tcp://HOST:PORT or "
                "tcp://HOST:PORT,HISTORY-PORT, such as tcp://127.0.0.1:5555,5556"
            )
        feed = int(match["feed"])
        history = int(match["history"]) if match["history"] else feed + bool(feed)
        if max(feed, history) > 65535:
            raise WireError(f"{text!r}: port {max(feed, history)} is above 65535")
        host = "127.0.0.1" if match["host"] == "localhost" else match["host"]
        return cls(host, feed, history)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it. A host name is taken for reachable."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return self.host.startswith("[")

    @property
    def feed_url(self) -> str:
        """For ZeroMQ's bind or connect."""
        return f"tcp://{self.host}:{self.feed}"

    @property
    def history_url(self) -> str:
        """For ZeroMQ's bind or connect."""
        return f"tcp://{self.host}:{self.history}"

    def reachable(self) -> Address:
        """The same with this machine's name in place of a wildcard, as watchers need it."""
        wildcard = self.host in ("*", "0.0.0.0", "[::]")  # noqa: S104  # compared, not bound
        return Address(socket.gethostname(), self.feed, self.history) if wildcard else self

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.feed},{self.history}"
