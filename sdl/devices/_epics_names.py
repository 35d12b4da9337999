"""Tells the Channel Access library where the process variables of our devices are served.

The library finds servers by asking a list of addresses over UDP, which it reads once in the life of a process. Our
devices say themselves where their IOC is (`ca://host:port/PREFIX`), and each simulation has a port of its own. So the
list that the library is given has one address on it: a socket of this process, which answers as the directory servers
of EPICS do ("CA nameserver"): that name is served there. It stands in for the CA repeater as well, which the library
would start as a process of its own otherwise.

Whoever uses other EPICS devices in the same process sets `EPICS_CA_ADDR_LIST` (it is kept, behind ours) and, for
searches by broadcast, `EPICS_CA_AUTO_ADDR_LIST=YES`.

Protocol: Channel Access Protocol Specification 4.13, sections "Search" and "Repeater Operation".
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator

__all__ = ["Names", "belongs", "names"]

_HEADER = struct.Struct(">HHHHII")
"""Command, payload size, data type, data count, parameter 1, parameter 2."""
_VERSION, _SEARCH, _CONFIRM, _REGISTER = 0, 6, 17, 24
_MINOR = 13
"""Of the protocol, 4.13."""


class Names:
    """The directory: prefix of names → where they are served. Lives as long as its process."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[str, int]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._answer_all, name="epics-names", daemon=True).start()

    def announce(self, prefix: str, host: str, port: int) -> None:
        """Names that begin with `prefix` are served at an IPv4 address and port from now on."""
        self._served[prefix] = (host, port)

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Settings under which the library is to begin; it reads them when its first channel is made."""
        wanted = {
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{self.port} {os.environ.get('EPICS_CA_ADDR_LIST', '')}".strip(),
            "EPICS_CA_AUTO_ADDR_LIST": os.environ.get("EPICS_CA_AUTO_ADDR_LIST", "NO"),
            "EPICS_CA_REPEATER_PORT": os.environ.get("EPICS_CA_REPEATER_PORT", str(self.port)),
        }
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:  # processes that this one starts have a directory of their own
            for key, value in before.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value

    def _answer_all(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(65536)
            with contextlib.suppress(OSError, struct.error, UnicodeDecodeError):
                reply = self._reply(data)
                if reply:
                    self._socket.sendto(reply, sender)

    def _reply(self, data: bytes) -> bytes:
        """What to say to a datagram of messages; empty for nothing."""
        version, found = b"", b""
        while len(data) >= _HEADER.size:
            command, size, kind, _, first, second = _HEADER.unpack_from(data)
            payload, data = data[_HEADER.size : _HEADER.size + size], data[_HEADER.size + size :]
            if command == _REGISTER:
                return _HEADER.pack(_CONFIRM, 0, 0, 0, 0, struct.unpack("!I", socket.inet_aton("127.0.0.1"))[0])
            if command == _VERSION:
                version = _HEADER.pack(_VERSION, 0, kind, _MINOR, first, second)
            if command == _SEARCH:
                found += self._found(payload.split(b"\0", 1)[0].decode(), first)
        return version + found if found else b""

    def _found(self, name: str, channel: int) -> bytes:
        prefixes = [prefix for prefix in self._served.copy() if belongs(name, prefix)]
        if not prefixes:
            return b""
        host, port = self._served[max(prefixes, key=len)]
        address = struct.unpack("!I", socket.inet_aton(host))[0]
        return _HEADER.pack(_SEARCH, 8, port, 0, address, channel) + struct.pack(">HHI", _MINOR, 0, 0)


def belongs(name: str, prefix: str) -> bool:
    """Whether `STAGE.RBV` or `STAGE:COUNT` is one of `STAGE`; `STAGE2.RBV` is none."""
    return name.startswith(prefix) and name[len(prefix) : len(prefix) + 1] in ("", ".", ":")


_lock = threading.Lock()
_names: dict[int, Names] = {}


def names() -> Names:
    """The directory of this process."""
    with _lock:
        if os.getpid() not in _names:
            _names[os.getpid()] = Names()
        return _names[os.getpid()]
