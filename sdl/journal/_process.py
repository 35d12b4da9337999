"""Which process this is, and whether another one on this machine still runs."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessId", "is_running", "this_process"]


class ProcessId(NamedTuple):
    """A process, told apart from a later one with the same number."""

    host: str
    """Name for people."""
    machine: str
    """Boot and process namespace: pids of two processes are comparable when this is equal."""
    pid: int
    started: str
    """Start time in clock ticks since boot; empty where the system does not tell."""


def this_process() -> ProcessId:
    """The calling process."""
    pid = os.getpid()
    return ProcessId(socket.gethostname(), _machine(), pid, _stat(pid)[1])


def is_running(process: ProcessId) -> bool | None:
    """Whether the process still runs; None when that cannot be known from here."""
    if not process.machine or process.machine != _machine():
        return None
    state, started = _stat(process.pid)
    return state not in ("", "Z", "X") and started == process.started


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """State letter and start time of a process; empty when there is none (proc(5), /proc/pid/stat)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", ""
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], fields[19]
