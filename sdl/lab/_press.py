"""Send what stop cards say, to every instrument at once, and tell what each replied. Standard library only."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sdl.lab._stopexchange import DeviceStop, StopCard, StopExchange

__all__ = ["Pressed", "endpoint", "press"]

LIMIT = 4.0
"""Wall seconds that the whole of it may take."""
CONNECT_LIMIT = 1.0
"""Wall seconds for one connection."""
_ATTEMPTS = 3
_PAUSE = 0.15
"""Wall seconds between attempts."""
_HURRIED = 0.1
"""Wall seconds to wait for a device that kept silent before in the same attempt."""
_SHOWN = 40


class Pressed(NamedTuple):
    """What came of stopping one device."""

    lab: str
    device: str
    address: str
    state: str
    """`safe`; `unconfirmed`; `slow` when its driver has to do it; `none` when there is nothing to stop."""
    message: str = ""
    seconds: float | None = None
    """Wall seconds until it was confirmed, from the call."""


def endpoint(address: str) -> tuple[str, int]:
    """Host and port of `tcp://host:port`.

    Raises:
        ValueError: it is not such an address.
    """
    match = re.fullmatch(r"tcp://(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:/]+)):(?P<port>\d{1,5})", address)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{address!r} is not an address; write tcp://host:port")
    return match["v6"] or match["host"], int(match["port"])


def press(cards: Iterable[StopCard], limit: float = LIMIT) -> list[Pressed]:
    """Stop every device of the cards.

    Instruments at different addresses are stopped at the same time, each address over one connection; devices that
    share an address are asked in turn, each first for what stops it, so that none waits for another's confirmation.

    Args:
        cards: readable cards.
        limit: wall seconds after which the answer is given, whoever is still silent.
    """
    begun = time.monotonic()
    lines: dict[tuple[str, int], _Line] = {}
    answers: list[tuple[Pressed, list[_Task]]] = []
    for card in cards:
        for device in card.devices:
            result = Pressed(card.lab, device.name, device.address, *_without_sending(card, device))
            tasks = [] if result.state != "unconfirmed" or result.message else _tasks(device, lines, begun + limit)
            answers.append((result, tasks))
    threads = [threading.Thread(target=line.run, daemon=True) for line in lines.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A thread that hangs in looking up a name is left behind.
        thread.join(max(begun + limit + 0.2 - time.monotonic(), 0))
    return [_answer(result, tasks, begun) for result, tasks in answers]


def _without_sending(card: StopCard, device: DeviceStop) -> tuple[str, str]:
    """State and message of a device that nothing is sent to; `unconfirmed` without a message for the others."""
    if device.simulated and not card.alive:
        return "none", "simulated; it ended with the process that ran the lab"
    if device.slow:
        return "slow", device.note
    if not device.exchanges:
        return "none", device.note
    elsewhere = card.host not in ("", socket.gethostname())
    if elsewhere and any(endpoint(e.address)[0] in ("127.0.0.1", "localhost", "::1") for e in device.exchanges):
        return "unconfirmed", f"is connected to {card.host}; run `sdl stop` there"
    return "unconfirmed", ""


def _tasks(device: DeviceStop, lines: dict[tuple[str, int], _Line], deadline: float) -> list[_Task]:
    tasks = []
    for where in dict.fromkeys(endpoint(e.address) for e in device.exchanges):
        line = lines.setdefault(where, _Line(*where, deadline))
        tasks.append(line.add([e for e in device.exchanges if endpoint(e.address) == where]))
    return tasks


def _answer(result: Pressed, tasks: list[_Task], begun: float) -> Pressed:
    if not tasks:
        return result
    ends = [task.safe_at for task in tasks if task.safe_at is not None]
    if len(ends) == len(tasks):
        return result._replace(state="safe", seconds=max(ends) - begun)
    return result._replace(message="; ".join(task.trouble for task in tasks if task.safe_at is None))


class _Task:
    """What has to be sent to one device at one address."""

    def __init__(self, exchanges: list[StopExchange]) -> None:
        self.exchanges = exchanges
        self.safe_at: float | None = None
        """When the safe state was confirmed, on the monotonic clock."""
        self.trouble = "no answer in time"

    def program(self, fallback: bool) -> Iterator[tuple[_Round, StopExchange]]:
        """The exchanges to send, each as often as it has to be, with what they share."""
        chosen = [e for e in self.exchanges if e.fallback == fallback]
        state = _Round(sum(bool(e.confirms) for e in chosen))
        for exchange in chosen:
            for _ in range(exchange.repeat):
                yield state, exchange
                if state.last:
                    break


class _Round:
    """How one attempt at a device goes."""

    def __init__(self, missing: int) -> None:
        self.missing = missing
        """Confirmations that have not come."""
        self.last = False
        """Whether the last exchange confirmed."""
        self.silent = False


class _Line:
    """One connection and the devices behind it."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        self._where = (host, port)
        self._deadline = deadline
        self._tasks: list[_Task] = []
        self._socket: socket.socket | None = None

    def add(self, exchanges: list[StopExchange]) -> _Task:
        """A device that is to be stopped over this connection."""
        same = next((task for task in self._tasks if task.exchanges == exchanges), None)
        if same is None:  # two cards may hold one instrument
            same = _Task(exchanges)
            self._tasks.append(same)
        return same

    def run(self) -> None:
        """Try until every device has confirmed, a few times at most."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(min(_PAUSE, self._left()))
            for fallback in (False, True):
                left = [task for task in self._tasks if task.safe_at is None]
                try:
                    self._turns(left, fallback)
                except (OSError, UnicodeError) as error:  # the latter for what can be no name of a host
                    reason = getattr(error, "strerror", None) or str(error) or "no answer"
                    for task in left:
                        task.trouble = f"cannot be reached ({reason})"
                    break
            self._drop()
            if not self._left() or all(task.safe_at is not None for task in self._tasks):
                return

    def _turns(self, tasks: list[_Task], fallback: bool) -> None:
        """One exchange of each device, then the next of each."""
        programs = [(task, task.program(fallback)) for task in tasks]
        while programs and self._left():
            for task, program in list(programs):
                item = next(program, None)
                if item is None:
                    programs.remove((task, program))
                else:
                    self._exchange(task, *item)

    def _exchange(self, task: _Task, state: _Round, exchange: StopExchange) -> None:
        """Send one request and judge the reply. Raises OSError when the address cannot be connected."""
        state.last = False
        line = self._connected()
        try:
            line.settimeout(max(self._left(), 0.01))
            line.sendall(exchange.request)
            reply = self._reply(line, exchange, _HURRIED if state.silent else exchange.timeout)
        except OSError as error:
            self._drop()
            task.trouble = f"the connection broke ({error.strerror or error})"
            return
        if exchange.confirms and _found(exchange.confirms, reply):
            state.last = True
            state.missing -= 1
            if not state.missing:
                task.safe_at = time.monotonic()
        elif not exchange.confirms and not exchange.complete:
            task.trouble = "was told to stop, and cannot confirm it"
        else:
            state.silent = not reply
            shown = repr(reply[:_SHOWN])[1:]
            task.trouble = f"replied {shown} to the stop" if reply else "did not reply to the stop"

    def _reply(self, line: socket.socket, exchange: StopExchange, patience: float) -> bytes:
        """Bytes that came until the reply was complete or the time was over."""
        received = b""
        patterns = [pattern for pattern in (exchange.confirms, exchange.complete) if pattern]
        end = min(time.monotonic() + patience, self._deadline)
        while patterns and not any(_found(pattern, received) for pattern in patterns):
            left = end - time.monotonic()
            if left <= 0:
                break
            line.settimeout(left)
            try:
                data = line.recv(4096)
            except TimeoutError:
                break
            if not data:
                raise ConnectionError("closed by the instrument")
            received += data
        return received

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._where, min(CONNECT_LIMIT, max(self._left(), 0.01)))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _drop(self) -> None:
        line, self._socket = self._socket, None
        if line is not None:
            line.close()

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)


def _found(pattern: str, reply: bytes) -> bool:
    try:
        return re.search(pattern, reply.decode("latin-1"), re.DOTALL) is not None
    except re.error:  # a damaged pattern confirms nothing
        return False
