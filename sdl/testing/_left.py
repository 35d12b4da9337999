"""What code leaves behind: tasks, sockets, threads."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

from sdl.testing._report import CheckFailed

__all__ = ["here", "nothing_left"]


def sockets() -> set[str]:
    """Sockets of this process; empty where the system does not tell."""
    found = set()
    folder = Path("/proc/self/fd")
    for entry in folder.iterdir() if folder.is_dir() else ():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def threads() -> set[threading.Thread]:
    """Threads that are no loop's own."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


Left = tuple[set[Any], set[str], set[Any]]


def here() -> Left:
    """Tasks of the running loop, and sockets and threads of this process."""
    return set(asyncio.all_tasks()), sockets(), threads()


async def nothing_left(before: Left) -> str:
    """Check that there is nothing now that was not there before; what is just ending gets half a second."""
    left: list[str] = []
    for attempt in range(30):
        if attempt in (5, 29):  # what only the collector ends; it is slow in a process with large libraries
            gc.collect()
        kinds = zip(("tasks", "sockets", "threads"), here(), before, strict=True)
        left = [f"{len(now - then)} {kind}" for kind, now, then in kinds if now - then]
        if not left:
            return "no task, socket or thread is left"
        await asyncio.sleep(0.02)
    raise CheckFailed(f"left behind: {', '.join(left)}")
