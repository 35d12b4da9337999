"""Who has a station: a fair lock that can also be taken without waiting."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Hold"]


class Hold:
    """One holder at a time; those who wait are served in the order they came. Belongs to one event loop."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_acquire(self) -> bool:
        """Take it if nobody has it or waits for it; never waits."""
        if self._held or self._waiting:
            return False
        self._held = True
        return True

    async def acquire(self) -> None:
        """Wait for one's turn and take it."""
        if self.try_acquire():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it was ours already
            else:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Hand it to the next who waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._held = False
