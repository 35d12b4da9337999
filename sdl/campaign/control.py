"""What a person asks of a running campaign: finish the step and pause, or abort to the safe state."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["Control"]


class Control:
    """Requests from any thread, or from a signal handler, to the coordinator's event loop."""

    def __init__(self, on_request: Callable[[str], None] | None = None) -> None:
        """Args:
        on_request: called with a line for people at each request, in the thread that makes it.
        """
        self._on_request = on_request
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakes: list[asyncio.Event] = []
        self._asked: SimpleQueue[str] = SimpleQueue()
        self.pausing = ""
        """Why the campaign should pause at the end of the step; empty while it should not."""
        self.aborting = ""
        """Why the campaign should abort at once; empty while it should not."""

    def attach(self) -> asyncio.Event:
        """Bind to the running loop; the event is set at each request. Campaigns that run together each have one."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            wake = asyncio.Event()
            if self.pausing or self.aborting:
                wake.set()
            self._wakes.append(wake)
            return wake

    def ask(self, reason: str) -> None:
        """Note a request from a signal handler: the first pauses, the next aborts. `settle` carries it out."""
        self._asked.put(reason)  # the one queue that a signal handler may use: nothing is locked or printed here

    def settle(self) -> None:
        """Carry out what signal handlers have asked for."""
        while True:
            try:
                reason = self._asked.get_nowait()
            except Empty:
                return
            (self.abort if self.pausing else self.pause)(reason)

    def pause(self, reason: str = "asked to pause") -> None:
        """Finish the step under way, then pause."""
        self.pausing = self.pausing or reason
        self._say(f"{reason}: finishing the step, then pausing; once more aborts to the safe state")
        self._notify()

    def abort(self, reason: str = "asked to abort") -> None:
        """Stop now and drive the devices to their safe states."""
        self.aborting = self.aborting or reason
        self._say(f"{reason}: aborting to the safe state")
        self._notify()

    def _say(self, text: str) -> None:
        if self._on_request is not None:
            self._on_request(text)

    def _notify(self) -> None:
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                for wake in self._wakes:
                    self._loop.call_soon_threadsafe(wake.set)
