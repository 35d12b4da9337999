"""Fault points: numbered in the order in which one process reaches them, and the process kills itself at one of them.

Installed in the process that is to die, before `sdl` runs there. Nothing in `sdl` knows of it: what is wrapped is the
commit of a database connection, the writer's commit, and the write and read of asyncio's sockets.

Points of a transaction (of the journal, and of a worker's spool): `before` (all is written, nothing committed),
`committed` (the caller has not been told) and `told`. Points of a request to an instrument: `before` any byte, `half`
of the bytes, `sent`, and `answered`. Points of a message between coordinator and worker: `before`, `sent` and `heard`;
messages that only say that somebody is there have none.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from asyncio import selector_events
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import zmq

__all__ = ["ACKS", "KILL_AT", "TRACE", "FaultPoints", "install"]

KILL_AT: Final = "CHAOS_KILL_AT"
"""Number of the point to die at, or its name; empty to live."""
TRACE: Final = "CHAOS_TRACE"
"""File with a line for each point reached: its number and its name, such as `pump 00RUN sent #2` for the second one."""
ACKS: Final = "CHAOS_ACKS"
"""File with a line for each entry whose commit has returned: campaign, seq, hash, wall time in ns, kind, action."""

_SIGNS_OF_LIFE: Final = ("Ping", "Pong", "Entries")


class FaultPoints:
    """Counts the points that this process reaches.

    Args:
        trace: see `TRACE`.
        acks: see `ACKS`.
        kill_at: see `KILL_AT`.
    """

    def __init__(self, trace: Path, acks: Path, kill_at: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._trace, self._acks = os.open(trace, flags, 0o644), os.open(acks, flags, 0o644)
        self._kill_at = kill_at
        self._lock = threading.Lock()
        self._count = 0
        self._seen: Counter[str] = Counter()

    def reach(self, what: str, first: Callable[[], object] | None = None) -> None:
        """A point is reached.

        Args:
            what: for the trace.
            first: called before the process dies here, and only then.
        """
        with self._lock:  # held while the process dies, so that no other thread gets any further point
            self._count += 1
            self._seen[what] += 1
            name = f"{what} #{self._seen[what]}"
            os.write(self._trace, f"{self._count} {name}\n".encode())
            if self._kill_at in (str(self._count), name):
                if first is not None:
                    first()
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def acknowledge(self, lines: str) -> None:
        """Note entries whose commit has returned."""
        os.write(self._acks, lines.encode())


def install(environment: Mapping[str, str]) -> None:
    """Wrap what has points, as the environment says."""
    points = FaultPoints(Path(environment[TRACE]), Path(environment[ACKS]), environment.get(KILL_AT, ""))
    _wrap_journal(points)
    _wrap_links(points)
    _wrap_wire(points)


def _wrap_journal(points: FaultPoints) -> None:
    from sdl.journal import _ledger, _sqlite, _writer

    about = threading.local()
    ledger_commit, writer_commit = _ledger.Ledger.commit, _writer.Writer._commit

    def commit(self: Any, drafts: Any, *, durable: bool) -> Any:
        about.what = ",".join(draft.kind for draft in drafts)
        try:
            rows = ledger_commit(self, drafts, durable=durable)
        finally:
            about.what = ""
        now = time.time_ns()
        points.acknowledge("".join(f"{self.campaign} {row.seq} {row.hash} {now} {_named(row.draft)}\n" for row in rows))
        return rows

    def told(self: Any, drafts: Any) -> None:
        what = ",".join(draft.kind for draft in drafts)
        writer_commit(self, drafts)
        points.reach(f"journal {what} told")

    def connection_commit(self: Any) -> None:
        before, changes = getattr(self, "chaos_changes", 0), self.total_changes
        self.chaos_changes = changes
        if not self.in_transaction or changes == before:  # it only read
            super(_sqlite._Connection, self).commit()
            return
        what = getattr(about, "what", "") or "lease"
        points.reach(f"journal {what} before")
        super(_sqlite._Connection, self).commit()
        points.reach(f"journal {what} committed")

    _ledger.Ledger.commit = commit  # type: ignore[method-assign]
    _writer.Writer._commit = told  # type: ignore[method-assign]
    _sqlite._Connection.commit = connection_commit  # type: ignore[method-assign]


def _named(draft: Any) -> str:
    """Kind of an entry, and its action where it has one."""
    action = json.loads(draft.text).get("action") if draft.kind.startswith("action.") else None
    return f"{draft.kind} {action or '-'}"


def _wrap_links(points: FaultPoints) -> None:
    transport: Any = vars(selector_events)["_SelectorSocketTransport"]
    socket_write, socket_read = transport.write, transport._read_ready__data_received
    requests: dict[int, str] = {}

    def write(self: Any, data: Any) -> None:
        what = requests[id(self)] = _request_in_words(bytes(data))
        points.reach(f"{what} before")
        points.reach(f"{what} half", lambda: socket_write(self, data[: len(data) // 2]))
        socket_write(self, data)
        points.reach(f"{what} sent")

    def read(self: Any) -> None:
        socket_read(self)
        points.reach(f"{requests.get(id(self), 'nothing')} answered")

    transport.write, transport._read_ready__data_received = write, read


def _wrap_wire(points: FaultPoints) -> None:
    from zmq.sugar.socket import Socket

    from sdl.worker import _messages

    pending = threading.local()
    messages: Any = _messages
    sockets: Any = Socket
    encode, socket_send = messages.encode, sockets.send

    def before(message: Any, limit: int) -> bytes:
        data: bytes = encode(message, limit)
        name = type(message).__name__
        if name not in _SIGNS_OF_LIFE:
            pending.name = name
            points.reach(f"wire {name} before")
        return data

    def send(self: Any, data: Any, flags: int = 0, **more: Any) -> Any:
        answer = socket_send(self, data, flags, **more)
        if not flags & zmq.SNDMORE and (name := getattr(pending, "name", "")):
            pending.name = ""
            points.reach(f"wire {name} sent")
        return answer

    def heard(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def decoded(data: bytes) -> Any:
            message = decode(data)
            if (name := type(message).__name__) not in _SIGNS_OF_LIFE:
                points.reach(f"wire {name} heard")
            return message

        return decoded

    messages.encode, sockets.send = before, send
    messages.decode_request, messages.decode_reply = heard(messages.decode_request), heard(messages.decode_reply)


def _request_in_words(data: bytes) -> str:
    """As in `pump 00RUN`, `modbus write 2`."""
    if data[:1] == b"\x02":
        return f"pump {data[2:-3].decode('ascii', 'replace') or 'status'}"
    if data[2:4] == b"\0\0" and len(data) >= 10:
        return f"modbus {'read' if data[7] == 3 else 'write'} {int.from_bytes(data[8:10], 'big')}"
    return "pump " + re.sub(r"[^ -~]", "", data.decode("ascii", "replace"))
